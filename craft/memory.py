"""Memory of this process: its peak, and keeping what it frees for the next image."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_KEPT_BYTES = 256 << 20  # free at the end of the heap before any goes back to the system
_OWN_MAPPING_BYTES = 32 << 20  # size from which an array gets pages of its own; the most that glibc accepts


def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MiB of what it frees, and return whether the system's allocator can (glibc only).

    glibc returns freed blocks of a few MiB, the size of an image, to the system each time. Every page of the next image
    is then a page fault, which on a virtual machine costs more than filling it. For processes that render or load images
    and do nothing else.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, _OWN_MAPPING_BYTES))


def peak_memory_bytes() -> int:
    """The most memory in bytes that this process has held since it started; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would also count the process that this one was forked from
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    if sys.platform == "win32":
        return 0
    import resource  # Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others KiB
