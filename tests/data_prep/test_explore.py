import re

import numpy as np
import pandas as pd
import pytest
from conftest import voice, write_wav

from data_prep import __main__ as command_line
from data_prep import charts, explore
from data_prep.build import build_dataset
from data_prep.captions import (
    describe_emotions,
    describe_grid,
    describe_languages,
    describe_map,
    describe_speakers,
)
from data_prep.egemaps import OpenSmileMissing
from data_prep.explore import choose_examples, choose_for_map, read_table
from data_prep.feature_map import score_neighbours
from speech_emotion.dataset import open_dataset
from speech_emotion.labels import SCHEMES
from speech_emotion.palette import EMOTIONS

COUNTS = {"emotions", "corpora", "languages", "grid", "genders", "speakers", "splits", "durations"}


@pytest.fixture
def stand_in_features(monkeypatch):
    monkeypatch.setattr(
        explore, "cached_egemaps", lambda rows, cache: np.random.default_rng(0).normal(size=(len(rows), 88))
    )


def table(**columns) -> pd.DataFrame:
    """A table of clips: what is not given is the same for all."""
    size = len(next(iter(columns.values())))
    facts = {"emotion": "sad", "corpus": "savee", "speaker": "savee-DC", "gender": "male", "split": "train"}
    facts |= {"language": "English", "channel": "speech", "statement": "1", "duration": 2.0}
    clips = pd.DataFrame(facts | {"sha256": [f"{index:02}" for index in range(size)]} | columns)
    labels = list(SCHEMES["core8"])
    return clips.astype({"emotion": pd.CategoricalDtype(labels), "split": "category"})


def test_every_picture_is_written_and_the_page_needs_nothing_else(small_dataset, tmp_path, stand_in_features):
    explore.main([str(small_dataset), "--output", str(tmp_path / "out")])
    names = COUNTS | {"clip-happy", "clip-sad", "map"}
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == names
    page = (tmp_path / "out" / "index.html").read_text()
    images = re.findall(r"<img [^>]*src='([^']*)'", page)
    assert len(images) == len(names)
    assert all(image.startswith("data:image/png;base64,iVBOR") for image in images)
    rest = re.sub(r"data:image/png;base64,[\w+/=]+", "", page)
    assert not re.search(r"https?:|//|<script|<link|@import|url\(", rest)
    assert set(re.findall(r"href='(.*?)'", page)) == {f"#{name}" for name in names}
    assert "32 clips" in page
    assert "$" not in rest


def test_without_opensmile_everything_but_the_map_is_written(small_dataset, tmp_path, monkeypatch, capsys):
    def missing(rows, cache):
        raise OpenSmileMissing("pip install it")

    monkeypatch.setattr(explore, "cached_egemaps", missing)
    explore.main([str(small_dataset), "--output", str(tmp_path)])
    assert {path.stem for path in tmp_path.glob("*.png")} == COUNTS | {"clip-happy", "clip-sad"}
    assert "The map of the clips is left out. pip install it" in capsys.readouterr().out
    assert "pip install it" in (tmp_path / "index.html").read_text()


def test_one_corpus_without_gender_and_statement_is_drawn(tmp_path, stand_in_features):
    for emotion in ("neutral", "anger"):
        write_wav(tmp_path / "c" / "sam" / f"{emotion}_1-28_0001.wav", voice(seed=len(emotion)))
    dataset, _ = build_dataset(tmp_path / "c", tmp_path / "data", workers=1)
    for column in ("gender", "statement"):
        dataset = dataset.map(lambda row, column=column: {column: None}, features=dataset["train"].features)
    dataset.save_to_disk(tmp_path / "bare")
    explore.main([str(tmp_path / "bare"), "--output", str(tmp_path / "out")])
    names = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert names == COUNTS | {"clip-angry", "clip-neutral"}  # two clips are no map
    assert "not stated 100.0%" in (tmp_path / "out" / "index.html").read_text()


def test_a_missing_dataset_ends_in_a_sentence(tmp_path, monkeypatch):
    arguments = ["explore", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["data_prep", *arguments])
    with pytest.raises(SystemExit, match="There is no dataset"):
        command_line.main()
    assert not (tmp_path / "out").exists()


def test_one_split_is_no_dataset(small_dataset):
    with pytest.raises(SystemExit, match="give the folder above it"):
        explore.main([str(small_dataset / "train")])


def test_a_dataset_of_another_make_is_refused(small_dataset):
    dataset = open_dataset(str(small_dataset)).remove_columns("gender")
    with pytest.raises(ValueError, match="lacks gender"):
        read_table(dataset)


def test_examples_are_one_voice_saying_one_thing_where_it_can_be():
    clips = table(
        emotion=["sad", "sad", "happy", "happy", "angry"],
        speaker=["a", "b", "a", "b", "c"],
        statement=["1", "2", "2", "2", None],
    )
    assert choose_examples(clips) == {"sad": 1, "happy": 3, "angry": 4}
    assert choose_examples(clips[::-1]) == {"sad": 3, "happy": 1, "angry": 0}


def test_every_speaker_of_the_whole_corpora_has_a_column():
    sizes = {"asvp_esd": 104, "crema_d": 91, "emov_db": 4, "ravdess": 24, "savee": 4, "tess": 2}
    speakers = [(corpus, f"{corpus}-{number:03}") for corpus, size in sizes.items() for number in range(size)]
    clips = table(corpus=[corpus for corpus, _ in speakers], speaker=[name for _, name in speakers])
    figure = charts.plot_speakers(clips)
    labels = [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]
    assert len(labels) == sum(sizes.values())
    assert not any(" of " in axes.get_title(loc="left") for axes in figure.axes)
    for axes in figure.axes:
        box = axes.get_position()
        assert box.x0 >= 0
        assert box.x1 <= 1
        assert box.y0 > 0


def test_long_names_of_speakers_are_cut_so_that_they_do_not_run_into_the_row_below():
    figure = charts.plot_speakers(
        table(corpus=["meld"] * 2, speaker=["meld-the-casting-director", "meld-joey"])
    )
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["joey", "the-casti…"]


def test_the_map_has_a_panel_for_every_corpus_and_one_for_all():
    clips = table(corpus=["savee", "tess", "savee", "ased", "eyase", "emovo", "crema_d"])
    figure = charts.plot_map(clips, np.random.default_rng(0).normal(size=(7, 2)), "seven points")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["all corpora", "ased", "crema_d", "emovo", "eyase", "savee", "tess"]
    assert [len(axes.collections[-1].get_offsets()) for axes in figure.axes] == [7, 1, 1, 1, 1, 2, 1]


def test_of_very_many_speakers_those_with_the_most_clips_are_drawn():
    names = [f"emogator-{number:03}" for number in range(356)]
    names += names[200:]
    figure = charts.plot_speakers(table(corpus=["emogator"] * len(names), speaker=names))
    labels = [label.get_text() for axes in figure.axes for label in axes.get_xticklabels()]
    assert len(labels) == charts.MOST_SPEAKERS
    assert min(labels) >= "200"
    assert figure.axes[0].get_title(loc="left") == "emogator, 104 of 356 speakers"


def test_the_map_has_at_most_so_many_clips_of_a_corpus_and_none_without_a_label():
    clips = table(corpus=["savee"] * 5 + ["tess"] * 2 + ["talk"], emotion=["sad"] * 7 + [None])
    assert list(choose_for_map(clips, 3)) == [0, 1, 2, 5, 6]


def test_languages_are_named_and_those_of_one_corpus_told():
    clips = table(
        language=["English", "English", "Turkish"],
        corpus=["savee", "tess", "turev_db"],
        duration=[3600.0] * 3,
    )
    text = describe_languages(clips)
    assert "English has 67% of 3.0 hours." in text
    assert "From one corpus only: Turkish" in text


def test_captions_say_what_the_table_holds():
    clips = table(
        emotion=["sad", "sad", "calm"], corpus=["savee", "tess", "tess"], speaker=["x", "x", "y"],
        split=["train", "test", "test"],
    )  # fmt: skip
    assert "most common is sad (2 clips), the rarest calm (1)" in describe_emotions(clips)
    assert "right for 66.7%" in describe_emotions(clips)
    assert "In one corpus only: calm (tess)" in describe_grid(clips)
    assert "1 of them are in two splits" in describe_speakers(clips)
    assert "No speaker is in two splits." in describe_speakers(clips[1:])


def test_neighbours_tell_what_the_features_hold():
    size = 240
    clips = table(
        corpus=np.repeat(["savee", "tess"], size // 2),
        speaker=np.repeat(["a", "b", "c", "d"], size // 4),
        emotion=["sad", "happy"] * (size // 2),
    )
    rng = np.random.default_rng(0)
    features = rng.normal(scale=0.1, size=(size, 2))
    features[:, 0] += clips["corpus"] == "tess"
    tells_corpus = score_neighbours(features, clips)
    assert tells_corpus.corpus == 1
    assert tells_corpus.emotion == pytest.approx(0.5, abs=0.15)
    assert tells_corpus.chance == 0.5
    # An emotion that sounds the other way round in the other corpus is known among speakers, not elsewhere.
    features[:, 1] += (clips["emotion"] == "sad") ^ (clips["corpus"] == "tess")
    score = score_neighbours(features, clips)
    assert score.emotion == 1
    assert score.emotion_elsewhere < 0.1
    assert "in 100% (guessing: 50%)" in describe_map(score)
    assert f"name the emotion in {score.emotion_elsewhere:.0%}" in describe_map(score)


def test_one_corpus_has_no_figures_about_corpora():
    clips = table(emotion=["sad", "happy"] * 60, speaker=["a", "b"] * 60)
    score = score_neighbours(np.zeros((120, 88)), clips)
    assert score is None
    assert "Too few corpora" in describe_map(score)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_label_has_a_colour_of_its_own(scheme):
    assert len({EMOTIONS[label] for label in SCHEMES[scheme]}) == len(SCHEMES[scheme])
