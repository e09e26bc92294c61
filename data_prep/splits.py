"""Which clip belongs to which split: the rules of every protocol, for the build and for `resplit` alike.

`speakers`, the default, holds out speakers of every corpus. RAVDESS and SAVEE follow the folds of the EmoBox
benchmark (Ma et al. 2024, arXiv:2406.07162), so that figures compare. Other corpora give about 15 % of their
speakers to test and as many to validation; one with fewer than three speakers (TESS) goes to training whole.
`fold:K` tests on another fold, `leave_out:CORPUS` on a corpus that training never hears.

Under these no speaker and no recording is in two splits. `random` is the split that most published figures
come from: it tests on speakers that training has heard, and is here to show how much that flatters.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import NamedTuple

from datasets import DatasetDict, concatenate_datasets

SPLITS = ("train", "validation", "test")  # from the least to the most held out

PROTOCOLS = {
    "speakers": "speakers held out of every corpus, fold 1 where there are folds",
    "fold:K": "the same with fold K as test",
    "leave_out:CORPUS": "one corpus as the whole test split",
    "random": "clips at random, so that speakers leak",
}

FOLDS = {
    "ravdess": ("01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22"),
    "savee": ("DC", "JE", "JK", "KL"),
}
# {test fold: validation fold}. With fold 1 of RAVDESS, three men and a woman, goes fold 5, which balances it.
VALIDATION_FOLDS = {
    "ravdess": {1: 5, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5},
    "savee": {1: 2, 2: 3, 3: 4, 4: 1},
}

HELD_OUT_SHARE = 0.15  # of a corpus's speakers, or clips, for test and again for validation
DRAWS = 200  # of held-out speakers, to find one that has every emotion in every split


class Row(NamedTuple):
    """What the rules look at: columns of the dataset, the emotion as its label's name."""

    corpus: str
    speaker: str
    gender: str | None
    emotion: str
    sha256: str


def fold_of(corpus: str, speaker: str) -> int | None:
    """Number of the benchmark fold, from 1, in which a speaker is tested; None for corpora without folds."""
    for number, names in enumerate(FOLDS.get(corpus, ()), start=1):
        if speaker.removeprefix(f"{corpus}-") in names.split():
            return number
    return None


def leaks_speakers(protocol: str) -> bool:
    """Whether a protocol tests on speakers that training has heard."""
    return protocol == "random"


def assign_splits(rows: Sequence[Row], protocol: str = "speakers", seed: int = 0) -> list[str]:
    """Assign every clip to one split, whatever the order of the clips.

    Args:
        rows: all clips.
        protocol: one of `PROTOCOLS`, as in `fold:2` or `leave_out:savee`.
        seed: changes which speakers of corpora without folds, or which clips at random, are held out.

    Returns:
        For each row one of `SPLITS`.

    Raises:
        ValueError: there is no such protocol, or these clips do not allow it.
    """
    kind, _, value = protocol.partition(":")
    if protocol == "random":
        return _at_random(rows, seed)
    if protocol == "speakers":
        splits = _by_speaker(rows, 1, seed)
    elif kind == "fold":
        splits = _by_speaker(rows, _check_fold(rows, value), seed)
    elif kind == "leave_out":
        _check_corpus(rows, value)
        kept = ["train" if split == "test" else split for split in _by_speaker(rows, 1, seed)]
        splits = ["test" if row.corpus == value else split for row, split in zip(rows, kept, strict=True)]
    else:
        raise ValueError(f"There is no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}.")
    return _keep_together(rows, splits)


def resplit(dataset: DatasetDict, protocol: str, seed: int = 0) -> DatasetDict:
    """Split a prepared dataset anew, by the rule that the build follows.

    Args:
        dataset: what `python -m data_prep` made, whatever its protocol was.
        protocol: one of `PROTOCOLS`, as in `fold:2` or `leave_out:savee`.
        seed: as for `assign_splits`.

    Returns:
        The same clips; a split without any is left out.

    Raises:
        ValueError: there is no such protocol, or these clips do not allow it.
    """
    clips = concatenate_datasets([dataset[split] for split in SPLITS if split in dataset])
    columns = clips.select_columns(list(Row._fields)).with_format(None)[:]
    columns["emotion"] = clips.features["emotion"].int2str(columns["emotion"])
    rows = [Row(*facts) for facts in zip(*(columns[name] for name in Row._fields), strict=True)]
    members = defaultdict(list)
    for index, split in enumerate(assign_splits(rows, protocol, seed)):
        members[split].append(index)
    return DatasetDict({split: clips.select(members[split]) for split in SPLITS if split in members})


def _by_speaker(rows: Sequence[Row], fold: int, seed: int) -> list[str]:
    corpora = defaultdict(list)
    for row in rows:
        corpora[row.corpus].append(row)
    splits = {}
    for corpus, clips in corpora.items():
        if corpus in FOLDS:
            test = _test_fold(corpus, fold)
            held_out = {test: "test", VALIDATION_FOLDS[corpus][test]: "validation"}
            chosen = {row.speaker: held_out.get(fold_of(corpus, row.speaker), "train") for row in clips}
        else:
            chosen = _hold_out(clips, seed)
        splits |= {(corpus, speaker): split for speaker, split in chosen.items()}
    return [splits[row.corpus, row.speaker] for row in rows]


def _test_fold(corpus: str, fold: int) -> int:
    return (fold - 1) % len(FOLDS[corpus]) + 1


def _hold_out(rows: list[Row], seed: int) -> dict[str, str]:
    """Draw the held-out speakers of one corpus: `{speaker: split}`.

    Of many draws the first is taken that has every emotion in every split; where no draw has, the first that
    leaves the fewest out of test, because test is what figures are about.
    """
    emotions, genders = defaultdict(set), defaultdict(set)
    for row in sorted(rows, key=str):
        if row.speaker not in emotions:
            genders[str(row.gender)].add(row.speaker)
        emotions[row.speaker].add(row.emotion)
    share = max(1, round(HELD_OUT_SHARE * len(emotions))) if len(emotions) >= 3 else 0

    def draw(number: int) -> dict[str, str]:
        shuffled = (_shuffle(genders[gender], seed, number) for gender in sorted(genders))
        # Taking the genders in turn balances every stretch of the order.
        order = [name for turn in zip_longest(*shuffled) for name in turn if name is not None]
        names = ["test"] * share + ["validation"] * share
        return dict(zip_longest(order, names, fillvalue="train"))

    def missing(splits: dict[str, str]) -> tuple[bool, int]:
        heard = defaultdict(set)
        for speaker, split in splits.items():
            heard[split] |= emotions[speaker]
        everything = set().union(*emotions.values())
        return any(heard[split] != everything for split in SPLITS), len(everything - heard["test"])

    return min((draw(number) for number in range(DRAWS if share else 1)), key=missing)


def _at_random(rows: Sequence[Row], seed: int) -> list[str]:
    """Draw clips of every corpus and emotion; equal recordings stay together."""
    strata = {}
    for row in rows:
        stratum = (row.corpus, row.emotion)
        strata[row.sha256] = min(stratum, strata.get(row.sha256, stratum))
    members = defaultdict(list)
    for sha256, stratum in strata.items():
        members[stratum].append(sha256)
    splits = {}
    for names in members.values():
        share = round(HELD_OUT_SHARE * len(names))
        held_out = ["test"] * share + ["validation"] * share
        splits |= zip_longest(_shuffle(names, seed), held_out, fillvalue="train")
    return [splits[row.sha256] for row in rows]


def _shuffle(names: Iterable[str], seed: int, number: int = 0) -> list[str]:
    # A hash orders names the same way on every machine and in every version of Python.
    start = f"{seed} {number} " if number else f"{seed} "
    return sorted(names, key=lambda name: hashlib.sha256(f"{start}{name}".encode()).digest())


def _keep_together(rows: Sequence[Row], splits: list[str]) -> list[str]:
    """Move clips until no speaker and no recording is in two splits: to the most held-out of them."""
    while True:
        strictest = {}
        for row, split in zip(rows, splits, strict=True):
            for key in (row.speaker, row.sha256):
                strictest[key] = max(split, strictest.get(key, split), key=SPLITS.index)
        moved = [max(strictest[row.speaker], strictest[row.sha256], key=SPLITS.index) for row in rows]
        if moved == splits:
            return splits
        splits = moved


def _check_fold(rows: Sequence[Row], value: str) -> int:
    most = max(map(len, FOLDS.values()))
    if value not in map(str, range(1, most + 1)):
        raise ValueError(f"There is no fold {value!r}; there are folds 1 to {most}.")
    corpora = {row.corpus for row in rows} & set(FOLDS)
    if not corpora:
        raise ValueError(f"No corpus here has folds; {' and '.join(FOLDS)} do.")
    here = {(row.corpus, fold_of(row.corpus, row.speaker)) for row in rows}
    for corpus in sorted(corpora):
        if (corpus, test := _test_fold(corpus, int(value))) not in here:
            raise ValueError(f"There is no clip of {corpus}'s fold {test} to test on.")
    return int(value)


def _check_corpus(rows: Sequence[Row], corpus: str) -> None:
    corpora = {row.corpus for row in rows}
    if corpus not in corpora:
        raise ValueError(
            f"There is no corpus {corpus!r} to leave out; there are {', '.join(sorted(corpora))}."
        )
    if corpora == {corpus}:
        raise ValueError(f"With {corpus} left out there is nothing to train on.")
