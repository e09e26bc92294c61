"""An archive from its recordings to its tables: what is not done yet, on one machine or on many."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from speech_emotion.inference.archive.answers import Answerer, load
from speech_emotion.inference.archive.inputs import ArchiveError, list_recordings
from speech_emotion.inference.archive.processes import answer_here, answer_in_processes
from speech_emotion.inference.archive.shards import Archive, Shard, open_archive
from speech_emotion.inference.archive.tables import Rows
from speech_emotion.machine import count_cores
from speech_emotion.models.folder import digest_weights

SHARD_SIZE = 500  # recordings; calls of five minutes make 50,000 utterances of it, and 10 minutes of work
BAR = "{percentage:3.0f}%|{bar}| {n_fmt} of {total_fmt} files, {desc} hours of sound, {remaining} left"


@dataclass(frozen=True)
class Summary:
    """The outcome of a run.

    Attributes:
        files: recordings in the archive.
        failed: how many of them have no answer.
        try_again: how many of those the storage did not hand out.
        hours: length of the answered recordings in the archive.
        done: recordings that this run worked on.
        done_hours: their length, where they have an answer.
        seconds: that this run worked on them.
    """

    files: int
    failed: int
    try_again: int
    hours: float
    done: int
    done_hours: float
    seconds: float


def run_archive(
    address: str,
    folder: Path,
    model: str,
    processes: int | None = None,
    ray: str | None = None,
    own_voice: bool = False,
    shard_size: int = SHARD_SIZE,
    progress: bool = True,
) -> Summary:
    """Answer every recording of an archive that has no answer yet, and write the tables.

    The tables depend on the recordings and the model alone, not on how many processes or machines work on
    them, nor on how often a run is interrupted. The module `shards` describes the files.

    Args:
        address: of the recordings, as in `list_recordings`.
        folder: where the tables are written; absent, empty, or an archive of the same recordings and model.
        model: folder or hub id.
        processes: how many work on this machine; as many as it has cores by default.
        ray: address of a Ray cluster that works instead; `auto` for the one this machine belongs to.
        own_voice: whether a speaker's own utterances in a recording are the reference for each of them.
        shard_size: the most recordings in a shard; memory grows with it.
        progress: whether to show a progress bar.

    Raises:
        ArchiveError: the recordings, the folder or the cluster cannot be used.
        ModelError: the model cannot be.
        OSError: a table cannot be written.
    """
    source, names = list_recordings(address)
    classifier = load(model, None, os.getpid())
    if own_voice and classifier.reference_head is None:
        raise ArchiveError("This model answers every voice alike: it has no reference head.")
    facts = {
        "format": 1,
        "input": source.address,
        "weights": digest_weights(classifier.folder),
        "threshold": classifier.threshold,
        "labels": classifier.labels,
        "own_voice": own_voice,
    }
    answerer = Answerer(source, model, own_voice)
    if ray:
        from speech_emotion.inference.archive.cluster import answer_on_cluster

        answer_all = partial(answer_on_cluster, answerer, address=ray)
    elif source.in_this_process_only:
        answer_all = partial(answer_here, answerer)
    else:
        answer_all = partial(answer_in_processes, answerer, processes=processes or count_cores())
    with open_archive(folder, facts, classifier.labels) as archive:
        return complete(archive, names, answer_all, shard_size, progress)


def complete(
    archive: Archive,
    names: list[str],
    answer_all: Callable[[list[str]], Iterator[Rows]],
    shard_size: int = SHARD_SIZE,
    progress: bool = True,
) -> Summary:
    """Write the shards that an archive lacks.

    Args:
        archive: where they are written.
        names: of all its recordings.
        answer_all: yields the rows for recordings in the order of their names.
        shard_size: as in `run_archive`.
        progress: likewise.
    """
    shards = archive.plan(names, shard_size)
    before, start = dict(archive.totals), time.monotonic()
    waiting = [name for shard in shards for name in shard.names]
    for shard, rows in fill(shards, answer_all(waiting) if waiting else iter(()), before, progress):
        archive.write(shard, rows)
    archive.write_manifest(complete=True)
    totals = archive.totals
    return Summary(
        files=totals["files"],
        failed=totals["failed"],
        try_again=totals["try_again"],
        hours=totals["seconds"] / 3600,
        done=len(waiting),
        done_hours=(totals["seconds"] - before.get("seconds", 0)) / 3600,
        seconds=time.monotonic() - start,
    )


def fill(
    shards: list[Shard], answers: Iterator[Rows], before: dict, progress: bool
) -> Iterator[tuple[Shard, list[Rows]]]:
    """Yield each shard with the rows of its recordings, and show how far the archive is."""
    hours, done = before.get("seconds", 0.0) / 3600, before.get("files", 0)
    total = done + sum(len(shard.names) for shard in shards)
    with tqdm(
        desc=f"{hours:.1f}", total=total, initial=done, bar_format=BAR, smoothing=0.05, disable=not progress
    ) as bar:
        for shard in shards:
            rows = []
            for _ in shard.names:
                rows.append(next(answers))
                hours += rows[-1].seconds / 3600
                bar.set_description_str(f"{hours:.1f}", refresh=False)
                bar.update()
            yield shard, rows
