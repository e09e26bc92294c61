"""The emotions of a longer recording over time: utterances, each with what the classifier hears in it."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from os import PathLike

import numpy as np

from speech_emotion.audio.decoding import SAMPLE_RATE, AudioError, stream_audio
from speech_emotion.audio.silence import MIN_SPEECH_SECONDS
from speech_emotion.audio.vad import detect_speech
from speech_emotion.inference.classifier import EmotionClassifier, Prediction

BLOCK_SECONDS = 30.0  # what is decoded and judged at once
PIECE_SECONDS = 4.0  # a longer utterance is judged in pieces
PEAK_SECONDS = 0.05  # resolution of the waveform's outline
NOT_SURE = "not sure"


@dataclass(frozen=True)
class Segment:
    """An utterance, or a piece of a long one.

    Attributes:
        start: in seconds from the recording's beginning.
        end: likewise.
        prediction: what the classifier makes of it.
    """

    start: float
    end: float
    prediction: Prediction

    @property
    def name(self) -> str:
        """The emotion, or that the model is not sure."""
        return self.prediction.label if self.prediction.sure else NOT_SURE


@dataclass(frozen=True)
class Timeline:
    """A recording's segments, in order.

    Attributes:
        segments: where somebody speaks for at least half a second.
        seconds: length of the recording.
        peaks: of the waveform, 0..1, one for every `PEAK_SECONDS`.
    """

    segments: list[Segment]
    seconds: float
    peaks: np.ndarray

    def shares(self) -> dict[str, float]:
        """Give each emotion's share of the speech, `not sure` among them, the largest first."""
        lengths: dict[str, float] = {}
        for segment in self.segments:
            lengths[segment.name] = lengths.get(segment.name, 0.0) + segment.end - segment.start
        whole = sum(lengths.values())
        return {name: lengths[name] / whole for name in sorted(lengths, key=lengths.get, reverse=True)}

    def turning_points(self) -> list[tuple[Segment, Segment]]:
        """Give the pairs of segments between which the emotion changes; unsure ones are passed over."""
        sure = [segment for segment in self.segments if segment.prediction.sure]
        return [(one, other) for one, other in pairwise(sure) if one.name != other.name]

    def subtitles(self) -> list[dict]:
        """Give the emotions as subtitles: `timestamp` in seconds from and to, and `text`."""
        return [{"timestamp": [each.start, each.end], "text": each.name} for each in self.segments]

    def rows(self) -> list[dict]:
        """Give one flat row per segment: start and end in seconds, and the prediction's own row."""
        return [
            {"start": round(each.start, 2), "end": round(each.end, 2)} | each.prediction.row()
            for each in self.segments
        ]

    def to_dict(self) -> dict:
        """Give everything but the peaks, as JSON would have it."""
        return {
            "seconds": round(self.seconds, 2),
            "shares": {name: round(share, 4) for name, share in self.shares().items()},
            "segments": [
                {"start": round(each.start, 2), "end": round(each.end, 2)} | asdict(each.prediction)
                for each in self.segments
            ],
        }


def iter_timeline(classifier: EmotionClassifier, source: str | PathLike | bytes) -> Iterator[Timeline]:
    """Judge a recording block by block, in memory that its length does not change.

    Args:
        classifier: who judges.
        source: as in `load_audio`; up to an hour.

    Yields:
        The timeline up to where it has come, after each block of half a minute.

    Raises:
        AudioError: as `load_audio`; or nobody speaks in all of the recording.
    """
    segments, peaks, rest, seconds = [], [], np.empty(0, np.float32), 0.0
    for block in stream_audio(source, BLOCK_SECONDS):
        peaks.append(_peaks(block))
        seconds += block.size / SAMPLE_RATE
        heard = np.concatenate([rest, block])
        start = seconds - heard.size / SAMPLE_RATE
        spans = detect_speech(heard)
        # Who still speaks at the end of a block is heard out in the next.
        last = spans[-1] if spans else slice(0, 0)
        unfinished = last.stop == heard.size and last.stop - last.start < BLOCK_SECONDS * SAMPLE_RATE
        rest = heard[spans.pop().start :] if unfinished else heard[:0]
        segments += classify_segments(classifier, heard, spans, start)
        yield Timeline(list(segments), seconds, np.concatenate(peaks))
    if rest.size:
        segments += classify_segments(
            classifier, rest, detect_speech(rest), seconds - rest.size / SAMPLE_RATE
        )
        yield Timeline(list(segments), seconds, np.concatenate(peaks))
    if not segments:
        raise AudioError("Nobody speaks in this recording for long enough to hear a tone of voice.")


def classify_segments(
    classifier: EmotionClassifier, audio: np.ndarray, spans: list[slice], offset: float
) -> list[Segment]:
    """Classify utterances, long ones in equal pieces.

    Args:
        classifier: who judges.
        audio: float32 samples of shape [n], 16 kHz.
        spans: the utterances' samples.
        offset: where the samples begin in the recording, in seconds.
    """
    pieces = [
        piece
        for span in spans
        for piece in _cut(span)
        if piece.stop - piece.start >= MIN_SPEECH_SECONDS * SAMPLE_RATE
    ]
    predictions = classifier.predict_speech([audio[piece] for piece in pieces])
    return [
        Segment(offset + piece.start / SAMPLE_RATE, offset + piece.stop / SAMPLE_RATE, prediction)
        for piece, prediction in zip(pieces, predictions, strict=True)
    ]


def _cut(span: slice) -> list[slice]:
    """Cut a span into the fewest equal pieces of `PIECE_SECONDS` at most."""
    count = math.ceil((span.stop - span.start) / (PIECE_SECONDS * SAMPLE_RATE))
    edges = np.linspace(span.start, span.stop, count + 1).astype(int).tolist()
    return [slice(*edge) for edge in pairwise(edges)]


def _peaks(audio: np.ndarray) -> np.ndarray:
    """Give the peak of every `PEAK_SECONDS` of shape-[n] samples."""
    size = int(PEAK_SECONDS * SAMPLE_RATE)
    whole = np.pad(np.abs(audio), (0, -audio.size % size))
    return whole.reshape(-1, size).max(axis=1)
