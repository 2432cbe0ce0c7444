"""Sensor noise from normal numbers that are drawn once and read from random positions. No torch."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from craft.kernels import njit

POOL_SIZE = 1 << 16  # numbers kept, few enough for the processor's cache
STRETCH = 4096  # neighbouring values that take their noise from one position
_UNIT = 28  # standard deviation of the numbers kept: 4.5 deviations fill 8 bits
_SHIFT = 8


def add_noise(image: NDArray[np.uint8], generator: np.random.Generator, *, deviation: float) -> NDArray[np.uint8]:
    """Add normal noise of a standard deviation from 0 to 28 levels to every value of an image, rounded and clipped.

    Stretches of values begin at random in one pool of numbers, and may share some.
    """
    flat = np.ascontiguousarray(image).reshape(-1)
    noisy = np.empty_like(flat)
    starts = generator.integers(POOL_SIZE - STRETCH, size=-(-len(flat) // STRETCH))
    _add(flat, noise_pool(), starts, np.int16(round(deviation / _UNIT * 2**_SHIFT)), noisy)
    return noisy.reshape(image.shape)


@cache
def noise_pool() -> NDArray[np.int8]:
    """(POOL_SIZE,) int8: normal numbers of standard deviation 28, the same in every process."""
    numbers = np.random.default_rng(0).normal(scale=_UNIT, size=POOL_SIZE)
    return np.clip(np.rint(numbers), -127, 127).astype(np.int8)


@njit(cache=True, nogil=True)
def _add(values, pool, starts, factor, out):
    """Fill in values plus the pool's numbers times the factor, in 8 bits."""
    for stretch in range(len(starts)):
        first = stretch * STRETCH
        part = values[first : first + STRETCH]
        added, noisy = pool[starts[stretch] : starts[stretch] + STRETCH], out[first : first + STRETCH]
        for index in range(len(part)):
            step = np.int16(np.int16(np.int16(added[index]) * factor) + np.int16(1 << (_SHIFT - 1))) >> np.int16(_SHIFT)
            value = np.int16(np.int16(part[index]) + np.int16(step))
            noisy[index] = np.uint8(min(max(value, np.int16(0)), np.int16(255)))
