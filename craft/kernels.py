"""Compiled kernels: numba's njit, cached in the user's cache folder, so that none is left beside the code.

Without numba, kernels run as plain Python with the same results. Detection alone then stays practical.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import numba
except ModuleNotFoundError:  # 200 MB that an installation for detection alone may leave out
    numba = None  # type: ignore[assignment]


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function as `numba.njit` does, without a cache where no folder for one can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        if numba is None:
            return function
        settings: Any = numba.config
        before = settings.CACHE_DIR
        settings.CACHE_DIR = before or str(cache_folder())  # read when the function is decorated; others' stay
        try:
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError:  # "no locator available"
            return numba.njit(**options)(function)
        finally:
            settings.CACHE_DIR = before

    return compiled


def cache_folder() -> Path:
    """The folder for compiled kernels: craft-ohem in the user's cache folder; NUMBA_CACHE_DIR names another."""
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        parent = "~/Library/Caches"
    else:
        parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(parent)) / "craft-ohem"
