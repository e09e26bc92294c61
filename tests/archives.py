"""Archives that the tests and `benchmarks/archive.py` make: kills in between, and one folder in all three ways."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from bad_audio import SOUND, make_inputs
from cluster import start_cluster

from speech_emotion.inference.archive.tables import TABLES
from speech_emotion.inference.batch import is_recording

ROOT = Path(__file__).parent.parent


def archive_command(recordings: Path | str, output: Path, *options: str) -> list[str]:
    """Return the command that makes an archive."""
    start = [sys.executable, "-m", "speech_emotion", "archive", str(recordings)]
    return [*start, "--output", str(output), *options]


def finish(command: list[str]) -> str:
    """Run a command to its end, from where Ray's workers find the package; return what it says on the way."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def kill_after(command: list[str], folder: Path, shards: int) -> list[psutil.Process]:
    """Kill a command once so many shards are there; return its processes."""
    run = start_until(command, folder, shards)
    children = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.wait()
    return children


def finish_without(
    lost: Callable[[psutil.Process], None], command: list[str], folder: Path, shards: int
) -> None:
    """Run a command to its end, and take something from it once so many shards are there."""
    run = start_until(command, folder, shards)
    lost(psutil.Process(run.pid))
    assert run.wait(900) == 0, log_of(folder).read_text()


def start_until(command: list[str], folder: Path, shards: int) -> subprocess.Popen:
    """Start a command, and return it once so many shards are there."""
    with log_of(folder).open("w") as log:  # a pipe that nobody reads would stop it
        run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)
    while run.poll() is None and len(list(folder.glob("recordings/*.parquet"))) < shards:
        time.sleep(0.02)
    assert run.poll() is None, f"the run ended before it could be disturbed: {log_of(folder).read_text()}"
    return run


def log_of(folder: Path) -> Path:
    """Return where the command that makes an archive writes what it says on the way."""
    return folder.with_suffix(".log")


def read_tables(folder: Path) -> dict[str, bytes]:
    """Return the files of an archive's tables."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for table in TABLES
        for file in sorted((folder / table).iterdir())
    }


def write_bad(folder: Path, count: int | None = None, most_bytes: int = 2**20) -> None:
    """Write bad inputs into a folder: those that may be refused first, so many at most, none larger."""
    inputs = sorted(make_inputs(), key=lambda each: each.says == SOUND)
    small = [each for each in inputs if len(each.content) < most_bytes]
    folder.mkdir(exist_ok=True)
    for each in small[:count]:
        name = each.name if is_recording(Path(each.name)) else f"{each.name}.wav"
        (folder / name).write_bytes(each.content)


def answer_three_ways(recordings: Path, place: Path, options: list[str], kills: list[int]) -> dict:
    """Make an archive in one process undisturbed, in two that are killed, and on a cluster that loses a node.

    Args:
        recordings: the folder.
        place: where the three archives are written.
        options: of the command.
        kills: the numbers of finished shards at which the command is killed, and then begun again. On the
            cluster, a node is killed at the last one instead.

    Returns:
        The totals of the archive, and `same`: for each other way, whether its tables have the same bytes.
    """
    one, two, many = (place / name for name in ("one", "two", "many"))
    finish(archive_command(recordings, one, "--processes", "1", *options))
    command = archive_command(recordings, two, "--processes", "2", *options)
    for shards in kills:
        kill_after(command, two, shards)
    finish(command)
    with start_cluster(nodes=2) as cluster:
        command = archive_command(recordings, many, "--ray", cluster.address, *options)
        for shards in kills[:-1]:
            kill_after(command, many, shards)
        node = next(iter(cluster.worker_nodes))
        finish_without(lambda _: cluster.remove_node(node, allow_graceful=False), command, many, kills[-1])
    manifest, tables = json.loads((one / "manifest.json").read_text()), read_tables(one)
    totals = {name: manifest[name] for name in ("files", "failed", "utterances", "seconds")}
    ways = {"2 processes": two, "Ray, 2 nodes": many}
    return totals | {"same": {name: read_tables(folder) == tables for name, folder in ways.items()}}
