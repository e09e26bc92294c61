"""Where and with what a benchmark was measured, and the file in which its figures are kept."""

import json
import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"

sys.path.insert(0, str(ROOT))  # so that what is measured is found from wherever a benchmark is started


def describe_machine() -> dict:
    """Describe the machine: its processor, the cores this process may use, its memory in GB."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return {
        "cpu": model.group(1) if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
    }


def save_result(path: Path, figures: dict, packages: list[str]) -> None:
    """Write figures with all that is needed to judge and repeat them.

    Args:
        path: the JSON file.
        figures: what was measured, units in the names.
        packages: whose versions matter.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    result = figures | {
        "machine": describe_machine(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": shlex.join(["python", *sys.argv]),
    }
    path.write_text(json.dumps(result, indent=1) + "\n")
