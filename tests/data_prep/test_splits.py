import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import concatenate_datasets, load_from_disk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_prep import splits as splits_module
from data_prep.balance import effective_labels, find_one_sided
from data_prep.splits import (
    ASIDE,
    FOLDS,
    HALVES,
    SPLITS,
    VALIDATION_FOLDS,
    Row,
    assign_folds,
    assign_splits,
    find_roles,
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
    "emospeech_in": [f"{speaker:03}" for speaker in range(1, 83)],
    "meld": [" ".join(HALVES["meld"]).split()[number] for number in (0, 5, 70, 100, 120)],
    "mine": ["anna", "ben", "unknown"],
}
SPEAKER_DISJOINT = (
    "speakers",
    *(f"fold:{fold}" for fold in range(1, 7)),
    *(f"leave_out:{corpus}" for corpus in SPEAKERS),
    "tfds",
)


def row(
    corpus: str,
    speaker: str,
    gender: str | None = None,
    emotion: str = "happy",
    sha256: str = "",
    dialogue: str | None = None,
) -> Row:
    name = f"{corpus}-{speaker}"
    return Row(corpus, name, gender, emotion, sha256 or f"{name} {gender} {emotion} {dialogue}", dialogue)


@st.composite
def populations(draw) -> list[Row]:
    """Any clips of any speakers of any corpora, some recordings among them twice."""
    rows = []
    for corpus in draw(st.sets(st.sampled_from(sorted(SPEAKERS)), min_size=1)):
        for speaker in draw(st.sets(st.sampled_from(SPEAKERS[corpus]), min_size=1, max_size=12)):
            gender = draw(st.sampled_from(["female", "male", None]))
            emotions = draw(st.lists(st.sampled_from((*EMOTIONS, "")), min_size=1, max_size=4))
            dialogue = draw(st.sampled_from([None, "1", "2"])) if corpus in ("meld", "mine") else None
            rows += [
                row(corpus, speaker, gender, emotion, f"{corpus} {speaker} {number}", dialogue)
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
    """What is in two of training, validation and test."""
    where = {}
    for item, split in zip(rows, splits, strict=True):
        if split != ASIDE:
            where.setdefault(getattr(item, column), set()).add(split)
    return {name for name, found in where.items() if name is not None and len(found) > 1}


@settings(deadline=None)
@given(populations(), st.sampled_from(SPEAKER_DISJOINT), st.integers(0, 100))
def test_no_speaker_and_no_recording_is_in_two_splits(rows, protocol, seed):
    splits = assign(rows, protocol, seed)
    assert len(splits) == len(rows)
    assert set(splits) <= {*SPLITS, ASIDE}
    assert all(split == ASIDE for item, split in zip(rows, splits, strict=True) if not item.emotion)
    assert not crossing(rows, splits, "sha256")
    for speaker in crossing(rows, splits, "speaker"):
        assert speaker.endswith("-unknown")
    assert leaks_speakers(rows, splits) == bool(crossing(rows, splits, "speaker"))


def test_a_named_speaker_stays_in_one_split_next_to_clips_of_unknown_speakers():
    named = [Row("mine", "mine-ben", "male", "angry", f"ben {number}") for number in range(20)]
    nameless = [Row("mine", "mine-unknown", None, "angry", f"unknown {number}") for number in range(20)]
    splits = dict(zip(named + nameless, assign_splits(named + nameless), strict=True))
    assert {splits[item] for item in named} == {"train"}
    assert {splits[item] for item in nameless} == set(SPLITS)


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
def test_three_speakers_of_a_corpus_without_folds_are_enough_for_three_splits(count, seed):
    rows = [row("asvp_esd", str(100 + number)) for number in range(count)]
    assert set(assign_splits(rows, seed=seed)) == (set(SPLITS) if count >= 3 else {"train"})


@settings(deadline=None)
@given(populations(), st.integers(0, 100))
def test_the_corpus_left_out_is_the_whole_test_split_and_the_others_train(rows, seed):
    rows = list({item.sha256: item for item in rows}.values())  # a double would drag its speakers along
    labelled = [item for item in rows if item.emotion]
    corpora = sorted({item.corpus for item in labelled})
    assume(len(corpora) > 1)
    others = [item for item in labelled if item.corpus != corpora[0]]
    roles = find_roles(others)
    before = dict(zip(others, assign_splits(others, seed=seed), strict=True))
    after = assign_splits(rows, f"leave_out:{corpora[0]}", seed)
    for item, split in zip(rows, after, strict=True):
        if not item.emotion:
            assert split == ASIDE
        elif item.corpus == corpora[0]:
            assert split == "test"
        else:
            instead = ASIDE if roles[item.corpus] == "test" else "train"
            assert split == {"test": instead}.get(before[item], before[item])


def test_held_out_speakers_are_balanced_by_gender():
    rows = [row("asvp_esd", str(100 + i), "female" if i < 43 else "male") for i in range(91)]
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
def test_the_test_split_has_every_emotion_when_not_all_splits_can(seed):
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


def test_folds_cover_every_speaker_once():
    for corpus in FOLDS:
        assert sorted(" ".join(FOLDS[corpus]).split()) == SPEAKERS[corpus]
        folds = set(range(1, len(FOLDS[corpus]) + 1))
        assert set(VALIDATION_FOLDS[corpus]) == folds >= set(VALIDATION_FOLDS[corpus].values())
        assert all(test != validation for test, validation in VALIDATION_FOLDS[corpus].items())
    assert fold_of("ravdess", "ravdess-24") == 4
    assert fold_of("tess", "tess-OAF") is None
    assert {len(fold.split()) for fold in FOLDS["emospeech_in"]} == {16, 17}


def test_the_folds_of_crema_d_are_balanced_by_sex_and_age():
    actors = pd.read_csv(Path(splits_module.__file__).parent / "folds" / "crema_d.csv")
    assert len(actors) == 91
    folds = actors.groupby("fold")
    assert set(folds.size()) == {18, 19}
    assert set(folds["gender"].apply(lambda genders: (genders == "female").sum())) == {8, 9}
    means = folds["age"].mean()
    assert means.max() - means.min() < 2
    assert folds["age"].max().min() > 55  # the oldest are not in one fold


def test_the_table_of_crema_d_says_what_the_published_one_does(corpora):
    actors = pd.read_csv(Path(splits_module.__file__).parent / "folds" / "crema_d.csv")
    published = pd.read_csv(corpora / "CREMA-D" / "VideoDemographics.csv")
    assert list(actors["speaker"]) == list(published["ActorID"])
    assert list(actors["gender"]) == list(published["Sex"].str.lower())
    assert list(actors["age"]) == list(published["Age"])


def test_tfds_splits_crema_d_as_its_builder_does():
    # https://github.com/tensorflow/datasets/blob/master/tensorflow_datasets/audio/crema_d.py
    names = list(SPEAKERS["crema_d"])
    np.random.RandomState(0).shuffle(names)
    bounds = [0, int(0.7 * 91), int((0.7 + 0.1) * 91), 91]
    expected = {
        name: split
        for split, start, end in zip(SPLITS, bounds, bounds[1:], strict=False)
        for name in names[start:end]
    }
    rows = [row("crema_d", name) for name in SPEAKERS["crema_d"]] + [row("savee", "DC"), row("meld", "joey")]
    found = dict(zip((item.speaker for item in rows), assign_splits(rows, "tfds"), strict=True))
    assert {name: found[f"crema_d-{name}"] for name in expected} == expected
    assert (found["savee-DC"], found["meld-joey"]) == ("train", ASIDE)
    with pytest.raises(ValueError, match="no clip of crema_d"):
        assign_splits([row("savee", "DC")], "tfds")


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
    rows = [row(corpus, speaker) for corpus in ("ravdess", "savee") for speaker in SPEAKERS[corpus]]
    splits = assign_splits(rows, protocol)
    for split, names in (("test", test), ("validation", validation)):
        found = [item.speaker.split("-")[1] for item, its in zip(rows, splits, strict=True) if its == split]
        assert found == names.split()


@pytest.mark.parametrize("fold", range(1, 6))
def test_corpora_without_folds_only_train(fold):
    corpora = ("crema_d", "emospeech_in", "tess", "asvp_esd", "meld")
    rows = [
        row(corpus, speaker, emotion=emotion)
        for corpus in corpora
        for speaker in SPEAKERS[corpus]
        for emotion in EMOTIONS
    ]
    found = {corpus: set() for corpus in corpora}
    for item, split in zip(rows, assign_splits(rows, f"fold:{fold}"), strict=True):
        found[item.corpus].add(split)
        if item.corpus in FOLDS:
            assert (split == "test") == (fold_of(item.corpus, item.speaker) == fold)
    assert found["crema_d"] == found["emospeech_in"] == set(SPLITS)
    assert found["tess"] == found["asvp_esd"] == {"train"}
    assert found["meld"] == {"test"}


def test_a_corpus_that_only_tests_trains_where_it_is_named():
    rows = [row(corpus, speaker) for corpus in ("savee", "meld") for speaker in SPEAKERS[corpus]]
    rows += [row("mine", "unknown", sha256=str(number)) for number in range(5)]
    roles = {corpus: {"test"} for corpus in ("meld", "mine")}
    for train_on in ((), ("meld",), ("mine", "meld")):
        roles |= {corpus: {"train"} for corpus in train_on}
        found = {}
        for item, split in zip(rows, assign_splits(rows, train_on=train_on), strict=True):
            found.setdefault(item.corpus, set()).add(split)
        assert found == {"savee": set(SPLITS)} | roles
    with pytest.raises(ValueError, match="no corpus 'melt' to train on; there are meld, mine, savee"):
        assign_splits(rows, train_on=("melt",))


def test_without_a_label_a_clip_neither_trains_nor_tests():
    rows = [
        row("savee", speaker, emotion=emotion) for speaker in SPEAKERS["savee"] for emotion in ("sad", "")
    ]
    rows += [row("talk", "ann", emotion="", sha256=str(number)) for number in range(3)]
    for protocol in ("speakers", "fold:2", "random"):
        splits = assign_splits(rows, protocol)
        assert [split == ASIDE for split in splits] == [not item.emotion for item in rows]
    with pytest.raises(ValueError, match="no corpus 'talk' to leave out"):
        assign_splits(rows, "leave_out:talk")


def test_a_dialogue_is_never_split():
    # anna and ben are held out and train, in one order or the other; the dialogue has more of ben.
    rows = [row("mine", name, emotion=emotion) for name in ("anna", "ben", "cem") for emotion in EMOTIONS]
    rows += [row("mine", "anna", sha256="a", dialogue="1")]
    rows += [row("mine", "ben", sha256=f"b{number}", dialogue="1") for number in range(2)]
    for seed in range(10):
        splits = assign_splits(rows, seed=seed)
        assert splits[9] == ASIDE
        assert splits[10] == splits[11] == splits[3]


def test_the_halves_of_meld_share_no_role_and_no_dialogue(corpora):
    path = corpora.resolve().parents[1] / "shared" / "corpora" / "tables" / "MELD.csv"
    if not path.is_file():
        pytest.skip(f"no table {path}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    names = table["speaker"].str.removeprefix("MELD-")
    rows = [
        row("meld", name, emotion=emotion, sha256=path, dialogue=dialogue)
        for path, name, emotion, dialogue in zip(
            table["path"], names, table["emotion"], table["dialogue"], strict=True
        )
    ]
    folds = assign_folds(rows)
    halves = [f"half {fold}" if fold else ASIDE for fold in folds]
    assert not crossing(rows, halves, "speaker")
    assert not crossing(rows, halves, "dialogue")
    assert sum(fold is not None for fold in folds) == 1776  # of 2,039
    for half in (1, 2):
        assert len({item.emotion for item, fold in zip(rows, folds, strict=True) if fold == half}) == 7


def test_random_is_80_20_of_every_emotion_of_every_corpus_and_leaks():
    rows = [
        row(corpus, speaker, None, emotion, f"{corpus} {speaker} {emotion} {number}")
        for corpus, speaker in (("tess", "OAF"), ("tess", "YAF"), ("savee", "DC"), ("savee", "JE"))
        for emotion in EMOTIONS
        for number in range(50)
    ]
    splits = assign_splits(rows, "random", seed=3)
    for corpus, emotion in itertools.product(("tess", "savee"), EMOTIONS):
        its = [s for r, s in zip(rows, splits, strict=True) if (r.corpus, r.emotion) == (corpus, emotion)]
        assert [its.count(split) for split in SPLITS] == [70, 10, 20]
    assert crossing(rows, splits, "speaker")
    assert leaks_speakers(rows, splits)
    assert assign_splits(rows, "random", seed=4) != splits


def test_random_holds_out_the_same_share_of_speech_and_of_song():
    rows = [
        row("ravdess", "01", sha256=f"{channel} {number}")._replace(channel=channel)
        for channel, count in (("speech", 100), ("song", 50))
        for number in range(count)
    ]
    splits = assign_splits(rows, "random")
    for channel, expected in (("speech", [70, 10, 20]), ("song", [35, 5, 10])):
        its = [split for item, split in zip(rows, splits, strict=True) if item.channel == channel]
        assert [its.count(split) for split in SPLITS] == expected


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
        ("leave_out:savee+iemocap", "no corpus 'iemocap'"),
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


def test_resplitting_a_dataset_gives_the_splits_of_the_build(small_dataset: Path):
    prepared = load_from_disk(small_dataset)
    shuffled = resplit(prepared, "random", seed=1)
    assert contents(shuffled) != contents(prepared)
    assert contents(resplit(shuffled, "speakers")) == contents(prepared)
    savee = resplit(prepared, "leave_out:savee")
    assert set(savee["test"]["corpus"]) == {"savee"}
    assert "savee" not in concatenate_datasets([savee["train"], savee["validation"]])["corpus"]
    assert savee["test"].features == prepared["test"].features
    assert set(resplit(prepared, "fold:2")["test"]["fold"]) == {2}


def test_the_effective_number_of_labels():
    assert effective_labels(Counter(angry=7)) == 1
    assert effective_labels(Counter(angry=3, sad=3)) == pytest.approx(2)
    assert effective_labels(Counter(angry=330, amused=20, neutral=20, disgust=9)) == pytest.approx(
        1.7, abs=0.03
    )


def corpus_of(name: str, speakers: dict[str, dict[str, int]]) -> list[Row]:
    return [
        row(name, speaker, emotion=emotion, sha256=f"{name} {speaker} {emotion} {number}")
        for speaker, counts in speakers.items()
        for emotion, count in counts.items()
        for number in range(count)
    ]


EVEN = dict.fromkeys(("angry", "happy", "neutral", "sad"), 10)


@pytest.mark.parametrize(
    ("speakers", "one_sided"),
    [
        ({"a": {"angry": 40}}, True),
        ({"a": {"angry": 37, "sad": 1, "neutral": 2}}, True),
        ({"a": {"disgust": 20, "fearful": 20}}, True),  # two labels in effect, where the others have four
        ({"a": {"angry": 20, "happy": 20, "sad": 1}}, False),
        ({"a": EVEN}, False),
        ({name: {name: 10} for name in EVEN}, True),  # every speaker has a label of their own
        ({name: {name: 9} for name in EVEN}, False),  # too few clips of each to say so
        ({"a": EVEN, "b": {"angry": 20}}, False),  # less than half of the clips
    ],
)
def test_a_corpus_with_nearly_one_label_is_set_aside_until_it_is_named(speakers, one_sided):
    rows = corpus_of("savee", dict.fromkeys(SPEAKERS["savee"], EVEN)) + corpus_of("calls", speakers)
    found = find_one_sided(rows)
    assert set(found) == ({"calls"} if one_sided else set())
    for train_on, split in (((), ASIDE if one_sided else "train"), (("calls",), "train")):
        splits = assign_splits(rows, train_on=train_on)
        assert {s for item, s in zip(rows, splits, strict=True) if item.corpus == "calls"} == {split}
    left_out = assign_splits(rows, "leave_out:calls")
    assert {s for item, s in zip(rows, left_out, strict=True) if item.corpus == "calls"} == {"test"}
    if one_sided:
        assert "nearly one label" in found["calls"].warning("calls")


def test_where_every_corpus_has_the_same_two_labels_none_of_them_is_one_sided():
    two = {"a": {"angry": 10, "sad": 10}, "b": {"angry": 10, "sad": 10}}
    assert find_one_sided(corpus_of("one", two) + corpus_of("other", two)) == {}
