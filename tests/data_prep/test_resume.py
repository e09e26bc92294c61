import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, voice, write_wav
from datasets import load_from_disk

from data_prep import build, decode_cache
from data_prep.build import build_dataset
from data_prep.checks import check_audio
from data_prep.decode_cache import open_cache

pytestmark = pytest.mark.slow


def start(corpora: Path, output: Path, *arguments, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "data_prep", "--corpora", corpora, "--output", output, *arguments]
    return subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    return process.returncode, errors


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lines(output: Path) -> list[str]:
    index = output.parent / f".{output.name}.partial" / "index.jsonl"
    return index.read_text().splitlines() if index.exists() else []


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def many_corpora(tmp_path_factory) -> Path:
    """240 clips of 15 actors, long enough to be interrupted, and a damaged one."""
    root = tmp_path_factory.mktemp("many")
    for number in range(240):
        emotion, statement, actor = 1 + number % 8, 1 + number // 8 % 2, 1 + number // 16
        name = f"03-01-{emotion:02}-01-{statement:02}-01-{actor:02}.wav"
        write_wav(root / name, voice(100 + number, seconds=4, seed=number), 48_000)
    (root / "03-01-01-01-01-02-01.wav").write_bytes(b"RIFF")
    return root


@pytest.fixture(scope="module")
def unbroken(many_corpora, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("unbroken") / "emotion"
    build_dataset(many_corpora, output, workers=1)
    return contents(output)


def test_a_killed_run_resumes_and_ends_in_the_same_bytes(many_corpora, unbroken, tmp_path):
    output = tmp_path / "emotion"
    process = start(many_corpora, output, "--workers", 2)
    while len(lines(output)) < 30 and process.poll() is None:
        time.sleep(0.01)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    finish(process)
    done = len(lines(output))
    assert 30 <= done < 240
    assert not output.exists()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)  # they do not outlive it
    code, errors = finish(start(many_corpora, output, "--workers", 2))
    assert code == 0
    assert f"{done - 1}/241 [00:00<?" in errors  # where the bar starts
    assert contents(output) == unbroken
    assert [path.name for path in tmp_path.iterdir()] == ["emotion"]


@pytest.mark.parametrize("cut", [0, 1, 40, 4_000])
def test_a_run_is_complete_despite_the_leftovers_of_an_earlier_one(
    cut, many_corpora, unbroken, tmp_path, monkeypatch
):
    output = tmp_path / "emotion"
    partial = tmp_path / ".emotion.partial"

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError):
        patched.setattr(build, "write_dataset", full)
        build_dataset(many_corpora, output)
    (partial / "dataset").mkdir()
    (partial / "dataset" / "half.arrow").write_bytes(b"half")
    for name, keep in {"index.jsonl": cut, "clips": 20 * cut}.items():
        os.truncate(partial / name, (partial / name).stat().st_size - keep)
    build_dataset(many_corpora, output)
    assert contents(output) == unbroken


def test_ctrl_c_ends_in_a_sentence_and_keeps_what_is_decoded(many_corpora, tmp_path):
    def heed():  # what a shell starts in the background ignores it, and so would all that the tests start
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    output = tmp_path / "emotion"
    process = start(many_corpora, output, "--workers", 2, start_new_session=True, preexec_fn=heed)
    while len(lines(output)) < 30 and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    code, errors = finish(process)
    assert code == 1
    assert "Interrupted" in errors
    assert len(lines(output)) > 30


@pytest.mark.parametrize("limit", [60_000, 900_000], ids=["cache", "dataset"])
def test_a_full_disk_ends_in_a_sentence_and_leaves_the_dataset_before(limit, small_corpora, tmp_path):
    output = tmp_path / "emotion"
    build_dataset(small_corpora, output, workers=1)
    before = contents(output)
    size = max(len(content) for content in before.values())

    def cap():
        most = min(limit, size - 1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    code, errors = finish(start(small_corpora, output, "--trim_db", 0, preexec_fn=cap))
    assert code == 1
    assert "File too large" in errors
    assert contents(output) == before
    assert finish(start(small_corpora, output))[0] == 0
    assert contents(output) == before


def test_a_place_that_cannot_be_written_is_named(small_corpora, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, errors = finish(start(small_corpora, tmp_path / "file" / "emotion"))
    assert code == 1
    assert str(tmp_path / "file") in errors


def test_two_runs_do_not_share_an_output(small_corpora, tmp_path):
    with open_cache(tmp_path / ".emotion.partial", {}):
        code, errors = finish(start(small_corpora, tmp_path / "emotion"))
    assert code == 1
    assert "Another run is at work" in errors
    assert lines(tmp_path / "emotion")


def test_a_run_killed_between_two_renames_has_not_lost_the_old_dataset(small_corpora, tmp_path):
    output = tmp_path / "emotion"
    build_dataset(small_corpora, output, workers=1)
    (tmp_path / ".emotion.partial").mkdir()
    output.rename(tmp_path / ".emotion.partial" / "replaced")
    with pytest.raises(ValueError, match="no usable recording"):
        build_dataset(tmp_path / "nothing", output)
    assert load_from_disk(output)


@pytest.fixture
def counted(tmp_path):
    """A check that remembers what it was asked for, and the files it is asked about."""
    log = tmp_path / "log"

    def check(path):
        with log.open("a") as file:
            file.write(path.stem)
        return check_audio(path, None)

    def asked():
        names = log.read_text() if log.exists() else ""
        log.write_text("")
        return sorted(names)

    files = [
        write_wav(tmp_path / name, voice(seed=seed)) for seed, name in enumerate(("a.wav", "b.wav", "c.wav"))
    ]
    return files, check, asked


def test_only_what_changed_is_decoded_again(counted, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_cache, "_check_all", lambda paths, check, workers: map(check, paths))
    files, check, asked = counted

    def fill(settings):
        with open_cache(tmp_path / "cache", settings) as opened:
            results = opened.fill(files, check)
            return {path.stem: opened.read(stored) for path, stored in results.items()}

    first = fill({"trim_db": None})
    assert asked() == ["a", "b", "c"]
    assert fill({"trim_db": None}) == first
    assert asked() == []
    write_wav(files[1], voice(seed=9))
    changed = fill({"trim_db": None})
    assert asked() == ["b"]
    assert [name for name in first if changed[name] != first[name]] == ["b"]
    assert fill({"trim_db": 30.0}) == changed
    assert asked() == ["a", "b", "c"]


def test_the_number_of_workers_and_a_second_run_change_no_byte(small_corpora, tmp_path):
    built = []
    for number, workers in enumerate([1, 3, 2]):
        output = tmp_path / str(number) / "emotion"
        dataset, _ = build_dataset(small_corpora, output, workers=workers)
        for split, rows in dataset.items():
            rows.to_parquet(output / f"{split}.parquet")
        built.append(contents(output))
    assert built[0] == built[1] == built[2]
    assert "train.parquet" in built[0]


def test_other_clips_have_another_fingerprint(small_corpora, tmp_path):
    def fingerprint(**options):
        dataset, _ = build_dataset(small_corpora, tmp_path / "emotion", workers=1, **options)
        return dataset["train"]._fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint() != fingerprint(trim_db=None, window_seconds=0.5)


def test_strict_lists_every_lost_recording_and_writes_nothing(small_corpora, tmp_path):
    root = tmp_path / "corpora"
    good = voice(seed=3)
    write_wav(root / "03-01-06-01-01-01-01.wav", good)
    write_wav(root / "03-01-06-01-01-02-01.wav", good)  # a double: one of them is kept
    write_wav(root / "holiday.wav", good)
    assert finish(start(root, tmp_path / "emotion", "--strict"))[0] == 0
    before = contents(tmp_path)
    write_wav(root / "03-01-02-01-01-01-01.wav", np.zeros(16_000))
    write_wav(root / "03-01-03-01-01-01-01.wav", good)  # the same sound under another label
    (root / "03-01-04-01-01-01-01.wav").write_bytes(b"")
    code, errors = finish(start(root, tmp_path / "emotion", "--strict"))
    assert code == 1
    assert "5 recordings" in errors
    assert "03-01-02-01-01-01-01.wav: silent" in errors
    assert "03-01-04-01-01-01-01.wav: The file is empty" in errors
    assert errors.count("another label") == 3
    assert "holiday" not in errors
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpora", "emotion"]


def test_reasons_are_counted_in_the_report(many_corpora, unbroken):
    report = json.loads(unbroken["preparation.json"])
    assert report["counts"] == {"This file is not audio, or it is damaged beyond reading.": 1}
    assert [skip["path"] for skip in report["skipped"]] == ["03-01-01-01-01-02-01.wav"]


def test_shards_merge_into_the_same_bytes_and_nothing_is_decoded_twice(
    many_corpora, unbroken, tmp_path, monkeypatch
):
    output = tmp_path / "emotion"
    for number in (1, 3):
        process = start(many_corpora, output, "--shard", f"{number}/3", "--workers", 1)
        printed, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    assert "Shard 3 of 3: 80 recordings decoded, 0 of them refused." in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".emotion.shard-1-of-3",
        ".emotion.shard-3-of-3",
    ]
    asked = []

    def check_all(paths, check, workers):
        asked.extend(paths)
        return map(check, paths)

    monkeypatch.setattr(decode_cache, "_check_all", check_all)
    build_dataset(many_corpora, output)
    assert len(asked) == 80  # those of the second shard
    assert contents(output) == unbroken
    assert [path.name for path in tmp_path.iterdir()] == ["emotion"]


def test_a_shard_of_other_settings_is_refused_by_name(small_corpora, tmp_path):
    output = tmp_path / "emotion"
    assert finish(start(small_corpora, output, "--shard", "1/2", "--trim_db", 30))[0] == 0
    code, errors = finish(start(small_corpora, output))
    assert code == 1
    assert ".emotion.shard-1-of-2 was made with other settings" in errors
    assert (tmp_path / ".emotion.shard-1-of-2").exists()


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "-1/2"])
def test_a_shard_that_cannot_be_is_a_sentence(text, small_corpora, tmp_path):
    code, errors = finish(start(small_corpora, tmp_path / "emotion", f"--shard={text}"))
    assert code == 2
    assert "is not K/N with K from 1 to N" in errors
