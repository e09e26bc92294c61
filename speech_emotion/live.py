"""A microphone followed live: a rolling window of the last seconds, judged with each piece that comes."""

import time

import numpy as np

from speech_emotion.audio import MIN_SPEECH_SECONDS, SAMPLE_RATE, to_contract
from speech_emotion.avatar import ease
from speech_emotion.inference import EmotionClassifier
from speech_emotion.speech import find_speech

WINDOW_SECONDS = 3.0  # what is judged, the latest
SILENCE_SECONDS = 0.8  # so long without speech is a pause, not an emotion
ANSWERS_TIMED = 40


class Ear:
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

    def listen(self, classifier: EmotionClassifier, samples: np.ndarray, rate: int) -> None:
        """Hear the next piece of sound, and judge what it ends.

        Args:
            classifier: who judges.
            samples: shape [n] or [n, channels], as `to_contract` takes them.
            rate: their sampling rate in Hz.

        Raises:
            AudioError: no samples, or some that are not numbers.
        """
        start = time.perf_counter()
        latest = to_contract(samples, rate)
        self.heard = np.concatenate([self.heard, latest])[-int(WINDOW_SECONDS * SAMPLE_RATE) :]
        spans = find_speech(self.heard)
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
