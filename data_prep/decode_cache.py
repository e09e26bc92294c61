"""A cache of decoded clips, so that an interrupted run of the preparation continues where it stopped.

It has two files that only grow. `clips` holds one FLAC after another; `index.jsonl` has a line for each
recording with the position of its FLAC, or the reason why it was refused. A clip is written before its line,
so every whole line has its clip, whenever the run ended.
"""

import fcntl
import json
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from data_prep.checks import Checked
from speech_emotion.audio.decoding import limit_ffmpeg_memory

BATCH = 16  # files that a worker takes at a time
AHEAD = 4  # batches per worker in flight; more would only fill memory where the disk is slow

Check = Callable[[Path], Checked | str]


@dataclass(frozen=True)
class Stored:
    """A clip in the cache.

    Attributes:
        sha256: of its samples.
        seconds: its duration.
        offset: position of its FLAC in the file, in bytes.
        size: length of its FLAC, in bytes.
    """

    sha256: str
    seconds: float
    offset: int
    size: int


class DecodeCache:
    """The clips decoded so far; `open_cache` makes it."""

    def __init__(self, index: BinaryIO, clips: BinaryIO, known: dict[tuple, Stored | str]):
        self._index, self._clips, self._known = index, clips, known

    def fill(self, paths: list[Path], check: Check, workers: int | None = None) -> dict[Path, Stored | str]:
        """Check every file that no earlier run has checked in its present state.

        Args:
            paths: the files.
            check: returns a clip, or the reason why its file is refused; runs in other processes.
            workers: the number of processes; by default one per core.

        Returns:
            For every file its clip's place in the cache, or the reason why it has none.
        """
        stamps = {path: _stamp(path) for path in paths}
        results = {path: self._known.get(stamp) for path, stamp in stamps.items()}
        new = [path for path, result in results.items() if result is None]
        checked = _check_all(new, check, workers or os.cpu_count())
        bar = tqdm(checked, total=len(results), initial=len(results) - len(new), unit="clip")
        for path, result in zip(new, bar, strict=True):
            results[path] = self._keep(stamps[path], result)
        return results

    def absorb(self, folder: Path, settings: dict) -> None:
        """Copy what the cache in another folder has decoded, as of a shard.

        Args:
            folder: the cache; it stays as it is.
            settings: as for `open_cache`.

        Raises:
            ValueError: it was made with other settings.
        """
        with (folder / "index.jsonl").open("rb") as index, (folder / "clips").open("rb") as clips:
            if index.readline() != _header(settings):
                raise ValueError(
                    f"{folder} was made with other settings or versions: make this shard again, or delete it."
                )
            for stamp, result in _read_entries(index, clips.seek(0, os.SEEK_END)).items():
                if stamp in self._known:
                    continue
                if isinstance(result, Stored):
                    clips.seek(result.offset)
                    result = Checked(clips.read(result.size), result.sha256, result.seconds)
                self._known[stamp] = self._keep(stamp, result)

    def read(self, stored: Stored) -> bytes:
        """Return the FLAC of a clip."""
        self._clips.seek(stored.offset)
        return self._clips.read(stored.size)

    def _keep(self, stamp: tuple, result: Checked | str) -> Stored | str:
        line = {"file": stamp}
        if isinstance(result, Checked):
            offset = self._clips.seek(0, os.SEEK_END)
            self._clips.write(result.flac)
            self._clips.flush()
            result = Stored(result.sha256, result.seconds, offset, len(result.flac))
            line["stored"] = asdict(result)
        else:
            line["refused"] = result
        self._index.write(json.dumps(line).encode() + b"\n")
        self._index.flush()
        return result


@contextmanager
def open_cache(folder: Path, settings: dict) -> Iterator[DecodeCache]:
    """Open a folder's cache, for one run at a time.

    Args:
        folder: made where it is missing.
        settings: everything besides the files that results depend on; clips of other settings are dropped.

    Yields:
        The cache with the clips of earlier runs.

    Raises:
        ValueError: another run has it open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "index.jsonl").open("a+b") as index, (folder / "clips").open("a+b") as clips:
        try:
            fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ValueError(f"Another run is at work in {folder}; wait for it to end.") from error
        yield DecodeCache(index, clips, _resume(index, clips, settings))


def _resume(index: BinaryIO, clips: BinaryIO, settings: dict) -> dict[tuple, Stored | str]:
    there = clips.seek(0, os.SEEK_END)
    index.seek(0)
    if index.readline() != _header(settings):
        index.truncate(0)
        clips.truncate(0)
        index.write(_header(settings))
        index.flush()
        return {}
    known = _read_entries(index, there)
    index.truncate(index.tell())
    return known


def _header(settings: dict) -> bytes:
    return json.dumps(settings).encode() + b"\n"


def _read_entries(index: BinaryIO, there: int) -> dict[tuple, Stored | str]:
    """Read the lines of an index whose clips are among the first `there` bytes, up to the last whole one.

    An interrupted run can leave half a line at the end.
    """
    known = {}
    whole = index.tell()
    for line in iter(index.readline, b""):
        if not line.endswith(b"\n"):
            break
        whole = index.tell()
        entry = json.loads(line)
        result = Stored(**entry["stored"]) if "stored" in entry else entry["refused"]
        if isinstance(result, str) or result.offset + result.size <= there:
            known[tuple(entry["file"])] = result
    index.seek(whole)
    return known


def _stamp(path: Path) -> tuple:
    """Return what changes when a file is replaced: path, size and time; of a missing file its path alone."""
    try:
        facts = path.stat()
    except (OSError, ValueError):  # ValueError: a zero byte in its name
        return (str(path),)
    return str(path), facts.st_size, facts.st_mtime_ns


def _check_all(paths: list[Path], check: Check, workers: int) -> Iterator[Checked | str]:
    with ProcessPoolExecutor(workers, initializer=_follow_parent) as pool:
        under_way = deque()
        for start in range(0, len(paths), BATCH):
            under_way.append(pool.submit(_check_batch, check, paths[start : start + BATCH]))
            if len(under_way) > AHEAD * workers:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()


def _check_batch(check: Check, paths: list[Path]) -> list[Checked | str]:
    return [check(path) for path in paths]


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, end when it ends, even killed, and limit what a file may allocate."""
    limit_ffmpeg_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()
