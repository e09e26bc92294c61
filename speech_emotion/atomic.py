"""Folders and files that are whole or not there, however the process ends that writes them."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPLACED = "replaced"  # aside, until the new folder is in its place


@contextmanager
def atomic_directory(folder: Path, mark: str) -> Iterator[Path]:
    """Give an empty folder of the same name to fill; it takes the folder's place when the block ends well.

    It lies in a hidden folder beside. Where a process is killed between the two renames, the old folder lies
    there as well, and `restore` puts it back.

    Args:
        folder: the folder; need not exist.
        mark: the file by which one made earlier is known, see `check_place`.

    Raises:
        FileExistsError: there is something else.
        OSError: no room for it, or no permission.
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
        shutil.rmtree(aside, ignore_errors=True)  # of a full disk, too
        raise
    if folder.exists():
        folder.rename(aside / REPLACED)
    fresh.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)


def restore(folder: Path) -> None:
    """Put back a folder that `atomic_directory` had taken away when its process was killed."""
    replaced = _aside(folder) / REPLACED
    if replaced.exists() and not folder.exists():
        replaced.rename(folder)


def check_place(folder: Path, mark: str) -> None:
    """Find out, before the work for it, whether a folder can be written or replaced.

    Args:
        folder: the folder; the folders above it are made.
        mark: the file by which one that may be replaced is known.

    Raises:
        FileExistsError: there is something else.
        OSError: no permission.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder.parent):
        pass
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise FileExistsError(f"{folder} holds something without a {mark}, so it is not replaced.")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside a file; what is written there takes the file's place when the block ends well.

    The folders above it are made.
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
    """Write a text file whole or not at all; the folders above it are made."""
    with atomic_file(path) as part:
        part.write_text(text, "utf-8")


def digest(file: Path) -> str:
    """Give a file's SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def format_os_error(error: Exception, place: Path) -> str:
    """Put into words, without a full stop, what could not be read or written, and where; else at `place`."""
    if isinstance(error, shutil.Error):  # of many files: source, target and what happened
        return re.sub(r"^\[Errno \d+\] ", "", str(error.args[0][0][2]))
    if number := getattr(error, "errno", None):
        return f"{os.strerror(number)}: {error.filename or place}"
    return str(error).strip().partition("\n")[0].rstrip(".")


def _aside(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.partial"
