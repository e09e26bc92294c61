"""Live answers to a microphone: each piece that arrives updates the answer for the last seconds."""

import math
import time
from typing import Literal

import numpy as np
import soxr

from speech_emotion.audio.decoding import SAMPLE_RATE, to_mono
from speech_emotion.audio.vad import detect_speech
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.prediction import Prediction, pool
from speech_emotion.inference.recording import cut_span
from speech_emotion.inference.reference import Reference

WINDOW_SECONDS = 3.0  # of sound, the latest, that an answer is for
SILENCE_SECONDS = 0.8  # without speech are a pause, which has no emotion
EASE_SECONDS = 0.6  # after this long, 63 % of a change is shown
ANSWERS_TIMED = 40


class StreamingClassifier:
    """One microphone's last seconds and the answer to them, in memory only.

    Attributes:
        heard: the last seconds, float32, 16 kHz.
        prediction: the answer for them, as `EmotionClassifier.predict` pools it; None in a pause.
        probabilities: eased from answer to answer; None in a pause.
        milliseconds: that the last answers took, the latest last.
        own: how the speaker sounded in the utterances before the last pause, for `self`; None before one.
        with_reference: whether the latest answer had one.
    """

    def __init__(self):
        self.heard = np.empty(0, np.float32)
        self.prediction: Prediction | None = None
        self.probabilities: dict[str, float] | None = None
        self.milliseconds: list[float] = []
        self.own: Reference | None = None
        self.with_reference = False
        self._own_model: EmotionClassifier | None = None  # whose states `own` is made of
        # what was heard last of an utterance that goes on, for `self`, and whose states it is made of
        self._said: tuple[EmotionClassifier, Reference] | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._rate = SAMPLE_RATE  # that it resamples from

    def push(
        self,
        classifier: EmotionClassifier,
        samples: np.ndarray,
        rate: int,
        reference: Reference | Literal["self"] | None = None,
    ) -> None:
        """Take the next piece of sound, and answer for the last seconds.

        Args:
            classifier: answers.
            samples: shape [n] or [n, channels], as `to_mono_16k` takes them.
            rate: their sampling rate in Hz.
            reference: the speaker's own voice. With `self`, the utterances before the last pause are the
                reference for what follows; the first utterance has none.

        Raises:
            AudioError: no samples, or some that are not numbers.
            ModelError: as of `EmotionClassifier.predict`.
        """
        start = time.perf_counter()
        latest = self._resample(samples, rate)
        self.heard = np.concatenate([self.heard, latest])[-int(WINDOW_SECONDS * SAMPLE_RATE) :]
        spans = detect_speech(self.heard)
        if not spans or self.heard.size - spans[-1].stop >= SILENCE_SECONDS * SAMPLE_RATE:
            self.prediction = self.probabilities = None
            if reference == "self" and self._said:
                self._remember(*self._said)
            self._said = None
            return
        pieces = [piece for span in spans for piece in cut_span(span, classifier.window_seconds)]
        starts, clips = (
            [piece.start / SAMPLE_RATE for piece in pieces],
            [self.heard[piece] for piece in pieces],
        )
        if reference == "self":
            classifier.require_head()
            reference = self.own if self._own_model is classifier else None
            segments, pooled = classifier.answer_and_pool(starts, clips, reference)
            seconds = sum(clip.size for clip in clips) / SAMPLE_RATE
            self._said = classifier, Reference(pooled.mean(axis=0), 1, seconds)
        else:
            segments = classifier.answer_segments(starts, clips, reference)
            self._said = None
        self.with_reference = reference is not None
        threshold = classifier.threshold_with(self.with_reference)
        self.prediction = pool(segments, classifier.engine.name, threshold)
        now, before = self.prediction.probabilities, self.probabilities
        if before and before.keys() != now.keys():  # another model's
            before = None
        self.probabilities = ease(before, now, latest.size / SAMPLE_RATE)
        self.milliseconds = [*self.milliseconds, 1000 * (time.perf_counter() - start)][-ANSWERS_TIMED:]

    def _remember(self, classifier: EmotionClassifier, said: Reference) -> None:
        """Add the utterance that has just ended to the speaker's own voice."""
        same = self.own is not None and self._own_model is classifier
        self.own, self._own_model = (self.own.join(said) if same else said), classifier

    def _resample(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Bring a piece to 16 kHz mono. The resampler keeps its state: pieces join without a seam."""
        mono = to_mono(samples, rate)
        if rate != self._rate:
            self._resampler, self._rate = soxr.ResampleStream(rate, SAMPLE_RATE, 1, quality="HQ"), rate
        return mono if rate == SAMPLE_RATE else self._resampler.resample_chunk(mono)


def ease(before: dict[str, float] | None, now: dict[str, float], seconds: float) -> dict[str, float]:
    """Return the probabilities to show: they follow the latest answers exponentially.

    Args:
        before: the probabilities shown so far; None where there are none.
        now: the latest answer's probabilities.
        seconds: since `before` was shown.

    Returns:
        Probabilities by label; they sum to 1.
    """
    before = before or now
    keep = math.exp(-seconds / EASE_SECONDS)
    shown = {
        label: keep * before.get(label, 0.0) + (1 - keep) * now.get(label, 0.0) for label in now | before
    }
    whole = sum(shown.values())
    return {label: share / whole for label, share in shown.items()}
