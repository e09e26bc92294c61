"""The machine that measured a figure: its processor, its cores, and the versions of packages."""

import ctypes
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

# Of glibc's mallopt, with the values that its malloc.h gives their names.
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
KEPT_BYTES = 128 * 2**10  # of freed memory that stay with a heap, glibc's own value at the start
HEAPS = 2  # for all threads together

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "evaluate")


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def count_threads() -> int:
    """Return how many threads a computation may use: OMP_NUM_THREADS, as torch reads it, or one a core."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else count_cores()


def return_freed_memory() -> None:
    """Have the C library give freed memory back to the system, where it is glibc.

    glibc keeps more and more of what is freed: it raises its own threshold with each large block, and each
    thread may have a heap. Call this at the start of a program that serves for long.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_ARENA_MAX, HEAPS)


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
