"""The emotions of a recording over time: its utterances, each with the classifier's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from speech_emotion.audio.decoding import MAX_RECORDING_SECONDS, SAMPLE_RATE, AudioError, Damage
from speech_emotion.audio.silence import SILENCE_DBFS, peak_dbfs
from speech_emotion.inference.prediction import NOT_SURE, Prediction, Segment, pool, time_shares
from speech_emotion.inference.recording import Source, find_utterances, read_blocks

if TYPE_CHECKING:
    from speech_emotion.inference.classifier import EmotionClassifier
    from speech_emotion.inference.reference import Reference

__all__ = ["NOT_SURE", "PEAK_SECONDS", "Segment", "Timeline", "iter_timeline"]

PEAK_SECONDS = 0.05  # resolution of the waveform's outline
SILENCE = "There is only silence in this recording. Is the microphone on?"
NOBODY = "Nobody speaks in this recording, as far as this program can tell."


@dataclass(frozen=True)
class Timeline:
    """A recording's utterances, in order.

    Attributes:
        segments: where somebody speaks.
        seconds: length of the recording.
        peaks: of the waveform, 0..1, one for every `PEAK_SECONDS`.
        damage: a sentence on what could not be read of the recording, if anything.
        with_reference: whether the utterances were answered together with the speaker's own voice.
    """

    segments: list[Segment]
    seconds: float
    peaks: np.ndarray
    damage: str = ""
    with_reference: bool = False

    def prediction(self, classifier: EmotionClassifier) -> Prediction:
        """Return the recording's answer: the utterances' answers, pooled. There must be an utterance."""
        threshold = classifier.threshold_with(self.with_reference)
        answer = pool(self.segments, classifier.engine.name, threshold)
        return replace(answer, damage=self.damage)

    def shares(self) -> dict[str, float]:
        """Return each emotion's share of the speech, `not sure` among them, the largest first."""
        return time_shares(self.segments)

    def turning_points(self) -> list[tuple[Segment, Segment]]:
        """Return the pairs of segments between which the emotion changes; unsure ones are passed over."""
        sure = [segment for segment in self.segments if segment.sure]
        return [(one, other) for one, other in pairwise(sure) if one.name != other.name]

    def subtitles(self) -> list[dict]:
        """Return the emotions as subtitles: `timestamp` in seconds from and to, and `text`."""
        return [{"timestamp": [each.start, each.end], "text": each.name} for each in self.segments]

    def rows(self) -> list[dict]:
        """Return one flat row per segment."""
        return [each.row() for each in self.segments]

    def to_dict(self) -> dict:
        """Return everything but the peaks as plain types for JSON."""
        return {
            "seconds": round(self.seconds, 2),
            "damage": self.damage,
            "shares": {name: round(share, 4) for name, share in self.shares().items()},
            "segments": [
                asdict(each) | {"start": round(each.start, 2), "end": round(each.end, 2)}
                for each in self.segments
            ],
        }


def iter_timeline(
    classifier: EmotionClassifier,
    source: Source,
    rate: int = SAMPLE_RATE,
    max_seconds: float = MAX_RECORDING_SECONDS,
    reference: Reference | Literal["self"] | None = None,
    channel: int | None = None,
) -> Iterator[Timeline]:
    """Classify a recording's utterances block by block, in memory that its length does not change.

    Where nobody seems to speak in all of the recording, it is read a second time with a more sensitive speech
    detector.

    Args:
        classifier: answers the utterances.
        source: a local path, the content of an audio file, or samples of shape [n] or [n, channels].
        rate: sampling rate of samples in Hz; files state their own.
        max_seconds: the longest duration accepted, in seconds.
        reference: the speaker's own voice. With `self`, the speaker's other utterances in this recording are
            the reference of each; a recording of one utterance then has none.
        channel: the index of the only channel to hear, where `count_lanes` says two; None mixes all of them.

    Yields:
        The timeline up to the end of each block of half a minute. With `self`, these are answered without a
        reference, and at the end comes the whole timeline with it.

    Raises:
        AudioError: as `load_audio`; or there is only silence; or nobody speaks in all of the recording.
        ModelError: as of `EmotionClassifier.predict`.
    """
    own = reference == "self"
    given = None if own else reference
    if reference is not None:
        classifier.require_head(given)
    peaks, seconds, loudest = np.empty(0, np.float32), 0.0, -np.inf
    for sensitive in (False, True):
        segments: list[Segment] = []
        pooled: list[np.ndarray] = []
        damage = Damage()
        blocks = read_blocks(source, rate, max_seconds, channel, damage)
        for block in find_utterances(blocks, classifier.window_seconds, sensitive):
            if not sensitive:
                loudest = max(loudest, peak_dbfs(block.audio))
                peaks = np.concatenate([peaks, _peaks(block.audio)])
                seconds += block.audio.size / SAMPLE_RATE
            if own and block.clips:
                found, states = classifier.answer_and_pool(block.starts, block.clips)
                pooled += [*states]
            else:
                found = classifier.answer_segments(block.starts, block.clips, given)
            segments += found
            yield Timeline(list(segments), seconds, peaks, str(damage), given is not None)
        if len(pooled) > 1:
            segments = classifier.answer_again(segments, np.stack(pooled))
            yield Timeline(segments, seconds, peaks, str(damage), True)
        if segments:
            return
        if loudest < SILENCE_DBFS:
            raise AudioError(SILENCE)
    raise AudioError(NOBODY)


def _peaks(audio: np.ndarray) -> np.ndarray:
    """Return the peak of every `PEAK_SECONDS` of shape-[n] samples."""
    size = int(PEAK_SECONDS * SAMPLE_RATE)
    padded = np.pad(np.abs(audio), (0, -audio.size % size))
    return padded.reshape(-1, size).max(axis=1)
