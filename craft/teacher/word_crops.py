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

from craft.datasets.warp import warp_image
from craft.geometry import polygon_to_strips, transform_points
from craft.teacher.crop_kernels import boxes_to_quads, draw_columns, least_source_step, mean_sides, strip_matrices

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

    def characters(self, boxes_xyxy: NDArray[np.float64], *, stride: int) -> tuple[NDArray[np.float32], bool]:
        """Send characters that were found in the crop's map to the scene.

        Args:
            boxes_xyxy: (C, 4) map pixels, of the transposed map where the text is read downwards.
            stride: crop pixels per map pixel.

        Returns:
            (C, 4, 2) float32 quads in source pixels, and whether every one has an area and runs clockwise.
        """
        quads, usable = boxes_to_quads(boxes_xyxy, float(stride), self.downwards, self.matrices, self.starts)
        return quads, bool(usable)


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
    strips = polygon_to_strips(polygon_xy).astype(np.float64)
    wide, tall = mean_sides(strips)
    across, along = (wide, tall) if downwards else (tall, wide)
    if min(across, along) <= 0:
        return None
    scale = min(height / (1 + 2 * _MARGIN), _LONGEST / (along / across + 2 * _MARGIN)) / across
    length = STRIDE * math.ceil(scale * (along + 2 * _MARGIN * across) / STRIDE - 1e-6)
    size_hw = (length, height) if downwards else (height, length)
    half_width, half_height = 0.5 * scale * wide, 0.5 * scale * tall
    middle_x, middle_y = 0.5 * size_hw[1], 0.5 * size_hw[0]
    box = (middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height)
    matrices, starts = strip_matrices(strips, box[0], box[1], box[3], scale, size_hw[0], size_hw[1], _LEAST_DENOMINATOR)
    return Frame(matrices, starts, size_hw, box, downwards)


def crop_word(image: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """Draw a word's crop on the CPU.

    Args:
        image: (H, W, 3) uint8, the scene.
        frame: of the word.

    Returns:
        (height, width, 3) uint8; black where the scene ends.
    """
    height, width = frame.size_hw
    crop = np.empty((height, width, 3), np.uint8)
    picture = np.ascontiguousarray(image)
    for matrix, first, last in zip(frame.matrices, frame.starts, [*frame.starts[1:], width], strict=True):
        if last <= first:
            continue
        if least_source_step(matrix, float(first), float(last), float(height)) < 2:
            draw_columns(picture, _shifted(matrix, first), crop[:, first:last])
        else:  # whole blocks of pixels are averaged first
            to_crop = np.linalg.inv(_shifted(matrix, first))
            crop[:, first:last] = warp_image(image, to_crop, size_hw=(height, int(last - first)))
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


def _shifted(matrix: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """The matrix for columns that are counted from `first` on."""
    if first == 0:
        return matrix
    shifted = matrix.copy()
    shifted[:, 2] += first * matrix[:, 0]
    return shifted


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
