"""Textures: noise at many scales, made once per process, then cropped, stretched and added to images."""

from functools import cache

import cv2
import numpy as np
from numpy.random import Generator

from craft.synth.rendered_scene import Image

_SIDE = 1024
KINDS = ("grain", "fractal", "rough", "fibres", "blotches", "scratches")


@cache
def texture(kind: str) -> Image:
    """Make a tile of noise, (1024, 1024) uint8 or, for "grain", (1024, 1024, 3); mean 128, deviation 42, read-only."""
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
def _turned_texture(kind: str) -> Image:
    """The tile with rows and columns exchanged, kept because cropping across the rows of the other is slow."""
    tile = np.ascontiguousarray(texture(kind).T)
    tile.flags.writeable = False
    return tile


def _octaves(generator: Generator, first: int, count: int, *, fall: float) -> np.ndarray:
    total = np.zeros((_SIDE, _SIDE), np.float32)
    for octave in range(count):
        cells = min(first * 2**octave, _SIDE)
        noise = generator.normal(0, 1, (cells, cells)).astype(np.float32)
        total += fall**octave * cv2.resize(noise, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return total


def _fibres(generator: Generator) -> np.ndarray:
    noise = generator.normal(0, 1, (_SIDE, 48)).astype(np.float32)
    streaks = cv2.resize(noise, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return streaks + 0.8 * _octaves(generator, 4, 4, fall=0.6)


def _scratches(generator: Generator) -> np.ndarray:
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


def texture_patch(generator: Generator, size_hw: tuple[int, int], *, stretch: float = 1.0) -> Image:
    """Crop a random texture, each axis magnified by up to `stretch`; (H, W) uint8, mean about 128, read-only."""
    kind = KINDS[1 + int(generator.integers(len(KINDS) - 1))]
    tile = texture(kind) if generator.random() >= 0.5 else _turned_texture(kind)
    magnify = np.exp(generator.uniform(0, np.log(max(stretch, 1.0)) + 1e-9, 2)) if stretch > 1 else np.ones(2)
    high, wide = (min(max(int(side / by), 2), _SIDE) for side, by in zip(size_hw, magnify, strict=True))
    top, left = int(generator.integers(_SIDE - high + 1)), int(generator.integers(_SIDE - wide + 1))
    crop = tile[top : top + high, left : left + wide]
    if (high, wide) == size_hw:
        return crop
    return cv2.resize(crop, size_hw[::-1], interpolation=cv2.INTER_LINEAR)


def add_texture(image: Image, patch: Image, strength: float) -> Image:
    """Add a patch of `texture_patch`, scaled by `strength`, to an (H, W, 3) image."""
    return cv2.addWeighted(image, 1.0, cv2.cvtColor(patch, cv2.COLOR_GRAY2RGB), strength, -128.0 * strength)
