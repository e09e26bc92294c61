"""Measure an archive: its speed in every way of working, its memory, and that all ways give the same tables.

    python benchmarks/archive.py                    # the parts that results/archive.json lacks
    python benchmarks/archive.py --parts memory     # these parts, again where they are there
    python benchmarks/archive.py --files 20 60 --results /tmp/archive.json    # fewer recordings, for a look

Each part is added to the results as it ends, so a run that is stopped goes on where it was. Speeds need an
idle machine; all parts together take about ten minutes on two processors.

- A speed is that of the larger number of recordings less that of the smaller one, so starting and loading the
  model do not count. The recordings are test clips of the dataset as they lie. Processor time is that of all
  processes of the command, without Ray's own: what an hour of a core yields, however busy the machine is.
- Memory is measured on clips of half a second, in two processes: the most that they hold, shared pages
  counted once.
- "same tables" answers recordings of `--places` and bad inputs in one process, in two that are killed, and
  on a Ray cluster that loses a node, and compares the bytes.
"""

import argparse
import json
import math
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
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import soundfile
from record import RESULTS, ROOT, save_result

from speech_emotion.audio.decoding import SAMPLE_RATE, load_audio
from speech_emotion.dataset import open_dataset
from speech_emotion.inference.batch import find_recordings
from speech_emotion.shipped import shipped_path

sys.path.insert(0, str(ROOT / "tests"))
from archives import answer_three_ways, archive_command, write_bad
from cluster import start_cluster

ONE, TWO, RAY = "1 process", "2 processes", "Ray, 2 nodes of 1 processor"
PIPELINES = {"transformers' pipeline, 1 thread": 1, "transformers' pipeline, 2 threads": 2}
WAYS = (ONE, TWO, RAY, *PIPELINES)
MEMORY, SAME = "memory", "same tables"
PARTS = (*WAYS, MEMORY, SAME)
SHORT_SECONDS = 0.5  # of a clip where memory is measured
SHORT_CLIPS = 100  # different ones; the other files are links to them
KILLS, SHARDS = [3, 9, 15], 22  # finished shards when a run is disturbed, and how many there are
HOURS = 1_000_000  # of the example in docs/archive.md
CORES, NODES = 64, 16  # of a node, and nodes
CORE_DOLLARS = 0.05  # an hour of a processor that clouds rent out: an assumption, not a measurement


def main() -> None:
    """Measure the parts one after another, and save each."""
    options = parse()
    if options.pipeline:
        run_pipeline(options.pipeline, options.model, options.threads)
        return
    parts = json.loads(options.results.read_text())["parts"] if options.results.exists() else {}
    for part in options.parts or [part for part in PARTS if part not in parts]:
        start, load = time.perf_counter(), os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as place:
            figures = measure_part(part, options, Path(place))
        figures |= {
            "load_average_at_start": round(load, 1),
            "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            "minutes": round((time.perf_counter() - start) / 60, 1),
        }
        print(part, json.dumps(figures), flush=True)
        parts[part] = figures
        save(options, {part: parts[part] for part in PARTS if part in parts})
    print_tables()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="default: those that the results lack")
    parser.add_argument("--data", default="data/emotion", help="the dataset's folder or hub id")
    parser.add_argument("--model", default=str(shipped_path("models/wav2vec2")), help="folder or hub id")
    parser.add_argument("--files", type=int, nargs=2, default=[100, 3000], help="of a speed")
    parser.add_argument("--memory-files", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--places", type=Path, nargs="+", default=[ROOT / "corpora", ROOT / "own"])
    parser.add_argument("--recordings", type=int, default=2000, help="real ones, from the places")
    parser.add_argument("--bad", type=int, default=200, help="bad inputs beside them")
    parser.add_argument("--results", type=Path, default=RESULTS / "archive.json")
    parser.add_argument("--pipeline", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)  # likewise
    return parser.parse_args()


def measure_part(part: str, options: argparse.Namespace, place: Path) -> dict:
    """Return the figures of a part.

    Args:
        part: one of `PARTS`.
        options: of the command line.
        place: an empty folder.
    """
    if part == MEMORY:
        counts = options.memory_files
        folders = [write_short_clips(options.data, count, place / str(count)) for count in counts]
        runs = [run_way(TWO, folder, options.model) for folder in folders]
        keys = ("files", "whole_mb", "parent_mb", "worker_mb")
        return {key: [each[key] for each in runs] for key in keys} | {"seconds_of_a_clip": SHORT_SECONDS}
    if part == SAME:
        write_real(options.places, options.recordings, place / "calls")
        write_bad(place / "calls" / "bad", options.bad, most_bytes=200 * 2**20)
        write_damaged(place / "calls", options.bad - len(list((place / "calls" / "bad").iterdir())))
        size = math.ceil((options.recordings + options.bad) / SHARDS)
        settings = ["--model", options.model, "--shard-size", str(size)]
        return answer_three_ways(place / "calls", place, settings, KILLS)
    folders = [write_clips(options.data, count, place / str(count)) for count in options.files]
    return compare(*(run_way(part, folder, options.model) for folder in folders), part)


def compare(first: dict, last: dict, way: str) -> dict:
    """Return a way's speed, from its runs on few and on many recordings."""
    more = {key: last[key] - first[key] for key in ("files", "hours", "seconds", "processor_seconds")}
    figures = {
        "engine": last["engine"],
        "files": [first["files"], last["files"]],
        "hours": [round(each["hours"], 3) for each in (first, last)],
        "seconds": [round(each["seconds"], 1) for each in (first, last)],
        "files_per_second": round(more["files"] / more["seconds"], 2),
        "times_as_fast_as_the_sound_lasts": round(3600 * more["hours"] / more["seconds"], 1),
    }
    if way != RAY:  # whose workers are not the command's own processes
        figures["processor_seconds"] = [round(each["processor_seconds"], 1) for each in (first, last)]
        speed = 3600 * more["hours"] / more["processor_seconds"]
        figures["hours_of_sound_per_core_hour"] = round(speed, 1)
    return figures


def save(options: argparse.Namespace, parts: dict) -> None:
    """Write the results, with what follows from them."""
    figures = {"model": Path(options.model).name, "parts": parts}
    if {ONE, TWO} <= set(parts):
        one, two = (parts[name]["files_per_second"] for name in (ONE, TWO))
        figures["speedup_of_2_processes"] = round(two / one, 2)
    if TWO in parts:
        figures["million_hours"] = estimate(parts[TWO]["hours_of_sound_per_core_hour"])
    save_result(options.results, figures, ["torch", "onnxruntime", "transformers", "datasets", "ray"])


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


def run_way(way: str, folder: Path, model: str) -> dict:
    """Return the time and memory that a way takes for a folder, starting included, and the folder's size."""
    output = folder.parent / "answers"
    if way in PIPELINES:
        command = [sys.executable, __file__, "--pipeline", str(folder), "--model", model]
        figures = measure([*command, "--threads", str(PIPELINES[way])])
    elif way == RAY:
        with start_cluster(nodes=2) as cluster:
            figures = measure(archive_command(folder, output, "--model", model, "--ray", cluster.address))
    else:
        processes = ("--processes", way.split()[0])
        figures = measure(archive_command(folder, output, "--model", model, *processes))
    figures["engine"] = "PyTorch"
    if output.exists():
        [figures["engine"]] = pq.read_table(output / "recordings")["engine"].unique().to_pylist()
        shutil.rmtree(output)
    seconds = [soundfile.info(file).duration for file in folder.iterdir()]
    return figures | {"files": len(seconds), "hours": sum(seconds) / 3600}


def measure(command: list[str]) -> dict:
    """Run a command to its end; return its `seconds`, `processor_seconds` and the most memory in MB."""
    start, before = time.perf_counter(), count_processor_seconds()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with watch_memory(process.pid) as found:
        _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    whole, parent, worker = (round(max(column) / 1e6) for column in zip(*found, strict=True))
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": count_processor_seconds() - before,
        "whole_mb": whole,
        "parent_mb": parent,
        "worker_mb": worker,
    }


def count_processor_seconds() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def watch_memory(pid: int) -> Iterator[list[tuple[int, int, int]]]:
    """Yield a list that grows each second: bytes of a process and all below, of it, of the largest other."""
    found, over = [(0, 0, 0)], threading.Event()

    def watch() -> None:
        while not over.wait(1):
            try:
                root = psutil.Process(pid)
                parent, *workers = [
                    each.memory_full_info().pss for each in [root, *root.children(recursive=True)]
                ]
            except psutil.Error:  # one of them has just ended
                continue
            found.append((parent + sum(workers), parent, max(workers, default=0)))

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    over.set()
    thread.join()


def run_pipeline(folder: Path, model: str, threads: int) -> None:
    """Answer a folder as transformers' own pipeline does: a clip at a time, from a dataset of samples."""
    import torch
    from datasets import Dataset
    from transformers import pipeline
    from transformers.pipelines.pt_utils import KeyDataset

    import speech_emotion.models.loading  # noqa: F401  teaches transformers the CNNs

    torch.set_num_threads(threads)
    rows = Dataset.from_dict({"file": [str(file) for file in sorted(folder.iterdir())]})
    rows = rows.with_transform(lambda batch: {"audio": [load_audio(file) for file in batch["file"]]})
    for _ in pipeline("audio-classification", model=model)(KeyDataset(rows, "audio")):
        pass


def write_clips(data: str, count: int, folder: Path) -> Path:
    """Write so many test clips of the dataset, from all over it, into a new folder."""
    folder.mkdir()
    rows = open_dataset(data)["test"]
    chosen = np.linspace(0, len(rows) - 1, count).astype(int)
    for number, row in enumerate(rows.select(chosen)):
        (folder / f"{number:06}.flac").write_bytes(row["audio"]["bytes"])
    return folder


def write_short_clips(data: str, count: int, folder: Path) -> Path:
    """Write so many clips of `SHORT_SECONDS` into a new folder: the middles of `SHORT_CLIPS` test clips."""
    write_clips(data, min(SHORT_CLIPS, count), folder)
    clips = sorted(folder.iterdir())
    for file in clips:
        audio = load_audio(file)
        start = max(0, (len(audio) - int(SHORT_SECONDS * SAMPLE_RATE)) // 2)
        soundfile.write(file, audio[start : start + int(SHORT_SECONDS * SAMPLE_RATE)], SAMPLE_RATE)
    for number, clip in zip(range(len(clips), count), cycle(clips), strict=False):
        (folder / f"{number:06}.flac").hardlink_to(clip)
    return folder


def write_real(places: list[Path], count: int, folder: Path) -> None:
    """Link so many recordings, from all over some folders, into a new folder."""
    folder.mkdir()
    found = [file for place in places for file in find_recordings(place.resolve())]
    for number in np.linspace(0, len(found) - 1, count).astype(int):
        (folder / f"{number:06}{found[number].suffix}").symlink_to(found[number])


def write_damaged(folder: Path, count: int) -> None:
    """Write copies of a folder's first recordings whose second half is noise."""
    for number, file in enumerate(sorted(folder.glob("*.*"))[: max(0, count)]):
        content = file.read_bytes()
        half = len(content) // 2
        noise = np.random.default_rng(number).bytes(half)
        (folder / "bad" / f"damaged-{file.name}").write_bytes(content[:-half] + noise)


def print_tables() -> None:
    """Print the tables of docs/archive.md."""
    import tables

    for table in (tables.archive, tables.archive_memory, tables.archive_same, tables.million_hours):
        print(f"\n{table()}")


if __name__ == "__main__":
    main()
