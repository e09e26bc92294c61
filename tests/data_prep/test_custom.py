import io
import json
from pathlib import Path

import pytest
import soundfile
from command_line import prepare
from conftest import voice, write_wav
from datasets import Audio, ClassLabel, Dataset, Features, Value, config, load_from_disk

from data_prep import build
from data_prep.__main__ import print_notes
from data_prep.build import build_dataset, find_custom
from data_prep.custom import export_dataset, parse_source, read_source
from data_prep.publish import fill_card


def write_table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def labelled(dataset) -> set[tuple]:
    names = dataset["train"].features["emotion"].names
    return {
        (row["speaker"], names[row["emotion"]])
        for rows in dataset.values()
        for row in rows.select_columns(["speaker", "emotion"])
    }


def test_a_table_names_recordings_with_their_facts(tmp_path):
    table = write_table(
        tmp_path / "Interviews.csv",
        "\ufeffPath, Emotion,speaker,gender,age,language,notes\n"
        "clips/one.wav,Angry,anna,F,31,de,loud\n"
        "../two.wav,pleasant_surprise,ben,male,,,\n",
    )
    (one, two), skipped = find_custom([parse_source(str(table))])
    assert not skipped
    assert one.path == tmp_path / "clips" / "one.wav"
    assert (one.corpus, one.speaker, one.source_emotion) == ("interviews", "interviews-anna", "angry")
    assert (one.gender, one.age, one.language) == ("female", 31, "de")
    assert two.path.resolve() == tmp_path.parent / "two.wav"
    assert (two.source_emotion, two.gender, two.age, two.language) == (
        "pleasant surprise",
        "male",
        None,
        None,
    )


def test_json_lines_are_a_table_too(tmp_path):
    table = write_table(
        tmp_path / "mine.jsonl",
        '{"path": "/elsewhere/a.wav", "emotion": "sleepy", "speaker": 7, "age": 40}\n\n'
        '{"path": "b.wav", "emotion": "neutral", "speaker": null}\n',
    )
    (clip,), (skip,) = find_custom([parse_source(str(table))])
    assert (clip.path, clip.speaker, clip.age) == (Path("/elsewhere/a.wav"), "mine-7", 40)
    assert clip.source_emotion == "sleepiness"  # the policy's own word for its label sleepy
    assert (skip.path, skip.reason) == (tmp_path / "b.wav", "its row names no speaker, while others do")


def test_rows_that_make_no_clip_are_left_out_with_their_reasons(tmp_path):
    write_wav(tmp_path / "good.wav", voice())
    table = write_table(
        tmp_path / "mine.csv",
        "path,emotion,age\ngood.wav,happy,30\ngood.wav,melancholy,30\ngood.wav,happy,old\ngone.wav,sad,\n"
        "good.wav,,\n",
    )
    dataset, skipped = build_dataset(None, tmp_path / "out", custom_sources=[table], workers=1)
    assert labelled(dataset) == {("mine-unknown", "happy")}
    assert [(str(skip.path), skip.reason) for skip in skipped] == [
        ("good.wav", "the label policy has no word 'melancholy'"),
        ("good.wav", "its age 'old' is not a number"),
        ("good.wav", "the label policy has no word ''"),
        ("gone.wav", "The file 'gone.wav' cannot be read: No such file or directory."),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine.csv", "file,emotion\na.wav,sad\n", "mine.csv has no column path, only file, emotion"),
        ("mine.csv", "file,label\na.wav,sad\n", "no column path and no emotion"),
        ("mine.csv", "", "no column path"),
        ("mine.jsonl", '{"path": "a.wav"\n', "mine.jsonl is not a table that can be read"),
        ("mine.jsonl", "3\n", "mine.jsonl is not a table that can be read"),
        ("mine.xlsx", "", "neither a .csv nor a .jsonl"),
    ],
)
def test_a_table_that_cannot_be_read_is_a_sentence(name, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_source(parse_source(str(write_table(tmp_path / name, text))))


def test_names_of_sources_are_their_own(tmp_path):
    with pytest.raises(ValueError, match="no table or folder"):
        read_source(parse_source(str(tmp_path / "missing.csv")))
    for text in (write_table(tmp_path / "RAVDESS.csv", ""), f"Crema-D={tmp_path / 'mine.csv'}"):
        with pytest.raises(ValueError, match="name of a published corpus"):
            parse_source(str(text))
    (tmp_path / "mine").mkdir()
    table = write_table(tmp_path / "Mine.csv", "path,emotion\n")
    with pytest.raises(ValueError, match="Two sources are called mine"):
        find_custom([parse_source(str(tmp_path / "mine")), parse_source(str(table))])
    assert parse_source(f"Call-Centre 2={table}").name == "call_centre_2"
    odd = write_table(tmp_path / "a=b.csv", "path,emotion\n")
    assert (parse_source(str(odd)).name, parse_source(str(odd)).path) == ("a=b", odd)


def test_folders_of_emotions_have_one_unknown_speaker_and_alone_are_split_at_random(tmp_path):
    for number in range(20):
        write_wav(tmp_path / "mine" / ("angry", "Sad")[number % 2] / f"{number}.wav", voice(seed=number))
    write_wav(tmp_path / "mine" / "holiday" / "clip.WAV", voice(seed=20))
    result = prepare("--own", tmp_path / "mine", "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "Speakers leak" in result.stdout
    assert "mine names no speakers: its clips are split at random." in result.stdout
    assert "  mine/holiday/clip.WAV: the label policy has no word 'holiday'" in result.stdout
    dataset = load_from_disk(tmp_path / "out")
    assert {split: len(rows) for split, rows in dataset.items()} == {"train": 12, "validation": 4, "test": 4}
    assert json.loads((tmp_path / "out" / "preparation.json").read_text())["leaks_speakers"]
    assert labelled(dataset) == {("mine-unknown", "angry"), ("mine-unknown", "sad")}


def test_own_recordings_join_the_corpora_and_a_protocol_can_leave_them_out(small_corpora, tmp_path):
    lines = ["path,emotion,speaker"]
    for number in range(4):
        write_wav(tmp_path / f"{number}.wav", voice(seed=50 + number))
        lines.append(f"{number}.wav,happy,{number}")
    table = write_table(tmp_path / "mine.csv", "\n".join(lines))
    arguments = ("--corpora", small_corpora, "--own", table, "--output", tmp_path / "out")
    result = prepare(*arguments, "--protocol", "leave_out:mine")
    assert result.returncode == 0, result.stderr
    dataset = load_from_disk(tmp_path / "out")
    assert set(dataset["test"]["corpus"]) == {"mine"}
    assert len(dataset["test"]) == 4
    assert set(dataset["train"]["corpus"]) == {"ravdess", "savee"}
    report = json.loads((tmp_path / "out" / "preparation.json").read_text())
    assert (report["protocol"], report["leaks_speakers"]) == ("leave_out:mine", False)


def test_a_random_split_says_that_it_leaks(small_corpora, tmp_path, capsys):
    build_dataset(small_corpora, tmp_path / "out", protocol="random", workers=1)
    report = json.loads((tmp_path / "out" / "preparation.json").read_text())
    assert (report["protocol"], report["leaks_speakers"]) == ("random", True)
    print_notes(tmp_path / "out")
    assert capsys.readouterr().out.startswith("Speakers leak")


def test_a_protocol_that_cannot_be_is_refused_before_anything_is_decoded(
    small_corpora, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "check_audio", None)
    with pytest.raises(ValueError, match="no corpus 'theirs' to leave out"):
        build_dataset(small_corpora, tmp_path / "out", protocol="leave_out:theirs", workers=1)


def test_crema_d_is_labelled_by_what_listeners_heard_where_asked(tmp_path):
    folder = tmp_path / "CREMA-D"
    for number, name in enumerate(("1001_IEO_FEA_HI", "1001_IEO_ANG_HI", "1001_IEO_HAP_HI")):
        write_wav(folder / "AudioWAV" / f"{name}.wav", voice(seed=number))
    (folder / "processedResults").mkdir()
    (folder / "processedResults" / "summaryTable.csv").write_text(
        '"","FileName","VoiceVote"\n"1","1001_IEO_FEA_HI","S"\n"2","1001_IEO_ANG_HI","A:D"\n'
    )
    found = {}
    for label in ("intended", "perceived"):
        dataset, skipped = build_dataset(tmp_path, tmp_path / label, crema_d_label=label, workers=1)
        rows = dataset["train"].remove_columns("audio")  # actor 1001 is of fold 2
        names = rows.features["emotion"].names
        found[label] = {
            row["source_emotion"]: (names[row["emotion"]], row["perceived_emotion"]) for row in rows
        }
        report = json.loads((tmp_path / label / "preparation.json").read_text())
        assert report["crema_d_label"] == label
    assert found["intended"] == {
        "fear": ("fearful", "sad"), "anger": ("angry", "anger:disgust"), "happy": ("happy", None)
    }  # fmt: skip
    assert found["perceived"] == {"fear": ("sad", "sad")}
    assert {skip.path.stem: skip.reason for skip in skipped} == {
        "1001_IEO_ANG_HI": "listeners tied between anger and disgust",
        "1001_IEO_HAP_HI": "no listeners' votes on this clip in processedResults/summaryTable.csv",
    }


@pytest.fixture
def parquet_dataset(tmp_path, monkeypatch) -> Path:
    """A folder that load_dataset opens: two splits of encoded audio with a ClassLabel."""
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for split in ("train", "test"):
        columns = {"sound": [], "label": [], "who": [], "gender": []}
        for number, label in enumerate((0, 1, 0, -1)):
            buffer = io.BytesIO()
            soundfile.write(buffer, voice(seed=10 * len(split) + number), 16_000, format="FLAC")
            columns["sound"].append({"bytes": buffer.getvalue(), "path": f"{number}.flac"})
            columns["label"].append(label)
            columns["who"].append(f"{split}{number}")
            columns["gender"].append("f")
        storage = Features(
            {
                "sound": {"bytes": Value("binary"), "path": Value("string")},
                "label": ClassLabel(names=["happy", "wistful"]),
                "who": Value("string"),
                "gender": Value("string"),
            }
        )
        rows = Dataset.from_dict(columns, features=storage).cast_column("sound", Audio())
        (tmp_path / "Someone").mkdir(exist_ok=True)
        rows.to_parquet(tmp_path / "Someone" / f"{split}-00000-of-00001.parquet")
    return tmp_path / "Someone"


def test_a_hub_dataset_becomes_a_table_and_recordings(parquet_dataset, tmp_path):
    table = export_dataset(str(parquet_dataset), tmp_path / "export", speaker_column="who")
    dataset, skipped = build_dataset(None, tmp_path / "out", custom_sources=[table], workers=1)
    assert labelled(dataset) == {
        (f"someone-{speaker}", "happy") for speaker in ("train0", "train2", "test0", "test2")
    }
    assert set(dataset) == {"train", "validation", "test"}
    assert set(dataset["train"]["gender"]) == {"female"}
    assert {(str(skip.path), skip.reason) for skip in skipped} == {
        (f"Someone/{split}-{number}.flac", f"the label policy has no word {word!r}")
        for split in ("train", "test")
        for number, word in ((1, "wistful"), (3, ""))
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"audio_column": "voice"}, "no column voice, only sound, label, who, gender"),
        ({"label_column": "mood"}, "no column mood"),
        ({"speaker_column": "person"}, "no column person"),
    ],
)
def test_a_column_that_a_hub_dataset_lacks_is_a_sentence(columns, message, parquet_dataset, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_dataset(str(parquet_dataset), tmp_path / "export", **columns)


def test_the_command_reads_a_hub_dataset_and_leaves_nothing_behind(parquet_dataset, tmp_path):
    result = prepare("--hub_dataset", parquet_dataset, "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert labelled(load_from_disk(tmp_path / "out")) == {("someone-unknown", "happy")}
    assert "someone names no speakers: its clips are split at random." in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Someone", "cache", "out"]


def test_a_dataset_that_is_not_there_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    result = prepare("--hub_dataset", tmp_path / "empty", "--output", tmp_path / "out")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith(f"The dataset '{tmp_path / 'empty'}' cannot be opened")


def test_columns_that_the_dataset_lacks_are_kept_as_json(tmp_path):
    table = write_table(
        tmp_path / "MELD.csv",
        "path,emotion,source_emotion,speaker,language,dialogue,utterance,mood\n"
        "1.wav,happy,joy,MELD-joey,en,7,3,bright\n2.wav,neutral,,Ross,en,,,\n",
    )
    (one, two), skipped = find_custom([parse_source(f"meld={table}")])
    assert not skipped
    assert (one.speaker, one.source_emotion, one.policy_word) == ("meld-joey", "joy", "happy")
    assert (one.dialogue, json.loads(one.extra)) == ("meld-7", {"utterance": "3", "mood": "bright"})
    assert (two.speaker, two.source_emotion, two.dialogue, two.extra) == ("meld-Ross", "neutral", None, None)


def test_a_published_word_that_the_policy_lacks_is_kept_next_to_its_label(tmp_path):
    write_wav(tmp_path / "1.wav", voice())
    table = write_table(tmp_path / "ko.csv", "path,emotion,source_emotion,speaker\n1.wav,happy,기쁨,a\n")
    dataset, _ = build_dataset(None, tmp_path / "out", custom_sources=[table], workers=1)
    row = dataset["train"].remove_columns("audio")[0]
    assert (row["source_emotion"], row["emotion"]) == (
        "기쁨",
        dataset["train"].features["emotion"].str2int("happy"),
    )


def test_facts_of_a_whole_table_are_set_on_the_command_line(small_corpora, tmp_path):
    for number, sound in enumerate((voice(seed=80), voice(seed=81), voice(seed=82))):
        write_wav(tmp_path / f"{number}.wav", sound)
    bursts = write_table(
        tmp_path / "bursts.csv", "path,emotion,speaker,language\n0.wav,happy,a,\n1.wav,sad,b,fr\n"
    )
    talk = write_table(tmp_path / "talk.csv", "path,speaker,dialogue,text\n2.wav,a,9,well then\n")
    arguments = ["--corpora", small_corpora, "--own", f"laughs={bursts}", "--unlabelled", talk]
    arguments += [
        "--set",
        "laughs.channel=nonspeech",
        "--set",
        "laughs.language=zxx",
        "--set",
        "talk.language=en",
    ]
    result = prepare(*arguments, "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    dataset = load_from_disk(tmp_path / "out").remove_columns("audio")
    train = [row for row in dataset["train"] if row["corpus"] == "laughs"]
    assert {(row["channel"], row["language"]) for row in train} == {("nonspeech", "zxx"), ("nonspeech", "fr")}
    (plain,) = dataset["aside"]
    assert (plain["corpus"], plain["emotion"], plain["source_emotion"]) == ("talk", -1, None)
    assert (plain["dialogue"], plain["extra"], plain["language"]) == ("talk-9", '{"text": "well then"}', "en")
    assert "no label" in result.stdout


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("mine.mood=high", "not NAME.COLUMN=VALUE with a column of age, agreement, channel"),
        ("mine", "not NAME.COLUMN=VALUE"),
        ("yours.language=en", "--set names yours; the tables given are called mine."),
    ],
)
def test_a_fact_that_cannot_be_set_is_a_sentence(argument, message, tmp_path):
    table = write_table(tmp_path / "mine.csv", "path,emotion\n")
    result = prepare("--own", table, "--set", argument, "--output", tmp_path / "out")
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("argument", ["ravdes=.", "ravdess=nowhere", "ravdess"])
def test_a_corpus_that_cannot_be_named_so_is_a_sentence(argument, small_corpora, tmp_path):
    result = prepare("--corpora", small_corpora, "--corpus", argument, "--output", tmp_path / "out")
    assert result.returncode == 1
    assert "is not NAME=FOLDER" in result.stderr


def test_a_channel_that_is_none_is_refused(tmp_path):
    table = write_table(tmp_path / "mine.csv", "path,emotion,channel\na.wav,sad,radio\n")
    _, (skip,) = find_custom([parse_source(str(table))])
    assert skip.reason == "its channel 'radio' is none of speech, song, nonspeech"


def test_a_table_without_emotions_is_refused_with_the_way_to_bring_it_in(tmp_path):
    table = write_table(tmp_path / "talk.csv", "path,speaker\na.wav,x\n")
    with pytest.raises(
        ValueError, match=r"no column emotion, only path, speaker[.] A table without emotions comes in with"
    ):
        find_custom([parse_source(str(table))])
    (clip,), _ = find_custom([parse_source(str(table), labelled=False)])
    assert clip.source_emotion is None


def test_recordings_without_speakers_test_where_other_corpora_train(small_corpora, tmp_path):
    for number, emotion in enumerate(("happy", "sad", "angry")):
        write_wav(tmp_path / "mine" / emotion / f"{number}.wav", voice(seed=90 + number))
    arguments = ("--corpora", small_corpora, "--own", tmp_path / "mine", "--output", tmp_path / "out")
    result = prepare(*arguments)
    assert "mine only tests; --train mine trains on it." in result.stdout
    found = {split: set(rows["corpus"]) for split, rows in load_from_disk(tmp_path / "out").items()}
    assert "mine" in found["test"]
    assert "mine" not in found["train"] | found["validation"]
    assert prepare(*arguments, "--train", "mine").returncode == 0
    found = {split: set(rows["corpus"]) for split, rows in load_from_disk(tmp_path / "out").items()}
    assert "mine" in found["train"]
    assert "mine" not in found["test"] | found["validation"]


def test_a_set_of_nearly_one_label_is_set_aside_with_a_warning(small_corpora, tmp_path):
    for number in range(3):
        write_wav(tmp_path / f"{number}.wav", voice(seed=100 + number))
    rows = "".join(f"{number}.wav,angry,ann{number}\n" for number in range(3))
    table = write_table(tmp_path / "calls.csv", f"path,emotion,speaker\n{rows}")
    arguments = ("--corpora", small_corpora, "--own", table, "--output", tmp_path / "out")
    result = prepare(*arguments)
    assert (
        "Warning: calls has nearly one label: 100% of its 3 clips are angry (1.0 labels in effect, 2.0 in the other "
        "corpora). A classifier would learn the label from its microphone. It is set aside; --train calls trains on it."
    ) in result.stdout
    assert set(load_from_disk(tmp_path / "out")["aside"]["corpus"]) == {"calls"}
    result = prepare(*arguments, "--train", "calls")
    assert "It trains all the same." in result.stdout
    assert "calls" in load_from_disk(tmp_path / "out")["train"]["corpus"]


@pytest.mark.parametrize(
    ("encoding", "separator"), [("utf-16", ";"), ("utf-8", ";"), ("utf-8", "\t"), ("utf-16-be", ",")]
)
def test_tables_as_spreadsheets_write_them_are_read(encoding, separator, tmp_path):
    text = "path,emotion,speaker\nclips/a.wav,happy,Zoë\n".replace(",", separator)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (tmp_path / "mine.csv").write_bytes(mark + text.encode(encoding))
    assert read_source(parse_source(str(tmp_path / "mine.csv"))) == [
        (tmp_path / "clips" / "a.wav", {"path": "clips/a.wav", "emotion": "happy", "speaker": "Zoë"})
    ]


def test_three_clips_of_each_emotion_without_speakers_are_enough_for_three_splits(tmp_path):
    for number in range(6):
        write_wav(tmp_path / "mine" / ("angry", "sad")[number % 2] / f"{number}.wav", voice(seed=number))
    dataset, _ = build_dataset(None, tmp_path / "out", custom_sources=[tmp_path / "mine"], workers=1)
    assert {split: len(rows) for split, rows in dataset.items()} == {"train": 2, "validation": 2, "test": 2}
    report = json.loads((tmp_path / "out" / "preparation.json").read_text())
    assert report["leaks_speakers"]
    assert "mine names no speakers: its clips are split at random." in report["warnings"][0]


MOODS = ("boredom", "contempt", "Relief_at last", "small talk")


@pytest.fixture
def moods(tmp_path) -> Path:
    """A company's table of moods that no policy knows, three speakers of each."""
    lines = ["path,emotion,speaker"]
    for number in range(12):
        write_wav(tmp_path / f"{number}.wav", voice(100 + 10 * number, seed=number))
        lines.append(f"{number}.wav,{MOODS[number % 4]},speaker {number // 4}")
    return write_table(tmp_path / "calls.csv", "\n".join(lines))


def test_the_words_of_a_table_are_the_labels_with_the_scheme_own(moods, tmp_path):
    result = prepare("--own", moods, "--scheme", "own", "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    dataset = load_from_disk(tmp_path / "out")
    names = ["boredom", "contempt", "relief at last", "small talk"]
    assert dataset["train"].features["emotion"].names == names
    assert {name for _, name in labelled(dataset)} == set(names)
    assert json.loads((tmp_path / "out" / "preparation.json").read_text())["scheme"] == "own"
    card = fill_card(
        dataset, json.loads((tmp_path / "out" / "preparation.json").read_text()), "you/calls", private=True
    )
    assert "| relief at last | relief at last | as its publisher says |" in card


def test_a_table_of_words_and_labels_is_a_scheme(moods, tmp_path):
    scheme = write_table(
        tmp_path / "scheme.csv",
        "word;label\nboredom;Tired\ncontempt;Tired\nrelief at last;glad\nsmall talk;\n",
    )
    result = prepare("--own", moods, "--scheme", scheme, "--output", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    dataset = load_from_disk(tmp_path / "out")
    assert dataset["train"].features["emotion"].names == ["glad", "tired"]
    assert sum(map(len, dataset.values())) == 9
    assert "'small talk' has no label in the table of labels" in result.stdout


@pytest.mark.parametrize(
    ("scheme", "words", "sentence"),
    [
        ("core9", ["happy", "sad"], "There is no label scheme and no table 'core9'"),
        ("own", ["happy", "happy"], "This makes no dataset: it has 1 labels, and there must be 2 to 50."),
        ("own", [f"mood {number}" for number in range(51)], "it has 51 labels"),
        ("own", ["happy", "confidence"], "its label 'confidence' means something else in tables"),
        ("own", ["happy", "x" * 41], "is longer than 40 characters"),
        ("own", ["happy", "sad\x07"], "is no word"),
    ],
)
def test_labels_that_make_no_set_are_a_sentence(scheme, words, sentence, tmp_path):
    lines = [f"{number}.wav,{word}" for number, word in enumerate(words)]
    table = write_table(tmp_path / "mine.csv", "\n".join(["path,emotion", *lines]))
    result = prepare("--own", table, "--scheme", scheme, "--output", tmp_path / "out")
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
