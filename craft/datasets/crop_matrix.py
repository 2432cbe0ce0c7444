"""The homography of a training crop: mirroring, scale, aspect, rotation, position and perspective. No torch."""

import numpy as np
from numpy.typing import NDArray

from craft.config import AugmentSettings
from craft.datasets.warp import source_quad
from craft.geometry import homographies_from_square, transform_points

_LEAST_DEPTH = 0.25
"""Least denominator of the homography at a crop's corner or at a word it shows, against 1 at the crop's centre."""


def sample_matrix(
    generator: np.random.Generator,
    *,
    image_size_hw: tuple[int, int],
    crop_size_hw: tuple[int, int],
    word_polygons_xy: list[NDArray[np.float32]],
    readable: NDArray[np.bool_],
    settings: AugmentSettings,
) -> NDArray[np.float64]:
    """Draw the homography of a random crop, placed around one of the `readable` of all words (P, 2).

    Returns:
        (3, 3) float64, source pixels to crop pixels, origin at the corner of the first pixel in both. Its denominator
        is 1 at the crop's centre and at least 0.25 at the crop's corners and at all corners of words that it may
        show: a perspective that would bring the horizon nearer is made milder.
    """
    crop_xy = np.array(crop_size_hw[::-1], dtype=np.float64)
    linear = _sample_linear(generator, settings)
    candidates = np.flatnonzero(readable)
    anchor = None
    if generator.random() < settings.word_crops and len(candidates):
        anchor = word_polygons_xy[int(generator.choice(candidates))]
    affine = np.eye(3)
    affine[:2, :2] = linear
    affine[:2, 2] = _sample_offset(generator, linear, crop_xy, image_size_hw, anchor)
    if settings.perspective == 0:
        return affine
    shifts = generator.uniform(-settings.perspective, settings.perspective, size=(4, 2)) * crop_xy
    boxes_xyxy = polygon_boxes(word_polygons_xy)
    for amount in (1.0, 0.5, 0.25, 0.125):
        matrix = _with_perspective(affine, amount * shifts, crop_xy, anchor)
        if matrix is not None and _is_mild(matrix, crop_size_hw, boxes_xyxy, word_polygons_xy):
            return matrix
    return affine


def plain_matrix(
    *,
    image_size_hw: tuple[int, int],
    crop_size_hw: tuple[int, int],
    word_polygons_xy: list[NDArray[np.float32]],
    readable: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The shift by whole pixels that brings the middle of an image's readable words into a crop.

    The crop stays inside the image where it fits; a smaller image starts at the crop's top-left corner. Takes and
    returns what `sample_matrix` does.
    """
    centres = [
        polygon.mean(axis=0, dtype=np.float64)
        for polygon, wanted in zip(word_polygons_xy, readable, strict=True)
        if wanted
    ]
    image_xy = np.array(image_size_hw[::-1], dtype=np.float64)
    crop_xy = np.array(crop_size_hw[::-1], dtype=np.float64)
    centre = np.mean(centres, axis=0) if centres else 0.5 * image_xy
    matrix = np.eye(3)
    matrix[:2, 2] = -np.clip(np.round(centre - 0.5 * crop_xy), 0.0, np.maximum(image_xy - crop_xy, 0.0))
    return matrix


def _sample_linear(generator: np.random.Generator, settings: AugmentSettings) -> NDArray[np.float64]:
    """Mirroring, then scale and aspect, then rotation, as (2, 2) float64."""
    scale = np.exp(generator.uniform(*np.log(settings.scale)))
    stretch = np.exp(0.5 * generator.uniform(-1.0, 1.0) * np.log(settings.aspect))
    angle = np.deg2rad(generator.uniform(-settings.rotation, settings.rotation))
    mirror = -1.0 if generator.random() < settings.flip else 1.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return rotation @ np.diag([mirror * scale * stretch, scale / stretch])


def _sample_offset(
    generator: np.random.Generator,
    linear: NDArray[np.float64],
    crop_xy: NDArray[np.float64],
    image_size_hw: tuple[int, int],
    anchor_xy: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    """A shift that keeps the crop in the image, or the reverse, and the anchor word inside it."""
    height, width = image_size_hw
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    low, high = _shifts_inside(corners @ linear.T, crop_xy)
    if anchor_xy is not None:
        anchor_low, anchor_high = _shifts_inside(anchor_xy @ linear.T, crop_xy)
        narrow_low, narrow_high = np.maximum(low, anchor_low), np.minimum(high, anchor_high)
        outside = narrow_low > narrow_high  # a label that reaches out of its image
        low, high = np.where(outside, anchor_low, narrow_low), np.where(outside, anchor_high, narrow_high)
    offset = generator.uniform(low, high)
    return np.round(offset) if np.array_equal(linear, np.eye(2)) else offset


def _shifts_inside(
    points_xy: NDArray[np.floating], crop_xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest shift with the points' box inside the crop, or the crop inside the box if that is larger."""
    first, last = -points_xy.min(axis=0), crop_xy - points_xy.max(axis=0)
    return np.minimum(first, last), np.maximum(first, last)


def _with_perspective(
    affine: NDArray[np.float64],
    shifts_xy: NDArray[np.float64],
    crop_xy: NDArray[np.float64],
    anchor_xy: NDArray[np.float32] | None,
) -> NDArray[np.float64] | None:
    """The matrix whose crop has its corners shifted, with the anchor word moved back inside; None where it folds."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * crop_xy
    try:
        to_square = np.linalg.inv(homographies_from_square(corners + shifts_xy))
        matrix = homographies_from_square(corners) @ to_square @ affine
        centre = np.linalg.solve(matrix, [*(0.5 * crop_xy), 1.0])
    except np.linalg.LinAlgError:
        return None
    if anchor_xy is not None:
        depths = anchor_xy @ matrix[2, :2] + matrix[2, 2]
        if depths.min() * depths.max() <= 0:
            return None
        moved = transform_points(anchor_xy, matrix)
        low, high = _shifts_inside(moved, crop_xy)
        back = np.eye(3)
        back[:2, 2] = np.clip(0.0, low, high)
        matrix = back @ matrix
        centre = np.linalg.solve(matrix, [*(0.5 * crop_xy), 1.0])
    return matrix * centre[2]  # matrix @ (centre / centre[2]) has a last entry of 1 / centre[2]


def _is_mild(
    matrix: NDArray[np.float64],
    crop_size_hw: tuple[int, int],
    boxes_xyxy: NDArray[np.float32],
    word_polygons_xy: list[NDArray[np.float32]],
) -> bool:
    """Whether the horizon stays away from the crop and from every word that may be seen in it."""
    height, width = crop_size_hw
    crop_corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=np.float64)
    inverse_depths = crop_corners @ np.linalg.inv(matrix)[2]
    if inverse_depths.min() <= 0 or inverse_depths.max() > 1 / _LEAST_DEPTH:
        return False
    near = find_near_words(matrix, crop_size_hw, boxes_xyxy)
    points = [polygon for polygon, is_near in zip(word_polygons_xy, near, strict=True) if is_near]
    if not points:
        return True
    return bool((np.concatenate(points) @ matrix[2, :2] + matrix[2, 2]).min() >= _LEAST_DEPTH)


def polygon_boxes(polygons_xy: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N, 4) x1, y1, x2, y2 of each polygon's box."""
    if not polygons_xy:
        return np.zeros((0, 4), dtype=np.float32)
    points = np.concatenate(polygons_xy)
    first = np.cumsum([0, *(len(polygon) for polygon in polygons_xy[:-1])])
    return np.concatenate([np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)], axis=1)


def find_near_words(
    matrix: NDArray[np.float64], crop_size_hw: tuple[int, int], boxes_xyxy: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(N,) bool: the word's box in the source touches the box of what the crop shows."""
    shown = source_quad(matrix, size_hw=crop_size_hw)
    reaches_in = (boxes_xyxy[:, :2] <= shown.max(axis=0)) & (boxes_xyxy[:, 2:] >= shown.min(axis=0))
    return np.asarray(reaches_in.all(axis=1))
