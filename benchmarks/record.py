"""Write a benchmark's figures with the machine, the versions, the date and the command behind them."""

import json
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"

sys.path.insert(0, str(ROOT))  # finds the package from any working directory

from speech_emotion.machine import count_cores, name_processor  # noqa: E402


def describe_hardware() -> dict:
    """Describe the machine: its processor, the cores this process may use, its memory in GB, its system."""
    return {
        "cpu": name_processor(),
        "cores": count_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
    }


def save_result(path: Path, figures: dict, packages: list[str]) -> None:
    """Write figures with the machine, versions, date and command behind them.

    Args:
        path: the JSON file.
        figures: the measurements, with their units in the names.
        packages: the packages whose versions are recorded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    result = figures | {
        "machine": describe_hardware(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": shlex.join(["python", *sys.argv]),
    }
    path.write_text(json.dumps(result, indent=1) + "\n")
