"""Boxes to train the region head on that need no network: jittered words and a dense grid. numpy, no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_SIDE = 4.0  # network input pixels
_MOST_COPIES = 32  # of one word
_SHIFT = 0.15  # standard deviation of a copy's centre, share of the word's side
_SCALE = 0.2  # standard deviation of the logarithm of a copy's side
_GRID_HEIGHTS = (12, 24, 48, 96, 192)  # network input pixels
_GRID_WIDTH_TO_HEIGHT = (0.4, 1.0, 2.5, 5.0)
_GRID_STEP = 0.5  # of the box's sides


def jittered_boxes(boxes_xyxy: ArrayLike, *, count: int, seed: int, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Copies of words' boxes, moved and scaled at random; the first copy of each word is the word itself.

    Args:
        boxes_xyxy: (W, 4), boxes of cared-for words inside the image, network input pixels.
        count: boxes wanted; every word gets as many copies, at most 32.
        seed: the image's own number.
        size_hw: of the image, where boxes are cut off.

    Returns:
        (K, 4) float32, K <= count, sides at least LEAST_SIDE.
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
    return inside(moved, size_hw=size_hw)


def grid_boxes(*, count: int, seed: int, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes of several sizes and shapes from a grid over the whole image.

    Args:
        count: boxes wanted; where the grid has more, which ones are taken is random.
        seed: the image's own number.
        size_hw: of the image.

    Returns:
        (K, 4) float32, K <= count, sides at least LEAST_SIDE.
    """
    grid = _whole_grid(size_hw)
    if count >= len(grid):
        return grid
    generator = np.random.default_rng([seed & 0x7FFFFFFFFFFFFFFF, 2])
    return grid[np.sort(generator.choice(len(grid), size=max(count, 0), replace=False))]


def inside(boxes_xyxy: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Cut boxes off at the image's border and drop those that are too small then.

    Args:
        boxes_xyxy: (K, 4), pixels of the image.
        size_hw: of the image.

    Returns:
        (K', 4) float32 in the same order, sides at least LEAST_SIDE.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
    clipped = np.clip(boxes, 0, np.array([size_hw[1], size_hw[0]] * 2, dtype=np.float32))
    return clipped[((clipped[:, 2:] - clipped[:, :2]) >= LEAST_SIDE).all(axis=1)]


@lru_cache(maxsize=8)
def _whole_grid(size_hw: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size_hw
    parts = []
    for box_height in _GRID_HEIGHTS:
        for shape in _GRID_WIDTH_TO_HEIGHT:
            box_width = box_height * shape
            if box_height > height or box_width > width:
                continue
            left = np.arange(0, width - box_width + 1, _GRID_STEP * box_width)
            top = np.arange(0, height - box_height + 1, _GRID_STEP * box_height)
            corners = np.stack(np.meshgrid(left, top), axis=-1).reshape(-1, 2)
            opposite = corners + np.array([box_width, box_height])
            parts.append(np.concatenate([corners, opposite], axis=1))
    boxes = np.concatenate(parts) if parts else np.zeros((0, 4))
    return inside(boxes, size_hw=size_hw)
