"""Where recordings lie while they are served, and that none stays: Gradio deletes only those it knows of.

An upload that breaks off, or whose name Gradio refuses, leaves a file that Gradio forgets at once.
"""

import os
import tempfile
import threading
import time
from pathlib import Path

EVERY_SECONDS, KEPT_SECONDS = 600, 2400  # how often is looked for what, so that nothing stays for an hour
FOLDER = tempfile.TemporaryDirectory(prefix="recordings-")  # goes when the app ends
os.environ["GRADIO_TEMP_DIR"] = FOLDER.name


def delete_forgotten(folder: Path, older_than: float) -> None:
    """Delete uploads that were never finished: finished ones lie in folders of their own.

    Args:
        folder: where uploads arrive.
        older_than: seconds since the last byte came.
    """
    for path in folder.iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > older_than:
            path.unlink(missing_ok=True)


def watch() -> None:
    """Delete forgotten uploads for as long as the app runs."""

    def keep_deleting() -> None:
        while True:
            time.sleep(EVERY_SECONDS)
            delete_forgotten(Path(FOLDER.name), KEPT_SECONDS)

    threading.Thread(target=keep_deleting, daemon=True).start()
