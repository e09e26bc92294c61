"""Augmentation of training clips: rooms, microphones, pauses, cuts and levels, and mix-up.

Each change leaves the expressed emotion as it is, so pitch and tempo move little. A clip becomes about what a
visitor would send: silence or noise around the voice, a telephone, a codec, a cut-off end, a single word.
"""

import io
import random

import av
import numpy as np
import soxr
import torch
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve

from speech_emotion.audio.decoding import SAMPLE_RATE
from speech_emotion.audio.silence import trim_silence

VERSION = 1  # raise it when the same clip and seed give another sound: cached states depend on it

SPEEDS = (0.88, 1.14)  # of a recording played slower or faster
SHORT_SECONDS = (0.2, 0.8)  # of a single word
LONGEST_CUT = 0.35  # share of a clip that is missing at one end
PAUSE_SECONDS = (0.0, 1.2)  # before and after the voice, usually
LONG_PAUSE_SECONDS = (0.5, 2.0)  # sometimes
REVERBERATION_SECONDS = (0.1, 0.6)  # until a room's echo has fallen by 60 dB
REVERBERATION_DB = (0.0, 15.0)  # of the voice over its echo
EQUALISER_BANDS = 150 * 2.0 ** np.arange(7)  # Hz, octaves
TELEPHONE_BAND = (300.0, 3400.0)  # Hz
CUTOFF_HZ = (2000.0, 7000.0)  # of a dull microphone
SNR_DB = (8.0, 45.0)  # of the voice over the noise
NOISE_SLOPE = (0.0, 2.0)  # exponent of the noise's power: 0 white, 1 pink, 2 brown
CODECS = {"libopus": (8_000, 24_000), "libmp3lame": (16_000, 32_000)}  # bits per second
CONTAINERS = {"libopus": "ogg", "libmp3lame": "mp3"}
GAIN_DB = (-18.0, 6.0)


def augment(audio: np.ndarray) -> np.ndarray:
    """Change a clip at random; Python's and numpy's global seeds decide how.

    Args:
        audio: float32 samples of shape [n], 16 kHz.

    Returns:
        float32 samples of shape [m], 16 kHz, within -1..1; at least a fifth of a second where the clip is.
    """
    if random.random() < 0.5:
        audio = trim_silence(audio)
    if random.random() < 0.5:
        audio = play(audio, random.uniform(*SPEEDS))
    audio = cut(audio)
    level = float(np.sqrt(np.mean(np.square(audio, dtype=float))))
    if random.random() < 0.6:
        audio = surround(audio)
    if random.random() < 0.15:
        audio = reverberate(audio, random.uniform(*REVERBERATION_SECONDS), random.uniform(*REVERBERATION_DB))
    audio = colour(audio, level)
    if random.random() < 0.05:
        codec = random.choice(list(CODECS))
        audio = through_codec(audio, codec, random.randint(*CODECS[codec]))
    gain = 10 ** (random.uniform(*GAIN_DB) / 20) / max(float(np.abs(audio).max()), 1e-9)
    return np.clip(gain * audio, -1.0, 1.0).astype(np.float32)


def play(audio: np.ndarray, speed: float) -> np.ndarray:
    """Play a recording faster (speed over 1) or slower: pitch and formants move as with another speaker."""
    return soxr.resample(audio, SAMPLE_RATE * speed, SAMPLE_RATE).astype(np.float32)


def cut(audio: np.ndarray) -> np.ndarray:
    """Cut off a clip's beginning or end (25 %), or leave the length of a word from its middle (12 %)."""
    dice = random.random()
    if dice < 0.12:
        size = int(random.uniform(*SHORT_SECONDS) * SAMPLE_RATE)
        voice = trim_silence(audio)
        start = random.randint(0, max(voice.size - size, 0))
        return voice[start : start + size]
    if dice < 0.37:
        size = int(audio.size * random.uniform(1 - LONGEST_CUT, 1.0))
        size = max(size, min(audio.size, int(SHORT_SECONDS[0] * SAMPLE_RATE)))
        return audio[-size:] if random.random() < 0.5 else audio[:size]
    return audio


def surround(audio: np.ndarray) -> np.ndarray:
    """Put silence before and after a clip, sometimes long."""
    pauses = LONG_PAUSE_SECONDS if random.random() < 0.2 else PAUSE_SECONDS
    before, after = (int(random.uniform(*pauses) * SAMPLE_RATE) for _ in range(2))
    return np.pad(audio, (before, after))


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


def colour(audio: np.ndarray, level: float) -> np.ndarray:
    """Filter a clip as a microphone or a telephone does (60 %), and add noise of a random colour (70 %).

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        level: root mean square of the voice, to which the noise's level is relative.
    """
    size = next_fast_len(audio.size, real=True)
    spectrum = np.fft.rfft(audio, size)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    if random.random() < 0.7:
        power = np.maximum(frequencies, 50.0) ** (-random.uniform(*NOISE_SLOPE) / 2)
        noise = np.fft.rfft(np.random.standard_normal(size)) * power
        noise *= level / 10 ** (random.uniform(*SNR_DB) / 20) / _root_mean_square(noise, size)
        spectrum = spectrum + noise
    if random.random() < 0.4:
        gains_db = np.random.normal(0.0, random.uniform(0.0, 6.0), EQUALISER_BANDS.size)
        spectrum *= 10 ** (np.interp(frequencies, EQUALISER_BANDS, gains_db) / 20)
    dice = random.random()
    if dice < 0.15:
        spectrum[(frequencies < TELEPHONE_BAND[0]) | (frequencies > TELEPHONE_BAND[1])] = 0.0
    elif dice < 0.3:
        spectrum[frequencies > random.uniform(*CUTOFF_HZ)] = 0.0
    return np.fft.irfft(spectrum, size)[: audio.size].astype(np.float32)


def through_codec(audio: np.ndarray, codec: str, bit_rate: int) -> np.ndarray:
    """Encode a clip and decode it again, mono.

    Args:
        audio: float32 samples of shape [n], 16 kHz.
        codec: one of `CODECS`.
        bit_rate: bits per second.

    Returns:
        float32 samples, 16 kHz; the codec may pad a few hundredths of a second.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=CONTAINERS[codec]) as container:
        stream = container.add_stream(codec, rate=SAMPLE_RATE, layout="mono", bit_rate=bit_rate)
        frame = av.AudioFrame.from_ndarray(audio[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in av.AudioResampler(stream.format, "mono", SAMPLE_RATE).resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


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


def _root_mean_square(spectrum: np.ndarray, samples: int) -> float:
    """Compute the level of a signal from its `rfft` (Parseval)."""
    return float(np.sqrt(2 * np.sum(np.abs(spectrum) ** 2)) / samples)
