"""Compiled kernels: numba's njit, cached on the disk where there is a folder that can be written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function as `numba.njit` does, without a cache where neither package nor home folder can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError:  # "no locator available"
            return numba.njit(**options)(function)

    return compiled
