"""The command line."""

import csv
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, pause, speak, write_wav

from speech_emotion import EmotionClassifier
from speech_emotion.cli import main
from speech_emotion.inference.batch import classify_files, find_recordings, to_csv
from speech_emotion.inference.timeline import iter_timeline
from speech_emotion.models.folder import EXPORTS


@pytest.fixture
def hear(cnn_folder, capsys):
    def hear(*arguments) -> str:
        main([*map(str, arguments), "--model", str(cnn_folder)])
        return capsys.readouterr().out

    return hear


@pytest.fixture
def folder(tmp_path):
    write_wav(tmp_path / "calls" / "b.wav", speak())
    write_wav(tmp_path / "calls" / "inner" / "c.WAV", speak(200))
    write_wav(tmp_path / "calls" / "a.flac", pause(2))
    (tmp_path / "calls" / "broken.mp3").write_bytes(b"no sound at all")
    (tmp_path / "calls" / "notes.txt").write_text("not asked for")
    return tmp_path / "calls"


def test_a_clip_gets_a_sentence_or_json(hear, cnn_folder, folder):
    expected = EmotionClassifier.from_pretrained(cnn_folder).predict(folder / "b.wav")
    unsure = "which is too little to be sure"  # nobody measured this model
    assert hear(folder / "b.wav") == f"b.wav: {expected.label} ({expected.confidence:.0%}, {unsure})\n"
    answer = json.loads(hear(folder / "b.wav", "--json"))
    assert answer["label"] == expected.label
    assert answer["probabilities"] == pytest.approx(expected.probabilities)


def test_a_folder_gets_a_row_for_each_recording_and_one_bad_file_stops_nothing(hear, folder, tmp_path):
    main([str(folder), "--output", str(tmp_path / "out.csv")])
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [row["file"] for row in rows] == ["a.flac", "b.wav", "broken.mp3", "inner/c.WAV"]
    assert "only silence" in rows[0]["error"]
    assert "not audio" in rows[2]["error"]
    assert rows[1]["error"] == ""
    shares = [float(value) for name, value in rows[1].items() if name in ("angry", "happy", "sad")]
    assert max(shares) <= float(rows[1]["confidence"]) <= 1


def test_a_timeline_is_csv_or_json(hear, tmp_path):
    call = write_wav(tmp_path / "call.wav", np.concatenate([pause(1), speak(), pause(1), speak(), pause(1)]))
    rows = list(csv.DictReader(io.StringIO(hear(call, "--timeline"))))
    whole = json.loads(hear(call, "--timeline", "--json"))
    assert [float(row["start"]) for row in rows] == [each["start"] for each in whole["segments"]]
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("broken.mp3", "not audio"), ("gone.wav", "cannot be read"), ("empty", "no recording in")],
)
def test_a_source_without_an_answer_gets_a_sentence(folder, cnn_folder, name, sentence, capsys):
    (folder / "empty").mkdir()
    with pytest.raises(SystemExit, match=sentence) as ended:
        main([str(folder / name), "--model", str(cnn_folder)])
    assert isinstance(ended.value.code, str)  # Python prints it and ends with status 1
    assert capsys.readouterr().out == ""


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "speech_emotion", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_missing_file_is_reported_before_a_model_is_loaded(tmp_path):
    done = run(tmp_path / "gone.wav", "--model", tmp_path / "no-model")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "The file 'gone.wav' cannot be read: No such file or directory.\n"


@pytest.mark.slow
def test_an_answer_leaves_the_standard_error_empty(cnn_folder, folder):
    done = run(
        folder / "b.wav", "--model", cnn_folder
    )  # of PyTorch's weights, for which transformers has a bar
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("b.wav: ")


@pytest.mark.slow
def test_a_notice_about_an_export_goes_to_the_standard_error(cnn_folder, folder, tmp_path):
    model = shutil.copytree(cnn_folder, tmp_path / "model")
    export = model / next(iter(EXPORTS.values()))
    export.parent.mkdir(exist_ok=True)
    export.write_bytes(b"no export at all")
    done = run(folder / "b.wav", "--model", model, "--json")
    assert set(json.loads(done.stdout)["probabilities"]) == {"happy", "sad"}
    assert f"{export.name} cannot be run" in done.stderr


def test_a_name_that_a_spreadsheet_would_calculate_is_quoted(cnn_folder, tmp_path):
    path = write_wav(tmp_path / "=1+1.wav", speak())
    [row] = classify_files(EmotionClassifier.from_pretrained(cnn_folder), [(path.name, path)])
    assert row["file"] == "=1+1.wav"
    assert next(csv.DictReader(io.StringIO(to_csv([row]))))["file"] == "'=1+1.wav"


def test_recordings_are_found_by_their_names(folder):
    assert [path.name for path in find_recordings(folder)] == ["a.flac", "b.wav", "broken.mp3", "c.WAV"]


def test_a_reference_is_used_for_a_clip_a_timeline_and_a_folder(folder_with_head, tmp_path, capsys):
    def hear(*arguments) -> dict | list:
        main([*map(str, arguments), "--json", "--model", str(folder_with_head)])
        return json.loads(capsys.readouterr().out)

    folder = tmp_path / "mine"
    clip, plain = (
        write_wav(folder / "clip.wav", speak(250)),
        write_wav(folder / "plain.wav", speak(120, seed=1)),
    )
    (folder / "broken.mp3").write_bytes(b"no sound at all")
    classifier = EmotionClassifier.from_pretrained(folder_with_head)
    once, both = classifier.enroll([plain]), classifier.enroll([clip, plain])
    expected = classifier.predict(clip, reference=once).probabilities
    assert hear(clip, "--reference", plain)["probabilities"] == pytest.approx(expected)
    assert hear(clip)["probabilities"] != pytest.approx(expected)
    rows = {row["file"]: row for row in hear(folder, "--reference", "self")}
    expected = classifier.predict(clip, reference=both).row()
    assert {name: rows["clip.wav"][name] for name in expected} == pytest.approx(expected, abs=2e-4)
    assert rows["broken.mp3"]["error"]
    call = write_wav(tmp_path / "call.wav", np.concatenate([speak(), pause(1), speak(200, seed=2)]))
    [*_, timeline] = iter_timeline(classifier, call, reference="self")
    compared = hear(call, "--timeline", "--reference", "self")
    assert compared["segments"][0]["probabilities"] == pytest.approx(timeline.segments[0].probabilities)
    assert compared["segments"] != hear(call, "--timeline")["segments"]


def test_a_model_that_cannot_use_a_reference_says_so(cnn_folder, folder):
    with pytest.raises(SystemExit, match="it has no reference head"):
        main([str(folder / "b.wav"), "--reference", "self", "--model", str(cnn_folder)])
