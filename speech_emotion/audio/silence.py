"""Silence around a voice: measuring level, trimming, refusing clips that hold no sound."""

import numpy as np

from speech_emotion.audio.decoding import SAMPLE_RATE, AudioError

MIN_SPEECH_SECONDS = 0.5  # shortest sound, silence trimmed, that a classifier is asked about


SILENCE_DBFS = -50.0  # a clip whose peak stays below this is silence


DIGITAL_SILENCE = 3e-4  # of the peak, 70 dB below it: a few steps of 16 bits, less than a room has


TRIM_DB = 30.0  # dB below the loudest frame; the threshold used in the literature on EmoV-DB


FRAME_LENGTH = SAMPLE_RATE * 25 // 1000  # 25 ms, frames on which level is measured


HOP_LENGTH = SAMPLE_RATE * 10 // 1000  # 10 ms


def trim_silence(audio: np.ndarray, trim_db: float = TRIM_DB) -> np.ndarray:
    """Cut leading and trailing silence, never anything inside.

    Frames of 25 ms every 10 ms; sound starts and ends with the first and last frame whose level is within
    `trim_db` of the loudest. (librosa.effects.trim does the same; its first call compiles for many seconds.)

    Args:
        audio: shape [n], 16 kHz.
        trim_db: how far below the loudest frame a frame counts as silence, in dB.

    Returns:
        A view of `audio`; all of it where it is shorter than a frame or digitally silent.
    """
    if audio.size < FRAME_LENGTH:
        return audio
    frames = np.lib.stride_tricks.sliding_window_view(audio, FRAME_LENGTH)[::HOP_LENGTH]
    power = np.einsum("ij,ij->i", frames, frames)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-trim_db / 10))
    last = len(frames) - 1
    end = audio.size if loud[-1] == last else loud[-1] * HOP_LENGTH + FRAME_LENGTH
    return audio[loud[0] * HOP_LENGTH : end]


def peak_dbfs(audio: np.ndarray) -> float:
    """Peak level of shape-[n] samples in dB relative to full scale, a constant offset left out."""
    peak = np.abs(audio - audio.mean()).max()
    return float(20 * np.log10(max(peak, 1e-10)))


def trim_and_validate(audio: np.ndarray) -> np.ndarray:
    """Trim a clip and refuse it where there is nothing for a classifier to judge.

    Args:
        audio: shape [n], 16 kHz.

    Returns:
        The trimmed clip.

    Raises:
        AudioError: silence, or less than half a second of sound.
    """
    if peak_dbfs(audio) < SILENCE_DBFS:
        raise AudioError("There is only silence in this recording. Is the microphone on?")
    # From the first sound on, so that what lies before it does not decide where frames begin.
    level = np.abs(audio)
    heard = np.flatnonzero(level > DIGITAL_SILENCE * level.max())
    trimmed = trim_silence(audio[heard[0] : heard[-1] + 1])
    seconds = trimmed.size / SAMPLE_RATE
    if seconds < MIN_SPEECH_SECONDS:
        raise AudioError(
            f"There is only {seconds:.2f} s of sound in this recording; "
            f"at least {MIN_SPEECH_SECONDS:g} s is needed to hear a tone of voice."
        )
    return trimmed
