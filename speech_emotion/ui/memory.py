"""The memory of the running app."""

import ctypes
import platform

# Of glibc's mallopt, with the values that its malloc.h gives their names.
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
KEPT_BYTES = 128 * 2**10  # of freed memory that stay with a heap, glibc's own value at the start
HEAPS = 2  # for all threads together


def return_freed_memory() -> None:
    """Have the C library give freed memory back to the system, where it is glibc.

    glibc keeps more and more of what is freed: it raises its own threshold with each large block, and each
    thread may have a heap. Call this at the start of a program that serves for long.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_ARENA_MAX, HEAPS)
