"""Decoded clips on disk while a dataset is made, so that a run that was cut off goes on where it stopped.

Two files that only grow: `clips` holds one FLAC after another, and `index.jsonl` says where each lies, or why
its file was refused. A clip is written before its line, so a line vouches for its clip however the run ended.
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
AHEAD = 4  # batches per worker under way; more would only fill memory where the disk is slow

Check = Callable[[Path], Checked | str]


@dataclass(frozen=True)
class Stored:
    """A clip in the spool: the SHA-256 of its samples, its duration, and where its FLAC lies."""

    sha256: str
    seconds: float
    offset: int
    size: int


class Spool:
    """The clips decoded so far; `open_spool` makes it."""

    def __init__(self, index: BinaryIO, clips: BinaryIO, known: dict[tuple, Stored | str]):
        self._index, self._clips, self._known = index, clips, known

    def fill(self, paths: list[Path], check: Check, workers: int | None = None) -> dict[Path, Stored | str]:
        """Check every file that no run before has checked as it is now.

        Args:
            paths: the files.
            check: gives a clip, or the reason why its file is refused; runs in other processes.
            workers: how many of them; by default one per core.

        Returns:
            For every file where its clip is stored, or the reason why it is not.
        """
        stamps = {path: _stamp(path) for path in paths}
        results = {path: self._known.get(stamp) for path, stamp in stamps.items()}
        new = [path for path, result in results.items() if result is None]
        checked = _check_all(new, check, workers or os.cpu_count())
        bar = tqdm(checked, total=len(results), initial=len(results) - len(new), unit="clip")
        for path, result in zip(new, bar, strict=True):
            results[path] = self._keep(stamps[path], result)
        return results

    def read(self, stored: Stored) -> bytes:
        """Give the FLAC of a clip."""
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
def open_spool(folder: Path, settings: dict) -> Iterator[Spool]:
    """Open a folder's spool, for one run at a time.

    Args:
        folder: made where it is missing.
        settings: everything besides the files that results depend on; what was made with others is dropped.

    Yields:
        The spool with what an earlier run left in it.

    Raises:
        ValueError: another run is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "index.jsonl").open("a+b") as index, (folder / "clips").open("a+b") as clips:
        try:
            fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ValueError(f"Another run is at work in {folder}; wait for it to end.") from error
        yield Spool(index, clips, _resume(index, clips, settings))


def _resume(index: BinaryIO, clips: BinaryIO, settings: dict) -> dict[tuple, Stored | str]:
    known = {}
    there = clips.seek(0, os.SEEK_END)
    header = json.dumps(settings).encode() + b"\n"
    index.seek(0)
    if index.readline() != header:
        index.truncate(0)
        clips.truncate(0)
        index.write(header)
        index.flush()
        return known
    whole = index.tell()
    for line in iter(index.readline, b""):
        if not line.endswith(b"\n"):  # cut off while it was written
            index.truncate(whole)
            break
        whole = index.tell()
        entry = json.loads(line)
        result = Stored(**entry["stored"]) if "stored" in entry else entry["refused"]
        if isinstance(result, str) or result.offset + result.size <= there:
            known[tuple(entry["file"])] = result
    return known


def _stamp(path: Path) -> tuple:
    """What tells a file from the one that lay there before; of a missing file its path alone."""
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
    """Leave Ctrl-C to the parent, end with it even where it is killed, and limit what a file may allocate."""
    limit_ffmpeg_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()
