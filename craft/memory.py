"""Memory of this process: its peak, and keeping what it frees for the next image."""

import ctypes
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # glibc, malloc.h
_KEPT_BYTES = 256 << 20  # free at the end of the heap before any goes back to the system
_OWN_MAPPING_BYTES = 32 << 20  # size from which an array gets pages of its own; the most that glibc accepts
_LARGE_BYTES = 1 << 20  # size from which an activation of the network goes back to the system when it is freed
_ALL_MAPPINGS = 65536  # glibc's own number of blocks with pages of their own
_REUSED_PIXELS = 1 << 21  # of a pass whose features, up to 400 bytes a pixel with "small", are kept for the next
_MOST_FREE_BYTES = 1 << 30  # that a process keeps between images


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
    first convolution. glibc leaves holes between blocks of changing sizes unless large ones get pages of their own, or
    it is told to give them back. Limits that the user has set in the environment stay.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "16")
    if not _has_users_limits():
        _set_allocator(_MMAP_THRESHOLD, _LARGE_BYTES)
        _set_allocator(_TRIM_THRESHOLD, _MOST_FREE_BYTES)


def reuse_features(num_pixels: int) -> None:
    """Before a pass of the network: let it find the memory that the last one freed, unless it needs too much.

    Faulting in the pages of every layer's features anew takes a fifth to a third of the time of a pass. Features of more
    than 2 megapixels get pages of their own all the same, which go back to the system when the layer is done, as does
    what smaller ones have left.
    """
    if _has_users_limits() or _free_bytes() is None:
        return
    if num_pixels <= _REUSED_PIXELS:
        _set_allocator(_MMAP_MAX, 0)
    else:
        _set_allocator(_MMAP_MAX, _ALL_MAPPINGS)
        ctypes.CDLL(None).malloc_trim(0)


def release_freed_memory() -> None:
    """Give free memory back to the system where this process holds more than 1 GiB of it (glibc only)."""
    if (_free_bytes() or 0) > _MOST_FREE_BYTES:
        ctypes.CDLL(None).malloc_trim(0)


def _has_users_limits() -> bool:
    return any(name.startswith("MALLOC_") for name in os.environ)


class _MallocInfo(ctypes.Structure):  # struct mallinfo2
    _fields_ = [(f"field{place}", ctypes.c_size_t) for place in range(10)]


def _free_bytes() -> int | None:
    """Bytes that the allocator holds and nobody uses; None where it does not say (glibc from 2.33 does)."""
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        return None
    inquire = ctypes.CDLL(None).mallinfo2
    inquire.restype = _MallocInfo
    return int(inquire().field8)  # fordblks


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
