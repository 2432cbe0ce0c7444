"""Outlines to antialiased masks, by exact area coverage."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def coverage(
    points_xy: NDArray[np.float64], contour_ends: NDArray[np.int64], *, size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """How much of each pixel lies inside the contours.

    Args:
        points_xy: (P, 2) float64, corners of all contours in pixels, (0, 0) the top-left corner of the top-left pixel.
        contour_ends: (K,) int64, index after the last corner of each contour; contours close by themselves.
        size_hw: height and width of the mask. What lies outside is cut off.

    Returns:
        (H, W) uint8, 255 where a pixel is wholly inside. Contours that run the same way around and overlap are
        joined; contours that run the other way are holes.

    Source: R. Levien's font-rs describes the signed-area accumulation; written anew here.
    """
    height, width = size_hw
    mask = np.zeros((height, width), np.uint8)
    if len(points_xy) and height > 0 and width > 0:
        _fill(np.ascontiguousarray(points_xy, dtype=np.float64), np.asarray(contour_ends, dtype=np.int64), mask)
    return mask


def extent(points_xy: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Axis-aligned box of points; for the few points of a glyph or a word several times as fast as NumPy.

    Args:
        points_xy: (P, 2), at least one.

    Returns:
        x1, y1, x2, y2.
    """
    return _extent(points_xy)


@njit(cache=True, nogil=True)
def _extent(points):
    x1, y1 = points[0, 0], points[0, 1]
    x2, y2 = x1, y1
    for index in range(1, len(points)):
        x, y = points[index, 0], points[index, 1]
        x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x), max(y2, y)
    return float(x1), float(y1), float(x2), float(y2)


@njit(cache=True, nogil=True)
def _fill(points, contour_ends, mask):
    height, width = mask.shape
    change = np.zeros((height, width + 2), np.float32)
    first, last = np.full(height, width), np.full(height, -1)  # columns with sides: the others are as the one before
    start = 0
    for end in contour_ends:
        before_x, before_y = points[end - 1, 0], points[end - 1, 1]
        for index in range(start, end):
            x, y = points[index, 0], points[index, 1]
            if y > before_y:
                _add_side(change, first, last, before_x, before_y, x, y, 1.0)
            elif y < before_y:
                _add_side(change, first, last, x, y, before_x, before_y, -1.0)
            before_x, before_y = x, y
        start = end
    for row in range(height):
        total, level = 0.0, np.uint8(0)
        for column in range(first[row], min(last[row] + 1, width)):
            if change[row, column] != 0.0:  # rare: away from the sides of shapes a pixel is as the one before
                total += change[row, column]
                level = np.uint8(min(abs(total), 1.0) * 255.0 + 0.5)
            mask[row, column] = level
        if level:
            mask[row, min(last[row] + 1, width) :] = level


@njit(cache=True, nogil=True)
def _add_side(change, first, last, x0, y0, x1, y1, sign):
    """Record, row by row, how far the area to the right of a side changes; y0 < y1."""
    height, width = change.shape[0], change.shape[1] - 2
    slope = (x1 - x0) / (y1 - y0)
    for row in range(max(0, int(np.floor(y0))), min(height, int(np.ceil(y1)))):
        top, bottom = max(float(row), y0), min(row + 1.0, y1)
        tall = (bottom - top) * sign
        left, right = x0 + (top - y0) * slope, x0 + (bottom - y0) * slope
        if left > right:
            left, right = right, left
        if right <= 0.0:
            change[row, 0] += tall
            first[row], last[row] = 0, max(last[row], 0)
            continue
        if left >= width:
            continue
        if left < 0.0:
            outside = tall * (-left / (right - left))
            change[row, 0] += outside
            tall -= outside
            left = 0.0
        if right > width:
            tall *= (width - left) / (right - left)
            right = float(width)
        first[row], last[row] = min(first[row], int(left)), max(last[row], int(right) + 1)
        _add_part(change, row, left, right, tall)


@njit(cache=True, nogil=True)
def _add_part(change, row, left, right, tall):
    """Record one row's part of a side, from column `left` to `right` inside the mask."""
    first, last = int(left), int(right)
    if first == last:
        inside = 1.0 - (0.5 * (left + right) - first)
        change[row, first] += tall * inside
        change[row, first + 1] += tall * (1.0 - inside)
        return
    per_column = tall / (right - left)
    covered = 0.0
    for column in range(first, last + 1):
        begin, stop = max(left, float(column)), min(right, column + 1.0)
        # area right of the side inside this column, plus what earlier columns let through
        reached = per_column * (begin - left) + per_column * (stop - begin) * (column + 1.0 - 0.5 * (begin + stop))
        change[row, column] += reached - covered
        covered = reached
    change[row, last + 1] += tall - covered
