"""The speech that `distill.py` fits and measures a student on: clips joined, cropped and changed."""

import math

import numpy as np
import soxr
import torch
from datasets import Dataset

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import trim_silence
from speech_emotion.dataset import read_clip
from speech_emotion.training.distillation_student import STRIDE

BATCH_SECONDS = 24  # speech in a batch
PIECES, PIECE_SECONDS = 64, 3  # of validation speech


def read_speech(rows: Dataset) -> dict[str, list[np.ndarray]]:
    """Decode a split and trim its silence.

    Returns:
        The clips of each speaker: shape [n], 16 kHz, int16 to take half the memory.
    """
    speech = {speaker: [] for speaker in sorted(set(rows["speaker"]))}
    for row in rows:
        speech[row["speaker"]].append((trim_silence(read_clip(row)) * 32767).astype(np.int16))
    return speech


def unit_variance(wave: np.ndarray) -> np.ndarray:
    """Scale a waveform to zero mean and unit variance, as Wav2Vec2FeatureExtractor does."""
    wave = wave - wave.mean()
    return wave / np.sqrt(wave.var() + 1e-7)


def cut_pieces(speech: dict[str, list[np.ndarray]], rng: np.random.Generator) -> torch.Tensor:
    """Join clips in random order, each at the same level, and cut the result into pieces.

    Returns:
        float32 of shape [pieces, samples], unit variance.
    """
    clips, size = [clip for own in speech.values() for clip in own], PIECE_SECONDS * SAMPLE_RATE
    wave = np.concatenate([unit_variance(clips[n].astype(np.float32)) for n in rng.permutation(len(clips))])
    pieces = wave[: wave.size // size * size].reshape(-1, size)[:PIECES]
    return torch.from_numpy(np.stack([unit_variance(piece) for piece in pieces]))


def draw_batch(speech: dict[str, list[np.ndarray]], rng: np.random.Generator) -> torch.Tensor:
    """Draw at most BATCH_SECONDS of speech, in crops of one random length of 1 to 5 s.

    Returns:
        float32 of shape [crops, samples], unit variance.
    """
    seconds = rng.uniform(1.0, 5.0)
    size = int(seconds * SAMPLE_RATE) // STRIDE * STRIDE
    crops = [draw_crop(speech, rng, size) for _ in range(int(BATCH_SECONDS / seconds))]
    return torch.from_numpy(np.stack(crops))


def draw_crop(speech: dict[str, list[np.ndarray]], rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw `size` samples at unit variance, often with another voice, filter or noise added.

    The teacher gets the same crop, so its states are the right target however strong the change is.
    """
    crop = draw_stretch(speech, rng, size)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    frequencies[0] = frequencies[1]
    if rng.random() < 0.15:  # a second voice
        crop = crop + draw_stretch(speech, rng, size) * 10 ** (rng.uniform(-25, 0) / 20)
    if rng.random() < 0.7:  # an equaliser with octave bands
        bands = np.array([0, *(150 * 2.0 ** np.arange(7))])
        gain_db = np.interp(frequencies, bands, rng.normal(0, rng.uniform(0, 8), bands.size))
        crop = np.fft.irfft(np.fft.rfft(crop) * 10 ** (gain_db / 20), size)
    # noise from white to pink; always a little, because digital silence has no logarithm
    snr_db = rng.uniform(5, 50) if rng.random() < 0.7 else 80.0
    noise = np.fft.rfft(rng.standard_normal(size)) * frequencies ** -rng.uniform(0, 1)
    noise = unit_variance(np.fft.irfft(noise, size))
    return unit_variance(crop + noise * crop.std() * 10 ** (-snr_db / 20)).astype(np.float32)


def draw_stretch(speech: dict[str, list[np.ndarray]], rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw clips of any speakers, one after the other, and cut `size` samples out of them.

    Each clip is played faster or slower, which moves pitch and formants as in another voice, sometimes
    backwards, and at a level of its own. Speakers with 100 clips and more are equally likely.
    """
    speakers, parts, length = list(speech), [], 0
    share = np.array([min(len(clips), 100) for clips in speech.values()], float)
    while length < size:
        clips = speech[rng.choice(speakers, p=share / share.sum())]
        clip = unit_variance(clips[rng.integers(len(clips))].astype(np.float32))
        rate = math.exp(rng.uniform(math.log(0.75), math.log(1.33)))
        clip = soxr.resample(clip, SAMPLE_RATE, SAMPLE_RATE * rate, quality="LQ")
        clip = clip[:: rng.choice([1, -1], p=[0.9, 0.1])] * 10 ** (rng.uniform(-8, 8) / 20)
        pause = np.zeros(rng.integers(SAMPLE_RATE // 4), np.float32)
        parts += [clip, pause]
        length += clip.size + pause.size
    start = rng.integers(length - size + 1)
    return np.concatenate(parts)[start : start + size]
