"""Compiled kernels: numba's njit, cached on the disk where there is a folder that can be written to.

Without numba, kernels run as plain Python with the same results. Detection alone then stays practical.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import numba
except ModuleNotFoundError:  # 200 MB that an installation for detection alone may leave out
    numba = None  # type: ignore[assignment]


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function as `numba.njit` does, without a cache where neither package nor home folder can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        if numba is None:
            return function
        try:
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError:  # "no locator available"
            return numba.njit(**options)(function)

    return compiled
