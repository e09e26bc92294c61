"""Measure an archive: its speed by processes, on a Ray cluster and in transformers' pipeline; its memory.

    python benchmarks/archive.py                    # on an idle machine
    python benchmarks/archive.py --files 100 1000   # fewer recordings, for a first look

The recordings are test clips of the dataset as they lie, in a folder, as often as needed. A speed is that of
the largest number of files less that of the smallest one, so starting and loading the model do not count.
Processor time is that of all processes of the command: what an hour of a core yields, however busy the
machine is. Memory is the most that they hold together, shared pages counted once. Ray's own processes are in
neither. The figures go to results/archive.json; docs/archive.md shows them.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from record import RESULTS, ROOT, save_result

from speech_emotion.dataset import open_dataset
from speech_emotion.shipped import shipped_path

sys.path.insert(0, str(ROOT / "tests"))
from cluster import start_cluster

USUAL, PIPELINE = "2 processes", "transformers' pipeline"
WAYS = ("1 process", USUAL, "Ray, 2 nodes of 1 processor", PIPELINE)
CLIPS = 500  # different ones; the other files are links to them
HOURS = 1_000_000  # of the example in docs/archive.md
CORES, NODES = 64, 16  # of a node, and nodes
CORE_DOLLARS = 0.05  # an hour of a processor that clouds rent out: an assumption, not a measurement


def main() -> None:
    """Run every way on every number of files, and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--model", default=str(shipped_path("models/wav2vec2")), help="folder or hub id")
    parser.add_argument("--files", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, help="default: all")
    parser.add_argument("--pipeline", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.pipeline:
        run_pipeline(options.pipeline, options.model)
        return
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as place:
        folders = [write_recordings(options.data, count, Path(place, str(count))) for count in options.files]
        hours = [sum_hours(folder) for folder in folders]
        runs = {}
        for name in options.ways:  # the folders beyond the second are for the memory of the usual way
            some = folders if name == USUAL else folders[:2]
            runs[name] = [run(name, folder, options.model) for folder in some]
            print(name, runs[name], flush=True)
    ways = {name: compare(options.files, hours, own) for name, own in runs.items()}
    figures = {
        "model": Path(options.model).name,
        "files": options.files,
        "hours": [round(each, 3) for each in hours],
        "load_average_at_start": [round(each, 1) for each in load],
        "ways": ways,
    }
    if {"1 process", USUAL} <= set(ways):
        one, two = (ways[name]["files_per_second"] for name in ("1 process", USUAL))
        figures["speedup_of_2_processes"] = round(two / one, 2)
    if "1 process" in ways:
        figures["million_hours"] = estimate(ways["1 process"]["hours_of_sound_per_core_hour"])
    packages = ["torch", "onnxruntime", "transformers", "datasets", "ray"]
    save_result(RESULTS / "archive.json", figures, packages)


def estimate(speed: float) -> dict:
    """Return what `HOURS` of sound take, from the hours of sound that one core answers in an hour."""
    core_hours = HOURS / speed
    return {
        "hours_of_sound": HOURS,
        "core_hours": round(core_hours),
        "nodes": NODES,
        "cores_of_a_node": CORES,
        "hours": round(core_hours / (NODES * CORES), 1),
        "dollars": round(core_hours * CORE_DOLLARS),
        "assumed_dollars_an_hour_of_a_core": CORE_DOLLARS,
    }


def compare(files: list[int], hours: list[float], runs: list[dict]) -> dict:
    """Return a way's speed, from its smallest and its largest run, and each run's memory."""
    first, last, at = runs[0], runs[-1], len(runs) - 1
    seconds, cores = (last[name] - first[name] for name in ("seconds", "processor_seconds"))
    more_hours = hours[at] - hours[0]
    return {
        "engine": last["engine"],
        "files_per_second": round((files[at] - files[0]) / seconds, 2),
        "times_as_fast_as_the_sound_lasts": round(3600 * more_hours / seconds, 1),
        "hours_of_sound_per_core_hour": round(3600 * more_hours / cores, 1),
        "seconds": [round(each["seconds"], 1) for each in runs],
        "processor_seconds": [round(each["processor_seconds"], 1) for each in runs],
        "memory_mb": [each["memory_mb"] for each in runs],
    }


def run(name: str, folder: Path, model: str) -> dict:
    """Return the seconds and the memory that one way takes for a folder, starting included."""
    output = folder.parent / "answers"
    archive = [sys.executable, "-m", "speech_emotion", "archive", str(folder), "--output", str(output)]
    archive += ["--model", model]
    if name == PIPELINE:
        figures = measure([sys.executable, __file__, "--pipeline", str(folder), "--model", model])
    elif name.startswith("Ray"):
        with start_cluster(nodes=2) as cluster:
            figures = measure([*archive, "--ray", cluster.address])
    else:
        figures = measure([*archive, "--processes", name.split()[0]])
    figures["engine"] = "PyTorch"
    if output.exists():
        [figures["engine"]] = pq.read_table(output / "recordings")["engine"].unique().to_pylist()
        shutil.rmtree(output)
    return figures


def measure(command: list[str]) -> dict:
    """Run a command to its end; return its `seconds`, `processor_seconds` and the most memory in MB."""
    start, before = time.perf_counter(), count_processor_seconds()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with watch_memory(process.pid) as peak:
        _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": count_processor_seconds() - before,
        "memory_mb": round(max(peak) / 1e6),
    }


def count_processor_seconds() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def watch_memory(pid: int) -> Iterator[list[int]]:
    """Yield a list that grows by the bytes of a process and those below it, once a second."""
    found, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(1):
            try:
                root = psutil.Process(pid)
                found.append(
                    sum(each.memory_full_info().pss for each in [root, *root.children(recursive=True)])
                )
            except psutil.Error:  # one of them has just ended
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    over.set()
    thread.join()


def run_pipeline(folder: Path, model: str) -> None:
    """Answer a folder as transformers' own pipeline does: a clip at a time, from a dataset of samples."""
    import torch
    from datasets import Dataset
    from transformers import pipeline
    from transformers.pipelines.pt_utils import KeyDataset

    import speech_emotion.models.loading  # noqa: F401  teaches transformers the CNNs
    from speech_emotion.audio.decoding import load_audio

    torch.set_num_threads(1)
    rows = Dataset.from_dict({"file": [str(file) for file in sorted(folder.iterdir())]})
    rows = rows.with_transform(lambda batch: {"audio": [load_audio(file) for file in batch["file"]]})
    for _ in pipeline("audio-classification", model=model)(KeyDataset(rows, "audio")):
        pass


def write_recordings(data: str, count: int, folder: Path) -> Path:
    """Write so many test clips to a folder; those beyond `CLIPS` are links to the first ones."""
    folder.mkdir()
    rows = open_dataset(data)["test"]
    clips = rows.select(range(min(CLIPS, count, len(rows))))
    files = [folder / f"{number:06}.flac" for number in range(count)]
    for file, row in zip(files, clips, strict=False):
        file.write_bytes(row["audio"]["bytes"])
    for file, first in zip(files[len(clips) :], cycle(files[: len(clips)]), strict=False):
        file.hardlink_to(first)
    return folder


def sum_hours(folder: Path) -> float:
    """Return the length of a folder's recordings in hours."""
    import soundfile

    return sum(soundfile.info(file).duration for file in folder.iterdir()) / 3600


if __name__ == "__main__":
    main()
