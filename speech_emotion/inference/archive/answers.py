"""From a recording's name to its rows, in whichever process or machine that happens."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

from speech_emotion.audio.decoding import SAMPLE_RATE, AudioError, File
from speech_emotion.inference.archive.inputs import Source, StorageError
from speech_emotion.inference.archive.tables import Rows, readable
from speech_emotion.inference.classifier import EmotionClassifier
from speech_emotion.inference.prediction import Prediction, Segment
from speech_emotion.inference.recording import count_lanes
from speech_emotion.inference.timeline import Timeline, iter_timeline

MAX_SECONDS = 12 * 3600.0  # a longer recording is refused; one of a day is a microphone left on
T = TypeVar("T")


@cache
def load(model: str, device: str | None, process: int) -> EmotionClassifier:
    """Load a classifier, once in each process: one that was inherited through a fork can hang."""
    return EmotionClassifier.from_pretrained(model, device)


@dataclass(frozen=True)
class Answerer:
    """The answers of one model for the recordings of one place. It can be sent to another process.

    Attributes:
        source: the place.
        model: folder or hub id.
        own_voice: whether a speaker's own utterances in the recording are the reference for each of them.
        device: as in `EmotionClassifier.from_pretrained`.
    """

    source: Source
    model: str
    own_voice: bool = False
    device: str | None = None

    def __call__(self, names: list[str]) -> list[Rows]:
        """Return the rows for each recording; the next one is fetched while one is answered."""
        classifier = load(self.model, self.device, os.getpid())
        return [
            answer(classifier, name, content, self.own_voice) for name, content in self._fetch_ahead(names)
        ]

    def _fetch_ahead(self, names: list[str]) -> Iterator[tuple[str, File | AudioError]]:
        with ThreadPoolExecutor(1) as thread:
            fetched = thread.submit(self._fetch, names[0])
            for name, following in zip(names, [*names[1:], None], strict=True):
                content = fetched.result()
                if following is not None:
                    fetched = thread.submit(self._fetch, following)
                yield name, content

    def _fetch(self, name: str) -> File | AudioError:
        try:
            return self.source.read(name)
        except AudioError as error:
            return error


def answer(
    classifier: EmotionClassifier, name: str, content: File | AudioError, own_voice: bool = False
) -> Rows:
    """Return the rows for one recording.

    Args:
        classifier: answers it.
        name: of the recording.
        content: as in `attempt`.
        own_voice: as in `Answerer`.
    """
    lanes = attempt(partial(answer_lanes, own_voice=own_voice), classifier, content)
    if isinstance(lanes, AudioError):
        return Rows.failure(name, str(lanes), try_again=isinstance(lanes, StorageError))
    rows = Rows(seconds=max(timeline.seconds for timeline in lanes.values()))
    spoken = []
    for channel, timeline in lanes.items():
        prediction, key = timeline.prediction(classifier), {"recording": readable(name), "channel": channel}
        recording = {
            **key,
            "seconds": round(timeline.seconds, 2),
            "speech_seconds": round(prediction.seconds, 2),
            "utterances": len(prediction.utterances),
            **answer_columns(prediction),
            "mixed": prediction.mixed,
            "engine": prediction.engine,
        }
        rows.recordings.append(recording)
        spoken += [{**key, **locate(each)} for each in prediction.utterances]
    spoken.sort(key=lambda utterance: utterance["start"])  # stable: the left channel comes first
    rows.utterances = [{**utterance, "utterance": number} for number, utterance in enumerate(spoken, start=1)]
    return rows


def answer_lanes(classifier: EmotionClassifier, content: File, own_voice: bool) -> dict[str | None, Timeline]:
    """Return a recording's timeline by channel: None for all of them mixed, or both of a stereo call."""
    if count_lanes(content, MAX_SECONDS) == 1:
        return {None: answer_channel(classifier, content, None, own_voice)}
    return {
        name: answer_channel(classifier, content, index, own_voice)
        for index, name in enumerate(("left", "right"))
    }


def answer_channel(
    classifier: EmotionClassifier, content: File, channel: int | None = None, own_voice: bool = False
) -> Timeline:
    """Return the whole timeline of a channel, or of all of them mixed."""
    reference = "self" if own_voice else None
    steps = iter_timeline(classifier, content, SAMPLE_RATE, MAX_SECONDS, reference, channel)
    [timeline] = deque(steps, maxlen=1)
    return timeline


def attempt(
    work: Callable[[EmotionClassifier, File], T],
    classifier: EmotionClassifier,
    content: File | AudioError,
) -> T | AudioError:
    """Return what a function makes of a recording, or why it cannot: no recording may stop the others.

    Args:
        work: the function.
        classifier: its first argument.
        content: its second: what the decoder takes, or why there is nothing.
    """
    if isinstance(content, AudioError):
        return content
    try:
        return work(classifier, content)
    except AudioError as error:
        return error
    except Exception as error:
        return AudioError(f"This program failed on the recording: {type(error).__name__}: {error}.")


def locate(segment: Segment) -> dict:
    """Return the columns of an utterance."""
    return {"start": round(segment.start, 2), "end": round(segment.end, 2), **answer_columns(segment)}


def answer_columns(answer: Prediction | Segment) -> dict:
    """Return the columns that an answer has for a recording and for an utterance."""
    return {
        "emotion": answer.label,
        "confidence": round(answer.confidence, 4),
        "sure": answer.sure,
        "probabilities": {label: round(share, 4) for label, share in answer.probabilities.items()},
    }
