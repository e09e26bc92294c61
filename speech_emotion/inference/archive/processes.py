"""Work on one machine: as many processes as cores, one thread each."""

import logging
import math
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait

from speech_emotion.audio.decoding import limit_ffmpeg_memory
from speech_emotion.inference.archive.tables import Rows

BATCH = 8  # recordings that a process takes at once, where there are many
AHEAD = 4  # batches for each process that may be under way: what the memory does not grow beyond

CRASHED = "The process that read this recording was ended by the system: it crashed, or its memory ran out."

Answer = Callable[[list[str]], list[Rows]]  # the rows for recordings' names; picklable


def answer_here(answer: Answer, names: Iterable[str]) -> Iterator[Rows]:
    """Yield the rows for recordings in this process."""
    for batch in batches(names):
        yield from answer(batch)


def answer_in_processes(answer: Answer, names: Sequence[str], processes: int) -> Iterator[Rows]:
    """Yield the rows for recordings from several processes, in the order of the names.

    A recording that ends its process, twice, gets a row in the table of failures.
    """
    size = min(BATCH, math.ceil(len(names) / (processes * AHEAD)))
    waiting, processes = batches(names, size), min(processes, len(names))
    while suspects := (yield from _answer_until_crash(answer, waiting, processes)):
        yield from _answer_one_by_one(answer, suspects)


def batches(names: Iterable[str], size: int = BATCH) -> Iterator[list[str]]:
    """Yield the names in lists of a size, the last one shorter."""
    iterator = iter(names)
    while batch := list(islice(iterator, size)):
        yield batch


def _answer_until_crash(answer: Answer, waiting: Iterator[list[str]], processes: int):
    """Yield rows until a process crashes.

    Returns:
        The names under way whose rows have not been yielded; none where all is done.
    """
    under_way: deque[tuple[list[str], Future]] = deque()
    pool = _start(answer, processes)
    try:
        while True:
            for batch in islice(waiting, processes * AHEAD - len(under_way)):
                under_way.append((batch, _submit(pool, batch)))
            if not under_way:
                return []
            batch, future = under_way[0]
            rows = future.result()
            under_way.popleft()
            yield from rows
    except BrokenProcessPool:
        return [name for batch, _ in under_way for name in batch]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, batch: list[str]) -> Future:
    try:
        return pool.submit(_answer, batch)
    except BrokenProcessPool as error:  # since the last result
        future = Future()
        future.set_exception(error)
        return future


def _answer_one_by_one(answer: Answer, names: list[str]) -> Iterator[Rows]:
    """Yield the rows for recordings one of which ended its process before."""
    while names:
        pool = _start(answer, 1)
        try:
            for future in [_submit(pool, [name]) for name in names]:
                name, *names = names
                yield from future.result()
        except BrokenProcessPool:  # a single process works in order, so it was this recording
            yield Rows.failure(name, CRASHED)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start(answer: Answer, processes: int) -> ProcessPoolExecutor:
    # "spawn": a process that is forked while threads run can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(pickle.dumps(answer),))


def _prepare(answer: bytes) -> None:
    """Prepare this process: one thread for its networks, and its end where its parent is killed."""
    global _answer_batch
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch and ONNX Runtime are imported, which unpickling does
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    logging.disable(logging.WARNING)  # the parent has loaded the same model and said what there is to say
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent
    limit_ffmpeg_memory()
    _answer_batch = pickle.loads(answer)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def _answer(batch: list[str]) -> list[Rows]:
    return _answer_batch(batch)
