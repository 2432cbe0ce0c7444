"""Memory that a process frees is kept by it for the next picture."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_KEPT = 256 << 20  # bytes free at the end of the heap before any go back
_OWN_MAPPING = 32 << 20  # bytes from which an array gets pages of its own; the most that glibc takes


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to 256 MiB, instead of giving it back and asking for it again.

    Pictures of a few MiB are the sizes that glibc gives back to the system each time; every page of the next one is then
    a fault, which on a virtual machine costs more than the copy that fills it. For processes that draw or load pictures
    and do nothing else.

    Returns:
        Whether it was done: with glibc only.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _OWN_MAPPING))
