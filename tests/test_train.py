import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, speak, voice
from datasets import Dataset, load_from_disk
from scipy.special import softmax
from torch.utils.data import DataLoader
from transformers import (
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from speech_emotion import EmotionClassifier
from speech_emotion.dataset import choose_corpora, open_dataset, read_clip
from speech_emotion.models.loading import WINDOW_SECONDS, ModelError, load_classifier, new_classifier
from speech_emotion.training.checkpoints import claim
from speech_emotion.training.heads import fit_linear_probe
from speech_emotion.training.inputs import ClipDataset, Collator
from speech_emotion.training.sampling import LengthSampler, balance, cap_speakers, hold_out_in_turn
from train import main

TWO_VIEWS = ("as_it_lies", "augmented-1")
REPORTED = {"overall", "groups", "per_class", "confusion_matrix", "majority_class", "calibration", "training"}


def train(*arguments, processes: int = 1, **settings: str) -> str:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", processes]
    launch += ["--multi_gpu"] if processes > 1 else []  # without GPUs: as many processes on the CPU
    command = [*launch, "train.py", "--use_cpu", "--dataloader_num_workers", 0, *arguments]
    environment = os.environ | settings
    result = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def refuse(*arguments) -> str:
    """Run the script in this process; return the sentence with which it ends before it trains."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["train.py", "--use_cpu", *map(str, arguments)])
        main()
    torch.set_num_threads(threads)
    assert isinstance(ended.value.code, str)  # Python prints it and ends with status 1
    return ended.value.code


@pytest.mark.slow
def test_the_cnn_learns_resumes_reports_and_is_published(small_dataset, hub, tmp_path):
    arguments = [
        *(
            "--model",
            "cnn",
            "--data",
            small_dataset,
            "--model_dir",
            tmp_path / "cnn",
            "--output_dir",
            tmp_path / "run",
        ),
        *(
            "--model_config",
            '{"widths": [8, 16], "dropout": 0.0, "freq_mask": 0, "time_mask": 0}',
            "--no_augmentation",
        ),
        *("--per_device_train_batch_size", 4, "--head_learning_rate", 0.01),
    ]
    train(*arguments, "--num_train_epochs", 2, "--resume_from_checkpoint", "true")  # nothing there yet
    assert (tmp_path / "run").is_dir()
    arguments += ["--resume_from_checkpoint", "true", "--push_model_to", "you/cnn"]
    printed = train(*arguments, "--num_train_epochs", 12, **hub.environment(tmp_path / "home"))
    assert "macro-F1" in printed
    assert f"Published: {hub.url}/you/cnn" in printed
    published = hub.repositories["models/you/cnn"].files
    assert published == {path.name: path.read_bytes() for path in (tmp_path / "cnn").iterdir()}
    report = json.loads((tmp_path / "cnn" / "report.json").read_text())
    assert set(report) > REPORTED
    assert report["speakers"] == ["ravdess-01", "savee-DC"]
    assert not set(report["speakers"]) & set(report["training"]["speakers"])
    assert report["overall"]["uar"] == 1.0  # high voices are happy, low ones sad: anything less is a fault
    assert report["majority_class"]["uar"] == 0.5
    assert (tmp_path / "cnn" / "README.md").is_file()
    assert (tmp_path / "cnn" / "confusion_matrix.png").stat().st_size > 5_000
    classifier = EmotionClassifier.from_pretrained(tmp_path / "cnn")
    assert classifier.answer_segments([0.0], [voice(265)])[0].label == "happy"
    assert classifier.answer_segments([0.0], [voice(107)])[0].label == "sad"
    assert "was off by" in classifier.calibration


@pytest.mark.slow
def test_the_mfcc_cnn_is_trained_by_the_same_command(small_dataset, tmp_path):
    train(
        *("--model", "cnn-mfcc", "--data", small_dataset, "--model_dir", tmp_path / "model"),
        *("--output_dir", tmp_path / "run", "--num_train_epochs", 1, "--per_device_train_batch_size", 4),
    )
    report = json.loads((tmp_path / "model" / "report.json").read_text())
    assert (report["architecture"], report["parameters"]) == ("MfccCNN", 55_656)
    assert sum(map(sum, report["confusion_matrix"])) == report["clips"]


@pytest.mark.slow
def test_a_cnn_is_distilled_from_an_encoder(encoder_folder, small_dataset, tmp_path):
    train(
        *("--model", "cnn", "--data", small_dataset, "--model_dir", tmp_path / "model", "--refit"),
        *("--output_dir", tmp_path / "run", "--cache_dir", tmp_path / "states", "--cached_views", *TWO_VIEWS),
        *("--distill_from", encoder_folder, "--model_config", '{"widths": [8, 16]}', "--num_train_epochs", 2),
    )
    report = json.loads((tmp_path / "model" / "report.json").read_text())
    assert report["training"]["distilled_from"] == str(encoder_folder)
    loaded, _ = load_classifier(tmp_path / "model")
    assert loaded.num_parameters() == report["parameters"]  # those of the distillation head are not saved


@pytest.mark.slow
@pytest.mark.parametrize("validate", ["true", "false"])
def test_a_pooling_layer_and_a_reference_head_are_trained(validate, encoder_folder, small_dataset, tmp_path):
    before = Wav2Vec2Model.from_pretrained(encoder_folder).encoder.layers.state_dict()
    cache = ("--cache_dir", tmp_path / "states")
    train(
        *("--model", encoder_folder, "--data", small_dataset, "--model_dir", tmp_path / "model", *cache),
        *("--output_dir", tmp_path / "run", "--cached_views", *TWO_VIEWS, "--max_steps", 3),
        *("--pooling_layer", "--validate", validate),
    )
    model, _ = load_classifier(tmp_path / "model")
    after = model.wav2vec2.encoder.layers.state_dict()
    assert {name[0] for name in after} == {"0", "1"}
    kept = {name for name, weight in before.items() if torch.equal(after[name], weight)}
    assert before.keys() - kept == {f"0.feed_forward.output_dense.{part}" for part in ("weight", "bias")}

    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"settings": {"share": 0.5, "temperature": 1.0, "threshold": 0.5}}))
    command = [sys.executable, "-m", "speech_emotion.training.reference", tmp_path / "model", *cache]
    command += ["--data", small_dataset, "--settings", settings]
    subprocess.run([*map(str, command)], cwd=ROOT, check=True)
    classifier = EmotionClassifier.from_pretrained(tmp_path / "model")
    reference = classifier.enroll([speak(265), speak(270)])
    assert classifier.predict(speak(265), reference=reference).probabilities


@pytest.mark.slow
def test_a_speech_encoder_is_fine_tuned_by_the_same_command_on_two_processes(
    encoder_folder, small_dataset, tmp_path
):
    printed = train(
        *("--model", encoder_folder, "--data", small_dataset, "--model_dir", tmp_path / "model"),
        *("--output_dir", tmp_path / "run", "--model_config", '{"use_weighted_layer_sum": true}'),
        *(
            "--num_train_epochs",
            1,
            "--per_device_train_batch_size",
            4,
            "--frozen_layers",
            0,
            "--linear_probe",
        ),
        processes=2,
    )
    assert printed.count("macro-F1") == 1  # one process speaks for all
    report = json.loads((tmp_path / "model" / "report.json").read_text())
    assert report["architecture"] == "Wav2Vec2ForSequenceClassification"
    assert sum(map(sum, report["confusion_matrix"])) == report["clips"]
    trained = EmotionClassifier.from_pretrained(tmp_path / "model").model.wav2vec2
    untouched = Wav2Vec2Model.from_pretrained(encoder_folder)
    for name, value in untouched.feature_extractor.named_parameters():
        assert value.equal(dict(trained.feature_extractor.named_parameters())[name]), name
    changed = [
        not value.equal(dict(trained.encoder.named_parameters())[name])
        for name, value in untouched.encoder.named_parameters()
    ]
    assert any(changed)


@pytest.mark.slow
def test_a_whisper_cut_to_fewer_layers_and_shorter_windows_is_fine_tuned(small_dataset, tmp_path):
    config = WhisperConfig(
        d_model=32, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=16,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=64, pad_token_id=1,
        bos_token_id=1, eos_token_id=1, decoder_start_token_id=1,
    )  # fmt: skip
    whole = WhisperForConditionalGeneration(config)
    whole.save_pretrained(tmp_path / "whisper")
    WhisperFeatureExtractor(feature_size=16).save_pretrained(tmp_path / "whisper")
    cut = {"encoder_layers": 2, "max_source_positions": 250}
    model, extractor, fresh = new_classifier(str(tmp_path / "whisper"), ["happy", "sad"], cut)
    encoder, first = model.encoder, whole.model.encoder
    np.testing.assert_allclose(
        encoder.embed_positions.weight.detach(), first.embed_positions.weight[:250], atol=1e-3
    )
    assert encoder.layers[1].fc1.weight.equal(first.layers[1].fc1.weight)
    assert extractor.n_samples == WINDOW_SECONDS * 16_000
    for unfit in (0, 200, 275):
        with pytest.raises(ModelError, match="must be 50 a second, of 5 seconds at least"):
            new_classifier(str(tmp_path / "whisper"), ["happy", "sad"], {"max_source_positions": unfit})
    assert {name.partition(".")[0] for name in fresh} == {"projector", "classifier"}
    train(
        *("--model", tmp_path / "whisper", "--model_config", json.dumps(cut), "--data", small_dataset),
        *("--model_dir", tmp_path / "model", "--output_dir", tmp_path / "run", "--linear_probe"),
        *("--num_train_epochs", 1, "--per_device_train_batch_size", 4),
    )
    classifier = EmotionClassifier.from_pretrained(tmp_path / "model")
    assert classifier.report["architecture"] == "WhisperForAudioClassification"
    assert classifier.report["pipeline"]["clips"] == classifier.report["clips"]
    assert classifier.answer_segments([0.0], [voice(seconds=7)])[0].seconds == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "kept", [(), ("--frozen_layers", 1, "--cached_views", "as_it_lies")], ids=["waveforms", "cached"]
)
def test_two_processes_learn_what_one_learns(encoder_folder, small_dataset, tmp_path, kept):
    undisturbed = {f"{place}_dropout": 0.0 for place in ("hidden", "attention", "activation", "feat_proj")}
    losses = {}
    for processes, batch in ((1, 4), (2, 2)):  # the clips fill every batch
        run = tmp_path / str(processes)
        train(
            *("--model", encoder_folder, "--data", small_dataset, "--model_dir", run / "model"),
            *("--output_dir", run / "run", "--model_config", json.dumps(undisturbed | {"layerdrop": 0.0})),
            *("--num_train_epochs", 2, "--per_device_train_batch_size", batch, "--logging_steps", 1),
            *("--head_learning_rate", 0.01, "--cache_dir", run / "states", *kept),
            processes=processes,
        )
        [*_, last] = sorted((run / "run").glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        assert len(list(last.glob("rng_state*"))) == processes
        logged = json.loads((last / "trainer_state.json").read_text())["log_history"]
        losses[processes] = [entry["loss"] for entry in logged if "loss" in entry]
    assert len(losses[1]) >= 6
    assert losses[1][-1] < losses[1][0]
    assert np.allclose(losses[1], losses[2], atol=1e-4), losses


@pytest.mark.slow
def test_an_interrupted_epoch_resumes_with_the_same_result(encoder_folder, small_dataset, tmp_path):
    """With two processes, augmentation, mix-up, dropout, and another number of workers."""
    arguments = [
        *("--model", encoder_folder, "--data", small_dataset, "--mixup", 0.4, "--head_learning_rate", 0.01),
        *("--num_train_epochs", 2, "--per_device_train_batch_size", 2, "--logging_steps", 1),
        *("--save_strategy", "steps", "--save_steps", 2, "--eval_strategy", "steps", "--eval_steps", 2),
        *("--save_total_limit", 9),  # so that the first checkpoint is still there
    ]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(*arguments, "--model_dir", whole / "model", "--output_dir", whole / "run", processes=2)
    shutil.copytree(whole / "run" / "checkpoint-2", broken / "run" / "checkpoint-2")
    train(
        *(*arguments, "--model_dir", broken / "model", "--output_dir", broken / "run"),
        *("--resume_from_checkpoint", "true", "--dataloader_num_workers", 1),
        processes=2,
    )
    states = [
        json.loads((run / "run" / "checkpoint-10" / "trainer_state.json").read_text())
        for run in (whole, broken)
    ]
    losses = [[entry["loss"] for entry in state["log_history"] if "loss" in entry] for state in states]
    assert len(losses[0]) == 10
    assert losses[0] == losses[1]
    first, second = ((run / "model" / "model.safetensors").read_bytes() for run in (whole, broken))
    assert first == second


@pytest.mark.slow
def test_protocols_are_trained_on_cached_states_and_summarised(encoder_folder, small_dataset, tmp_path):
    arguments = [
        *("--model", encoder_folder, "--data", small_dataset, "--model_dir", tmp_path / "model"),
        *("--output_dir", tmp_path / "run", "--protocol", "fold:1", "fold:2", "--num_train_epochs", 2),
        *("--frozen_layers", 1, "--cached_views", *TWO_VIEWS, "--linear_probe", "--mixup", 0.4),
        *("--cache_dir", tmp_path / "states", "--refit"),
        *("--early_stopping_patience", 1, "--summary", tmp_path / "figures" / "folds.json"),
    ]
    train(*arguments)
    summary = json.loads((tmp_path / "figures" / "folds.json").read_text())
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "states").iterdir()}
    for name in ("fold-1", "fold-2"):
        report = json.loads((tmp_path / "model" / name / "report.json").read_text())
        uar = summary["groups"]["ravdess speech"]["folds"][name.replace("-", ":")]
        assert uar == report["groups"]["ravdess speech"]["uar"]
        everyone = {
            speaker for rows in open_dataset(str(small_dataset)).values() for speaker in rows["speaker"]
        }
        assert set(report["training"]["speakers"]) == everyone - set(report["speakers"])
        # validation is scored by the training that had not heard it: kept, since the refitted model has
        with np.load(tmp_path / "model" / name / "validation.npz") as held_out:
            right = (held_out["logits"].argmax(axis=1) == held_out["labels"]).mean()
        curve = report["selective"]["validation"]["curve"]
        assert curve[-1]["accuracy"] == pytest.approx(right)
    train(*arguments)
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "states").iterdir()}
    assert now == kept  # found again, not computed again
    assert json.loads((tmp_path / "figures" / "folds.json").read_text())["groups"] == summary["groups"]


@pytest.mark.slow
def test_the_temperature_is_fitted_on_speakers_held_out_in_turn(small_dataset, tmp_path):
    arguments = ["--model", "cnn", "--data", small_dataset, "--model_dir", tmp_path / "cnn"]
    arguments += ["--output_dir", tmp_path / "run", "--model_config", '{"widths": [8]}', "--no_augmentation"]
    train(*arguments, "--num_train_epochs", 1, "--refit", "--calibration_folds", 2)
    report = json.loads((tmp_path / "cnn" / "report.json").read_text())
    assert report["training"]["calibration_folds"] == 2
    alone = report["training"]["temperatures"]
    assert len(alone) == 3  # of validation and of each group
    assert min(alone) <= report["calibration"]["temperature"] <= max(alone)
    dataset = open_dataset(str(small_dataset))
    corpora = set(dataset["validation"]["corpus"])
    rows = zip(dataset["train"]["emotion"], dataset["train"]["corpus"], strict=True)
    others = [label for label, corpus in rows if corpus in corpora]
    with np.load(tmp_path / "cnn" / "validation.npz") as held_out:
        labels = held_out["labels"].tolist()
    assert sorted(labels) == sorted([*dataset["validation"]["emotion"], *others])  # each clip once
    assert "2 groups of training" in (tmp_path / "cnn" / "README.md").read_text()


def test_held_out_groups_share_no_speaker_and_cover_all_of_their_corpora(small_dataset):
    splits = open_dataset(str(small_dataset))
    everyone = {speaker for name in ("train", "validation") for speaker in splits[name]["speaker"]}
    dealt = []
    for group in hold_out_in_turn(splits, 2, seed=0):
        own, others = set(group["validation"]["speaker"]), set(group["train"]["speaker"])
        assert own | others == everyone and not own & others
        assert set(group["validation"]["corpus"]) <= set(splits["validation"]["corpus"])
        dealt += own
    assert len(dealt) == len(set(dealt))
    assert hold_out_in_turn(splits, 0, seed=0) == []
    for impossible in (1, 99):
        with pytest.raises(ValueError, match=r"these speakers make 2 to \d+ groups"):
            hold_out_in_turn(splits, impossible, seed=0)


def test_a_wrong_number_of_calibration_folds_is_refused_in_a_sentence(small_dataset, tmp_path):
    arguments = ["--model", "cnn", "--data", small_dataset, "--model_dir", tmp_path / "cnn"]
    needs = {
        (
            "--refit",
            "--calibration_folds",
            "99",
        ): r"--calibration_folds 99: these speakers make 2 to \d+ groups\.",
        ("--calibration_folds", "2"): r"--calibration_folds calibrates what --refit trains: give both\.",
    }
    for wrong, sentence in needs.items():
        assert re.search(sentence, refuse(*arguments, "--output_dir", tmp_path / "run", *wrong))
    assert not (tmp_path / "cnn").exists()


@pytest.mark.parametrize("wish", [None, "true", "run/fold-1/checkpoint-7"], ids=["anew", "on", "by name"])
def test_a_new_command_removes_the_checkpoints_of_all_earlier_trainings(wish, small_dataset, tmp_path):
    """Else one that is interrupted and goes on would end with the earlier one's weights."""
    first = [tmp_path / "run" / fold for fold in ("fold-1", "fold-2")]
    later = [fold / name for fold in first for name in ("held-out-1", "held-out-2", "refit")]
    other = [tmp_path / "run", tmp_path / "run" / "other", tmp_path / "run" / "fold-3"]
    for folder in (*first, *later, *other):
        claim(folder / "checkpoint-7")
    refuse(  # before anything is trained
        *("--model", "cnn", "--data", small_dataset, "--model_dir", tmp_path / "models", "--refit"),
        *("--output_dir", tmp_path / "run", "--protocol", "fold:1", "fold:2"),
        *(
            "--cached_views",
            "as_it_lies",
            "--cache_dir",
            tmp_path / "states",
            "--distill_from",
            tmp_path / "nobody",
        ),
        *(("--resume_from_checkpoint", tmp_path / wish if wish != "true" else wish) if wish else ()),
    )
    kept = {folder for folder in (*first, *later, *other) if (folder / "checkpoint-7").exists()}
    begun_anew = {None: {*first, *later}, "true": set()}.get(wish, {*later})
    assert kept == {*first, *later, *other} - begun_anew


@pytest.mark.slow
def test_a_checkpoint_of_a_training_with_other_arguments_is_refused_in_a_sentence(small_dataset, tmp_path):
    arguments = ["--model", "cnn", "--data", small_dataset, "--model_dir", tmp_path / "cnn"]
    arguments += [
        "--output_dir",
        tmp_path / "run",
        "--model_config",
        '{"widths": [8]}',
        "--num_train_epochs",
        1,
    ]
    train(*arguments, "--summary", tmp_path / "summary.json")
    wider = [*arguments[:-3], '{"widths": [16]}', "--num_train_epochs", 2]
    sentence = refuse(*wider, "--resume_from_checkpoint", "true", "--dataloader_num_workers", 0)
    assert "is of a training with other arguments: train anew without --resume_from_checkpoint." in sentence


@pytest.mark.slow
def test_a_random_split_is_trained_and_marked_as_leaking(small_dataset, tmp_path):
    arguments = ["--model", "cnn", "--data", small_dataset, "--model_dir", tmp_path / "cnn"]
    arguments += ["--output_dir", tmp_path / "run", "--model_config", '{"widths": [8]}', "--no_augmentation"]
    printed = train(*arguments, "--num_train_epochs", 1, "--protocol", "random")
    assert "speakers heard in training (leaking)" in printed
    report = json.loads((tmp_path / "cnn" / "report.json").read_text())
    assert report["training"]["protocol"] == "random"
    assert set(report["speakers"]) & set(report["training"]["speakers"])
    assert "**Speakers leak**" in (tmp_path / "cnn" / "README.md").read_text()


@pytest.mark.slow
def test_low_rank_additions_are_merged_into_the_weights(encoder_folder, small_dataset, tmp_path):
    arguments = ["--model", encoder_folder, "--data", small_dataset, "--model_dir", tmp_path / "model"]
    train(*arguments, "--output_dir", tmp_path / "run", "--num_train_epochs", 2, "--lora_rank", 2)
    trained = EmotionClassifier.from_pretrained(tmp_path / "model").model.wav2vec2.encoder.layers[0]
    before = Wav2Vec2Model.from_pretrained(encoder_folder).encoder.layers[0]
    assert not trained.attention.q_proj.weight.equal(before.attention.q_proj.weight)
    assert trained.feed_forward.output_dense.weight.equal(before.feed_forward.output_dense.weight)


def test_a_linear_probe_writes_logistic_regression_into_the_head(encoder_folder, small_dataset):
    rows = open_dataset(str(small_dataset))["train"]
    model, extractor, _ = new_classifier(encoder_folder, rows.features["emotion"].names)
    clips = DataLoader(ClipDataset(rows, WINDOW_SECONDS), batch_size=4, collate_fn=Collator(extractor))
    head = fit_linear_probe(model, model, clips, balance(rows))
    assert head == {*model.projector.parameters(), *model.classifier.parameters()}
    logits = EmotionClassifier(model, extractor).logits([read_clip(row) for row in rows])
    assert (logits.argmax(axis=1) == rows["emotion"]).all()
    probabilities = softmax(logits, axis=1)
    seen = sorted(set(rows["emotion"]))
    assert probabilities[:, seen].sum(axis=1).min() > 0.99


def test_emotions_are_drawn_evenly_within_a_corpus_and_corpora_by_the_root_of_their_size():
    corpus, emotion = ["a"] * 16 + ["b"] * 4, [0] * 15 + [1] + [0, 1, 1, 2]
    rows = Dataset.from_dict({"corpus": corpus, "emotion": emotion, "channel": ["speech"] * 20})
    weights = balance(rows)
    assert weights[:15].sum() == pytest.approx(weights[15])
    assert weights[16] == pytest.approx(weights[17] + weights[18]) == pytest.approx(weights[19])
    assert weights[:16].sum() == pytest.approx(2 * weights[16:].sum())  # 16 clips and 4
    assert weights.mean() == pytest.approx(1)
    sampler = LengthSampler([1.0] * 20, 4, weights, itertools.count().__next__)
    drawn = np.bincount([index for _ in range(400) for index in sampler], minlength=20) / 400
    assert np.allclose(drawn, weights, atol=0.4)


def test_batches_have_clips_of_similar_length_and_every_clip_once():
    durations = np.random.default_rng(0).permutation(np.linspace(1, 5, 50)).tolist()
    order = list(LengthSampler(durations, 8))
    assert sorted(order) == list(range(50))
    batches = [order[start : start + 8] for start in range(0, 48, 8)]
    spread = [np.ptp([durations[index] for index in batch]) for batch in batches]
    assert max(spread) < 1.0
    longest = [max(durations[index] for index in batch) for batch in batches]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_clips_of_a_speaker_are_capped(small_dataset):
    rows = load_from_disk(small_dataset)["train"].remove_columns("audio")
    capped = cap_speakers(rows, 1, seed=3)
    assert sorted(capped["speaker"]) == sorted(set(rows["speaker"]))
    assert len(cap_speakers(rows, 100, seed=3)) == len(rows)
    assert np.array_equal(cap_speakers(rows, 1, seed=3)["sha256"], capped["sha256"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--model", "/no/such/model"], "The model '/no/such/model' cannot be loaded"),
        (["--model_config", "{widths"], "--model_config is not JSON"),
        (
            ["--model", "cnn", "--distill_from", "somewhere"],
            "--distill_from needs --model cnn and --cached_views.",
        ),
        (
            ["--model", "cnn", "--model_config", '{"input_features": "lpc"}'],
            "input_features is 'lpc'; it can be",
        ),
        (["--model", "cnn", "--protocol", "fold:9"], "There is no fold '9'; there are folds 1 to 6."),
        (["--protocol", "fold:1", "fold:2", "--push_model_to", "me/it"], "give one --protocol."),
        (["--save_strategy", "no"], "--load_best_model_at_end requires the save and eval strategy to match"),
    ],
)
def test_arguments_that_cannot_be_trained_end_in_a_sentence(wrong, sentence, small_dataset, tmp_path):
    assert sentence in refuse("--data", small_dataset, "--output_dir", tmp_path, *wrong)


@pytest.mark.slow
def test_the_command_prints_its_sentence_and_ends_with_status_1(tmp_path):
    command = [sys.executable, "train.py", "--use_cpu", "--data", tmp_path / "gone"]
    result = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert str(tmp_path / "gone") in result.stderr


def test_a_missing_dataset_ends_in_a_sentence(tmp_path):
    assert refuse("--model", "cnn", "--data", tmp_path / "none").endswith("or give its id on the hub.")


def test_some_corpora_can_be_chosen(small_dataset):
    dataset = open_dataset(str(small_dataset))
    assert choose_corpora(dataset, []) is dataset
    for names, corpora in ((["savee"], {"savee"}), (["savee", "ravdess speech"], {"savee", "ravdess"})):
        chosen = choose_corpora(dataset, names)
        assert set(chosen["train"]["corpus"]) | set(chosen["test"]["corpus"]) == corpora
    with pytest.raises(ValueError, match="There is no ravdess song; there are ravdess, ravdess speech, "):
        choose_corpora(dataset, ["savee", "ravdess song"])
