"""The recordings of an archive: a folder, a list or a bucket address, opened by fsspec.

A recording is known by its name: its path below the folder or the address, or its line in the list.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from speech_emotion.audio.decoding import MAX_BYTES, AudioError, NamedBytes
from speech_emotion.inference.batch import is_recording, printable

REMOTE = "://"  # in every address that is not a path on this machine
ONE_PROCESS = "memory"  # the file system whose content no other process sees


class ArchiveError(ValueError):
    """An archive that cannot be started or continued; the message is a sentence that says why."""


class StorageError(AudioError):
    """A recording that the storage does not hand out now, and may at another time."""


@dataclass(frozen=True)
class Source:
    """The place of an archive's recordings, the same in every process and on every machine.

    Attributes:
        address: an absolute folder on this machine, or an address that fsspec opens.
    """

    address: str

    def read(self, name: str) -> Path | NamedBytes:
        """Return what the decoder takes: a path on this machine, or the content of a file elsewhere.

        Raises:
            AudioError: there is no such file.
            StorageError: the storage refuses it, or cannot be reached.
        """
        try:
            if REMOTE not in self.address and REMOTE not in name:
                return check_readable(Path(self.address, name))
            fs, path = open_address(name if REMOTE in name else self.address)
            path = path if REMOTE in name else f"{path.rstrip('/')}/{name}"
            with fs.open(path, "rb") as file:
                # The decoder refuses a longer one in its own words.
                return NamedBytes(file.read(MAX_BYTES + 1), name)
        except Exception as error:  # those of fsspec's file systems have no common ancestor
            kind = AudioError if isinstance(find_cause(error), FileNotFoundError) else StorageError
            raise kind(f"The file {printable(name)!r} cannot be read: {describe_error(error)}.") from error

    @property
    def in_this_process_only(self) -> bool:
        """True if no other process can read the recordings."""
        return self.address.startswith(ONE_PROCESS + REMOTE)


def list_recordings(address: str) -> tuple[Source, list[str]]:
    """Find an archive's recordings.

    Args:
        address: a folder or a bucket address, where every file named like audio counts; one recording; or a
            text file with a path or an address on each line. Paths start from the current folder.

    Returns:
        Their place, and their names, each once, in the order of their UTF-8 bytes.

    Raises:
        ArchiveError: there is nothing, or no recording in it, or the storage cannot be reached.
    """
    shown = repr(printable(address))
    try:
        fs, path = open_address(address)
        place = address if REMOTE in address else path
        if is_recording(PurePosixPath(path)) and fs.isfile(path):  # first: a web server sends it to be listed
            folder, _, name = place.rpartition("/")
            names, source = [name], Source(folder)
        elif fs.isdir(path):
            below = len(path.rstrip("/"))
            found = (file[below:].lstrip("/") for file in fs.find(path))
            names, source = [name for name in found if is_recording(PurePosixPath(name))], Source(place)
        elif not fs.exists(path):
            raise ArchiveError(f"There is nothing at {shown}.")
        else:
            lines = fs.read_text(path, encoding="utf-8-sig", errors="surrogateescape").splitlines()
            names, source = lines, Source(str(Path.cwd()))
    except ArchiveError:
        raise
    except Exception as error:  # as above
        raise ArchiveError(f"{shown} cannot be read: {describe_error(error)}.") from error
    if not (ordered := order(names)):
        raise ArchiveError(f"There is no recording in {shown}.")
    return source, ordered


def order(names: Iterable[str]) -> list[str]:
    """Return the names, each once and none empty, in the order of their UTF-8 bytes."""
    return sorted(set(names) - {""}, key=os.fsencode)


def open_address(address: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of an address, and the path in it."""
    if REMOTE in address:
        return url_to_fs(address)
    return LocalFileSystem(), str(Path(address).absolute())


def check_readable(path: Path) -> Path:
    """Return a path on this machine; raise an OSError where there is no file that may be read."""
    path.stat()
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return path


def describe_error(error: Exception) -> str:
    """Return an error of a storage in words, without a full stop."""
    error = find_cause(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    words = str(getattr(error, "strerror", None) or error).strip().partition("\n")[0].rstrip(".")
    return words or type(error).__name__


def find_cause(error: Exception) -> Exception:
    """Return what went wrong: on web addresses, fsspec calls every failed request a missing file."""
    cause = error.__cause__
    request_failed = type(cause).__module__.startswith("aiohttp") or isinstance(cause, TimeoutError)
    return cause if request_failed and getattr(cause, "status", None) != HTTPStatus.NOT_FOUND else error
