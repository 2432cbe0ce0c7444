"""Noise at many scales, made once per process and cut, stretched and mixed into pictures."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from craft.synth.rendered_scene import Picture

_SIDE = 1024
KINDS = ("grain", "fractal", "rough", "fibres", "blotches", "scratches")


@cache
def texture(kind: str) -> Picture:
    """A tile of noise whose mean is 128.

    Args:
        kind: one of `KINDS`.

    Returns:
        (1024, 1024) uint8, or (1024, 1024, 3) for "grain", the same in every process; not to be written to.
    """
    generator = np.random.default_rng([KINDS.index(kind), 77])
    if kind == "grain":
        values = generator.normal(0, 1, (_SIDE, _SIDE, 3)).astype(np.float32)
    else:
        values = _PLANES[kind](generator)
    values = (values - values.mean()) / values.std()
    tile = np.clip(128 + 42 * values, 0, 255).astype(np.uint8)
    tile.flags.writeable = False
    return tile


@cache
def _turned_texture(kind: str) -> Picture:
    """The tile with rows and columns exchanged, kept so because cutting across the rows of the other is slow."""
    tile = np.ascontiguousarray(texture(kind).T)
    tile.flags.writeable = False
    return tile


def _octaves(generator: np.random.Generator, first: int, count: int, *, fall: float) -> np.ndarray:
    total = np.zeros((_SIDE, _SIDE), np.float32)
    for octave in range(count):
        cells = min(first * 2**octave, _SIDE)
        noise = generator.normal(0, 1, (cells, cells)).astype(np.float32)
        total += fall**octave * cv2.resize(noise, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return total


def _fibres(generator: np.random.Generator) -> np.ndarray:
    noise = generator.normal(0, 1, (_SIDE, 48)).astype(np.float32)
    streaks = cv2.resize(noise, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return streaks + 0.8 * _octaves(generator, 4, 4, fall=0.6)


def _scratches(generator: np.random.Generator) -> np.ndarray:
    plane = np.zeros((_SIDE, _SIDE), np.float32)
    for _ in range(350):
        start = generator.integers(0, _SIDE, 2)
        end = start + generator.integers(-160, 161, 2)
        level = float(generator.normal(0, 2))
        cv2.line(plane, start.tolist(), end.tolist(), level, 1, cv2.LINE_AA)
    return plane + 0.5 * _octaves(generator, 8, 5, fall=0.7)


_PLANES = {
    "fractal": lambda generator: _octaves(generator, 4, 7, fall=0.6),
    "rough": lambda generator: _octaves(generator, 64, 4, fall=0.9),
    "fibres": _fibres,
    "blotches": lambda generator: np.tanh(3 * _octaves(generator, 12, 4, fall=0.5)),
    "scratches": _scratches,
}


def texture_patch(generator: np.random.Generator, size_hw: tuple[int, int], *, stretch: float = 1.0) -> Picture:
    """A random cut of a random texture.

    Args:
        generator: source of randomness.
        size_hw: size wanted.
        stretch: largest magnification, >= 1; the two axes are magnified apart.

    Returns:
        (H, W) uint8, mean about 128; perhaps a part of a tile, not to be written to.
    """
    kind = KINDS[1 + int(generator.integers(len(KINDS) - 1))]
    tile = texture(kind) if generator.random() >= 0.5 else _turned_texture(kind)
    magnify = np.exp(generator.uniform(0, np.log(max(stretch, 1.0)) + 1e-9, 2)) if stretch > 1 else np.ones(2)
    high, wide = (min(max(int(side / by), 2), _SIDE) for side, by in zip(size_hw, magnify, strict=True))
    top, left = int(generator.integers(_SIDE - high + 1)), int(generator.integers(_SIDE - wide + 1))
    cut = tile[top : top + high, left : left + wide]
    if (high, wide) == size_hw:
        return cut
    return cv2.resize(cut, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def add_texture(image: Picture, patch: Picture, strength: float) -> Picture:
    """Add a texture to a picture.

    Args:
        image: (H, W, 3) uint8.
        patch: (H, W) uint8 of `texture_patch`.
        strength: 0 to 1; 1 adds the noise as it is, a standard deviation of about 42 levels.

    Returns:
        (H, W, 3) uint8.
    """
    return cv2.addWeighted(image, 1.0, cv2.cvtColor(patch, cv2.COLOR_GRAY2RGB), strength, -128.0 * strength)
