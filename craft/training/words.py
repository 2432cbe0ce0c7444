"""Words as upright pictures of one height for the teacher, and the way back from there to the scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from craft.datasets.warping import warp_image
from craft.geometry import homographies_from_square, polygon_to_strips, quad_sides, transform_points

STRIDE = 32  # crops are multiples of it, since the network halves its input five times

_MARGIN = 0.15  # of the word's height, seen above, below and at least beside it
_LONGEST = 4096  # crop pixels; a word that would be longer becomes lower, not narrower
_LEAST_DENOMINATOR = 0.3  # of a homography at a crop's corner, relative to its middle; steeper ones become affine


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where an upright crop of one word lies in its scene.

    Attributes:
        matrices: (S, 3, 3) float64, crop pixels to source pixels, one for each strip of the word; 1 for a quad.
        starts: (S,) int64, the crop's column from which on each matrix holds; the first is 0.
        size_hw: height and width of the crop, multiples of 32.
        box_xyxy: the word's own rectangle in the crop.
        downwards: True where the text is to be read from top to bottom in the crop.
    """

    matrices: NDArray[np.float64]
    starts: NDArray[np.int64]
    size_hw: tuple[int, int]
    box_xyxy: tuple[float, float, float, float]
    downwards: bool

    def to_source(self, points_xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Send points of the crop to the scene.

        Args:
            points_xy: (..., 2) in crop pixels.

        Returns:
            (..., 2) float32 in source pixels.
        """
        if len(self.matrices) == 1:
            return transform_points(points_xy, self.matrices[0])
        strips = np.searchsorted(self.starts, points_xy[..., 0], side="right") - 1
        moved = np.empty(points_xy.shape, np.float32)
        for strip, matrix in enumerate(self.matrices):
            moved[strips == strip] = transform_points(points_xy[strips == strip], matrix)
        return moved


def word_frame(polygon_xy: NDArray[np.float32], *, height: int, downwards: bool = False) -> Frame | None:
    """Lay an upright crop over a word.

    The crop holds the word and what is around it, so that all words of one size of crop make a batch without padding.

    Args:
        polygon_xy: (P, 2) corners, source pixels, clockwise from the start of the text.
        height: of the crop, pixels, a multiple of 32; for text read downwards, its width.
        downwards: the text runs from top to bottom along the polygon's left and right sides.

    Returns:
        The frame; None for a word that is no larger than a point.
    """
    strips = np.asarray(polygon_to_strips(polygon_xy), dtype=np.float64)
    widths, heights = quad_sides(strips)
    tall = float(np.average(heights, weights=widths if widths.sum() > 0 else None))
    wide = float(widths.sum())
    across, along = (wide, tall) if downwards else (tall, wide)
    if min(across, along) <= 0:
        return None
    scale = min(height / (1 + 2 * _MARGIN), _LONGEST / (along / across + 2 * _MARGIN)) / across
    length = STRIDE * math.ceil(scale * (along + 2 * _MARGIN * across) / STRIDE - 1e-6)
    size_hw = (length, height) if downwards else (height, length)
    half_width, half_height = 0.5 * scale * wide, 0.5 * scale * tall
    middle_x, middle_y = 0.5 * size_hw[1], 0.5 * size_hw[0]
    box = (middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height)
    edges = box[0] + np.concatenate([[0.0], np.cumsum(widths)]) * scale
    matrices = np.stack(
        [_strip_matrix(strip, (left, box[1], right, box[3]), size_hw, alone=len(strips) == 1)
         for strip, left, right in zip(strips[widths > 0], edges[:-1][widths > 0], edges[1:][widths > 0], strict=True)]
    )  # fmt: skip
    starts = np.round(edges[:-1][widths > 0]).astype(np.int64)
    starts[0] = 0
    return Frame(matrices, starts, size_hw, box, downwards)


def crop_word(image: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Draw a word's crop on the CPU.

    Args:
        image: (H, W, 3) uint8, the scene.
        frame: of the word.

    Returns:
        (height, width, 3) uint8; black where the scene ends.
    """
    if len(frame.matrices) == 1:
        return warp_image(image, np.linalg.inv(frame.matrices[0]), size_hw=frame.size_hw)
    height, width = frame.size_hw
    crop = np.zeros((height, width, 3), np.uint8)
    for matrix, first, last in zip(frame.matrices, frame.starts, [*frame.starts[1:], width], strict=True):
        if last > first:
            shifted = matrix @ np.array([[1.0, 0.0, first], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
            crop[:, first:last] = warp_image(image, np.linalg.inv(shifted), size_hw=(height, int(last - first)))
    return crop


def crop_words_on_device(image: Tensor, frames: Sequence[Frame]) -> list[Tensor]:
    """Draw the crops of one scene's words on the device that its picture is on.

    Args:
        image: (3, H, W) uint8.
        frames: of its words.

    Returns:
        One (3, height, width) uint8 each, as `crop_word` draws them up to rounding. A word that shrinks is read from a
        copy of the picture reduced by a power of two.
    """
    levels = [image.float()[None]]  # each half as large as the one before
    by_size: dict[tuple[int, tuple[int, int]], list[int]] = {}
    for index, frame in enumerate(frames):
        level = max(0, int(math.log2(max(_source_step(frame), 1.0))))
        by_size.setdefault((level, frame.size_hw), []).append(index)
    crops: list[Tensor] = [image] * len(frames)
    for (level, _size_hw), indices in by_size.items():
        while len(levels) <= level and min(levels[-1].shape[2:]) >= 2:
            levels.append(functional.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
        level = min(level, len(levels) - 1)
        places = np.stack([_source_places(frames[index]) for index in indices])  # (N, h, w, 2)
        height, width = levels[level].shape[2:]
        grid = torch.from_numpy(places / (2.0**level * np.array([width, height])) * 2 - 1).float()
        source = levels[level].expand(len(indices), -1, -1, -1)
        drawn = functional.grid_sample(
            source, grid.to(image.device), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        for index, crop in zip(indices, drawn.round().clamp(0, 255).to(torch.uint8), strict=True):
            crops[index] = crop
    return crops


def _strip_matrix(
    strip: NDArray[np.float64], box_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int], *, alone: bool
) -> NDArray[np.float64]:
    """(3, 3), crop pixels to source pixels, so that a rectangle of the crop lands on a quad; affine where too steep."""
    left, top, right, bottom = box_xyxy
    to_square = np.array(
        [[2 / (right - left), 0, -(right + left) / (right - left)], [0, 2 / (bottom - top), -(bottom + top) / (bottom - top)],
         [0, 0, 1]]
    )  # fmt: skip
    matrix = homographies_from_square(strip) @ to_square
    ends = (0.0, float(size_hw[1])) if alone else (left, right)
    corners = np.array([[x, y, 1.0] for x in ends for y in (0.0, float(size_hw[0]))])
    middle = matrix[2] @ [0.5 * (left + right), 0.5 * (top + bottom), 1.0]
    if (corners @ matrix[2] / middle).min() < _LEAST_DENOMINATOR:
        centre = strip.mean(axis=0)
        half_along, half_down = 0.5 * (strip[1] + strip[2]) - centre, 0.5 * (strip[2] + strip[3]) - centre
        affine = np.array([[*column, 0.0] for column in (half_along, half_down)] + [[*centre, 1.0]]).T
        matrix = affine @ to_square
    return matrix


def _source_step(frame: Frame) -> float:
    """Source pixels that one crop pixel covers in the middle of the crop, the shorter way."""
    middle = np.array([0.5 * frame.size_hw[1], 0.5 * frame.size_hw[0]])
    around = frame.to_source(middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).astype(np.float64)
    return float(min(np.linalg.norm(around[1] - around[0]), np.linalg.norm(around[2] - around[0])))


def _source_places(frame: Frame) -> NDArray[np.float64]:
    """(height, width, 2) where the middle of every pixel of the crop lies in the scene, source pixels."""
    height, width = frame.size_hw
    strips = np.searchsorted(frame.starts, np.arange(width), side="right") - 1
    matrices = frame.matrices[strips]  # (W, 3, 3)
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    base = matrices[:, :, 0] * columns[:, None] + matrices[:, :, 2]  # (W, 3)
    moved = base[None] + rows[:, None, None] * matrices[None, :, :, 1]  # (H, W, 3)
    return moved[..., :2] / moved[..., 2:]
