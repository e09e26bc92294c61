"""Measure the command `speech-emotion` as a whole process: processor time and memory from start to answer.

    python benchmarks/startup.py

Each command runs `RUNS` times after one run that fills the system's caches; the results file has the median.
Processor time is that of the process and its threads, so other programs hardly change it. Writes
results/startup.json.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile
from record import RESULTS, ROOT, save_result

sys.path.insert(0, str(ROOT / "tests"))
from conftest import speak

RUNS = 3
COMMANDS = {
    "speech-emotion clip.wav": ["clip.wav"],
    "speech-emotion clip.wav --json": ["clip.wav", "--json"],
    "speech-emotion clip.wav --timeline": ["clip.wav", "--timeline"],
    "speech-emotion missing.wav": ["missing.wav"],
}


def main() -> None:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder, "clip.wav"), speak(seconds=3), 16_000)
        commands = {name: measure(arguments, folder) for name, arguments in COMMANDS.items()}
    for name, own in commands.items():
        print(f"{name:40}{own['cpu_seconds']:>8} s{own['memory_mb']:>8} MB  {own['engine_notice']}")
    save_result(
        RESULTS / "startup.json", {"clip_seconds": 3.0, "runs": RUNS, "commands": commands}, ["onnxruntime"]
    )


def measure(arguments: list[str], folder: str) -> dict:
    """Run a command several times; return the median of its processor time, and its largest memory."""
    command = [sys.executable, "-m", "speech_emotion", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    seconds, memory, notice = [], 0.0, ""
    for _ in range(1 + RUNS):
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        notice = process.stderr.read().strip().partition("\n")[0]
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        seconds.append(usage.ru_utime + usage.ru_stime)
        memory = max(memory, usage.ru_maxrss / 1000)
    return {
        "cpu_seconds": round(statistics.median(seconds[1:]), 2),
        "memory_mb": round(memory),
        "engine_notice": notice,
    }


if __name__ == "__main__":
    main()
