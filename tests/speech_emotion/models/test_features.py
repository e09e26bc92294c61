"""Features against librosa's, and against what can be worked out by hand."""

import math

import numpy as np
import pytest
import torch
from conftest import voice
from torchaudio.functional import create_dct
from torchaudio.transforms import MelSpectrogram

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import FRAME_LENGTH, HOP_LENGTH
from speech_emotion.models.features import (
    LOG_FLOOR,
    chroma,
    frame_mask,
    frame_waves,
    limit_range,
    mfcc,
    pitch_classes,
    root_mean_square,
    standardise,
    zero_crossing_rate,
)


@pytest.fixture(scope="module")
def librosa():
    return pytest.importorskip("librosa", reason="librosa, whose values these should be, is not installed")


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def test_zero_crossing_rate_equals_that_of_librosa(librosa):
    clip = voice(180, 0.7)
    silence = np.zeros(FRAME_LENGTH // 2, np.float32)
    expected = librosa.feature.zero_crossing_rate(
        np.concatenate([silence, clip, silence]), frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH,
        center=False, threshold=0, zero_pos=True,
    )  # fmt: skip
    frames = frame_waves(torch.from_numpy(clip)[None], FRAME_LENGTH, HOP_LENGTH)
    np.testing.assert_allclose(zero_crossing_rate(frames), expected, atol=1e-6)


def test_root_mean_square_equals_that_of_librosa(librosa):
    clip = voice(180, 0.7)
    expected = librosa.feature.rms(y=clip, frame_length=FRAME_LENGTH, hop_length=HOP_LENGTH)
    frames = frame_waves(torch.from_numpy(clip)[None], FRAME_LENGTH, HOP_LENGTH)
    np.testing.assert_allclose(root_mean_square(frames), expected, atol=1e-6)


def test_mfcc_equal_those_of_librosa(librosa):
    clip = voice(180, 0.7)
    shape = {"n_fft": 512, "win_length": FRAME_LENGTH, "hop_length": HOP_LENGTH, "n_mels": 80}
    power = librosa.feature.melspectrogram(
        y=clip, sr=SAMPLE_RATE, pad_mode="constant", htk=True, norm=None, **shape
    )
    decibels = 10 * np.log10(power + LOG_FLOOR)
    expected = librosa.feature.mfcc(S=decibels, n_mfcc=25)
    mel = MelSpectrogram(SAMPLE_RATE, pad_mode="constant", **shape)
    log_mel = torch.log(mel(torch.from_numpy(clip)[None]) + LOG_FLOOR)
    found = mfcc(log_mel, create_dct(25, 80, norm="ortho"))[0] * 10 / math.log(10)
    np.testing.assert_allclose(found, expected, atol=0.05)  # of values up to hundreds


def test_chroma_ranks_pitch_classes_as_librosa_does(librosa):
    clip = sum(tone(hertz) / loudness for hertz, loudness in ((523, 1), (659, 1.4), (784, 2)))
    power = torch.stft(clip, 2048, HOP_LENGTH, window=torch.hann_window(2048), return_complex=True).abs() ** 2
    expected = librosa.feature.chroma_stft(S=power.numpy(), sr=SAMPLE_RATE, tuning=0.0).mean(1)
    found = chroma(power[None], pitch_classes(1025, SAMPLE_RATE, 50.0))[0].mean(1)
    assert found.argsort(descending=True)[:3].tolist() == expected.argsort()[::-1][:3].tolist() == [0, 4, 7]


def test_zero_crossing_rate_of_a_tone_is_twice_its_frequency():
    frames = frame_waves(tone(1000)[None], FRAME_LENGTH, HOP_LENGTH)
    assert zero_crossing_rate(frames)[0, 50].item() == pytest.approx(
        2 * 1000 / SAMPLE_RATE, abs=1 / FRAME_LENGTH
    )


def test_root_mean_square_of_a_tone_is_its_amplitude_over_root_two():
    frames = frame_waves(0.5 * tone(1000)[None], FRAME_LENGTH, HOP_LENGTH)
    assert root_mean_square(frames)[0, 50].item() == pytest.approx(0.5 / math.sqrt(2), rel=1e-3)


@pytest.mark.parametrize(("hertz", "row"), [(440, 9), (880, 9), (1046.5, 0), (1480, 6)])
def test_chroma_of_a_tone_peaks_at_its_pitch_class(hertz, row):
    power = torch.stft(tone(hertz), 2048, 160, window=torch.hann_window(2048), return_complex=True).abs() ** 2
    found = chroma(power[None], pitch_classes(1025, SAMPLE_RATE, 50.0))[0, :, 50]
    assert found.argmax() == row
    assert found[row] == 1.0
    assert found.sum() < 1.5


def test_bins_below_the_lowest_frequency_belong_to_no_pitch_class():
    classes = pitch_classes(257, SAMPLE_RATE, 50.0)
    assert classes[:, :2].sum() == 0  # 0 and 31 Hz
    assert (classes[:, 2:].sum(0) == 1).all()


def test_features_of_silence_are_finite():
    frames = frame_waves(torch.zeros(1, 1600), FRAME_LENGTH, HOP_LENGTH)
    assert zero_crossing_rate(frames).sum() == root_mean_square(frames).sum() == 0
    assert chroma(torch.zeros(1, 257, 5), pitch_classes(257, SAMPLE_RATE, 50.0)).sum() == 0


@pytest.mark.parametrize("each_row", [True, False])
def test_a_clip_is_standardised_over_its_own_frames(each_row):
    scales = torch.tensor([[1.0], [5.0], [9.0]])
    rows = torch.randn(1, 3, 50, generator=torch.Generator().manual_seed(0)) * scales + 4
    mask = frame_mask(torch.ones(1, 19 * HOP_LENGTH), HOP_LENGTH, 50)
    clip = standardise(rows, mask, each_row)[0]
    assert (clip[:, 20:] == 0).all()
    over = clip[:, :20] if each_row else clip[:, :20].flatten()
    torch.testing.assert_close(over.mean(-1), torch.zeros(over.shape[:-1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(over.std(-1, correction=0), torch.ones(over.shape[:-1]), atol=1e-4, rtol=0)


def test_a_mask_ends_where_its_clip_does():
    attention_mask = torch.zeros(2, 1600)
    attention_mask[0], attention_mask[1, :800] = 1, 1
    assert frame_mask(attention_mask, HOP_LENGTH, 11).sum(2).flatten().tolist() == [11, 6]


def test_the_dynamic_range_is_limited_and_padding_does_not_count():
    decibels = torch.tensor([[[0.0, -20.0, -70.0, 30.0]], [[-60.0, -10.0, -80.0, -90.0]]])
    mask = torch.tensor([[[1.0, 1.0, 1.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]])
    limited = limit_range(decibels * math.log(10) / 10, mask, 45.0) * 10 / math.log(10)
    expected = torch.tensor([[[0.0, -20.0, -45.0, 30.0]], [[-55.0, -10.0, -55.0, -55.0]]])
    torch.testing.assert_close(limited, expected)
