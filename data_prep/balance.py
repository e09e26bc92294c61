"""Corpora and speakers with nearly one label: a model could learn their label from the microphone.

The measure is the effective number of labels, e to the power of the entropy of the label counts: clips that
are all angry have 1, clips that are half angry and half sad have 2, and 87 % anger with some of three others
is 1.7.

A corpus has nearly one label where this number is at most 2 and at most half that of all other corpora
together. So a corpus with two labels among others with the same two is none. A speaker with at least ten
clips is measured the same way against the corpus as a whole; a corpus is also one-sided where more than half
of its clips are of such speakers.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import exp, log
from typing import NamedTuple

MOST_LABELS = 2.0  # in effect
FEWEST_CLIPS = 10  # of a speaker who is measured
TOLERANCE = 1e-9  # two labels of equal share count as two


class OneSided(NamedTuple):
    """A corpus whose label a model could learn from the microphone.

    Attributes:
        clips: how many it has.
        label: its commonest label.
        share: of the clips that have it, 0 to 1.
        labels: the effective number of its labels.
        elsewhere: the same number of the other corpora; of the corpus itself where `speakers` is given.
        speakers: how many of its speakers have nearly one label; 0 where the corpus as a whole has.
    """

    clips: int
    label: str
    share: float
    labels: float
    elsewhere: float
    speakers: int = 0

    def warning(self, corpus: str) -> str:
        """Return a sentence that warns of the corpus."""
        if self.speakers:
            return (
                f"{self.speakers} speakers of {corpus} have nearly one label each, and more than half of its "
                f"{self.clips:,} clips: a classifier would learn the label from the voice and the microphone."
            )
        return (
            f"{corpus} has nearly one label: {self.share:.0%} of its {self.clips:,} clips are {self.label} "
            f"({self.labels:.1f} labels in effect, {self.elsewhere:.1f} in the other corpora). "
            "A classifier would learn the label from its microphone."
        )


def effective_labels(counts: Counter) -> float:
    """Compute e to the power of the entropy of label counts: n for n labels of equal share."""
    total = sum(counts.values())
    return exp(-sum(count / total * log(count / total) for count in counts.values() if count))


def find_one_sided(rows: Sequence) -> dict[str, OneSided]:
    """Measure every corpus.

    Args:
        rows: labelled clips, each with `corpus`, `speaker` and `emotion`.

    Returns:
        The findings by corpus; corpora that are not one-sided are left out.
    """
    corpora: dict[str, dict[str, Counter]] = defaultdict(lambda: defaultdict(Counter))
    for row in rows:
        corpora[row.corpus][row.speaker][row.emotion] += 1
    totals = {corpus: sum(speakers.values(), Counter()) for corpus, speakers in corpora.items()}
    everything = sum(totals.values(), Counter())
    found = {}
    for corpus, counts in totals.items():
        others = everything - counts
        if others and _nearly_one(counts, others):
            found[corpus] = _measure(counts, others)
            continue
        speakers = _one_sided_speakers(corpora[corpus], counts)
        if 2 * sum(corpora[corpus][name].total() for name in speakers) > counts.total():
            found[corpus] = _measure(counts, counts)._replace(speakers=len(speakers))
    return found


def _one_sided_speakers(speakers: dict[str, Counter], total: Counter) -> list[str]:
    return [
        name
        for name, counts in speakers.items()
        if counts.total() >= FEWEST_CLIPS and _nearly_one(counts, total)
    ]


def _nearly_one(counts: Counter, others: Counter) -> bool:
    labels = effective_labels(counts) - TOLERANCE
    return labels <= MOST_LABELS and labels <= effective_labels(others) / 2


def _measure(counts: Counter, others: Counter) -> OneSided:
    label, most = min(counts.items(), key=lambda item: (-item[1], item[0]))
    total = counts.total()
    return OneSided(total, label, most / total, effective_labels(counts), effective_labels(others))
