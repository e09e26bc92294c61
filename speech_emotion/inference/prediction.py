"""The answer for a recording, pooled over its utterances."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from speech_emotion.models.folder import Threshold, is_sure

NOT_SURE = "not sure"


@dataclass(frozen=True)
class Segment:
    """An utterance, or a piece of a long one, and what the classifier answers for it.

    Attributes:
        start: in seconds from the recording's beginning.
        end: likewise.
        label: the most probable class.
        probabilities: of every class in the model's order; they sum to 1.
        sure: whether the label's probability reaches the model's threshold.
    """

    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    sure: bool

    @property
    def seconds(self) -> float:
        """The length of the segment."""
        return self.end - self.start

    @property
    def confidence(self) -> float:
        """The label's probability."""
        return self.probabilities[self.label]

    @property
    def name(self) -> str:
        """The label, or `not sure`."""
        return self.label if self.sure else NOT_SURE

    def row(self) -> dict[str, str | bool | float]:
        """Return one flat row of a table: start and end in seconds, then what `Prediction.row` has."""
        return {"start": round(self.start, 2), "end": round(self.end, 2)} | _row(self)


@dataclass(frozen=True)
class Prediction:
    """A classifier's answer for one recording.

    Attributes:
        label: the most probable class.
        probabilities: of every class in the model's order, pooled over the utterances; they sum to 1.
        seconds: the length of the speech in all utterances.
        sure: whether the label's probability reaches the model's threshold; never where the answer is mixed.
        engine: the name of the engine that ran the network.
        utterances: the segments in which somebody speaks, in order. A long utterance is several segments.
        shares: each emotion's share of the speech by time, the largest first, `not sure` among them.
        mixed: whether the utterances differ and no emotion leads.
        damage: a sentence on what could not be read of the recording, if anything.
    """

    label: str
    probabilities: dict[str, float]
    seconds: float
    sure: bool
    engine: str
    utterances: list[Segment] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    mixed: bool = False
    damage: str = ""

    @property
    def confidence(self) -> float:
        """The label's probability."""
        return self.probabilities[self.label]

    def row(self) -> dict[str, str | bool | float]:
        """Return one flat row of a table: emotion, sure, confidence, then each probability by its label."""
        return _row(self)


def pool(utterances: Sequence[Segment], engine: str, threshold: Threshold) -> Prediction:
    """Pool the answers for a recording's utterances into one.

    The probabilities are a mean over the utterances, each weighted by its length and its confidence. The
    answer is mixed where several utterances are sure and the label holds no more than half of their time.

    Args:
        utterances: at least one.
        engine: the name of the engine that ran the network.
        threshold: the confidence from which on the model is sure, for all labels or for each.
    """
    weights = [each.seconds * each.confidence for each in utterances]
    labels = list(utterances[0].probabilities)
    table = [list(each.probabilities.values()) for each in utterances]
    mean = np.average(table, axis=0, weights=weights)
    label = labels[int(mean.argmax())]
    shares = time_shares(utterances)
    sure_time = sum(share for name, share in shares.items() if name != NOT_SURE)
    mixed = len(utterances) > 1 and sure_time > 0 and shares.get(label, 0.0) <= sure_time / 2
    return Prediction(
        label=label,
        probabilities=dict(zip(labels, mean.tolist(), strict=True)),
        seconds=sum(each.seconds for each in utterances),
        sure=is_sure(threshold, label, mean.max()) and not mixed,
        engine=engine,
        utterances=list(utterances),
        shares=shares,
        mixed=mixed,
    )


def time_shares(segments: Sequence[Segment]) -> dict[str, float]:
    """Return each emotion's share of the segments' time, `not sure` among them, the largest first."""
    lengths: dict[str, float] = {}
    for segment in segments:
        lengths[segment.name] = lengths.get(segment.name, 0.0) + segment.seconds
    total = sum(lengths.values())
    return {name: lengths[name] / total for name in sorted(lengths, key=lengths.get, reverse=True)}


def _row(answer: Segment | Prediction) -> dict[str, str | bool | float]:
    probabilities = {label: round(share, 4) for label, share in answer.probabilities.items()}
    return {
        "emotion": answer.label,
        "sure": answer.sure,
        "confidence": round(answer.confidence, 4),
    } | probabilities
