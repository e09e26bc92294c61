"""The machine that measured a figure: its processor, its cores, and the versions of packages."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "evaluate")


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def count_threads() -> int:
    """Return how many threads a computation may use: OMP_NUM_THREADS, as torch reads it, or one a core."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else count_cores()


def name_processor() -> str:
    """Return the processor's name as the system states it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def name_accelerator() -> str | None:
    """Return the name of the first CUDA device; None without one."""
    import torch  # here, so that counting cores does not load it

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def describe_machine(packages: Iterable[str] = PACKAGES) -> dict:
    """Return a description of the machine and the software.

    Args:
        packages: the installed packages whose versions matter.

    Returns:
        `processor`, `cores` (that this process may use), `accelerator`, `python`, the version of each package
        by its name, and `date` (UTC).
    """
    return {
        "processor": name_processor(),
        "cores": count_cores(),
        "accelerator": name_accelerator(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
    }
