"""Memory of this process: its peak, and keeping what it frees for the next image."""

import ctypes
import os
import sys
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # glibc, malloc.h
_KEPT_BYTES = 256 << 20  # free at the end of the heap before any goes back to the system
_OWN_MAPPING_BYTES = 32 << 20  # size from which an array gets pages of its own; the most that glibc accepts
_DETECTION_BYTES = 1 << 30  # free memory that a process keeps between images: more than most images' features


def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MiB of what it frees, and return whether the system's allocator can (glibc only).

    glibc returns freed blocks of a few MiB, the size of an image, to the system each time. Every page of the next image
    is then a page fault, which on a virtual machine costs more than filling it. For processes that render or load images
    and do nothing else.
    """
    return _set_allocator(_TRIM_THRESHOLD, _KEPT_BYTES) and _set_allocator(_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)


def reuse_memory_of_images() -> None:
    """Keep the memory of one image's features for the next image: for the process that runs the network over images.

    Their pages, faulted in anew for every layer, take a fifth to a third of the network's time. And oneDNN keeps compiled
    kernels of up to 1024 shapes, PyTorch as many of its own; both read their limits at the first convolution. Limits that
    the user has set in the environment stay. See `release_freed_memory`.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "16")
    if not any(name.startswith("MALLOC_") for name in os.environ) and _free_bytes() is not None:
        _set_allocator(_MMAP_MAX, 0)
        _set_allocator(_TRIM_THRESHOLD, 2 * _DETECTION_BYTES - 1)


def release_freed_memory() -> None:
    """Give free memory back to the system where this process holds more than 1 GiB of it (glibc only).

    Blocks of changing sizes leave holes between them, with which a process would grow with every new image size.
    """
    if (_free_bytes() or 0) > _DETECTION_BYTES:
        ctypes.CDLL(None).malloc_trim(0)


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
