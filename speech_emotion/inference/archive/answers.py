"""From a recording's name to its rows, in whichever process or machine that happens."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from speech_emotion.audio.decoding import AudioError
from speech_emotion.inference.archive.inputs import Source, StorageError
from speech_emotion.inference.archive.tables import Rows, readable
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.prediction import Prediction, Segment, pool
from speech_emotion.inference.timeline import Timeline, iter_timeline


@cache
def load(model: str, device: str | None, process: int) -> EmotionClassifier:
    """Load a classifier, once in each process: one that a forked process inherits can wait for ever."""
    return EmotionClassifier.from_pretrained(model, device)


@dataclass(frozen=True)
class Answerer:
    """The answers of one model for the recordings of one place. It can be sent to another process.

    Attributes:
        source: the place.
        model: folder or hub id.
        device: as in `EmotionClassifier.from_pretrained`.
    """

    source: Source
    model: str
    device: str | None = None

    def __call__(self, names: list[str]) -> list[Rows]:
        """Return the rows for each recording; the next one is fetched while one is answered."""
        classifier = load(self.model, self.device, os.getpid())
        return [answer(classifier, name, content) for name, content in self._fetch_ahead(names)]

    def _fetch_ahead(self, names: list[str]) -> Iterator[tuple[str, Path | bytes | AudioError]]:
        with ThreadPoolExecutor(1) as thread:
            fetched = thread.submit(self._fetch, names[0])
            for name, following in zip(names, [*names[1:], None], strict=True):
                content = fetched.result()
                if following is not None:
                    fetched = thread.submit(self._fetch, following)
                yield name, content

    def _fetch(self, name: str) -> Path | bytes | AudioError:
        try:
            return self.source.read(name)
        except AudioError as error:
            return error


def answer(classifier: EmotionClassifier, name: str, content: Path | bytes | AudioError) -> Rows:
    """Return the rows for one recording.

    Args:
        classifier: answers it.
        name: of the recording.
        content: as in `try_timeline`.
    """
    timeline = try_timeline(classifier, content)
    if isinstance(timeline, AudioError):
        return Rows.failure(name, str(timeline), try_again=isinstance(timeline, StorageError))
    channels = sorted({channel for each in timeline.segments if (channel := channel_of(each))})
    rows = Rows(seconds=timeline.seconds)
    for channel in channels or [None]:
        segments = [each for each in timeline.segments if channel_of(each) == channel]
        prediction = pool(segments, classifier.engine.name, classifier.threshold)
        recording = {
            "recording": readable(name),
            "channel": channel,
            "seconds": round(timeline.seconds, 2),
            "speech_seconds": round(prediction.seconds, 2),
            "utterances": len(segments),
            **describe(prediction),
            "mixed": prediction.mixed,
            "engine": prediction.engine,
        }
        rows.recordings.append(recording)
    rows.utterances = [
        {"recording": readable(name), "channel": channel_of(each), "utterance": number, **locate(each)}
        for number, each in enumerate(timeline.segments, start=1)
    ]
    return rows


def channel_of(segment: Segment) -> str | None:
    """Return `left` or `right` in a stereo call with a person on each channel, else None."""
    return getattr(segment, "channel", None)


def try_timeline(classifier: EmotionClassifier, content: Path | bytes | AudioError) -> Timeline | AudioError:
    """Return a recording's timeline, or why it has none: no recording may stop the others.

    Args:
        classifier: answers it.
        content: what the decoder takes, or why there is nothing.
    """
    if isinstance(content, AudioError):
        return content
    try:
        [timeline] = deque(iter_timeline(classifier, content), maxlen=1)
        return timeline
    except AudioError as error:
        return error
    except Exception as error:
        return AudioError(f"This program failed on the recording: {type(error).__name__}: {error}.")


def locate(segment: Segment) -> dict:
    """Return the columns of an utterance."""
    return {"start": round(segment.start, 2), "end": round(segment.end, 2), **describe(segment)}


def describe(answer: Prediction | Segment) -> dict:
    """Return the columns that an answer has for a recording and for an utterance."""
    return {
        "emotion": answer.label,
        "confidence": round(answer.confidence, 4),
        "sure": answer.sure,
        "probabilities": {label: round(share, 4) for label, share in answer.probabilities.items()},
    }
