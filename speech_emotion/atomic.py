"""Folders and files that are complete or absent, even if the process that writes them is killed."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPLACED = "replaced"  # name of the old folder until the new one is in place


@contextmanager
def atomic_directory(folder: Path, mark: str) -> Iterator[Path]:
    """Yield an empty folder of the same name, which replaces the folder when the block ends without error.

    The new folder is inside a hidden one next to it. If the process is killed between the two renames, the
    old folder is there as well, and `restore` puts it back.

    Args:
        folder: the folder; it need not exist.
        mark: name of a file that identifies a folder that may be replaced, see `check_place`.

    Raises:
        FileExistsError: the folder has other content.
        OSError: the disk is full, or permission is missing.
    """
    restore(folder)
    aside = _aside(folder)
    fresh = aside / "new" / folder.name
    check_place(folder, mark)
    shutil.rmtree(aside, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # also when the disk is full
        raise
    if folder.exists():
        folder.rename(aside / REPLACED)
    fresh.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def restore(folder: Path) -> None:
    """Put back a folder that `atomic_directory` had moved when its process was killed."""
    replaced = _aside(folder) / REPLACED
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)


def check_place(folder: Path, mark: str) -> None:
    """Check that a folder can be written or replaced, before the work for it begins.

    Args:
        folder: the folder; its parents are created.
        mark: name of a file that identifies a folder that may be replaced.

    Raises:
        FileExistsError: the folder has other content.
        OSError: permission is missing.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder.parent):
        pass
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise FileExistsError(f"{folder} holds something without a {mark}, so it is not replaced.")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path next to a file. What is written there replaces the file when the block ends without error.

    Its parents are created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def atomic_write(path: Path, text: str) -> None:
    """Write a text file completely or not at all; its parents are created."""
    with atomic_file(path) as part:
        part.write_text(text, "utf-8")


def digest(file: Path) -> str:
    """Return a file's SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def format_os_error(error: Exception, place: Path) -> str:
    """Describe what could not be read or written, and where (by default `place`), without a full stop."""
    if isinstance(error, shutil.Error):  # of many files: source, target and what happened
        return re.sub(r"^\[Errno \d+\] ", "", str(error.args[0][0][2]))
    if number := getattr(error, "errno", None):
        return f"{os.strerror(number)}: {error.filename or place}"
    return str(error).strip().partition("\n")[0].rstrip(".")


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.partial"
