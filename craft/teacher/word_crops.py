"""Upright crops of words, all of one height, for the teacher; and the way back from a crop to the scene."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from craft.datasets.warp import warp_image
from craft.geometry import MAP_STRIDE, polygon_to_strips, transform_points
from craft.teacher.crop_kernels import boxes_to_quads, least_source_step, mean_sides, strip_matrices, warp_columns

_SIZE_STEP = 32  # crop sizes are multiples of it, since the network halves its input five times
_MARGIN = 0.15  # of the word's height, shown above, below and at least beside it
_LONGEST = 4096  # crop pixels; a word that would be longer is shrunk as a whole


@dataclass(frozen=True, slots=True, eq=False)
class CropFrame:
    """Where the upright crop of a word lies in its scene."""

    matrices: NDArray[np.float64]  # (S, 3, 3) crop to source pixels, one for each strip of the word; 1 for a quad
    starts: NDArray[np.int64]  # (S,) the crop's column from which on each matrix holds; the first is 0
    size_hw: tuple[int, int]  # height and width of the crop, multiples of 32
    box_xyxy: tuple[float, float, float, float]  # the word's own rectangle in the crop
    downwards: bool  # True where the text is read from top to bottom in the crop

    def to_source(self, points_xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Send points (..., 2) of the crop to the scene."""
        if len(self.matrices) == 1:
            return transform_points(points_xy, self.matrices[0])
        strips = np.searchsorted(self.starts, points_xy[..., 0], side="right") - 1
        moved = np.empty(points_xy.shape, np.float32)
        for strip, matrix in enumerate(self.matrices):
            moved[strips == strip] = transform_points(points_xy[strips == strip], matrix)
        return moved

    def characters(self, boxes_xyxy: NDArray[np.float64]) -> tuple[NDArray[np.float32], bool]:
        """Send (C, 4) boxes of the map to source quads (C, 4, 2), and tell whether all have an area and run clockwise.

        The map is transposed where the text is read downwards.
        """
        quads, usable = boxes_to_quads(boxes_xyxy, float(MAP_STRIDE), self.downwards, self.matrices, self.starts)
        return quads, bool(usable)


def word_frame(polygon_xy: NDArray[np.float32], *, height: int, downwards: bool = False) -> CropFrame | None:
    """Place an upright crop over a word (P, 2) and its surroundings; None for a word without extent.

    Sizes are multiples of 32, so that crops of one size make a batch without padding. `height` is the crop's width for
    text read downwards, along the left and right sides.
    """
    strips = polygon_to_strips(polygon_xy).astype(np.float64)
    wide, tall = mean_sides(strips)
    across, along = (wide, tall) if downwards else (tall, wide)
    if min(across, along) <= 0:
        return None
    scale = min(height / (1 + 2 * _MARGIN), _LONGEST / (along / across + 2 * _MARGIN)) / across
    length = _SIZE_STEP * math.ceil(scale * (along + 2 * _MARGIN * across) / _SIZE_STEP - 1e-6)
    size_hw = (length, height) if downwards else (height, length)
    half_width, half_height = 0.5 * scale * wide, 0.5 * scale * tall
    middle_x, middle_y = 0.5 * size_hw[1], 0.5 * size_hw[0]
    box = (middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height)
    matrices, starts = strip_matrices(strips, box[0], box[1], box[3], scale, size_hw)
    return CropFrame(matrices, starts, size_hw, box, downwards)


def crop_word(image: NDArray[np.uint8], frame: CropFrame) -> NDArray[np.uint8]:
    """Crop a word out of an (H, W, 3) image on the CPU: (height, width, 3), black outside the image."""
    height, width = frame.size_hw
    crop = np.empty((height, width, 3), np.uint8)
    image = np.ascontiguousarray(image)
    for matrix, first, last in zip(frame.matrices, frame.starts, [*frame.starts[1:], width], strict=True):
        if last <= first:
            continue
        if least_source_step(matrix, float(first), float(last), float(height)) < 2:
            warp_columns(image, _shifted(matrix, first), crop[:, first:last])
        else:  # blocks of pixels are averaged first
            to_crop = np.linalg.inv(_shifted(matrix, first))
            crop[:, first:last] = warp_image(image, to_crop, size_hw=(height, int(last - first)))
    return crop


def crop_words_on_device(image: Tensor, frames: Sequence[CropFrame]) -> list[Tensor]:
    """Crop words out of a (3, H, W) image on its device, from a copy reduced by a power of two where they shrink."""
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
        positions = np.stack([_source_positions(frames[index]) for index in indices])  # (N, h, w, 2)
        height, width = levels[level].shape[2:]
        grid = torch.from_numpy(positions / (2.0**level * np.array([width, height])) * 2 - 1).float()
        source = levels[level].expand(len(indices), -1, -1, -1)
        sampled = functional.grid_sample(
            source, grid.to(image.device), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        for index, crop in zip(indices, sampled.round().clamp(0, 255).to(torch.uint8), strict=True):
            crops[index] = crop
    return crops


def _shifted(matrix: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """The matrix for columns counted from `first` on."""
    if first == 0:
        return matrix
    shifted = matrix.copy()
    shifted[:, 2] += first * matrix[:, 0]
    return shifted


def _source_step(frame: CropFrame) -> float:
    """Source pixels per crop pixel in the middle of the crop, in the denser direction."""
    middle = np.array([0.5 * frame.size_hw[1], 0.5 * frame.size_hw[0]])
    around = frame.to_source(middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).astype(np.float64)
    return float(min(np.linalg.norm(around[1] - around[0]), np.linalg.norm(around[2] - around[0])))


def _source_positions(frame: CropFrame) -> NDArray[np.float64]:
    """(height, width, 2) source positions of the centres of the crop's pixels."""
    height, width = frame.size_hw
    strips = np.searchsorted(frame.starts, np.arange(width), side="right") - 1
    matrices = frame.matrices[strips]  # (W, 3, 3)
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    base = matrices[:, :, 0] * columns[:, None] + matrices[:, :, 2]  # (W, 3)
    moved = base[None] + rows[:, None, None] * matrices[None, :, :, 1]  # (H, W, 3)
    return moved[..., :2] / moved[..., 2:]
