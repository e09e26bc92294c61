"""Model folders as somebody else may have made them: each refused with a sentence, none of them built."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, peak_memory, reset_peak_memory
from safetensors.torch import load_file, save_file

from speech_emotion import EmotionClassifier
from speech_emotion.models.folder import NEVER, REPORT_VERSION, digest_weights, is_sure, load_report
from speech_emotion.models.loading import ModelError, load_classifier, new_classifier

HUGE = 10**12
NAMED = {"architecture": "CNN", "parameters": 3}  # a network, in a report


def set_json(file: str, **changes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        settings = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
        (folder / file).write_text(json.dumps(settings | changes))

    return change


def write(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content)


def set_weights(change: Callable[[dict], dict]) -> Callable[[Path], None]:
    def write_them(folder: Path) -> None:
        file = folder / "model.safetensors"
        save_file(change(load_file(file)), file, {"format": "pt"})

    return write_them


def cut_off(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def shard(first: str = "model-00001-of-00002.safetensors", keep: bool = True) -> Callable[[Path], None]:
    """Write the weights into two files, as transformers does with large models."""

    def split(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        names = sorted(weights)
        second = "model-00002-of-00002.safetensors"
        parts = {first: names[::2], second: names[1::2]}
        index = {"metadata": {}, "weight_map": {name: file for file, own in parts.items() for name in own}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        for file, own in parts.items():
            if keep or file == second:
                save_file({name: weights[name] for name in own}, folder / file, {"format": "pt"})

    return split


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


class Boom:
    def __reduce__(self):
        return open, (str(Boom.mark), "w")


def pickled(folder: Path) -> None:
    Boom.mark = folder / "ran"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Boom()))


def own_code(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    set_json("config.json", auto_map={"AutoConfig": "evil.Config"}, model_type="evil")(folder)


FAULTS = {
    "no config": (drop("config.json"), "it has no config.json"),
    "config of text": (write("config.json", b"hello"), "its config.json is not JSON"),
    "config of bytes": (write("config.json", b"\xff\xfe\0"), "its config.json is not JSON"),
    "config of nests": (write("config.json", b"[" * 100_000), "its config.json is not JSON"),
    "config of a list": (write("config.json", b"[]"), "its config.json is not a JSON object"),
    "config of megabytes": (write("config.json", b" " * 1_000_001), "its config.json is larger than"),
    "unknown architecture": (set_json("config.json", model_type="surprise"), "surprise"),
    "own code": (own_code, r"brings code of its own, which is never run \(auto_map in config.json\)"),
    "own code in the preprocessor": (
        set_json("preprocessor_config.json", auto_map={"AutoFeatureExtractor": "evil.E"}),
        r"auto_map in preprocessor_config.json",
    ),
    "own kernel": (set_json("config.json", _attn_implementation="evil/kernel"), "kernel of its own"),
    "weights elsewhere": (set_json("config.json", transformers_weights="../x.safetensors"), "elsewhere"),
    "an adapter": (set_json("adapter_config.json", base_model_name_or_path="/"), "an addition to another"),
    "pickled weights": (pickled, "it has no model.safetensors"),
    "no weights": (drop("model.safetensors"), "it has no model.safetensors"),
    "weights cut off": (cut_off, "its model.safetensors is damaged or cut off"),
    "weights of zeros": (write("model.safetensors", bytes(4000)), "its model.safetensors is damaged"),
    "weights of Git": (write("model.safetensors", b"version https://git-lfs"), "is damaged or cut off"),
    "weights in a file elsewhere": (
        shard("../model.safetensors"),
        "names other files than those of its weig",
    ),
    "a file of the weights missing": (shard(keep=False), "it has no model-00001-of-00002.safetensors"),
    "an index of nothing": (
        lambda folder: (drop("model.safetensors")(folder), set_json("model.safetensors.index.json")(folder)),
        "its model.safetensors.index.json is damaged",
    ),
    "weights not numbers": (
        set_weights(lambda own: own | {"classifier.bias": torch.full((2,), torch.nan)}),
        "not all of its weights are numbers: classifier.bias",
    ),
    "weights missing": (
        set_weights(lambda own: {name: each for name, each in own.items() if "classifier" not in name}),
        "it lacks weights, so it would predict noise: classifier.bias",
    ),
    "a head of another size": (
        set_weights(lambda own: own | {"classifier.bias": torch.zeros(5)}),
        "mismatch",
    ),
    "more classes than its head": (
        set_json("config.json", id2label={i: f"{i}" for i in range(3)}),
        "mismatch",
    ),
    "classes without names": (
        set_json("config.json", id2label={"0": "LABEL_0", "1": "sad"}),
        "its classes have no names: LABEL_0, sad",
    ),
    "a class that is no word": (
        set_json("config.json", id2label={"0": "sad", "1": "\x1b[2J"}),
        "is no word",
    ),
    "a class as long as a book": (
        set_json("config.json", id2label={"0": "sad", "1": "x" * 41}),
        "longer than 40",
    ),
    "a class named as a column": (
        set_json("config.json", id2label={"0": "sad", "1": "error"}),
        "means something else",
    ),
    "one class twice": (
        set_json("config.json", id2label={"0": "sad", "1": "sad"}),
        "its labels are not all different: sad, sad",
    ),
    "classes out of order": (set_json("config.json", id2label={"5": "sad", "7": "happy"}), "None"),
    "no preprocessor": (drop("preprocessor_config.json"), "it has no preprocessor_config.json"),
    "another rate": (set_json("preprocessor_config.json", sampling_rate=8000), "8000 Hz"),
    "a preprocessor of spectrograms": (
        set_json("preprocessor_config.json", feature_extractor_type="WhisperFeatureExtractor"),
        "cannot be loaded",
    ),
    "huge filters": (set_json("config.json", n_mels=HUGE), "n_mels in its config.json is over 256"),
    "huge preprocessor": (
        set_json("processor_config.json", feature_extractor={"feature_size": HUGE}),
        "feature_size in its processor_config.json is over",
    ),
    "wide filters": (set_json("preprocessor_config.json", fft_window_size=60_000), "fft_window_size in its"),
    "hours of filters": (set_json("preprocessor_config.json", chunk_length=300), "chunk_length in its"),
    "many positions": (set_json("config.json", max_source_positions=1_000_000), "max_source_positions in"),
    "a frame a sample": (set_json("preprocessor_config.json", hop_length=1), "more than a frame in 80"),
    "no stride": (set_json("config.json", conv_stride=[1, 1, 1]), "more than a frame in 80 samples"),
    "another extractor": (
        set_json("preprocessor_config.json", feature_extractor_type="ClapFeatureExtractor"),
        "its feature extractor 'ClapFeatureExtractor' is none of those served here",
    ),
    "endless layers": (set_json("config.json", blocks=10_000_000), "blocks in its config.json is over 200"),
    "wide layers": (set_json("config.json", widths=[1_000_000, 100_000]), "describes .* weights, but"),
    "huge layers": (set_json("config.json", widths=[8, HUGE]), "widths in its config.json is over"),
    "numbers of text": (set_json("config.json", widths=["8", "8"]), "cannot be loaded"),
    "negative numbers": (set_json("config.json", widths=[-8, 8]), "cannot be loaded"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_malicious_folder_is_refused_in_a_sentence_before_a_model_is_built(fault, cnn_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(cnn_folder, folder)
    spoil, reason = FAULTS[fault]
    spoil(folder)
    before = reset_peak_memory()
    with pytest.raises(ModelError, match=reason) as caught:
        load_classifier(folder)
    assert str(caught.value).startswith(f"The model '{folder}' cannot be loaded: ")
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")
    assert not (folder / "ran").exists()
    assert peak_memory() - before < 300_000  # kilobytes


def test_the_folder_is_accepted_before_it_is_changed(cnn_folder):
    assert load_classifier(cnn_folder)[0].config.num_labels == 2


def test_a_shipped_model_whose_settings_describe_a_huge_network_is_refused(tmp_path):
    shutil.copytree(ROOT / "models" / "wav2vec2", tmp_path / "model")
    set_json("config.json", num_hidden_layers=150, intermediate_size=900_000)(tmp_path / "model")
    with pytest.raises(ModelError, match=r"describes \d{3},\d{3},\d{3},\d{3} weights"):
        load_classifier(tmp_path / "model")


@pytest.mark.parametrize(
    "report",
    [
        [],
        {"threshold": "high"},
        {"threshold": float("nan")},
        {"calibration": 3},
        {"calibration": {"ece": None}},
        {"labels": ["happy", "sad"], "confusion_matrix": [[1, 2], [3]]},
        {"labels": ["happy"], "confusion_matrix": [[1, 2], [3, 4]]},
        {"labels": ["happy"], "confusion_matrix": [[10**400]]},
        {"labels": ["happy"], "confusion_matrix": [[-1]]},
        {"labels": ["happy"], "confusion_matrix": [["1"]]},
        {"threshold": 10**400},
        {"threshold": {}},
        {"threshold": {"happy": 0.5, "sad": 0.5}},
        {"labels": ["happy", "sad"], "threshold": {"happy": 0.5}},
        {"labels": ["happy", "sad"], "threshold": {"happy": 0.5, "angry": 0.5}},
        {"labels": ["happy", "sad"], "threshold": {"happy": 0.5, "sad": "0.5"}},
        {"labels": ["happy", "sad"], "threshold": {"happy": 0.5, "sad": -0.1}},
        {"labels": ["happy", "sad"], "threshold": {"happy": 0.5, "sad": float("nan")}},
        {"labels": ["happy", "sad"], "threshold": {"happy": 0.5, "sad": None}},
        {"labels": ["happy", "sad"], "threshold": [0.5, 0.5]},
        {"version": REPORT_VERSION + 1},
        {"version": 0},
        {"version": "2"},
        {"version": None},
        {"calibration": {"ece": 1.5}},
        {"comparisons": []},
        {"comparisons": {"x": {}}},
        NAMED | {"comparisons": {"x": NAMED | {"ece": 2, "protocols": ["leave_out:savee"]}}},
        NAMED | {"comparisons": {"x": NAMED | {"ece": 0.1, "protocols": [3]}}},
        NAMED | {"comparisons": {"x": NAMED | {"ece": 0.1}}},
    ],
)
def test_a_report_with_malformed_figures_is_ignored(report, cnn_folder, tmp_path):
    shutil.copytree(cnn_folder, tmp_path / "model")
    (tmp_path / "model" / "report.json").write_text(json.dumps(report))
    assert load_report(str(tmp_path / "model")) is None
    assert EmotionClassifier.from_pretrained(tmp_path / "model").threshold == NEVER


def test_a_threshold_for_each_label_is_accepted(tmp_path):
    report = {"version": 2, "labels": ["happy", "sad"], "threshold": {"happy": 0.5, "sad": 0.75}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    threshold = load_report(tmp_path)["threshold"]
    assert [is_sure(threshold, *answer) for answer in (("happy", 0.5), ("sad", 0.5), ("sad", 0.8))] == [
        True, False, True,
    ]  # fmt: skip
    assert is_sure(0.5, "sad", 0.5) and not is_sure(0.5, "sad", 0.4)


def test_training_refuses_a_pickled_encoder(encoder_folder, tmp_path):
    shutil.copytree(encoder_folder, tmp_path / "encoder")
    Boom.mark = tmp_path / "ran"
    (tmp_path / "encoder" / "model.safetensors").unlink()
    (tmp_path / "encoder" / "pytorch_model.bin").write_bytes(pickle.dumps(Boom()))
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        new_classifier(str(tmp_path / "encoder"), ["happy", "sad"])
    assert not Boom.mark.exists()


def test_weights_in_two_files_are_those_of_one(encoder_folder, tmp_path):
    model, extractor, _ = new_classifier(encoder_folder, ["happy", "sad"])
    for folder in (tmp_path / "one", tmp_path / "two"):
        model.save_pretrained(folder)
        extractor.save_pretrained(folder)
    shard()(tmp_path / "two")
    sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    one, two = (EmotionClassifier.from_pretrained(tmp_path / name) for name in ("one", "two"))
    np.testing.assert_array_equal(one.logits([sound]), two.logits([sound]))
    assert digest_weights(tmp_path / "two") != digest_weights(tmp_path / "one")
