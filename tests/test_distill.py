"""Distillation from a tiny random Whisper."""

import json
import sys

import pytest
import torch
from transformers import (
    AutoModelForAudioClassification,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

import distill
from speech_emotion.dataset import open_dataset
from speech_emotion.training.distillation_student import POSITION_OFFSET, TeacherEncoder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory):
    """A full Whisper checkpoint, encoder and decoder, as on the hub."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=8, num_mel_bins=16, d_model=16, init_std=0.3,
        encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=64,
        decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(teacher_folder, small_dataset, tmp_path_factory):
    """A student of two layers, distilled without the test split, so that using it would fail."""
    folder = tmp_path_factory.mktemp("outputs") / "distilled"
    command = ["distill.py", "--teacher", teacher_folder, "--data", small_dataset, "--output", folder]
    dataset = open_dataset(str(small_dataset))
    del dataset["test"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*map(str, command), "--layers", "2", "--batches", "4"])
        patch.setattr(distill, "open_dataset", lambda name: dataset)
        distill.main()
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "distillation.json").read_text())


@pytest.fixture(scope="module")
def student(folder):
    return Wav2Vec2Model.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def teacher(teacher_folder):
    return WhisperForConditionalGeneration.from_pretrained(teacher_folder).model.encoder.eval()


@pytest.fixture(scope="module")
def order(student, teacher):
    """The teacher's channel that each channel of the student is."""
    mine, theirs = (
        student.encoder.layers[0].attention.q_proj.weight,
        teacher.layers[0].self_attn.q_proj.weight,
    )
    order = torch.cdist(mine.T, theirs.T).argmin(dim=1)
    assert sorted(order.tolist()) == list(range(16))
    return order


@torch.no_grad()
def test_layers_are_copied_exactly(student, teacher, order):
    hidden = torch.randn(2, 30, 16)
    first, last = student.encoder.layers
    expected = teacher.layers[0](hidden, None)[..., order]
    torch.testing.assert_close(first(hidden[..., order]), expected, rtol=0, atol=1e-5)
    theirs = teacher.layers[1]  # of the last, attention alone
    attended = hidden + theirs.self_attn(theirs.self_attn_layer_norm(hidden), None)[0]
    torch.testing.assert_close(last(hidden[..., order]), attended[..., order], rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_last_layer_measures_each_frame(student, report):
    network, seen = student.encoder.layers[-1].feed_forward, []
    hook = network.output_dense.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    states = student(torch.randn(1, 16_000)).last_hidden_state
    hook.remove()
    [units] = seen
    plus, minus = units[..., :16], units[..., 16:32]
    torch.testing.assert_close(plus - minus, 2 * states, rtol=0, atol=1e-4)
    assert ((plus + minus) - (2 * states).abs()).abs().max() < 0.4  # nearly a rectifier
    first, second = student.config.speech_units
    assert (first, second) == (32, 33)
    score = units[..., first] - units[..., second]
    assert score.min() > -0.1
    assert score.max() < 6.1
    assert report["speech_frames_found"] > 0.7


@pytest.mark.parametrize("frames", [1, 100, 300])
@torch.no_grad()
def test_positional_convolution_gives_the_table(student, teacher, order, frames):
    samples = 1040 + 640 * (frames - 1)
    features = student.feature_extractor(torch.randn(1, samples)).transpose(1, 2)
    added = student.encoder.pos_conv_embed(student.feature_projection(features)[0])[0]
    # the student's first frame is the teacher's third, its second the fifth; from frame 128 on the position stays
    table = teacher.embed_positions.weight[2 + 2 * torch.arange(frames).clamp(max=128)][:, order]
    torch.testing.assert_close(added - POSITION_OFFSET, table, rtol=0, atol=1e-4)


def test_the_student_explains_the_teacher_on_new_speakers(report):
    explained = report["variance_explained"]
    assert list(explained) == ["stem", "layer_1", "layer_2"]
    assert explained["stem"] > 0.8
    assert min(explained.values()) > 0.5


def test_only_training_speakers_are_used(report, small_dataset):
    dataset = open_dataset(str(small_dataset))
    assert set(report["speakers"]) == set(dataset["train"]["speaker"])


def test_the_report_states_how_to_repeat_it(report, student):
    assert report["command"].startswith("python distill.py --teacher ")
    assert report["parameters"] == student.num_parameters()
    assert {"processor", "torch", "date"} <= set(report["measured_on"])
    assert report["hours_heard"] > 0


def test_the_folder_lacks_only_the_head(folder):
    _, info = AutoModelForAudioClassification.from_pretrained(folder, num_labels=8, output_loading_info=True)
    assert {key.split(".")[0] for key in info["missing_keys"]} == {"projector", "classifier"}
    assert not info["unexpected_keys"]


def test_the_folder_is_readable_by_all(folder):
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert folder.stat().st_mode & 0o555 == 0o555


def test_a_folder_of_another_kind_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["distill.py", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"without a distillation\.json, so it is not"):
        distill.main()
    assert (tmp_path / "report.json").exists()


def test_a_teacher_without_enough_layers_is_refused(teacher_folder):
    with pytest.raises(ValueError, match="of 4 layers"):
        TeacherEncoder(teacher_folder, 4, torch.device("cpu"))
