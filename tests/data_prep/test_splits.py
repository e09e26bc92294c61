from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from data_prep.schema import Clip
from data_prep.splits import FOLDS, SPLITS, assign_splits, fold_of


def clip(corpus: str, speaker: str, gender: str | None) -> Clip:
    return Clip(Path("x.wav"), f"{corpus}-{speaker}", corpus, f"{corpus}-{speaker}", "neutral", gender=gender)


speakers = st.lists(
    st.tuples(
        st.sampled_from(["crema_d", "emov_db", "tess", "asvp_esd"]),
        st.integers(1000, 1090).map(str),
        st.sampled_from(["female", "male", None]),
    ),
    min_size=1,
    unique_by=lambda row: row[:2],
)


@given(speakers, st.integers(0, 100), st.randoms())
def test_splits_depend_on_the_speakers_alone(rows, seed, random):
    clips = [clip(*row) for row in rows]
    splits = assign_splits(clips, seed)
    assert set(splits) == {item.speaker for item in clips}
    assert set(splits.values()) <= set(SPLITS)
    shuffled = clips + clips[::2]
    random.shuffle(shuffled)
    assert assign_splits(shuffled, seed) == splits


@given(speakers, st.integers(0, 100))
def test_three_speakers_of_a_corpus_are_enough_for_three_splits(rows, seed):
    splits = assign_splits([clip(*row) for row in rows], seed)
    for corpus in {row[0] for row in rows}:
        own = [splits[name] for name in splits if name.startswith(corpus)]
        assert set(own) == (set(SPLITS) if len(own) >= 3 else {"train"})


def test_held_out_speakers_are_balanced_by_gender():
    clips = [clip("crema_d", str(1000 + i), "female" if i < 43 else "male") for i in range(91)]
    splits = assign_splits(clips)
    test = [item.gender for item in clips if splits[item.speaker] == "test"]
    assert (test.count("female"), test.count("male")) == (7, 7)


def test_folds_cover_ravdess_and_savee_once():
    actors = [f"{actor:02}" for actor in range(1, 25)]
    assert sorted(" ".join(FOLDS["ravdess"]).split()) == actors
    assert fold_of("ravdess", "ravdess-24") == 4
    assert fold_of("tess", "tess-OAF") is None
    splits = assign_splits([clip("ravdess", actor, None) for actor in actors])
    assert sorted(name for name in splits if splits[name] == "test") == [
        f"ravdess-{n}" for n in ("01", "11", "20", "21")
    ]
    assert list(splits.values()).count("validation") == 4
