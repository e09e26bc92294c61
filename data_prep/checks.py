"""Checks a recording, and brings it into the form that the dataset stores."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speech_emotion.audio.decoding import (
    SAMPLE_RATE,
    AudioError,
    decode_audio,
    encode_flac,
    to_mono_16k,
    to_pcm,
)
from speech_emotion.audio.silence import SILENCE_DBFS, trim_silence

MIN_SECONDS = 0.2  # shorter clips hold no syllable
STUCK_SHARE = 0.5  # of the samples; more of them at the highest or lowest value are a flat line


@dataclass(frozen=True)
class Checked:
    """A recording that passed: 16 kHz mono FLAC, the SHA-256 of its 16-bit samples, and its duration."""

    flac: bytes
    sha256: str
    seconds: float


def check_audio(path: Path, trim_db: float | None) -> Checked | str:
    """Decode a recording once, check it and trim it.

    Args:
        path: the recording.
        trim_db: silence threshold in dB below the loudest frame; None leaves silence in.

    Returns:
        The form that the dataset stores, or the reason why it is refused.
    """
    try:
        samples, rate = decode_audio(path)
        audio = to_mono_16k(samples, rate)
    except AudioError as error:
        return str(error)
    except Exception as error:  # one file never loses the others
        return str(AudioError.unexpected(error))
    if fault := find_fault(samples):
        return fault
    if trim_db is not None:
        audio = trim_silence(audio, trim_db)
    if audio.size < MIN_SECONDS * SAMPLE_RATE:
        return f"shorter than {MIN_SECONDS:g} s" + (" without its silence" if trim_db is not None else "")
    return pack(to_pcm(audio))


def find_fault(samples: np.ndarray) -> str | None:
    """Return why decoded samples hold no sound; None for a sound.

    The samples have their own rate, because resampling would blur a flat line. A flat line is one value
    throughout, give or take the level of silence, or has more than half of its samples within one 16-bit step
    of the highest or the lowest value, as where clipping has left only a square wave.

    Args:
        samples: shape [n] or [n, channels], floats.

    Returns:
        The reason, or None.
    """
    mono = samples.mean(axis=1) if samples.ndim == 2 else samples
    mono = np.clip(mono, -1, 1)  # 16 bits hold no floats beyond full scale
    low, high = float(mono.min()), float(mono.max())
    silence = 10 ** (SILENCE_DBFS / 20)
    if max(-low, high) < silence:
        return f"silent: its peak is below {SILENCE_DBFS:g} dBFS"
    if (high - low) / 2 < silence:
        return "a flat line: every sample has the same value"
    step = 2**-15
    stuck = np.count_nonzero(mono >= high - step) + np.count_nonzero(mono <= low + step)
    if stuck > STUCK_SHARE * mono.size:
        return "clipped to a flat line: most samples have the highest or the lowest value"
    return None


def pack(pcm: np.ndarray) -> Checked:
    """Encode shape-[n] 16 kHz int16 samples; FLAC is lossless, so the hash fits the decoded samples too."""
    return Checked(encode_flac(pcm), hashlib.sha256(pcm.tobytes()).hexdigest(), pcm.size / SAMPLE_RATE)
