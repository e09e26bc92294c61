"""Stretches of a long recording in which a voice sounds like one emotion.

In a call each agent's turn interrupts the customer's, and a short utterance is often classified wrongly, so
no run of equal answers is long. The mean probability around a moment says more: it rises where an emotion
comes again and again, and stays low where it is heard once.
"""

from dataclasses import dataclass

import numpy as np

from speech_emotion.inference.prediction import Segment

STEPS = 600  # points of a curve, over a recording of any length
WIDTH_SECONDS = (4.0, 12.0)  # standard deviation of the smoothing, in short and in long recordings
WIDTH_SHARE = 1 / 20  # of the recording, between these
THRESHOLD = (0.18, 0.25)  # the smoothed probability of a stretch is at least one of these or between them
MIN_SECONDS = 6.0  # of a stretch; a quarter of a recording where that is less
SILENT_WEIGHT = 0.05  # of speech, near which a curve is not drawn to one short utterance


@dataclass(frozen=True)
class Stretch:
    """A stretch in which one emotion is probable again and again.

    Attributes:
        start: in seconds from the recording's beginning.
        end: likewise.
        mean: of the smoothed probability in it, 0..1.
    """

    start: float
    end: float
    mean: float

    @property
    def seconds(self) -> float:
        """The stretch's length."""
        return self.end - self.start


def smooth(segments: list[Segment], label: str, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute an emotion's probability over time, smoothed over neighbouring utterances.

    Args:
        segments: of one recording or one speaker.
        label: the emotion.
        seconds: length of the recording.

    Returns:
        Times in seconds and probabilities 0..1, each float64 of shape [STEPS].
    """
    times = np.linspace(0, seconds, STEPS)
    if not segments:
        return times, np.zeros(STEPS)
    middles = np.array([(each.start + each.end) / 2 for each in segments])
    lengths = np.array([each.end - each.start for each in segments])
    shares = np.array([each.probabilities.get(label, 0.0) for each in segments])
    width = float(np.clip(seconds * WIDTH_SHARE, *WIDTH_SECONDS))
    weights = lengths * np.exp(-0.5 * ((times[:, None] - middles) / width) ** 2)
    return times, weights @ shares / (weights.sum(axis=1) + SILENT_WEIGHT)


def find_stretches(segments: list[Segment], label: str, seconds: float) -> list[Stretch]:
    """Find where an emotion is probable again and again.

    A stretch is where the smoothed probability is at least twice its usual value, the median over the
    recording, within the bounds of `THRESHOLD`. Two with a short gap between them are one.

    Args:
        segments: of one recording or one speaker.
        label: the emotion.
        seconds: length of the recording.

    Returns:
        In their order.
    """
    times, curve = smooth(segments, label, seconds)
    threshold = float(np.clip(2 * np.median(curve), *THRESHOLD))
    gap = float(np.clip(seconds * WIDTH_SHARE, *WIDTH_SECONDS))
    runs: list[tuple[int, int]] = []
    for first, last in _runs(curve >= threshold):
        if runs and times[first] - times[runs[-1][1]] < gap:
            first = runs.pop()[0]
        runs.append((first, last))
    shortest = min(MIN_SECONDS, seconds / 4)
    return [
        Stretch(float(times[first]), float(times[last]), float(curve[first : last + 1].mean()))
        for first, last in runs
        if times[last] - times[first] >= shortest
    ]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last index of each run of true values in shape-[n] flags."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    return [(int(start), int(stop) - 1) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
