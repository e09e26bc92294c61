"""The shipped models: checkpoints that a stock pipeline opens, with reports, cards and pins that agree."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT, unknown_numbers, voice

from speech_emotion import SCHEMES, EmotionClassifier
from speech_emotion.dataset import open_dataset
from speech_emotion.evaluation.card import fill_card
from speech_emotion.evaluation.predict import predict_rows
from speech_emotion.evaluation.scores import measure
from speech_emotion.models.loading import load_classifier

README = (ROOT / "README.md").read_text()
SHIPPED = ["wav2vec2", "cnn"]


def report_of(model: str) -> dict:
    return json.loads((ROOT / "models" / model / "report.json").read_text())


@pytest.mark.slow
def test_the_stock_pipeline_opens_wav2vec2_without_this_project(tmp_path):
    np.save(tmp_path / "clip.npy", voice(seconds=2))
    code = (
        "import numpy, sys; from transformers import pipeline\n"
        "classifier = pipeline('audio-classification', model=sys.argv[1])\n"
        "assert type(classifier.model).__module__.startswith('transformers.models.wav2vec2')\n"
        "assert 'speech_emotion' not in sys.modules\n"
        "print(sorted(answer['label'] for answer in classifier(numpy.load(sys.argv[2]), top_k=None)))"
    )
    command = [sys.executable, "-c", code, ROOT / "models" / "wav2vec2", tmp_path / "clip.npy"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(list(SCHEMES["core8"]))
    assert "MISSING" not in result.stderr


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_folder_is_complete_and_its_test_speakers_are_new_to_it(model):
    folder = ROOT / "models" / model
    loaded, _ = load_classifier(folder)
    report = report_of(model)
    assert loaded.num_parameters() == report["parameters"]
    assert report["labels"] == list(SCHEMES["core8"])
    assert not set(report["speakers"]) & set(report["training"]["speakers"])
    assert {"ravdess-01", "ravdess-11", "ravdess-20", "ravdess-21", "savee-DC"} <= set(report["speakers"])
    assert report["model"] == model
    training = report["training"]
    assert training["command"].startswith(f"accelerate launch train.py --model {training['base']} ")
    if distillation := training["distillation"]:
        assert distillation["command"].endswith(
            f"--output {training.get('distilled_from') or training['base']}"
        )
        assert not set(report["speakers"]) & set(distillation["speakers"])
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 75e6
    pictures = {"confusion_matrix.png", "reliability.png", "coverage.png"}
    assert pictures <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_card_is_the_template_filled_from_the_report(model):
    card, report = (ROOT / "models" / model / "README.md").read_text(), report_of(model)
    assert card == fill_card(report)
    assert unknown_numbers(card, report) == set()


@pytest.mark.parametrize("model", SHIPPED)
def test_the_stock_pipeline_scores_like_the_classifier(model):
    pipeline = report_of(model)["pipeline"]
    assert pipeline["clips"] > 500
    assert pipeline["uar"] == pytest.approx(pipeline["classifier"]["uar"], abs=0.005)


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_model_states_its_calibration_error_on_new_corpora(model):
    left_out = report_of(model)["comparisons"][f"{model}_left_out"]
    sentence = EmotionClassifier.from_pretrained(ROOT / "models" / model).calibration
    assert f"the kind of recording was new as well, by {100 * left_out['ece']:.0f}." in sentence


@pytest.mark.xfail(
    strict=True,
    reason="the CNN's temperature was fitted before speech was found as it is now: it is too bold",
)
def test_the_confidence_of_the_cnn_is_near_its_accuracy_on_unseen_speakers():
    assert report_of("cnn")["calibration"]["ece"] <= 0.05


def test_the_confidence_of_wav2vec2_is_near_its_accuracy_elsewhere_and_too_modest_at_home():
    report = report_of("wav2vec2")
    assert report["sure_elsewhere"]["mean_ece"] <= 0.105
    bins = [each for each in report["calibration"]["bins"] if each["clips"] > 50]
    assert bins
    assert all(each["confidence"] <= each["accuracy"] + 0.05 for each in bins)


def test_wav2vec2_is_well_above_chance_on_unseen_speakers():
    speech = report_of("wav2vec2")["groups"]["ravdess speech"]
    assert speech["clips"] == 240
    assert speech["uar"] > 4 * 0.125


@pytest.mark.slow
@pytest.mark.parametrize("model", SHIPPED)
def test_measuring_again_reproduces_the_report(model, real_dataset):
    rows = open_dataset(str(real_dataset))["test"]
    rows = rows.select([index for index, speaker in enumerate(rows["speaker"]) if speaker == "ravdess-01"])
    classifier = EmotionClassifier.from_pretrained(ROOT / "models" / model)
    again = measure(predict_rows(classifier, rows).logits, np.array(rows["emotion"]), rows, classifier.labels)
    # another processor may round a close call the other way
    for name in ("accuracy", "uar", "macro_f1"):
        own = report_of(model)["by_speaker"]["ravdess-01"][name]
        assert again["overall"][name] == pytest.approx(own, abs=0.02)


def test_the_space_runs_the_pinned_gradio():
    header = yaml.safe_load(README.split("---")[1])
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert header["sdk"] == "gradio"
    assert header["sdk_version"] == pins["gradio"]
    assert header["python_version"] == "3.11"
    assert (ROOT / header["app_file"]).is_file()
    assert pins["torch"] == pins["torchaudio"]
