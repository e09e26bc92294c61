"""An archive of recordings: its inputs, its processes, its tables, and that nothing is lost or done twice."""

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pandas
import psutil
import pyarrow.parquet as pq
import pytest
import soundfile
from archives import (
    answer_three_ways,
    archive_command,
    finish,
    finish_without,
    kill_after,
    read_tables,
    write_bad,
)
from bad_audio import LONG, SOUND, encode, make_inputs
from cluster import start_cluster
from conftest import ROOT, pause, speak, write_wav
from datasets import Audio, Dataset
from stand_ins import answer_stand_in

from speech_emotion.audio.decoding import AudioError, NamedBytes
from speech_emotion.cli import main
from speech_emotion.inference import annotate
from speech_emotion.inference.archive.answers import answer
from speech_emotion.inference.archive.cluster import MOST_BLOCKS, connect, cut
from speech_emotion.inference.archive.inputs import ArchiveError, Source, StorageError, list_recordings
from speech_emotion.inference.archive.processes import answer_here, answer_in_processes
from speech_emotion.inference.archive.runner import run_archive
from speech_emotion.inference.archive.shards import open_archive
from speech_emotion.inference.archive.tables import TABLES, Rows, readable
from speech_emotion.inference.classifier import EmotionClassifier

SHIPPED = ROOT / "models" / "cnn"


# Inputs


@pytest.fixture
def folder(tmp_path):
    """A folder with three recordings and a text."""
    for name in ("b.wav", "inner/a.WAV", "B.flac"):
        write_wav(tmp_path / "calls" / name, speak())
    (tmp_path / "calls" / "notes.txt").write_text("no recording")
    return tmp_path / "calls"


@pytest.fixture
def server(folder):
    """The folder behind a web server; `refused` holds the paths that the server answers with an error."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def send_head(self):
            if self.path in server.refused:
                return self.send_error(503)
            return super().send_head()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder.parent))
    )
    server.refused = set()
    server.address = f"http://127.0.0.1:{server.server_port}/{folder.name}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_folder_lists_what_is_named_like_audio_in_the_order_of_bytes(folder):
    source, names = list_recordings(str(folder))
    assert names == ["B.flac", "b.wav", "inner/a.WAV"]
    assert source.read("inner/a.WAV") == folder / "inner" / "a.WAV"


def test_a_bucket_lists_the_same_names(folder, server):
    assert list_recordings(server.address)[1] == list_recordings(str(folder))[1]
    memory = fsspec.filesystem("memory")
    for name in list_recordings(str(folder))[1]:
        memory.pipe(f"/calls/{name}", (folder / name).read_bytes())
    assert list_recordings("memory://calls")[1] == list_recordings(str(folder))[1]
    for address in (server.address, "memory://calls", "memory://calls/"):
        read = list_recordings(address)[0].read("inner/a.WAV")
        assert read == NamedBytes((folder / "inner" / "a.WAV").read_bytes(), "inner/a.WAV")


def test_a_list_holds_paths_and_addresses_once_each(folder, server, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "list.txt").write_text(f"b.wav\n\n{server.address}/B.flac\nb.wav\n{folder}/inner/a.WAV\n")
    source, names = list_recordings("list.txt")
    assert sorted(names) == names == [f"{folder}/inner/a.WAV", "b.wav", f"{server.address}/B.flac"]
    monkeypatch.chdir("/")
    assert source.read("b.wav") == folder / "b.wav"
    assert source.read(f"{folder}/inner/a.WAV") == folder / "inner" / "a.WAV"
    assert source.read(f"{server.address}/B.flac").content == (folder / "B.flac").read_bytes()


def test_one_recording_is_an_archive(folder, server):
    assert list_recordings(str(folder / "b.wav")) == (Source(str(folder)), ["b.wav"])
    assert list_recordings(f"{server.address}/b.wav") == (Source(server.address), ["b.wav"])


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("gone", "There is nothing at 'gone'."),
        ("empty", "There is no recording in 'empty'."),
        ("http://127.0.0.1:9/calls", "'http://127.0.0.1:9/calls' cannot be read|There is nothing at"),
        ("unknown://calls", "'unknown://calls' cannot be read: Protocol not known: unknown."),
    ],
)
def test_an_input_that_cannot_be_used_is_a_sentence(address, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchiveError, match=sentence):
        list_recordings(address)


def test_a_recording_that_is_gone_differs_from_one_that_the_storage_refuses(folder, server):
    for address in (str(folder), server.address):
        with pytest.raises(AudioError, match=r"'gone.wav' cannot be read: there is no such file") as caught:
            Source(address).read("gone.wav")
        assert not isinstance(caught.value, StorageError)
    server.refused.add("/calls/b.wav")
    with pytest.raises(StorageError, match="cannot be read: 503"):
        Source(server.address).read("b.wav")


def test_a_name_that_is_not_utf8_is_found_and_stored_readably(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    (tmp_path / name).write_bytes(encode())
    source, names = list_recordings(str(tmp_path))
    assert names == [name]
    assert source.read(name).exists()
    assert readable(name) == "caf\N{REPLACEMENT CHARACTER}.wav"


# Processes


def test_the_order_is_that_of_the_names_whatever_the_number_of_processes():
    names = [f"{number}.wav" for number in range(60)]
    rows = [each.recordings[0] for each in answer_in_processes(answer_stand_in, names, 2)]
    assert [row["recording"] for row in rows] == names
    assert {row["engine"] for row in rows} == {"1"}, "a process has more than one thread"
    assert [each.recordings[0]["recording"] for each in answer_here(answer_stand_in, names)] == names


@pytest.mark.slow
def test_a_recording_that_ends_its_process_is_a_failure_and_stops_nothing():
    names = [f"{number}.wav" for number in range(40)]
    names[3] = names[30] = "crash.wav"
    rows = list(answer_in_processes(answer_stand_in, names, 2))
    assert [len(each.failed) for each in rows] == [int(name == "crash.wav") for name in names]
    assert rows[3].failed[0]["reason"].startswith("The process that read this recording was ended")
    assert [each.recordings[0]["recording"] for each in rows if each.recordings] == [
        name for name in names if name != "crash.wav"
    ]


def test_an_error_of_the_model_is_raised():
    with pytest.raises(ArchiveError, match="The model is gone"):
        list(answer_in_processes(answer_stand_in, ["1.wav", "error.wav"], 1))


# Tables


def fill(
    folder: Path, names: list[str], size: int = 3, facts: dict | None = None, stop: int = 99
) -> list[int]:
    """Make an archive of stand-in rows; return the numbers of the shards made, `stop` at most."""
    made = []
    with open_archive(folder, facts or {"input": "here"}, ["angry", "calm"]) as archive:
        for shard in archive.plan(names, size)[:stop]:
            archive.write(shard, [stand_in_rows(name) for name in shard.names])
            made.append(shard.number)
        if stop == 99:
            archive.write_manifest(complete=True)
    return made


def stand_in_rows(name: str) -> Rows:
    if name.startswith("away"):
        return Rows.failure(name, "The storage is away.", try_again=True)
    if name.startswith("bad"):
        return Rows.failure(name, "This is no sound.")
    answer = {"recording": name, "emotion": "angry", "confidence": 0.75, "sure": True}
    answer["probabilities"] = {"angry": 0.75, "calm": 0.25}
    utterances = [answer | {"utterance": number, "start": number, "end": number + 1} for number in (1, 2)]
    return Rows([answer | {"utterances": 2, "seconds": 10.0}], utterances, seconds=10.0)


NAMES = ["a.wav", "b.wav", "bad.wav", "c.wav", "d.wav", "e.wav", "f.wav"]


def test_shards_hold_the_recordings_in_order_and_the_manifest_counts_them(tmp_path):
    assert fill(tmp_path / "out", NAMES) == [0, 1, 2]
    tables = {table: pandas.read_parquet(tmp_path / "out" / table) for table in TABLES}
    assert tables["recordings"]["recording"].tolist() == [name for name in NAMES if name != "bad.wav"]
    assert tables["utterances"]["utterance"].tolist() == [1, 2] * 6
    assert tables["failed"].to_dict("records") == [
        {"recording": "bad.wav", "reason": "This is no sound.", "try_again": False}
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    expected = {"complete": True, "files": 7, "failed": 1, "utterances": 12, "seconds": 60.0}
    assert {key: manifest[key] for key in expected} == expected
    for table, columns in manifest["columns"].items():
        schema = pq.read_schema(tmp_path / "out" / table / "part-000000.parquet")
        assert schema.names == list(columns)
        assert {each.name: each.metadata[b"description"].decode() for each in schema} == columns


def test_a_stopped_archive_continues_and_ends_like_one_that_was_not_stopped(tmp_path):
    fill(tmp_path / "whole", NAMES)
    assert fill(tmp_path / "out", NAMES, stop=1) == [0]
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    assert fill(tmp_path / "out", NAMES) == [1, 2]
    assert read_tables(tmp_path / "out") == read_tables(tmp_path / "whole")
    assert fill(tmp_path / "out", NAMES) == []


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("what", ["absent", "cut off", "empty"])
def test_a_shard_that_is_not_whole_is_made_again(table, what, tmp_path):
    fill(tmp_path / "out", NAMES)
    before = read_tables(tmp_path / "out")
    file = tmp_path / "out" / table / "part-000001.parquet"
    if what == "absent":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 40 if what == "cut off" else 0])
    (file.parent / ".part-000002.parquet.part").write_bytes(b"left by a killed run")
    assert fill(tmp_path / "out", NAMES) == [1]
    assert read_tables(tmp_path / "out") == before


def test_new_recordings_follow_all_earlier_ones(tmp_path):
    fill(tmp_path / "out", NAMES)
    before = read_tables(tmp_path / "out")
    assert fill(tmp_path / "out", ["0.wav", *NAMES, "g.wav"]) == [3]
    after = read_tables(tmp_path / "out")
    assert before.items() < after.items()
    assert pandas.read_parquet(tmp_path / "out" / "recordings")["recording"].tolist()[-2:] == [
        "0.wav",
        "g.wav",
    ]


def test_the_next_run_retries_recordings_that_the_storage_refused(tmp_path):
    fill(tmp_path / "out", ["a.wav", "away.wav", "b.wav", "bad.wav"], size=2)
    assert fill(tmp_path / "out", ["a.wav", "away.wav", "b.wav", "bad.wav"], size=2) == [0]


def test_another_archive_is_not_mixed_in_and_other_files_are_left_alone(tmp_path):
    fill(tmp_path / "out", NAMES, facts={"weights": "1"})
    with pytest.raises(ArchiveError, match=r"is an archive with another weights \(1, not 2\)"):
        fill(tmp_path / "out", NAMES, facts={"weights": "2"})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for place in ("mine", "file"):
        with pytest.raises(ArchiveError, match="is not an archive"):
            fill(tmp_path / place, NAMES)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_two_runs_at_once_are_refused(tmp_path):
    with (
        open_archive(tmp_path / "out", {}, ["angry", "calm"]),
        pytest.raises(ArchiveError, match="Another process is writing"),
        open_archive(tmp_path / "out", {}, ["angry", "calm"]),
    ):
        pass


def test_the_documented_queries_find_the_calls_that_turned_angry_after_minute_three(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = {
        "calm.wav": [("calm", True, 10), ("calm", True, 200)],
        "early.wav": [("angry", True, 10), ("angry", True, 200)],
        "late.wav": [("calm", True, 10), ("angry", False, 100), ("angry", True, 190.5), ("angry", True, 300)],
        "unsure.wav": [("calm", True, 10), ("angry", False, 200)],
    }
    with open_archive(Path("answers"), {}, ["angry", "calm"]) as archive:
        for shard in archive.plan(list(calls), 2):
            archive.write(shard, [Rows(utterances=utterances(name, calls[name])) for name in shard.names])
    text = (ROOT / "docs" / "archive.md").read_text()
    [query] = re.findall("```sql\n(.*?)```", text, re.DOTALL)
    assert duckdb.sql(query).fetchall() == [("late.wav", None, 190.5)]
    [code] = [code for code in re.findall("```python\n(.*?)```", text, re.DOTALL) if "pandas" in code]
    found = {}
    exec(code, found)
    assert found["turned"].reset_index()[["recording", "start"]].values.tolist() == [["late.wav", 190.5]]


def utterances(name: str, answers: list[tuple[str, bool, float]]) -> list[dict]:
    return [
        {
            "recording": name,
            "utterance": number,
            "start": start,
            "end": start + 2,
            "emotion": emotion,
            "sure": sure,
        }
        for number, (emotion, sure, start) in enumerate(answers, start=1)
    ]


def write_call(file: Path) -> Path:
    """Write a stereo call: two utterances on the left, one between them on the right."""
    left, right = np.zeros((2, 12 * 16_000), np.float32)
    left[16_000:48_000], left[112_000:144_000] = speak(120), speak(130)
    right[64_000:96_000] = speak(230)
    return write_wav(file, np.stack([left, right], axis=1))


def test_a_stereo_call_has_a_row_for_each_channel_and_a_copied_channel_is_no_person(cnn_folder, tmp_path):
    call = write_call(tmp_path / "call.wav")
    mixed = soundfile.read(call)[0].sum(axis=1)
    copied = write_wav(tmp_path / "copied.wav", np.stack([mixed, mixed], axis=1))
    classifier = EmotionClassifier.from_pretrained(cnn_folder)
    rows = answer(classifier, "call.wav", call)
    assert [(row["channel"], row["utterances"]) for row in rows.recordings] == [("left", 2), ("right", 1)]
    assert [row["channel"] for row in rows.utterances] == ["left", "right", "left"]
    assert [row["utterance"] for row in rows.utterances] == [1, 2, 3]
    assert [row["start"] for row in rows.utterances] == sorted(row["start"] for row in rows.utterances)
    assert rows.seconds == 12
    assert [row["channel"] for row in answer(classifier, "copied.wav", copied).recordings] == [None]


def test_a_speakers_own_utterances_are_the_reference_where_there_are_several(folder_with_head, tmp_path):
    call = write_call(tmp_path / "call.wav")
    classifier = EmotionClassifier.from_pretrained(folder_with_head)
    plain, compared = (answer(classifier, "call.wav", call, own_voice=own) for own in (False, True))
    differ = [
        one["probabilities"] != other["probabilities"]
        for one, other in zip(plain.utterances, compared.utterances, strict=True)
    ]
    assert [each["channel"] for each in compared.utterances] == ["left", "right", "left"]
    assert differ == [True, False, True]  # on the right there is one utterance


def test_a_model_without_a_reference_head_is_refused_where_one_is_asked_for(cnn_folder, tmp_path):
    call = write_call(tmp_path / "call.wav")
    with pytest.raises(ArchiveError, match="it has no reference head"):
        run_archive(str(call), tmp_path / "out", str(cnn_folder), own_voice=True)
    assert not (tmp_path / "out").exists()


# Runs that are killed


def stand_in_run(folder: Path, *cluster: str) -> list[str]:
    """Return the command that makes an archive of 150 stand-in recordings, in 6 shards."""
    return [sys.executable, str(ROOT / "tests" / "stand_ins.py"), str(folder), "150", *cluster]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """The archive of the stand-in recordings."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "answers"
    finish(stand_in_run(folder))
    return folder


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(uninterrupted, tmp_path):
    for shards in (1, 2, 4):
        children = kill_after(stand_in_run(tmp_path / "out"), tmp_path / "out", shards)
        assert not psutil.wait_procs(children, timeout=30)[1], "processes outlive the one that started them"
        for name, content in read_tables(tmp_path / "out").items():
            assert content == (uninterrupted / name).read_bytes()
    finish(stand_in_run(tmp_path / "out"))
    assert read_tables(tmp_path / "out") == read_tables(uninterrupted)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]


def test_a_process_killed_under_a_run_loses_nothing(uninterrupted, tmp_path):
    finish_without(kill_a_worker, stand_in_run(tmp_path / "out"), tmp_path / "out", 1)
    assert read_tables(tmp_path / "out") == read_tables(uninterrupted)


def kill_a_worker(run: psutil.Process) -> None:
    next(each for each in run.children() if "spawn_main" in " ".join(each.cmdline())).kill()


@pytest.mark.slow
@pytest.mark.serial
def test_a_cluster_has_the_same_tables_though_a_node_is_killed(uninterrupted, tmp_path):
    pytest.importorskip("ray")
    with start_cluster(nodes=2) as cluster:
        run, node = stand_in_run(tmp_path / "out", cluster.address), next(iter(cluster.worker_nodes))
        finish_without(lambda _: cluster.remove_node(node, allow_graceful=False), run, tmp_path / "out", 1)
    assert read_tables(tmp_path / "out") == read_tables(uninterrupted)


@pytest.mark.slow
@pytest.mark.serial
def test_a_run_on_a_cluster_that_is_killed_is_finished_on_one_machine(uninterrupted, tmp_path):
    pytest.importorskip("ray")
    with start_cluster(nodes=1) as cluster:
        kill_after(stand_in_run(tmp_path / "out", cluster.address), tmp_path / "out", 2)
    finish(stand_in_run(tmp_path / "out"))
    assert read_tables(tmp_path / "out") == read_tables(uninterrupted)


# The whole, with the shipped CNN


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Path:
    """A folder of 24 short calls, and the files that a robust program must survive."""
    folder = tmp_path_factory.mktemp("whole") / "calls"
    for number in range(24):
        speech = [speak(100 + 8 * number, seconds=1.5, seed=number), pause(0.6), speak(220, 1, seed=number)]
        write_wav(folder / f"{number:02}.wav", np.concatenate(speech[: 3 - number % 2]))
    write_bad(folder / "bad")
    return folder


def command(calls: Path | str, output: Path, *options: str) -> list[str]:
    return archive_command(calls, output, "--model", str(SHIPPED), "--shard-size", "20", *options)


@pytest.fixture(scope="module")
def whole(calls, tmp_path_factory) -> Path:
    """The archive of the calls, made by one process."""
    output = tmp_path_factory.mktemp("whole") / "answers"
    said = finish(command(calls, output, "--processes", "1"))
    assert "Traceback" not in said
    assert "hours of sound" in said
    return output


@pytest.mark.slow
def test_every_recording_is_in_one_table_with_the_answer_that_every_entrance_gives(calls, whole):
    names = list_recordings(str(calls))[1]
    answered = pandas.read_parquet(whole / "recordings").set_index("recording")
    failed = pandas.read_parquet(whole / "failed").set_index("recording")
    assert sorted([*answered.index, *failed.index], key=os.fsencode) == names
    assert not failed["try_again"].any()
    assert failed["reason"].str.endswith((".", "?")).all()
    refused = {f"bad/{bad.name}" for bad in make_inputs() if bad.says and bad.says not in (SOUND, LONG)}
    assert set(names) & refused == set(failed.index) & refused
    classifier = EmotionClassifier.from_pretrained(SHIPPED)
    utterances = pandas.read_parquet(whole / "utterances").set_index("recording")
    for name in ("00.wav", "01.wav"):
        prediction = classifier.predict(calls / name)
        row = answered.loc[name]
        assert (row["emotion"], row["sure"], row["mixed"]) == (
            prediction.label,
            prediction.sure,
            prediction.mixed,
        )
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-4)
        assert row["utterances"] == len(prediction.utterances)
        expected = [[round(each.start, 2), round(each.end, 2), each.label] for each in prediction.utterances]
        assert utterances.loc[[name], ["start", "end", "emotion"]].values.tolist() == expected


@pytest.mark.slow
def test_two_processes_killed_once_have_the_tables_of_one(calls, whole, tmp_path):
    kill_after(command(calls, tmp_path / "out", "--processes", "2"), tmp_path / "out", 1)
    finish(command(calls, tmp_path / "out"))
    assert read_tables(tmp_path / "out") == read_tables(whole)


@pytest.mark.slow
def test_a_bucket_has_the_same_tables(calls, whole, tmp_path):
    memory = fsspec.filesystem("memory")
    for name in list_recordings(str(calls))[1]:
        memory.pipe(f"/whole/{name}", (calls / name).read_bytes())
    summary = run_archive("memory://whole", tmp_path / "out", str(SHIPPED), shard_size=20, progress=False)
    assert read_tables(tmp_path / "out") == read_tables(whole)
    totals = json.loads((whole / "manifest.json").read_text())
    assert (summary.files, summary.failed) == (totals["files"], totals["failed"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone", "--output", "out"], "There is nothing at 'gone'."),
        ([".", "--output", "out", "--model", "gone"], "The model 'gone' cannot be loaded"),
        ([".", "--output", "out", "--processes", "0"], "argument --processes: invalid positive value: '0'"),
    ],
)
def test_a_command_that_cannot_run_ends_with_a_sentence(arguments, sentence, calls, monkeypatch, capsys):
    monkeypatch.chdir(calls)
    with pytest.raises(SystemExit) as caught:
        main(["archive", *arguments])
    assert sentence in f"{caught.value} {capsys.readouterr().err}"


# Datasets


@pytest.mark.slow
@pytest.mark.parametrize("way", ["one process", "two processes", "streamed"])
def test_a_dataset_gets_the_answers_as_columns(way, calls, whole):
    files = [str(calls / name) for name in ("00.wav", "01.wav", "bad/empty.wav")]
    rows = Dataset.from_dict({"audio": files, "id": [0, 1, 2]}).cast_column("audio", Audio())
    if way == "streamed":
        rows = annotate(rows.to_iterable_dataset(), str(SHIPPED))
    else:
        rows = annotate(rows, str(SHIPPED), processes=2 if way == "two processes" else None)
    assert rows.features["audio"] == Audio()
    found = list(rows.cast_column("audio", Audio(decode=False)))
    expected = pandas.read_parquet(whole / "recordings").set_index("recording")
    assert [row["id"] for row in found] == [0, 1, 2]
    for row, name in zip(found[:2], ("00.wav", "01.wav"), strict=True):
        assert row["predicted_emotion"] == expected.loc[name, "emotion"]
        assert row["predicted_probabilities"] == pytest.approx(expected.loc[name, "probabilities"])
        assert len(row["predicted_utterances"]) == expected.loc[name, "utterances"]
        assert row["prediction_error"] is None
    assert found[2]["predicted_emotion"] is None
    assert found[2]["prediction_error"] == "The file is empty."


def test_a_dataset_of_paths_is_answered_and_one_without_the_column_is_refused(calls):
    rows = Dataset.from_dict({"file": [str(calls / "00.wav"), str(calls / "gone.wav")]})
    found = annotate(rows, str(SHIPPED), column="file")
    assert found[0]["predicted_emotion"]
    assert "there is no such file" in found[1]["prediction_error"]
    with pytest.raises(ValueError, match="The dataset has no column 'audio'; it has file"):
        annotate(rows, str(SHIPPED))


# Ray


@pytest.mark.slow
@pytest.mark.serial
def test_a_cluster_has_the_same_tables(calls, whole, tmp_path):
    pytest.importorskip("ray")
    with start_cluster(nodes=2) as cluster:
        finish(command(calls, tmp_path / "out", "--ray", cluster.address))
    assert read_tables(tmp_path / "out") == read_tables(whole)


@pytest.mark.slow
@pytest.mark.serial
def test_sixty_recordings_and_ten_bad_ones_have_the_same_tables_in_all_ways(tmp_path):
    pytest.importorskip("ray")
    for number in range(60):
        write_wav(tmp_path / "calls" / f"{number:03}.wav", speak(90 + number, seconds=0.6, seed=number))
    write_bad(tmp_path / "calls" / "bad", 10)
    found = answer_three_ways(
        tmp_path / "calls", tmp_path, ["--model", str(SHIPPED), "--shard-size", "10"], kills=[2, 5]
    )
    assert (found["files"], found["failed"] > 0) == (70, True)
    assert found["same"] == {"2 processes": True, "Ray, 2 nodes": True}


@pytest.mark.parametrize(("count", "size"), [(1, 1), (100, 8), (1_000_000, 50)])
def test_a_cluster_gets_the_names_in_their_order_in_blocks_that_are_not_too_many(count, size):
    names = [str(number) for number in range(count)]
    blocks = cut(names)
    assert len(blocks[0]) == size
    assert len(blocks) <= MOST_BLOCKS
    assert [name.decode() for block in blocks for name in block["name"].to_pylist()] == names


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_a_sentence():
    pytest.importorskip("ray")
    with pytest.raises(ArchiveError, match=r"The Ray cluster '127.0.0.1:9' cannot be reached"):
        connect("127.0.0.1:9")


@pytest.mark.slow
def test_a_token_that_is_missing_is_a_sentence(folder, server, tmp_path):
    pytest.importorskip("ray")
    address = server.address.split("/")[2]  # something listens there
    environment = os.environ | {"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)}
    run = command(folder, tmp_path / "out", "--ray", address)
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"The Ray cluster '{address}' cannot be reached: Token authentication is enabled" in done.stderr
    assert "Traceback" not in done.stderr
