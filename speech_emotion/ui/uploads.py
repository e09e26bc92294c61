"""The folder that holds visitors' recordings until the app has answered them, removed when the app ends.

Gradio deletes uploads after a while and when it ends, but not an upload that a visitor broke off, and nothing
once it is killed. So all temporary files lie in this folder, old files in it are deleted, and the next app
removes the folder of one that was killed.
"""

import atexit
import math
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

PREFIX = "speech-emotion-"  # and the number of the process
EVERY_SECONDS, OLD_SECONDS = 600, 2400  # also what Gradio's `delete_cache` is set to
MOST_UPLOADED = 1_000_000_000  # bytes of an upload of many files
SPARE = 100_000_000  # bytes of the disk that no upload may take

FOLDER = Path(tempfile.gettempdir(), f"{PREFIX}{os.getpid()}")
UPLOADS = FOLDER / "uploads"


def claim() -> None:
    """Make the folder, and have Gradio and tempfile use it; call this before Gradio is imported."""
    for folder in FOLDER.parent.glob(f"{PREFIX}*"):
        if folder == FOLDER or not _runs(folder.name.removeprefix(PREFIX)):
            shutil.rmtree(folder, ignore_errors=True)
    UPLOADS.mkdir(parents=True)
    FOLDER.chmod(0o700)
    os.environ["GRADIO_TEMP_DIR"], tempfile.tempdir = str(UPLOADS), str(FOLDER)
    atexit.register(release)


def release() -> None:
    """Remove the folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)


def lacks_room(size: int) -> bool:
    """Return whether an upload of so many bytes would fill the disk."""
    return shutil.disk_usage(FOLDER.parent).free < size + SPARE


def warn_of_room() -> str:
    """Return a warning for the log if the disk has no room for the largest upload, else ""."""
    if not lacks_room(MOST_UPLOADED):
        return ""
    free = shutil.disk_usage(FOLDER.parent).free
    most = max(free - SPARE, 0) / 1e6
    return (
        f"{free / 1e6:.0f} MB are free in {FOLDER.parent}: uploads of more than {most:.0f} MB are refused. "
        "Set TMPDIR to a folder with more room."
    )


def keep_swept() -> None:
    """Delete old uploads from time to time, in the background; files that are there already stay."""
    own = set(UPLOADS.rglob("*"))

    def sweep_on() -> None:
        while True:
            time.sleep(EVERY_SECONDS)
            sweep(UPLOADS, own, OLD_SECONDS)

    threading.Thread(target=sweep_on, daemon=True).start()


def sweep(folder: Path, kept: set[Path], seconds: float) -> None:
    """Delete the files under a folder that are older than so many seconds, except those to keep."""
    for place, _, names in os.walk(folder, topdown=False):  # which passes over what has gone meanwhile
        old = [path for name in names if (path := Path(place, name)) not in kept and _age(path) > seconds]
        for path in old:
            path.unlink(missing_ok=True)
        if old and place != str(folder):
            with suppress(OSError):  # something else is in it, or it has gone
                Path(place).rmdir()  # each upload has a folder of its own


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_ctime
    except FileNotFoundError:  # Gradio was faster
        return -math.inf


def _runs(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:  # it runs, as somebody else
        return True
    return True
