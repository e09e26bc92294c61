"""Measure the command `speech-emotion` and the app as whole processes, from start to first answer.

    python benchmarks/startup.py

Each runs `RUNS` times after one run that fills the system's caches. The results file has the medians of the
wall time and of the processor time of all threads together. Other programs hardly change the processor time.
The wall time is fair on an idle machine alone; `load_average` states how busy this one was. Needs the extra
`bench`. Writes results/startup.json.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile
from record import RESULTS, ROOT, save_result
from visitors import served

sys.path.insert(0, str(ROOT / "tests"))
from conftest import speak

RUNS = 3
COMMANDS = {
    "speech-emotion clip.wav": ["clip.wav"],
    "speech-emotion clip.wav --json": ["clip.wav", "--json"],
    "speech-emotion clip.wav --timeline": ["clip.wav", "--timeline"],
    "speech-emotion missing.wav": ["missing.wav"],
}
APP = "python app.py, to its first page"


def main() -> None:
    """Measure, print and save."""
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder, "clip.wav"), speak(seconds=3), 16_000)
        runs = {
            name: [run_command(arguments, folder) for _ in range(1 + RUNS)]
            for name, arguments in COMMANDS.items()
        }
    runs[APP] = [start_app() for _ in range(1 + RUNS)]
    processes = {name: summarise(own[1:]) for name, own in runs.items()}
    for name, own in processes.items():
        print(f"{name:40}{own['cpu_seconds']:>8} s of processor time{own['seconds']:>8} s")
    figures = {"clip_seconds": 3.0, "runs": RUNS, "load_average": load, "processes": processes}
    save_result(RESULTS / "startup.json", figures, ["onnxruntime", "gradio"])


def run_command(arguments: list[str], folder: str) -> tuple[float, float]:
    """Run the command once; return its wall time and its processor time in seconds."""
    command = [sys.executable, "-m", "speech_emotion", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, **quiet)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def start_app() -> tuple[float, float]:
    """Start the app and fetch its page; return the same figures as `run_command`."""
    with served() as (_, app, seconds):
        used = app.cpu_times()
        return seconds, used.user + used.system


def summarise(runs: list[tuple[float, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    seconds, cpu_seconds = (round(statistics.median(own), 2) for own in zip(*runs, strict=True))
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


if __name__ == "__main__":
    main()
