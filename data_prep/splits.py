"""Which speaker belongs to which split, so that no speaker is ever in two.

RAVDESS and SAVEE follow the folds of the EmoBox benchmark (Ma et al. 2024, arXiv:2406.07162), so that figures
compare. Other corpora give about 15 % of their speakers, of either gender alike, to test and as many to
validation; a corpus with fewer than three speakers (TESS) goes to training whole.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from itertools import zip_longest

from data_prep.schema import Clip

SPLITS = ("train", "validation", "test")

FOLDS = {
    "ravdess": ("01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22"),
    "savee": ("DC", "JE", "JK", "KL"),
}
# Fold 5 of RAVDESS has three women and a man, fold 1 three men and a woman: together they balance.
TEST_FOLD = {"ravdess": 1, "savee": 1}
VALIDATION_FOLD = {"ravdess": 5, "savee": 2}

HELD_OUT_SHARE = 0.15  # of a corpus's speakers, for test and again for validation


def fold_of(corpus: str, speaker: str) -> int | None:
    """Number of the benchmark fold, from 1, in which a speaker is tested; None for corpora without folds."""
    for number, names in enumerate(FOLDS.get(corpus, ()), start=1):
        if speaker.removeprefix(f"{corpus}-") in names.split():
            return number
    return None


def assign_splits(clips: Iterable[Clip], seed: int = 0) -> dict[str, str]:
    """Assign every speaker to one split.

    Args:
        clips: all recordings.
        seed: changes which speakers of corpora without folds are held out.

    Returns:
        `{speaker: split}` with the split one of `SPLITS`.
    """
    speakers = defaultdict(lambda: defaultdict(set))
    for clip in clips:
        speakers[clip.corpus][clip.gender].add(clip.speaker)
    splits = {}
    for corpus, by_gender in speakers.items():
        if corpus in FOLDS:
            held_out = {TEST_FOLD[corpus]: "test", VALIDATION_FOLD[corpus]: "validation"}
            for speaker in set().union(*by_gender.values()):
                splits[speaker] = held_out.get(fold_of(corpus, speaker), "train")
        else:
            splits |= _hold_out(by_gender, seed)
    return splits


def _hold_out(by_gender: dict[str | None, set[str]], seed: int) -> dict[str, str]:
    def shuffled(names: set[str]) -> list[str]:
        # A hash orders speakers the same way on every machine and in every version of Python.
        return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())

    # Taking the genders in turn balances every stretch of the order.
    turns = zip_longest(*(shuffled(by_gender[gender]) for gender in sorted(by_gender, key=str)))
    order = [name for turn in turns for name in turn if name is not None]
    share = max(1, round(HELD_OUT_SHARE * len(order))) if len(order) >= 3 else 0
    return {
        name: "test" if rank < share else "validation" if rank < 2 * share else "train"
        for rank, name in enumerate(order)
    }
