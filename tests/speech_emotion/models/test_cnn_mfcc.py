import math

import numpy as np
import pytest
import torch
from conftest import voice

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.labels import SCHEMES
from speech_emotion.models.features import LOG_FLOOR
from speech_emotion.models.loading import extract, new_classifier


@pytest.fixture(scope="module")
def cnn():
    torch.manual_seed(0)
    model, extractor, _ = new_classifier("cnn-mfcc", list(SCHEMES["core8"]))
    return model.eval(), extractor


def test_the_network_has_56040_parameters_with_the_running_statistics_of_its_batch_norms(cnn):
    running = [value for name, value in cnn[0].named_buffers() if "running" in name]
    assert cnn[0].num_parameters() + sum(value.numel() for value in running) == 56_040
    assert cnn[0].num_parameters() == 55_656


@torch.inference_mode()
def test_the_input_has_25_coefficients_in_216_frames_for_any_clip(cnn):
    model, extractor = cnn
    short, long = extract(extractor, [voice(seconds=0.6), voice(seconds=4.0)])["input_values"]
    rows, _ = model.rows(clips := torch.stack([short, long]), torch.ones_like(clips))
    assert rows.shape == (2, 25, 216)
    assert torch.equal(
        model.rows(cut := long[None, : 5 * SAMPLE_RATE // 2], torch.ones_like(cut))[0][0], rows[1]
    )


@torch.inference_mode()
def test_coefficients_equal_those_of_librosa(cnn):
    librosa = pytest.importorskip("librosa", reason="librosa, whose values these should be, is not installed")
    clip = voice(seconds=2.5)
    power = librosa.feature.melspectrogram(
        y=clip, sr=SAMPLE_RATE, n_fft=1024, win_length=743, hop_length=186, n_mels=128, pad_mode="constant"
    )
    expected = librosa.feature.mfcc(S=10 / math.log(10) * np.log(power + LOG_FLOOR), n_mfcc=25)
    expected = (expected - expected.mean(1, keepdims=True)) / expected.std(1, keepdims=True)
    [found], _ = cnn[0].rows(waves := torch.from_numpy(clip)[None], torch.ones_like(waves))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_training_accepts_a_last_batch_of_one_clip(cnn):
    model, extractor = cnn
    model.train()
    loss = model(**extract(extractor, [voice()]), labels=torch.tensor([3])).loss
    loss.backward()
    model.eval()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    model.zero_grad()
