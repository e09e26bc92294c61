import itertools
from pathlib import Path

import pytest
from datasets import concatenate_datasets, load_from_disk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_prep.splits import (
    FOLDS,
    SPLITS,
    VALIDATION_FOLDS,
    Row,
    assign_splits,
    fold_of,
    leaks_speakers,
    resplit,
)

EMOTIONS = ("angry", "happy", "sad")
SPEAKERS = {
    "ravdess": [f"{actor:02}" for actor in range(1, 25)],
    "savee": ["DC", "JE", "JK", "KL"],
    "tess": ["OAF", "YAF"],
    "crema_d": [str(actor) for actor in range(1001, 1092)],
    "emov_db": ["bea", "jenie", "josh", "sam"],
    "asvp_esd": [str(actor) for actor in range(10, 130)],
}
SPEAKER_DISJOINT = (
    "speakers",
    *(f"fold:{fold}" for fold in range(1, 7)),
    *(f"leave_out:{corpus}" for corpus in SPEAKERS),
)


def row(corpus: str, speaker: str, gender: str | None, emotion: str = "happy", sha256: str = "") -> Row:
    name = f"{corpus}-{speaker}"
    return Row(corpus, name, gender, emotion, sha256 or f"{name} {gender} {emotion}")


@st.composite
def populations(draw) -> list[Row]:
    """Any clips of any speakers of any corpora, some recordings among them twice."""
    rows = []
    for corpus in draw(st.sets(st.sampled_from(sorted(SPEAKERS)), min_size=1)):
        for speaker in draw(st.sets(st.sampled_from(SPEAKERS[corpus]), min_size=1, max_size=12)):
            gender = draw(st.sampled_from(["female", "male", None]))
            emotions = draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=4))
            rows += [
                row(corpus, speaker, gender, emotion, f"{corpus} {speaker} {number}")
                for number, emotion in enumerate(emotions)
            ]
    for one, other in draw(st.lists(st.tuples(st.sampled_from(rows), st.sampled_from(rows)), max_size=2)):
        rows.append(one._replace(sha256=other.sha256))
    return rows


def assign(rows: list[Row], protocol: str, seed: int) -> list[str]:
    """Split, or give up the example where the protocol is refused in a sentence."""
    try:
        return assign_splits(rows, protocol, seed)
    except ValueError as error:
        assert protocol != "speakers"
        assert str(error).endswith(".")
    assume(False)


def crossing(rows: list[Row], splits: list[str], column: str) -> set[str]:
    where = {}
    for item, split in zip(rows, splits, strict=True):
        where.setdefault(getattr(item, column), set()).add(split)
    return {name for name, found in where.items() if len(found) > 1}


@settings(deadline=None)
@given(populations(), st.sampled_from(SPEAKER_DISJOINT), st.integers(0, 100))
def test_no_speaker_and_no_recording_is_in_two_splits(rows, protocol, seed):
    splits = assign(rows, protocol, seed)
    assert len(splits) == len(rows)
    assert set(splits) <= set(SPLITS)
    assert not crossing(rows, splits, "speaker")
    assert not crossing(rows, splits, "sha256")
    assert not leaks_speakers(protocol)


@settings(deadline=None)
@given(populations(), st.integers(0, 100))
def test_at_random_no_recording_is_in_two_splits(rows, seed):
    splits = assign_splits(rows, "random", seed)
    assert len(splits) == len(rows)
    assert not crossing(rows, splits, "sha256")


@settings(deadline=None)
@given(populations(), st.sampled_from((*SPEAKER_DISJOINT, "random")), st.integers(0, 100), st.randoms())
def test_the_order_of_the_clips_changes_nothing(rows, protocol, seed, random):
    splits = dict(zip(rows, assign(rows, protocol, seed), strict=True))
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert assign_splits(shuffled, protocol, seed) == [splits[item] for item in shuffled]


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 100))
def test_three_speakers_of_a_corpus_are_enough_for_three_splits(count, seed):
    rows = [row("crema_d", str(1000 + number), None) for number in range(count)]
    assert set(assign_splits(rows, seed=seed)) == (set(SPLITS) if count >= 3 else {"train"})


@settings(deadline=None)
@given(populations(), st.integers(0, 100))
def test_the_corpus_left_out_is_the_whole_test_split_and_the_others_train(rows, seed):
    rows = list({item.sha256: item for item in rows}.values())  # a double would drag its speakers along
    corpora = sorted({item.corpus for item in rows})
    assume(len(corpora) > 1)
    before = assign_splits(rows, seed=seed)
    after = assign_splits(rows, f"leave_out:{corpora[0]}", seed)
    for item, old, new in zip(rows, before, after, strict=True):
        expected = "test" if item.corpus == corpora[0] else {"test": "train"}.get(old, old)
        assert new == expected


def test_held_out_speakers_are_balanced_by_gender():
    rows = [row("crema_d", str(1000 + i), "female" if i < 43 else "male") for i in range(91)]
    test = [item.gender for item, split in zip(rows, assign_splits(rows), strict=True) if split == "test"]
    assert (test.count("female"), test.count("male")) == (7, 7)


@pytest.mark.parametrize("seed", range(20))
def test_a_speaker_without_some_emotions_stays_in_training_where_others_have_them(seed):
    lacking = {"josh": ("happy",)}
    rows = [
        row("emov_db", speaker, "female" if speaker in ("bea", "jenie") else "male", emotion)
        for speaker in SPEAKERS["emov_db"]
        for emotion in lacking.get(speaker, EMOTIONS)
    ]
    splits = assign_splits(rows, seed=seed)
    assert {split for item, split in zip(rows, splits, strict=True) if item.speaker == "emov_db-josh"} == {
        "train"
    }
    assert set(zip(splits, (item.emotion for item in rows), strict=True)) == set(
        itertools.product(SPLITS, EMOTIONS)
    )


@pytest.mark.parametrize("seed", range(20))
def test_where_not_every_split_can_have_every_emotion_test_does(seed):
    rows = [row("own", name, None, emotion) for name in "ab" for emotion in EMOTIONS] + [
        row("own", "c", None)
    ]
    splits = assign_splits(rows, seed=seed)
    assert {item.emotion for item, split in zip(rows, splits, strict=True) if split == "test"} == set(
        EMOTIONS
    )


def test_an_emotion_of_few_speakers_is_in_every_split():
    rows = [row("asvp_esd", str(10 + number), None) for number in range(20)]
    rows += [row("asvp_esd", str(10 + number), None, "sad") for number in (3, 8, 14)]
    splits = assign_splits(rows)
    assert {split for item, split in zip(rows, splits, strict=True) if item.emotion == "sad"} == set(SPLITS)


def test_folds_cover_ravdess_and_savee_once():
    for corpus in FOLDS:
        assert sorted(" ".join(FOLDS[corpus]).split()) == SPEAKERS[corpus]
        folds = set(range(1, len(FOLDS[corpus]) + 1))
        assert set(VALIDATION_FOLDS[corpus]) == folds >= set(VALIDATION_FOLDS[corpus].values())
        assert all(test != validation for test, validation in VALIDATION_FOLDS[corpus].items())
    assert fold_of("ravdess", "ravdess-24") == 4
    assert fold_of("tess", "tess-OAF") is None


@pytest.mark.parametrize(
    ("protocol", "test", "validation"),
    [
        ("speakers", "01 11 20 21 DC", "02 15 16 18 JE"),
        ("fold:1", "01 11 20 21 DC", "02 15 16 18 JE"),
        ("fold:2", "04 10 12 14 JE", "01 11 20 21 JK"),
        ("fold:4", "03 05 07 24 KL", "08 09 19 23 DC"),
        ("fold:5", "02 15 16 18 DC", "03 05 07 24 JE"),
        ("fold:6", "06 13 17 22 JE", "02 15 16 18 JK"),
    ],
)
def test_folds_are_those_of_the_benchmark(protocol, test, validation):
    rows = [row(corpus, speaker, None) for corpus in FOLDS for speaker in SPEAKERS[corpus]]
    splits = assign_splits(rows, protocol)
    for split, names in (("test", test), ("validation", validation)):
        found = [item.speaker.split("-")[1] for item, its in zip(rows, splits, strict=True) if its == split]
        assert found == names.split()


def test_random_is_70_15_15_of_every_emotion_of_every_corpus_and_leaks():
    rows = [
        row(corpus, speaker, None, emotion, f"{corpus} {speaker} {emotion} {number}")
        for corpus, speaker in (("tess", "OAF"), ("tess", "YAF"), ("savee", "DC"), ("savee", "JE"))
        for emotion in EMOTIONS
        for number in range(50)
    ]
    splits = assign_splits(rows, "random", seed=3)
    for corpus, emotion in itertools.product(("tess", "savee"), EMOTIONS):
        its = [s for r, s in zip(rows, splits, strict=True) if (r.corpus, r.emotion) == (corpus, emotion)]
        assert [its.count(split) for split in SPLITS] == [70, 15, 15]
    assert crossing(rows, splits, "speaker")
    assert leaks_speakers("random")
    assert assign_splits(rows, "random", seed=4) != splits


def test_a_recording_of_two_corpora_is_drawn_the_same_in_any_order():
    rows = [
        row(corpus, "x", None, sha256=f"{corpus if number > 9 else 'both'} {number}")
        for corpus in ("crema_d", "tess")
        for number in range(40)
    ]
    assert assign_splits(rows[::-1], "random")[::-1] == assign_splits(rows, "random")


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("leave_out:iemocap", "no corpus 'iemocap'"),
        ("leave_out:", "no corpus ''"),
        ("leave_out:savee", "nothing to train on"),
        ("fold:2", "no clip of savee's fold 2"),
        ("fold:0", "folds 1 to 6"),
        ("fold:7", "folds 1 to 6"),
        ("fold:", "folds 1 to 6"),
        ("fold", "folds 1 to 6"),
        ("speaker", "no protocol 'speaker'; there are speakers, fold:K"),
        ("random:3", "no protocol"),
    ],
)
def test_a_protocol_that_cannot_be_is_a_sentence(protocol, message):
    with pytest.raises(ValueError, match=message):
        assign_splits([row("savee", "DC", "male"), row("savee", "JK", "male")], protocol)


def test_without_folded_corpora_there_is_no_fold():
    with pytest.raises(ValueError, match="No corpus here has folds"):
        assign_splits([row("tess", "OAF", "female")], "fold:1")


def contents(dataset) -> dict[str, list]:
    columns = ("sha256", "speaker", "emotion")
    return {
        split: sorted(zip(*(rows[name] for name in columns), strict=True)) for split, rows in dataset.items()
    }


def test_a_prepared_dataset_is_split_anew_as_the_build_would(small_dataset: Path):
    prepared = load_from_disk(small_dataset)
    shuffled = resplit(prepared, "random", seed=1)
    assert contents(shuffled) != contents(prepared)
    assert contents(resplit(shuffled, "speakers")) == contents(prepared)
    savee = resplit(prepared, "leave_out:savee")
    assert set(savee["test"]["corpus"]) == {"savee"}
    assert "savee" not in concatenate_datasets([savee["train"], savee["validation"]])["corpus"]
    assert savee["test"].features == prepared["test"].features
    assert set(resplit(prepared, "fold:2")["test"]["fold"]) == {2}
