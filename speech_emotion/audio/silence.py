"""Level and silence: the peak of a clip, and trimming what is far below it."""

import numpy as np

from speech_emotion.audio.decoding import SAMPLE_RATE

MIN_SPEECH_SECONDS = 0.2  # the shortest speech that gets an answer
SILENCE_DBFS = -50.0  # a clip whose peak stays below this is silence
TRIM_DB = 30.0  # dB below the loudest frame; the threshold used in the literature on EmoV-DB
FRAME_LENGTH = SAMPLE_RATE * 25 // 1000  # 25 ms, frames on which level is measured
HOP_LENGTH = SAMPLE_RATE * 10 // 1000  # 10 ms


def trim_silence(audio: np.ndarray, trim_db: float = TRIM_DB) -> np.ndarray:
    """Cut leading and trailing silence, never anything inside.

    Frames are 25 ms long, one every 10 ms. Sound starts with the first frame whose level is within `trim_db`
    of the loudest, and ends with the last. (librosa.effects.trim does the same; its first call compiles for
    many seconds.)

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
    """Return the peak of shape-[n] samples in dB relative to full scale, without their constant offset."""
    peak = np.abs(audio - audio.mean()).max()
    return float(20 * np.log10(max(peak, 1e-10)))
