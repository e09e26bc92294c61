"""A stand-in for a classifier, for tests of the processes around it; other processes import it."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from speech_emotion.inference.archive.cluster import answer_on_cluster
from speech_emotion.inference.archive.inputs import ArchiveError
from speech_emotion.inference.archive.processes import answer_in_processes
from speech_emotion.inference.archive.runner import complete
from speech_emotion.inference.archive.shards import open_archive
from speech_emotion.inference.archive.tables import Rows


def answer_stand_in(names: list[str]) -> list[Rows]:
    """Return made-up rows, after a little time; a recording named crash ends the process."""
    rows = []
    for name in names:
        time.sleep(0.02)
        if name.startswith("crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("error"):
            raise ArchiveError("The model is gone.")
        if name.startswith("bad"):
            rows.append(Rows.failure(name, "This is no sound."))
            continue
        answer = {"recording": name, "emotion": "angry", "engine": os.environ.get("OMP_NUM_THREADS")}
        spans = [{"recording": name, "utterance": number, "start": number} for number in range(3)]
        rows.append(Rows([answer], spans, seconds=1.0))
    return rows


def main(folder: str, count: str, cluster: str | None = None) -> None:
    """Make an archive of so many stand-in recordings with two processes, or on a cluster."""
    answer_all = (
        partial(answer_on_cluster, answer_stand_in, address=cluster)
        if cluster
        else partial(answer_in_processes, answer_stand_in, processes=2)
    )
    names = [f"{'bad' if number % 10 == 3 else ''}{number:05}.wav" for number in range(int(count))]
    with open_archive(Path(folder), {}, ["angry", "calm"]) as archive:
        complete(archive, names, answer_all, shard_size=25)


if __name__ == "__main__":
    main(*sys.argv[1:])
