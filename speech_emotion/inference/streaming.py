"""A microphone followed live: a rolling window of the last seconds, judged with each piece that comes."""

import math
import time

import numpy as np

from speech_emotion.audio.decoding import SAMPLE_RATE, to_mono_16k
from speech_emotion.audio.silence import MIN_SPEECH_SECONDS
from speech_emotion.audio.vad import detect_speech
from speech_emotion.inference.classifier import EmotionClassifier

WINDOW_SECONDS = 3.0  # what is judged, the latest
SILENCE_SECONDS = 0.8  # so long without speech is a pause, not an emotion
ANSWERS_TIMED = 40


class StreamingClassifier:
    """What is kept of one microphone, in memory alone.

    Attributes:
        heard: the last seconds, float32, 16 kHz.
        probabilities: eased from answer to answer; None in a pause.
        milliseconds: that the last answers took, the latest last.
    """

    def __init__(self):
        self.heard = np.empty(0, np.float32)
        self.probabilities: dict[str, float] | None = None
        self.milliseconds: list[float] = []

    def push(self, classifier: EmotionClassifier, samples: np.ndarray, rate: int) -> None:
        """Hear the next piece of sound, and judge what it ends.

        Args:
            classifier: who judges.
            samples: shape [n] or [n, channels], as `to_mono_16k` takes them.
            rate: their sampling rate in Hz.

        Raises:
            AudioError: no samples, or some that are not numbers.
        """
        start = time.perf_counter()
        latest = to_mono_16k(samples, rate)
        self.heard = np.concatenate([self.heard, latest])[-int(WINDOW_SECONDS * SAMPLE_RATE) :]
        spans = detect_speech(self.heard)
        if not spans or self.heard.size - spans[-1].stop >= SILENCE_SECONDS * SAMPLE_RATE:
            self.probabilities = None
            return
        spoken = self.heard[spans[0].start : spans[-1].stop]
        if spoken.size >= MIN_SPEECH_SECONDS * SAMPLE_RATE:
            [prediction] = classifier.predict_speech([spoken])
            now, before = prediction.probabilities, self.probabilities
            if before and before.keys() != now.keys():  # of another model
                before = None
            self.probabilities = ease(before, now, latest.size / SAMPLE_RATE)
            self.milliseconds = [*self.milliseconds, 1000 * (time.perf_counter() - start)][-ANSWERS_TIMED:]


EASE_SECONDS = 0.6  # after this long, 63 % of a change is shown


def ease(before: dict[str, float] | None, now: dict[str, float], seconds: float) -> dict[str, float]:
    """Let what is shown follow what is heard, exponentially.

    Args:
        before: the probabilities shown so far; None where nothing is.
        now: the probabilities heard.
        seconds: since `before` was shown.

    Returns:
        The probabilities to show now; they sum to 1.
    """
    before = before or now
    keep = math.exp(-seconds / EASE_SECONDS)
    shown = {
        label: keep * before.get(label, 0.0) + (1 - keep) * now.get(label, 0.0) for label in now | before
    }
    whole = sum(shown.values())
    return {label: share / whole for label, share in shown.items()}
