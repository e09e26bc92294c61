"""Which clip belongs to which split: the rules of every protocol, for the build and for `resplit` alike.

`speakers`, the default, is fold 1. Four corpora have folds of speakers: RAVDESS and SAVEE those of the EmoBox
benchmark (Ma et al. 2024, arXiv:2406.07162), so that figures compare; CREMA-D and EmoSpeech-IN the five of
`data_prep/folds/`. `fold:K` tests on the speakers of fold K and validates on those of another one. All other
corpora only train. Where no corpus has folds, each corpus gives about 15 % of its speakers to test and as
many to validation; one with fewer than three speakers goes to training whole.

Some clips neither train nor test. They are in a fourth split, `aside`:

- clips without a label, always;
- a corpus with nearly one label (`data_prep.balance`), because a classifier would learn the label from the
  sound of its microphone;
- under the protocols that test on one corpus, the corpora that only test;
- of a dialogue with speakers of two splits, the clips outside the split that most of its clips are in.

A corpus that only tests is MELD, the yardstick for speech that nobody acted to a microphone, and any corpus
that names no speakers, because nobody can tell whether two of its clips are of one person. `train_on` names
corpora that train all the same.

No speaker and no recording is in two of training, validation and test, except under `random`. That is the
split that most published figures come from: it tests on speakers that training has heard, and shows how much
that flatters.
"""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from datasets import DatasetDict, concatenate_datasets

from data_prep.balance import find_one_sided

SPLITS = ("train", "validation", "test")  # from the least to the most held out
ASIDE = "aside"

PROTOCOLS = {
    "speakers": "fold 1 where corpora have folds, else speakers held out of every corpus",
    "fold:K": "the same with fold K as test",
    "leave_out:CORPUS": "one corpus, or several as `savee+emovo`, as the whole test split",
    "tfds": "CREMA-D's speakers as TensorFlow Datasets splits them: 70, 10 and 20 %",
    "random": "clips at random, 20 % for test and 10 % for validation, so that speakers leak",
}


class Row(NamedTuple):
    """What the rules look at: columns of the dataset, the emotion as its label's name (empty: no label)."""

    corpus: str
    speaker: str
    gender: str | None
    emotion: str
    sha256: str
    dialogue: str | None = None
    channel: str = "speech"


def _read_folds(corpus: str) -> dict[str, dict[str, str]]:
    with (Path(__file__).parent / "folds" / f"{corpus}.csv").open(newline="") as file:
        return {row["speaker"]: row for row in csv.DictReader(file)}


def _group(speakers: dict[str, dict[str, str]]) -> tuple[str, ...]:
    folds = defaultdict(list)
    for name, row in speakers.items():
        folds[int(row["fold"])].append(name)
    return tuple(" ".join(folds[number]) for number in sorted(folds))


_CREMA_D = _read_folds("crema_d")

FOLDS = {
    "ravdess": ("01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22"),
    "savee": ("DC", "JE", "JK", "KL"),
    "crema_d": _group(_CREMA_D),
    "emospeech_in": _group(_read_folds("emospeech_in")),
}
# {test fold: validation fold}. With fold 1 of RAVDESS, three men and a woman, goes fold 5, which balances it.
VALIDATION_FOLDS = {
    "ravdess": {1: 5, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5},
    "savee": {1: 2, 2: 3, 3: 4, 4: 1},
    "crema_d": {1: 5, 2: 1, 3: 2, 4: 3, 5: 4},
    "emospeech_in": {1: 5, 2: 1, 3: 2, 4: 3, 5: 4},
}
HALVES = {
    "meld": _group(_read_folds("meld"))
}  # a corpus that only tests: one half can choose, the other measures
TEST_ONLY = tuple(HALVES)
UNKNOWN = "unknown"  # the speaker of all clips of a corpus that names none

HELD_OUT_SHARE = 0.15  # of a corpus's speakers for test, and again for validation, where no corpus has folds
RANDOM_TEST, RANDOM_VALIDATION = 0.2, 0.1  # of the clips; older projects test on 20 %
DRAWS = 200  # of held-out speakers, to find one that has every emotion in every split


def fold_of(corpus: str, speaker: str) -> int | None:
    """Return the number of a speaker's fold, from 1, or half, in MELD; None for corpora without either."""
    for number, names in enumerate((FOLDS | HALVES).get(corpus, ()), start=1):
        if speaker.removeprefix(f"{corpus}-") in names.split():
            return number
    return None


def assign_folds(rows: Sequence[Row]) -> list[int | None]:
    """Return each clip's fold; None without one, or where most of its dialogue is in another."""
    known: dict[tuple[str, str], int | None] = {}
    for row in rows:
        key = row.corpus, row.speaker
        if key not in known:
            known[key] = fold_of(*key)
    return _keep_dialogues(rows, [known[row.corpus, row.speaker] for row in rows], outside=None)


def leaks_speakers(rows: Sequence[Row], splits: Sequence[str]) -> bool:
    """Return whether a speaker is in two of training, validation and test."""
    where = {(row.speaker, split) for row, split in zip(rows, splits, strict=True) if split in SPLITS}
    return len(where) > len({speaker for speaker, _ in where})


def assign_splits(
    rows: Sequence[Row], protocol: str = "speakers", seed: int = 0, train_on: Collection[str] = ()
) -> list[str]:
    """Assign every clip to one split, whatever the order of the clips.

    Args:
        rows: all clips.
        protocol: one of `PROTOCOLS`, as in `fold:2` or `leave_out:savee`.
        seed: of what is drawn.
        train_on: corpora that train whole, whatever the rules say of them.

    Returns:
        For each clip one of `SPLITS`, or `ASIDE`.

    Raises:
        ValueError: there is no such protocol or corpus, or these clips do not allow it.
    """
    for corpus in train_on:
        _check_corpus(rows, corpus, "train on")
    labelled = [row for row in rows if row.emotion]
    kind, _, value = protocol.partition(":")
    if protocol == "random":
        splits = _at_random(labelled, seed, train_on)
    elif protocol == "speakers":
        splits = _by_speaker(labelled, 1, seed, train_on)
    elif protocol == "tfds":
        splits = _as_tfds(labelled, train_on)
    elif kind == "fold":
        splits = _by_speaker(labelled, _check_fold(labelled, value), seed, train_on)
    elif kind == "leave_out":
        splits = _leave_out(labelled, value, seed, train_on)
    else:
        raise ValueError(f"There is no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}.")
    assigned = iter(splits)
    return [next(assigned) if row.emotion else ASIDE for row in rows]


def resplit(
    dataset: DatasetDict, protocol: str, seed: int = 0, train_on: Collection[str] = ()
) -> DatasetDict:
    """Split a prepared dataset anew, by the rule that the build follows.

    Args:
        dataset: what `python -m data_prep` made, whatever its protocol was.
        protocol: one of `PROTOCOLS`, as in `fold:2` or `leave_out:savee`.
        seed: as for `assign_splits`.
        train_on: as for `assign_splits`.

    Returns:
        The same clips; a split without any is left out.

    Raises:
        ValueError: there is no such protocol or corpus, or these clips do not allow it.
    """
    clips = concatenate_datasets([dataset[split] for split in (*SPLITS, ASIDE) if split in dataset])
    members = defaultdict(list)
    for index, split in enumerate(assign_splits(read_rows(clips), protocol, seed, train_on)):
        members[split].append(index)
    return DatasetDict(
        {split: clips.select(members[split]) for split in (*SPLITS, ASIDE) if split in members}
    )


def read_rows(clips) -> list[Row]:
    """Return what the rules look at, of a split of a prepared dataset."""
    names = [name for name in Row._fields if name in clips.column_names]  # older datasets have no dialogues
    columns = clips.select_columns(names).with_format(None)[:]
    labels = clips.features["emotion"].names
    columns["emotion"] = ["" if index < 0 else labels[index] for index in columns["emotion"]]
    return [
        Row(**dict(zip(names, facts, strict=True)))
        for facts in zip(*(columns[name] for name in names), strict=True)
    ]


def find_roles(rows: Sequence[Row], train_on: Collection[str] = ()) -> dict[str, str]:
    """Decide what each corpus is for.

    Returns:
        By corpus one of `folds` (its speakers are split by its folds), `train` (all of it trains), `hold out`
        (some of its speakers are held out), `test` (all of it tests), `random` (it names no speakers and is
        alone, so its clips are drawn) and `aside`.
    """
    corpora = dict.fromkeys(sorted({row.corpus for row in rows}), "hold out")
    one_sided = find_one_sided(rows)
    unknown = {row.corpus for row in rows if row.speaker == f"{row.corpus}-{UNKNOWN}"}
    for corpus in corpora:
        if corpus in train_on:
            corpora[corpus] = "train"
        elif corpus in one_sided:
            corpora[corpus] = ASIDE
        elif corpus in unknown or corpus in TEST_ONLY:
            corpora[corpus] = "test"
        elif corpus in FOLDS:
            corpora[corpus] = "folds"
    if "folds" in corpora.values():
        return {corpus: "train" if role == "hold out" else role for corpus, role in corpora.items()}
    if not set(corpora.values()) & {"hold out", "train"}:  # nothing is left to train on
        alone = {corpus: "random" if corpus in unknown else "hold out" for corpus in corpora}
        return {corpus: alone[corpus] if role == "test" else role for corpus, role in corpora.items()}
    return corpora


def _by_speaker(rows: Sequence[Row], fold: int, seed: int, train_on: Collection[str]) -> list[str]:
    corpora = defaultdict(list)
    for row in rows:
        corpora[row.corpus].append(row)
    roles = find_roles(rows, train_on)
    splits: dict[Row, str] = {}
    for corpus, role in roles.items():
        clips = corpora[corpus]
        if role == "folds":
            test = _test_fold(corpus, fold)
            held_out = {test: "test", VALIDATION_FOLDS[corpus][test]: "validation"}
            folds = {speaker: fold_of(corpus, speaker) for speaker in {row.speaker for row in clips}}
            splits |= {row: held_out.get(folds[row.speaker], "train") for row in clips}
        elif role == "hold out":
            chosen = _hold_out(clips, seed)
            kept = _keep_dialogues(clips, [chosen[row.speaker] for row in clips], outside=ASIDE)
            splits |= dict(zip(clips, kept, strict=True))
        elif role == "random":
            # Clips of nobody in particular are drawn; a speaker with a name stays in one split.
            nameless = [row for row in clips if row.speaker == f"{row.corpus}-{UNKNOWN}"]
            drawn = _draw(nameless, seed, HELD_OUT_SHARE, HELD_OUT_SHARE, least=1)
            splits |= dict.fromkeys(clips, "train") | dict(zip(nameless, drawn, strict=True))
        else:
            splits |= dict.fromkeys(clips, role)
    return _keep_together(rows, [splits[row] for row in rows], roles)


def _leave_out(rows: Sequence[Row], names: str, seed: int, train_on: Collection[str]) -> list[str]:
    corpora = names.split("+")
    for corpus in corpora:
        _check_corpus(rows, corpus, "leave out")
    others = [row for row in rows if row.corpus not in corpora]
    if not others:
        raise ValueError(f"With {names} left out there is nothing to train on.")
    roles = find_roles(others, train_on)
    assigned = iter(_by_speaker(others, 1, seed, train_on))
    splits = []
    for row in rows:
        split = "test" if row.corpus in corpora else next(assigned)
        if row.corpus not in corpora and split == "test":
            split = ASIDE if roles[row.corpus] == "test" else "train"
        splits.append(split)
    return _keep_together(rows, splits, roles)


def _as_tfds(rows: Sequence[Row], train_on: Collection[str]) -> list[str]:
    if "crema_d" not in {row.corpus for row in rows}:
        raise ValueError("The protocol tfds splits CREMA-D, and there is no clip of crema_d.")
    roles = find_roles(rows, train_on)
    others = {"test": ASIDE, ASIDE: ASIDE}

    def choose(row: Row) -> str:
        if row.corpus == "crema_d":
            return _CREMA_D[row.speaker.removeprefix("crema_d-")]["tfds"]
        return others.get(roles[row.corpus], "train")

    return _keep_together(rows, [choose(row) for row in rows], roles)


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


def _at_random(rows: Sequence[Row], seed: int, train_on: Collection[str]) -> list[str]:
    roles = find_roles(rows, train_on)
    drawn = [row for row in rows if roles[row.corpus] not in ("test", ASIDE)]
    assigned = iter(_draw(drawn, seed, RANDOM_TEST, RANDOM_VALIDATION))
    return [next(assigned) if roles[row.corpus] not in ("test", ASIDE) else ASIDE for row in rows]


def _draw(rows: Sequence[Row], seed: int, test: float, validation: float, least: int = 0) -> list[str]:
    """Draw a share of the clips of every corpus, channel and emotion; equal recordings stay together.

    Of three clips or more at least so many are drawn for test, and for validation.
    """
    strata = {}
    for row in rows:
        stratum = (row.corpus, row.channel, row.emotion)
        strata[row.sha256] = min(stratum, strata.get(row.sha256, stratum))
    members, shares = defaultdict(list), {"test": test, "validation": validation}
    for sha256, stratum in strata.items():
        members[stratum].append(sha256)
    splits = {}
    for names in members.values():
        fewest = least if len(names) >= 3 else 0
        counts = {split: max(fewest, round(share * len(names))) for split, share in shares.items()}
        held_out = [split for split, count in counts.items() for _ in range(count)]
        splits |= zip_longest(_shuffle(names, seed), held_out, fillvalue="train")
    return [splits[row.sha256] for row in rows]


def _shuffle(names: Iterable[str], seed: int, number: int = 0) -> list[str]:
    # A hash orders names the same way on every machine and in every version of Python.
    start = f"{seed} {number} " if number else f"{seed} "
    return sorted(names, key=lambda name: hashlib.sha256(f"{start}{name}".encode()).digest())


def _keep_together(rows: Sequence[Row], splits: list[str], roles: dict[str, str]) -> list[str]:
    """Move clips until no speaker and no recording is in two splits: to the most held-out of them.

    The unknown speaker of a corpus whose clips are drawn at random may be in several.
    """
    keys = [(row.sha256,) if roles.get(row.corpus) == "random" else (row.sha256, row.speaker) for row in rows]
    while True:
        strictest = {}
        for own, split in zip(keys, splits, strict=True):
            if split != ASIDE:
                for key in own:
                    strictest[key] = max(split, strictest.get(key, split), key=SPLITS.index)
        moved = [
            split if split == ASIDE else max((strictest[key] for key in own), key=SPLITS.index)
            for own, split in zip(keys, splits, strict=True)
        ]
        if moved == splits:
            return splits
        splits = moved


def _keep_dialogues(rows: Sequence[Row], groups: list, outside) -> list:
    """Leave each dialogue in the group of most of its clips, and put its other clips `outside`."""
    votes = defaultdict(Counter)
    for row, group in zip(rows, groups, strict=True):
        if row.dialogue is not None and group is not None:
            votes[row.corpus, row.dialogue][group] += 1
    chosen = {key: min(count, key=lambda group: (-count[group], str(group))) for key, count in votes.items()}
    return [
        group if chosen.get((row.corpus, row.dialogue), group) == group else outside
        for row, group in zip(rows, groups, strict=True)
    ]


def _check_fold(rows: Sequence[Row], value: str) -> int:
    most = max(map(len, FOLDS.values()))
    if value not in map(str, range(1, most + 1)):
        raise ValueError(f"There is no fold {value!r}; there are folds 1 to {most}.")
    corpora = {row.corpus for row in rows} & set(FOLDS)
    if not corpora:
        raise ValueError(f"No corpus here has folds; {', '.join(FOLDS)} do.")
    here = {(row.corpus, fold_of(row.corpus, row.speaker)) for row in set(rows)}
    for corpus in sorted(corpora):
        if (corpus, test := _test_fold(corpus, int(value))) not in here:
            raise ValueError(f"There is no clip of {corpus}'s fold {test} to test on.")
    return int(value)


def _check_corpus(rows: Sequence[Row], corpus: str, what: str) -> None:
    corpora = {row.corpus for row in rows}
    if corpus not in corpora:
        raise ValueError(f"There is no corpus {corpus!r} to {what}; there are {', '.join(sorted(corpora))}.")
