"""What stands in for a classifier where a test is about the processes around it; other processes import it."""

import os
import signal

from speech_emotion.inference.archive.inputs import ArchiveError
from speech_emotion.inference.archive.tables import Rows


def answer_stand_in(names: list[str]) -> list[Rows]:
    """Return a row with the name and the process; a recording named crash ends the process."""
    if any(name.startswith("crash") for name in names):
        os.kill(os.getpid(), signal.SIGKILL)
    if any(name.startswith("error") for name in names):
        raise ArchiveError("The model is gone.")
    facts = {"threads": os.environ.get("OMP_NUM_THREADS"), "process": os.getpid()}
    return [Rows(recordings=[{"recording": name} | facts], seconds=1.0) for name in names]
