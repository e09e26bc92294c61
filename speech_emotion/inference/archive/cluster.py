"""Work on many machines: Ray Data, with an actor for each processor or each GPU.

Ray schedules the work, repeats what a lost machine had not handed over, and holds no more in memory than its
object store allows. Every machine needs this package, and reaches the recordings and the model at the same
address.
"""

import math
import os
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from speech_emotion.audio.decoding import limit_ffmpeg_memory
from speech_emotion.inference.archive.answers import Answerer
from speech_emotion.inference.archive.inputs import ArchiveError
from speech_emotion.inference.archive.processes import BATCH, Answer
from speech_emotion.inference.archive.tables import Rows

MOST_BLOCKS = 20_000  # Ray keeps account of each
CONNECT_SECONDS = 10.0  # until a cluster's head must have answered
TOKEN = "If it asks for a token, this command needs RAY_AUTH_MODE=token and the token, too."


class Actor:
    """One classifier on one machine.

    Args:
        answerer: answers the recordings.
    """

    def __init__(self, answerer: Answer):
        limit_ffmpeg_memory()
        self.answerer = answerer

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return `rows`, a `Rows` for each `name` in the batch."""
        rows = np.empty(len(batch["name"]), object)
        rows[:] = self.answerer([os.fsdecode(name) for name in batch["name"]])
        return {"rows": rows}


def answer_on_cluster(answerer: Answerer, names: Iterable[str], address: str) -> Iterator[Rows]:
    """Yield the rows for recordings from a Ray cluster, in the order of the names.

    Args:
        answerer: answers the recordings.
        names: of the recordings.
        address: of the cluster, or `auto` for the one this machine belongs to.

    Raises:
        ArchiveError: Ray is not installed, or the cluster cannot be reached, or it gives up.
    """
    ray = connect(address)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False  # the archive has its own
    resources = ray.cluster_resources()
    gpus, processors = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    each = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    if gpus:
        answerer = replace(answerer, device="cuda")
    answers = ray.data.from_arrow(cut(names)).map_batches(
        Actor,
        fn_constructor_args=(answerer,),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=gpus or processors),
        **each,
    )
    try:
        for row in answers.iter_rows():
            yield row["rows"]
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ArchiveError(f"The Ray cluster gave up: {reason}. The same command continues.") from error


def cut(names: Iterable[str]) -> list[pa.Table]:
    """Return the names in blocks, which Ray hands out one by one and begins again where a machine is lost.

    Ray would cut them itself in a task that waits for ever, as the actors hold all processors.
    """
    table = pa.table({"name": pa.array([os.fsencode(name) for name in names], pa.binary())})
    size = max(BATCH, math.ceil(len(table) / MOST_BLOCKS))
    return [table.slice(start, size) for start in range(0, len(table), size)]


def connect(address: str):
    """Return the module `ray`, connected to a cluster.

    Raises:
        ArchiveError: as `answer_on_cluster`.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ArchiveError("--ray needs Ray: pip install 'speech-emotion-recognition[cluster]'.") from error
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit() and "/" not in host:  # Ray itself would wait for minutes, or for ever
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level="WARNING")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = re.split(r"\.\s|\n", str(error).strip())[0].rstrip(".")
        raise ArchiveError(f"The Ray cluster {address!r} cannot be reached: {reason}. {TOKEN}") from error
    return ray
