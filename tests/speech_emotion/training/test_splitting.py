import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets

from speech_emotion.dataset import DatasetError, open_dataset
from speech_emotion.training.arguments import Recipe
from speech_emotion.training.errors import SplitError
from speech_emotion.training.sampling import cap_speakers
from speech_emotion.training.splitting import (
    calibration_groups,
    describe_cap,
    load_dataset,
    shared_speakers,
    split_dataset,
)


def rows(*clips: tuple[str, str, int]) -> Dataset:
    """Clips of corpora and speakers: `(corpus, speaker, count)`."""
    columns = {"corpus": [], "speaker": [], "sha256": []}
    for corpus, speaker, count in clips:
        columns["corpus"] += [corpus] * count
        columns["speaker"] += [speaker] * count
        columns["sha256"] += [f"{speaker} {number}" for number in range(count)]
    return Dataset.from_dict(columns)


def test_clips_of_unknown_speakers_are_not_capped():
    clips = rows(("own", "own-unknown", 500), ("tess", "tess-oaf", 300), ("calls", "calls-unknown", 250))
    capped = cap_speakers(clips, 200, seed=0)
    speakers = capped["speaker"][:]
    assert [speakers.count(name) for name in ("own-unknown", "tess-oaf", "calls-unknown")] == [500, 200, 250]


def test_every_cap_is_described():
    clips = rows(("own", "own-unknown", 500), ("tess", "tess-oaf", 300), ("tess", "tess-yaf", 150))
    capped = cap_speakers(clips, 200, seed=0)
    assert list(describe_cap(clips, capped, 200)) == [
        "tess: 350 of 450 training clips are used, at most 200 of a speaker (--clips_per_speaker)."
    ]
    assert list(describe_cap(clips, clips, 200)) == []


def test_a_cap_is_printed_for_each_protocol(small_dataset, capsys):
    recipe = Recipe(data=str(small_dataset), protocol=["fold:1", "fold:2"], clips_per_speaker=1)
    runs = split_dataset(load_dataset(recipe), recipe, seed=0)
    printed = capsys.readouterr().out
    for protocol, splits in runs.items():
        speakers = splits["train"]["speaker"][:]
        assert len(speakers) == len(set(speakers))
        assert f"{protocol}: ravdess: " in printed
        assert not shared_speakers(splits)


def test_splits_that_share_a_known_speaker_are_refused_unless_asked_for(small_dataset):
    dataset = open_dataset(str(small_dataset))
    leaking = DatasetDict(dataset | {"test": dataset["train"]})
    with pytest.raises(SplitError, match="ask for that with --protocol random"):
        split_dataset(leaking, Recipe(), seed=0)
    runs = split_dataset(dataset, Recipe(protocol=["random"]), seed=0)
    assert shared_speakers(runs["random"])


def test_splits_that_share_only_unknown_speakers_are_trained_and_known_to_leak(small_dataset):
    dataset = open_dataset(str(small_dataset))
    named = DatasetDict(
        {
            name: split.remove_columns("speaker").add_column("speaker", ["own-unknown"] * len(split))
            for name, split in dataset.items()
        }
    )
    [splits] = split_dataset(named, Recipe(), seed=0).values()
    assert shared_speakers(splits) == {"own-unknown"}


def test_a_dataset_without_validation_and_test_names_the_cure(small_dataset, tmp_path):
    train = open_dataset(str(small_dataset))["train"]
    DatasetDict(train=train).save_to_disk(tmp_path / "data")
    with pytest.raises(DatasetError, match=r"lacks test, validation: .* --protocol random"):
        load_dataset(Recipe(data=str(tmp_path / "data")))
    recipe = Recipe(data=str(tmp_path / "data"), protocol=["random"])
    runs = split_dataset(load_dataset(recipe), recipe, seed=0)
    assert set(runs["random"]) == {"train", "validation", "test"}


@pytest.mark.parametrize("protocol", ["fold:99", "leave_out:nobody", "by moon"])
def test_a_protocol_that_cannot_be_followed_is_refused(protocol, small_dataset):
    with pytest.raises(SplitError, match="There is no"):
        split_dataset(open_dataset(str(small_dataset)), Recipe(protocol=[protocol]), seed=0)


def test_too_many_calibration_groups_are_refused(small_dataset):
    dataset = open_dataset(str(small_dataset))
    with pytest.raises(SplitError, match=r"--calibration_folds 99: these speakers make 2 to \d+ groups\."):
        calibration_groups(dataset, Recipe(calibration_folds=99), seed=0)
    assert calibration_groups(dataset, Recipe(), seed=0) == []


def test_a_corpus_that_would_be_set_aside_trains_where_it_is_named(small_dataset):
    dataset = open_dataset(str(small_dataset))
    calls = dataset["train"].select(range(4))
    happy = dataset["train"].features["emotion"].str2int("happy")
    facts = {"corpus": "calls", "speaker": "calls-ann", "emotion": happy}
    calls = calls.map(
        lambda row, index: facts | {"sha256": str(index)}, with_indices=True, features=calls.features
    )
    dataset["train"] = concatenate_datasets([dataset["train"], calls])
    [splits] = split_dataset(dataset, Recipe(protocol=["speakers"]), seed=0).values()
    assert "calls" not in splits["train"]["corpus"]
    [splits] = split_dataset(dataset, Recipe(protocol=["speakers"], train_on=["calls"]), seed=0).values()
    assert splits["train"]["corpus"][:].count("calls") == 4
