"""Proposals that need no network, for training: jittered words and a dense grid. No torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_SIDE = 4.0  # network input pixels
_MOST_COPIES = 32  # of one word
_SHIFT = 0.15  # standard deviation of a copy's centre, relative to the word's side
_SCALE = 0.2  # standard deviation of the logarithm of a copy's side
_GRID_HEIGHTS = (12, 24, 48, 96, 192)  # network input pixels
_GRID_WIDTH_TO_HEIGHT = (0.4, 1.0, 2.5, 5.0)
_GRID_STEP = 0.5  # of the box's sides


def jittered_boxes(boxes_xyxy: ArrayLike, *, count: int, seed: int, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Copy the (W, 4) boxes of words, shifted and scaled at random; the first copy of each word is the word itself.

    Every word gets the same number of copies, at most 32 and together at most `count`: (K, 4) float32, clipped to the
    image, sides at least LEAST_SIDE.
    """
    words = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    if len(words) == 0 or count <= 0:
        return np.zeros((0, 4), dtype=np.float32)
    copies = min(_MOST_COPIES, -(-count // len(words)))
    generator = np.random.default_rng([seed & 0x7FFFFFFFFFFFFFFF, 1])
    shift, scale = generator.standard_normal((2, copies, len(words), 2))
    shift[0], scale[0] = 0, 0
    sides = words[:, 2:] - words[:, :2]
    centres = (words[:, 2:] + words[:, :2]) / 2 + _SHIFT * shift * sides
    half = sides / 2 * np.exp(_SCALE * scale)
    moved = np.concatenate([centres - half, centres + half], axis=2).reshape(-1, 4)[:count]
    return clip_boxes(moved, size_hw=size_hw)


def grid_boxes(*, count: int, seed: int, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Take up to `count` boxes, (K, 4) float32, of several sizes and aspect ratios from a grid over the image, at random."""
    grid = _full_grid(size_hw)
    if count >= len(grid):
        return grid
    generator = np.random.default_rng([seed & 0x7FFFFFFFFFFFFFFF, 2])
    return grid[np.sort(generator.choice(len(grid), size=max(count, 0), replace=False))]


def clip_boxes(boxes_xyxy: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Clip (K, 4) boxes to the image and drop those whose sides are then under LEAST_SIDE; the order stays."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
    clipped = np.clip(boxes, 0, np.array([size_hw[1], size_hw[0]] * 2, dtype=np.float32))
    return clipped[((clipped[:, 2:] - clipped[:, :2]) >= LEAST_SIDE).all(axis=1)]


@lru_cache(maxsize=8)
def _full_grid(size_hw: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size_hw
    parts = []
    for box_height in _GRID_HEIGHTS:
        for aspect in _GRID_WIDTH_TO_HEIGHT:
            box_width = box_height * aspect
            if box_height > height or box_width > width:
                continue
            left = np.arange(0, width - box_width + 1, _GRID_STEP * box_width)
            top = np.arange(0, height - box_height + 1, _GRID_STEP * box_height)
            corners = np.stack(np.meshgrid(left, top), axis=-1).reshape(-1, 2)
            opposite = corners + np.array([box_width, box_height])
            parts.append(np.concatenate([corners, opposite], axis=1))
    boxes = np.concatenate(parts) if parts else np.zeros((0, 4))
    return clip_boxes(boxes, size_hw=size_hw)
