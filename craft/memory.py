"""Memory of this process: its peak, and keeping what it frees for the next image."""

import ctypes
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_KEPT_BYTES = 256 << 20  # free at the end of the heap before any goes back to the system
_LARGE_BYTES = 1 << 20  # size from which an activation of the network goes back to the system when it is freed
_OWN_MAPPING_BYTES = 32 << 20  # size from which an array gets pages of its own; the most that glibc accepts


def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MiB of what it frees, and return whether the system's allocator can (glibc only).

    glibc returns freed blocks of a few MiB, the size of an image, to the system each time. Every page of the next image
    is then a page fault, which on a virtual machine costs more than filling it. For processes that render or load images
    and do nothing else.
    """
    return _set_allocator(_TRIM_THRESHOLD, _KEPT_BYTES) and _set_allocator(_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def bound_memory_of_sizes() -> None:
    """Keep this process from growing with every new image size: for the process that runs the network over images.

    oneDNN keeps compiled kernels of up to 1024 shapes, and PyTorch as many of its own; both read their limits at the
    first convolution. glibc leaves holes between blocks of changing sizes unless large ones get pages of their own.
    Limits that the user has set in the environment stay.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "16")
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        _set_allocator(_MMAP_THRESHOLD, _LARGE_BYTES)


def _set_allocator(parameter: int, value: int) -> bool:
    """Set a parameter of glibc's malloc, and return whether that was possible."""
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
    except (AttributeError, OSError):  # musl has none
        return False


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
