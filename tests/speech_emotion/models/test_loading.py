import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from speech_emotion.models.folder import load_report
from speech_emotion.models.loading import (
    WINDOW_SECONDS,
    ModelError,
    load_classifier,
    new_classifier,
    window_seconds,
)


def test_a_pretrained_encoder_gets_a_new_head_and_nothing_else_is_new(encoder_folder):
    model, _, new = new_classifier(encoder_folder, ["happy", "sad"], {"use_weighted_layer_sum": True})
    assert model.config.id2label == {0: "happy", 1: "sad"}
    heads = ("classifier", "projector", "layer_weights")
    assert new == {name for name, _ in model.named_parameters() if name.startswith(heads)}


def test_a_classifier_without_its_head_is_an_error(encoder_folder):
    with pytest.raises(ModelError, match=r"lacks weights, .* classifier.bias"):
        load_classifier(encoder_folder)


def test_a_head_of_another_size_is_an_error(cnn_folder, tmp_path):
    for file in cnn_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    save_file(weights | {"classifier.bias": torch.zeros(5)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_classifier(tmp_path)


def test_pickled_weights_are_refused(cnn_folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((cnn_folder / name).read_bytes())
    torch.save(load_file(cnn_folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("damaged", [b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 4000])
def test_damaged_weights_are_refused(damaged, cnn_folder, tmp_path):
    for file in cnn_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(damaged)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_classifier(tmp_path)


def test_another_sampling_rate_is_refused(cnn_folder, tmp_path):
    for file in cnn_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"sampling_rate": 8000}))
    with pytest.raises(ModelError, match="8000 Hz"):
        load_classifier(tmp_path)


def test_the_error_for_a_missing_folder_has_its_name(tmp_path):
    with pytest.raises(ModelError, match="empty-folder"):
        load_classifier(tmp_path / "empty-folder")


def test_a_report_is_optional(cnn_folder, tmp_path):
    assert load_report(str(cnn_folder)) is None
    (tmp_path / "report.json").write_text('{"clips": 3}')
    assert load_report(str(tmp_path)) == {"clips": 3}
    (tmp_path / "report.json").write_text("{")
    assert load_report(str(tmp_path)) is None


def test_the_window_is_written_into_the_config_and_read_from_it(encoder_folder, tmp_path):
    model, extractor, _ = new_classifier(encoder_folder, ["happy", "sad"])
    assert model.config.window_seconds == WINDOW_SECONDS
    shorter, _, _ = new_classifier(encoder_folder, ["happy", "sad"], {"window_seconds": 3})
    shorter.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    assert window_seconds(load_classifier(tmp_path)[0]) == 3.0
    again, _, _ = new_classifier(str(tmp_path), ["happy", "sad"])
    assert again.config.window_seconds == 3.0  # as the checkpoint to start from
    assert new_classifier("cnn", ["happy", "sad"])[0].config.window_seconds == WINDOW_SECONDS


def test_a_checkpoint_without_a_window_has_the_default(cnn_folder, tmp_path):
    for file in cnn_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    settings.pop("window_seconds", None)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert window_seconds(load_classifier(tmp_path)[0]) == WINDOW_SECONDS


@pytest.mark.parametrize("window", [0, -1, 31, 1e9, True, "5", None, float("nan"), [5]])
def test_an_invalid_window_is_refused(window, cnn_folder, tmp_path):
    for file in cnn_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"window_seconds": window}))
    with pytest.raises(ModelError, match="window_seconds"):
        load_classifier(tmp_path)
    if window is not None:
        for name in (str(tmp_path), "cnn"):
            with pytest.raises(ModelError, match="window_seconds must be a number from 1 to 30"):
                new_classifier(name, ["happy", "sad"], {"window_seconds": window})
