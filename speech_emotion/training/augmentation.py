"""What happens to training clips, and to no others: changes of voice, room, channel and level, and mix-up.

Each change is one that leaves the expressed emotion as it is, so pitch and tempo move little.
"""

import random

import numpy as np
import soxr
import torch
from audiomentations import (
    AddGaussianSNR,
    BandPassFilter,
    Compose,
    Gain,
    PitchShift,
    SevenBandParametricEQ,
    TimeStretch,
)
from scipy.signal import fftconvolve

from speech_emotion.audio.decoding import SAMPLE_RATE

SPEEDS = (0.88, 1.14)  # of a recording played slower or faster
REVERBERATION_SECONDS = (0.1, 0.6)  # until a room's echo has fallen by 60 dB
REVERBERATION_DB = (0.0, 15.0)  # of the voice over its echo

_CHANGES = Compose(
    [
        PitchShift(min_semitones=-2.0, max_semitones=2.0, p=0.3),
        TimeStretch(min_rate=0.9, max_rate=1.1, leave_length_unchanged=False, p=0.3),
        SevenBandParametricEQ(min_gain_db=-8.0, max_gain_db=8.0, p=0.3),
        BandPassFilter(min_center_freq=1000.0, max_center_freq=2000.0, p=0.1),  # about a telephone's band
        AddGaussianSNR(min_snr_db=5.0, max_snr_db=35.0, p=0.4),
        Gain(min_gain_db=-12.0, max_gain_db=6.0, p=0.3),
    ]
)


def augment(audio: np.ndarray) -> np.ndarray:
    """Change a clip at random; Python's and numpy's global seeds decide how.

    Args:
        audio: float32 samples of shape [n], 16 kHz.

    Returns:
        float32 samples of shape [m], m within a fourth of n.
    """
    if random.random() < 0.5:
        audio = play(audio, random.uniform(*SPEEDS))
    audio = _CHANGES(audio, sample_rate=SAMPLE_RATE)
    if random.random() < 0.15:
        audio = reverberate(audio, random.uniform(*REVERBERATION_SECONDS), random.uniform(*REVERBERATION_DB))
    return audio


def play(audio: np.ndarray, speed: float) -> np.ndarray:
    """Play a recording faster (speed over 1) or slower: pitch and formants move as with another speaker."""
    return soxr.resample(audio, SAMPLE_RATE * speed, SAMPLE_RATE).astype(np.float32)


def reverberate(audio: np.ndarray, seconds: float, level_db: float) -> np.ndarray:
    """Add a room's echo, noise that decays evenly (Moorer 1979, doi:10.2307/3680280).

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        seconds: until the echo has fallen by 60 dB.
        level_db: of the voice over its echo. numpy's global seed draws the noise.

    Returns:
        float32 samples of shape [n].
    """
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    room = np.random.standard_normal(times.size) * 10 ** (-3 * times / seconds)
    echo = fftconvolve(audio, room)[: audio.size]
    level = np.sqrt(np.mean(audio**2) / max(np.mean(echo**2), 1e-12)) * 10 ** (-level_db / 20)
    return (audio + level * echo).astype(np.float32)


def mix_up(batch: dict[str, torch.Tensor], classes: int, alpha: float) -> dict[str, torch.Tensor]:
    """Mix every clip of a batch with another, sound and label alike (https://arxiv.org/abs/1710.09412).

    Every second batch stays as it is, so that whole voices are heard, too. torch's global seed decides.

    Args:
        batch: `labels` of shape [clips], float inputs of shape [clips, ...] and, where they are of several
            lengths, their `attention_mask`.
        classes: how many there are.
        alpha: of the Beta distribution from which the batch's share is drawn; 0 leaves all batches alone.

    Returns:
        The batch, its labels as shares of classes, shape [clips, classes], where it was mixed.
    """
    if not alpha or torch.rand(()) < 0.5:
        return batch
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    other = torch.randperm(len(batch["labels"]))
    mixed = {
        name: share * values + (1 - share) * values[other]
        for name, values in (batch | {"labels": torch.eye(classes)[batch["labels"].cpu()]}).items()
        if name != "attention_mask"
    }
    if "attention_mask" in batch:
        mixed["attention_mask"] = batch["attention_mask"] | batch["attention_mask"][other]
    return mixed
