"""The whole report of a model, on the miniature dataset."""

import doctest
import json
import re
import shlex
import shutil
import sys
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pytest
from conftest import pause, speak, unknown_numbers, voice, write_wav
from datasets import Dataset, DatasetDict
from huggingface_hub import ModelCard

from data_prep.checks import pack
from speech_emotion import EmotionClassifier
from speech_emotion.audio.decoding import to_pcm
from speech_emotion.dataset import open_dataset, read_clip
from speech_emotion.evaluation import card as card_module
from speech_emotion.evaluation.__main__ import main
from speech_emotion.evaluation.calibration import expected_calibration_error, reliability
from speech_emotion.evaluation.card import fill_card, says_little
from speech_emotion.evaluation.pipeline import measure_pipeline
from speech_emotion.evaluation.predict import predict_rows
from speech_emotion.evaluation.report import Report, evaluate_folder, print_report
from speech_emotion.evaluation.robustness import measure_robustness
from speech_emotion.evaluation.scores import measure, measure_left_out
from speech_emotion.evaluation.selective import measure_threshold, selective_accuracy
from speech_emotion.models.folder import NEVER, REPORT_VERSION, load_report
from speech_emotion.models.loading import load_classifier, new_classifier

TRAINING = {
    "command": "accelerate launch train.py --model cnn",
    "base": "cnn",
    "distillation": None,
    "data": "8 clips of 2 speakers (ravdess)",
    "speakers": ["ravdess-03", "ravdess-06"],
    "seed": 1,
    "temperature": 2.0,
}


@pytest.fixture(scope="module")
def dataset(small_dataset):
    return open_dataset(str(small_dataset))


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    """An untrained CNN of all eight classes."""
    folder = tmp_path_factory.mktemp("models") / "measured"
    labels = dataset["test"].features["emotion"].names
    model, extractor, _ = new_classifier("cnn", labels, {"widths": [8, 8]})
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def report(folder, dataset):
    return evaluate_folder(folder, dataset, TRAINING)


@pytest.fixture(scope="module")
def card(report, folder):
    return (folder / "README.md").read_text()


def test_the_report_on_disk_is_the_one_returned_and_states_how_it_was_made(report, folder):
    assert json.loads((folder / "report.json").read_text()) == report
    assert set(report) == set(get_type_hints(Report))
    assert report["version"] == REPORT_VERSION
    assert load_report(folder) == report  # serving takes it
    assert report["clips"] == sum(map(sum, report["confusion_matrix"])) == 6
    assert report["speakers"] == ["ravdess-01", "savee-DC"]
    assert (report["split"], report["seed"]) == ("test", 0)
    assert report["command"] == shlex.join(["python", *sys.orig_argv[1:]])
    assert report["training"] == TRAINING


def test_a_model_trained_on_a_test_speaker_is_not_measured(folder, dataset):
    with pytest.raises(ValueError, match="trained on speakers of the test split: savee-DC"):
        evaluate_folder(folder, dataset, TRAINING | {"speakers": ["ravdess-03", "savee-DC"]})


def test_scores_of_groups_add_up(dataset):
    rows, labels = dataset["test"], dataset["test"].features["emotion"].names
    truth = np.array(rows["emotion"])
    wrong = np.array(rows["corpus"]) == "savee"
    logits = np.eye(len(labels))[np.where(wrong, 0, truth)]
    report = measure(logits, truth, rows, labels)
    groups = report["groups"] | report["by_channel"] | report["by_gender"]
    assert list(report["groups"]) == ["ravdess speech", "savee speech"]
    assert {name: own["uar"] for name, own in groups.items() if own["speakers"] == 1} == {
        "ravdess speech": 1.0, "ravdess male": 1.0, "savee speech": 0.0, "savee male": 0.0,
    }  # fmt: skip
    assert groups["male"] == groups["speech"] == {"clips": 6, "speakers": 2, **report["overall"]}
    assert report["overall"]["interval"]["uar"] == [0.0, 1.0]
    assert groups["savee speech"]["interval"] is None
    assert (
        report["by_speaker"]["savee-DC"] | {"clips": 2, "gender": "male", "uar": 0.0}
        == (report["by_speaker"]["savee-DC"])
    )
    happy = report["per_class"]["happy"]
    assert (happy["clips"], happy["precision"], happy["recall"]) == (3, 1.0, pytest.approx(2 / 3))
    assert happy["interval"]["recall"] == [0.0, 1.0]
    assert report["per_class"]["calm"]["recall"] is report["per_class"]["calm"]["interval"]["recall"] is None


def test_calibration_and_threshold_are_those_of_the_folder(report, folder, dataset):
    classifier = EmotionClassifier.from_pretrained(folder)
    logits, truth = {}, {}
    for split in ("validation", "test"):
        logits[split] = predict_rows(classifier, dataset[split]).logits
        truth[split] = np.array(dataset[split]["emotion"])
    test, validation = ((logits[split], truth[split]) for split in ("test", "validation"))
    expected = measure_threshold(test, validation)["threshold"]
    assert report["threshold"] == expected == NEVER  # nobody trained it
    for split in ("validation", "test"):
        own = selective_accuracy(logits[split], truth[split], report["threshold"])
        assert {name: report["selective"][split][name] for name in own} == pytest.approx(own)
    calibration = report["calibration"]
    assert calibration["ece"] == pytest.approx(
        expected_calibration_error(reliability(logits["test"], truth["test"]))
    )
    before = expected_calibration_error(reliability(2.0 * logits["validation"], truth["validation"]))
    assert calibration["validation"]["ece_before"] == pytest.approx(before)
    assert sum(own["clips"] for own in calibration["bins"]) == report["clips"]


def test_robustness_starts_from_the_clean_score(report):
    robustness = report["robustness"]
    assert robustness["clean"] == {
        name: report["overall"][name] for name in ("accuracy", "uar", "macro_f1", "weighted_f1")
    }
    noises = [f"{noise}, {snr} dB" for noise in ("white noise", "babble") for snr in (20, 10, 0)]
    assert list(robustness) == ["clean", *noises, "telephone", "MP3, 32 kbit/s"]


def test_a_single_speaker_gets_no_babble(folder, dataset):
    rows = dataset["test"].filter(lambda speaker: speaker == "savee-DC", input_columns="speaker")
    classifier = EmotionClassifier.from_pretrained(folder)
    conditions = measure_robustness(classifier, rows, predict_rows(classifier, rows).logits)
    assert len(conditions) == 6
    assert not any("babble" in name for name in conditions)


def test_a_degraded_clip_reaches_the_model(folder, dataset):
    rows = dataset["test"]
    classifier = EmotionClassifier.from_pretrained(folder)
    seen = {}

    def degrade(audio, index):
        return seen.setdefault(index, speak(100 + 20 * index, seconds=1.0 + index / 10))

    degraded = predict_rows(classifier, rows, change=degrade)
    assert sorted(seen) == list(range(len(rows)))
    for index, clip in seen.items():
        served = list(classifier.predict(clip).probabilities.values())
        np.testing.assert_allclose(np.exp(degraded.logits[index]), served, rtol=1e-3)


def test_the_evaluator_of_evaluate_agrees_with_ours(report, folder, dataset):
    assert report["pipeline"]["clips"] == 6
    own = report["pipeline"]["classifier"]
    assert {name: report["pipeline"][name] for name in own} == own
    rows = dataset["test"]
    long = [5.01 if index == 2 else 1.0 for index in range(len(rows))]
    rows = rows.remove_columns("duration").add_column("duration", long)
    right = iter(np.eye(8)[[label for index, label in enumerate(rows["emotion"]) if index != 2]])
    window = SimpleNamespace(config=SimpleNamespace(window_seconds=5.0))
    oracle = SimpleNamespace(model=window, logits=lambda clips: next(right)[None])
    pipeline = measure_pipeline(folder, rows, oracle)
    assert (pipeline["clips"], pipeline["max_seconds"]) == (5, 5.0)
    assert pipeline["classifier"]["uar"] == 1.0


def test_pictures_are_drawn_and_shown_by_the_card(folder, card):
    shown = re.findall(r"!\[.+\]\((.+)\)", card)
    assert sorted(shown) == ["confusion_matrix.png", "coverage.png", "reliability.png"]
    assert all((folder / name).stat().st_size > 10_000 for name in shown)


def test_the_card_is_filled_and_its_numbers_are_the_reports(report, card):
    assert not re.search(r"[{}]|\bNone\b|\bnan\b", re.sub("```.+?```", "", card, flags=re.DOTALL))
    assert unknown_numbers(card, report) == set()
    assert unknown_numbers(card + "77.77%", report) == {"77.77"}


def test_the_hub_understands_the_cards_header(card, report):
    data = ModelCard(card).data
    assert (data.pipeline_tag, data.library_name) == ("audio-classification", "transformers")
    # names of corpora are no datasets of the hub
    assert (data.license, data.language, data.datasets) == ("cc-by-nc-sa-4.0", "en", None)
    results = {result.metric_name: result.metric_value for result in data.eval_results}
    assert results["Unweighted average recall"] == report["overall"]["uar"]
    assert all(result.dataset_split == "test" for result in data.eval_results)


def test_the_cards_example_runs(card, folder, tmp_path, monkeypatch, capsys):
    write_wav(tmp_path / "clip.wav", voice())
    (tmp_path / folder.name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.+?)```", card, re.DOTALL)[1], {})
    assert capsys.readouterr().out.count("'label'") == 8


def test_so_few_clips_say_nothing(card, report, capsys):
    assert report["clips"] < 80
    print_report(report)
    sentence = "Nothing can be said about how good the model is"
    assert sentence in card
    assert sentence in capsys.readouterr().out
    assert says_little(report | {"clips": 80}) == ""


def test_measuring_again_prints_the_scores_and_keeps_how_it_was_trained(
    report, folder, small_dataset, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["evaluation", str(folder), "--data", str(small_dataset)])
    main()
    printed = capsys.readouterr().out
    assert all(
        name in printed
        for name in (*report["groups"], *report["by_gender"], "always 'happy'", "babble, 0 dB", "telephone")
    )
    again = json.loads((folder / "report.json").read_text())
    assert again["training"] == TRAINING
    assert again["overall"] == report["overall"]
    assert again["robustness"]["babble, 0 dB"] == report["robustness"]["babble, 0 dB"]


@pytest.mark.parametrize(
    ("data", "sentence"), [("none", "There is no dataset 'none'"), (None, "has no report.json")]
)
def test_an_evaluation_that_cannot_start_ends_in_a_sentence(
    data, sentence, folder, report, tmp_path, monkeypatch
):
    arguments = [str(folder), "--data", data] if data else [str(tmp_path)]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", ["evaluation", *arguments])
    with pytest.raises(SystemExit, match=sentence):
        main()


def test_a_quick_report_leaves_out_what_takes_long(folder, dataset, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "quick")
    report = evaluate_folder(tmp_path / "quick", dataset, TRAINING, quick=True)
    for long in ("robustness", "surroundings", "short_clips", "pipeline"):
        assert report[long] is None
    print_report(report)
    card = (tmp_path / "quick" / "README.md").read_text()
    assert "telephone" not in card + capsys.readouterr().out
    assert "stock pipeline" not in card
    assert "## Licences" in card


@pytest.mark.parametrize(
    ("speakers", "sentence"),
    [(["ravdess-03"], "used no clip of them either"), (["ravdess-03", "savee-DC"], "used clips of savee-DC")],
)
def test_the_card_states_the_speakers_of_the_distillation(report, speakers, sentence):
    distillation = {"command": "python distill.py", "speakers": speakers}
    card = fill_card(report | {"training": TRAINING | {"distillation": distillation}})
    assert f"which uses no labels, {sentence}." in card
    assert "python distill.py\naccelerate launch" in card
    assert "istillation" not in fill_card(report)


def test_the_card_states_the_encoder_a_cnn_was_distilled_from(report):
    distillation = {"command": "python distill.py", "speakers": []}
    distilled = {"distilled_from": "outputs/distilled", "distillation": distillation}
    card = fill_card(report | {"training": TRAINING | distilled})
    assert "the states of a larger encoder, `outputs/distilled`," in card
    assert "Distillation of the larger encoder, which uses no labels, used no clip of them either." in card
    assert "larger encoder" not in fill_card(report)


def test_examples_in_docstrings_of_the_card():
    assert doctest.testmod(card_module).failed == 0


def test_corpora_that_training_had_no_clip_of_are_measured_apart(folder, dataset, tmp_path):
    shutil.copytree(folder, tmp_path / "left_out")
    ravdess = dataset["train"].filter(lambda corpus: corpus == "ravdess", input_columns="corpus")
    report = evaluate_folder(
        tmp_path / "left_out", DatasetDict(dataset | {"train": ravdess}), TRAINING, quick=True
    )
    assert report["speakers"] == ["ravdess-01"]
    assert report["clips"] == sum(map(sum, report["confusion_matrix"])) == 4
    left_out = report["left_out"]["savee"]
    assert (list(report["left_out"]), left_out["clips"], left_out["speakers"]) == (["savee"], 2, 1)
    assert 0 <= left_out["ece"] <= 1
    assert "| savee | 1 | 2 |" in (tmp_path / "left_out" / "README.md").read_text()
    nothing = dataset["train"].filter(lambda corpus: corpus == "none", input_columns="corpus")
    rows = dataset["test"]
    everything = measure_left_out(
        np.eye(8)[rows["emotion"]], np.array(rows["emotion"]), rows, nothing["corpus"]
    )
    assert {name: own["uar"] for name, own in everything.items()} == {"ravdess": 1.0, "savee": 1.0}


def test_surroundings_and_short_clips_are_measured(report):
    noises = [f"inside 6 s of noise, {snr} dB" for snr in (30, 20, 10)]
    assert list(report["surroundings"]) == ["as it lies", "trimmed", *noises]
    assert list(report["short_clips"]) == ["0.3 s", "0.5 s", "1 s"]
    assert report["surroundings"]["as it lies"]["uar"] == report["overall"]["uar"]
    for own in (*report["surroundings"].values(), *report["short_clips"].values()):
        assert own["clips"] == 6
        assert 0 <= own["refused"] <= 6
        assert 0 <= own["coverage"] <= 1
    assert "| inside 6 s of noise, 30 dB |" in fill_card(report)


def test_each_language_has_its_figures_and_the_header_names_them(report):
    assert list(report["by_language"]) == ["en"]
    several = fill_card(
        report | {"by_language": dict.fromkeys(("bn", "en", "mul"), report["by_language"]["en"])}
    )
    assert ModelCard(several).data.language == ["bn", "en"]
    assert "| bn | 2 | 6 |" in several


def test_a_threshold_for_each_label_is_measured_written_and_served(folder, dataset, tmp_path):
    shutil.copytree(folder, tmp_path / "by_label")
    threshold = {
        label: 0.1 + index / 100 for index, label in enumerate(dataset["test"].features["emotion"].names)
    }
    report = evaluate_folder(tmp_path / "by_label", dataset, TRAINING, quick=True, threshold=threshold)
    assert report["threshold"] == threshold
    assert load_report(tmp_path / "by_label")["threshold"] == threshold
    assert "surprised **0.17**" in (tmp_path / "by_label" / "README.md").read_text()
    for least in (0.0, 1.0):
        served = report | {"threshold": dict.fromkeys(threshold, least)}
        (tmp_path / "by_label" / "report.json").write_text(json.dumps(served))
        answer = EmotionClassifier.from_pretrained(tmp_path / "by_label").predict(speak())
        assert answer.sure is (least == 0.0)
        assert answer.utterances[0].sure is (least == 0.0)


def test_predictions_are_those_that_are_served(folder):
    """Speech in the middle of silence, and a tone, which is no speech."""
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 16_000).astype(np.float32)
    rows = speech_rows([np.concatenate([pause(1.0), speak(seconds=2.0), pause(1.0)]), tone])
    classifier = EmotionClassifier(*load_classifier(folder))
    predictions = predict_rows(classifier, rows)
    assert predictions.refused.tolist() == [False, True]
    served = classifier.predict(read_clip(rows[0])).probabilities
    np.testing.assert_allclose(np.exp(predictions.logits[0]), list(served.values()), rtol=1e-4)
    np.testing.assert_allclose(predictions.logits[1], classifier.logits([read_clip(rows[1])])[0], atol=1e-4)


def speech_rows(clips):
    """Rows of the dataset with these clips."""
    stored = [pack(to_pcm(clip)) for clip in clips]
    audio = [{"bytes": each.flac, "path": None} for each in stored]
    sha256s = [each.sha256 for each in stored]
    return Dataset.from_dict({"audio": audio, "sha256": sha256s, "emotion": [0] * len(clips)})
