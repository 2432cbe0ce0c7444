"""Minimum-area rectangles around widened components, as the original draws them, without drawing a mask."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from craft.detection.components import FIRST_TEXT, LAST_TEXT, ROW, Components

# Rectangles nearer to each other than this are settled by OpenCV, whose float32 arithmetic decides there.
_AREA_TIE = 1e-4  # relative
_RATIO_TIE = 1e-4  # of the sides' ratio, at the border of "nearly square"
_START_TIE = 2e-3  # map pixels of x + y
_SQUARE = 0.1  # sides that differ by less than this share make the box axis-aligned
_ROLLED = np.array([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]])


def component_quads(
    components: Components, kept: NDArray[np.int64], *, size_hw: tuple[int, int]
) -> NDArray[np.float32]:
    """Put the original's box around each component.

    The pixels above the low threshold are widened by a rectangle of side 1 + int(2 sqrt(area min(w, h) / (w h))),
    clipped to the map; around them goes the rectangle of least area, or the axis-aligned one where its sides are
    nearly equal, starting at the corner with the smallest x + y.

    Args:
        components: what `find_components` found.
        kept: (N,) int64, the components wanted, each with at least one pixel above the low threshold.
        size_hw: height and width of the map.

    Returns:
        (N, 4, 2) float32, map indices, clockwise on the screen.

    Source: CRAFT's released decoder. The widening is a Minkowski sum with a rectangle, so that the hull of each
        row's shifted ends is the hull of the widened mask; the rectangle's edge lies on a hull edge.
    """
    height, width = size_hw
    hulls, hull_offsets, quads, unsettled = _fit_all(
        components.runs, components.offsets, components.areas, components.boxes_xyxy, kept, height, width
    )
    for index in np.flatnonzero(unsettled):
        quads[index] = _fit_with_opencv(hulls[hull_offsets[index, 0] : hull_offsets[index, 1]])
    return quads


def _fit_with_opencv(hull_xy: NDArray[np.int32]) -> NDArray[np.float32]:
    """The original's box around a hull (P, 2), with OpenCV's own way out of ties and degenerate hulls."""
    quad: Any = cv2.boxPoints(cv2.minAreaRect(hull_xy))
    width, height = np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[1] - quad[2])
    ratio = max(width, height) / (min(width, height) + 1e-5)
    if abs(1 - ratio) <= _SQUARE:
        (left, top), (right, bottom) = hull_xy.min(axis=0), hull_xy.max(axis=0)
        quad = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
    return quad[_ROLLED[int(quad.sum(axis=1).argmin())]]


@njit(cache=True, nogil=True)
def _fit_all(runs, offsets, areas, boxes_xyxy, kept, height, width):  # type: ignore[no-untyped-def]
    """Hulls and boxes of the kept components, and which of the boxes need OpenCV to settle a tie."""
    num_words = len(kept)
    quads = np.empty((num_words, 4, 2), np.float32)
    unsettled = np.zeros(num_words, np.bool_)
    hull_offsets = np.empty((num_words, 2), np.int64)
    capacity = 0
    for word in range(num_words):
        component = kept[word]
        capacity += 2 * (boxes_xyxy[component, 3] - boxes_xyxy[component, 1]) * 2
    hulls = np.empty((capacity, 2), np.int32)
    left, right = np.empty(height, np.int64), np.empty(height, np.int64)
    used = 0
    for word in range(num_words):
        component = kept[word]
        box = boxes_xyxy[component]
        box_width, box_height = box[2] - box[0], box[3] - box[1]
        share = areas[component] * min(box_width, box_height) / (box_width * box_height)
        reach = int(math.sqrt(share) * 2)
        own_runs = runs[offsets[component] : offsets[component + 1]]
        num_points = _widened_hull(own_runs, box, reach, height, width, left, right, hulls[used:])
        hull_offsets[word, 0], hull_offsets[word, 1] = used, used + num_points
        unsettled[word] = not _fit_rectangle(hulls[used : used + num_points], quads[word])
        used += num_points
    return hulls, hull_offsets, quads, unsettled


@njit(cache=True, nogil=True)
def _widened_hull(runs, box, reach, height, width, left, right, hull):  # type: ignore[no-untyped-def]
    """Write the convex hull of the widened pixels above the low threshold into `hull`; return its length.

    OpenCV anchors a rectangle of side n at n // 2: a pixel spreads that far right and down, the rest left and up.
    """
    forward = (reach + 1) // 2
    backward = reach - forward
    first_row, last_row = max(0, box[1] - backward), min(height - 1, box[3] - 1 + forward)
    left[first_row : last_row + 1] = width
    right[first_row : last_row + 1] = -1
    for run in range(len(runs)):
        if runs[run, FIRST_TEXT] < 0:
            continue
        start = max(0, runs[run, FIRST_TEXT] - backward)
        stop = min(width - 1, runs[run, LAST_TEXT] + forward)
        for row in (max(0, runs[run, ROW] - backward), min(height - 1, runs[run, ROW] + forward)):
            left[row] = min(left[row], start)
            right[row] = max(right[row], stop)
    num_points = 0
    for row in range(first_row, last_row + 1):  # the right side, downwards
        if right[row] >= 0:
            num_points = _add_to_chain(hull, 0, num_points, right[row], row)
    bottom = num_points
    for row in range(last_row, first_row - 1, -1):  # the left side, upwards
        if right[row] >= 0:
            num_points = _add_to_chain(hull, bottom, num_points, left[row], row)
    return num_points


@njit(cache=True, nogil=True)
def _add_to_chain(hull, start, stop, x, y):  # type: ignore[no-untyped-def]
    """Put (x, y) behind hull[start:stop], dropping the points that would not be corners; return the new end."""
    while stop - start >= 2:
        before_x, before_y = hull[stop - 2, 0], hull[stop - 2, 1]
        last_x, last_y = hull[stop - 1, 0], hull[stop - 1, 1]
        if (last_x - before_x) * (y - last_y) - (last_y - before_y) * (x - last_x) > 0:
            break
        stop -= 1
    hull[stop, 0], hull[stop, 1] = x, y
    return stop + 1


@njit(cache=True, nogil=True)
def _extents(hull, dx, dy):  # type: ignore[no-untyped-def]
    """Smallest and largest x dx + y dy, then y dx - x dy, over the hull, from its first point."""
    x_origin, y_origin = hull[0, 0], hull[0, 1]
    along_low, along_high, across_low, across_high = 0, 0, 0, 0
    for point in range(1, len(hull)):
        x, y = hull[point, 0] - x_origin, hull[point, 1] - y_origin
        along, across = x * dx + y * dy, y * dx - x * dy
        along_low, along_high = min(along_low, along), max(along_high, along)
        across_low, across_high = min(across_low, across), max(across_high, across)
    return along_low, along_high, across_low, across_high


@njit(cache=True, nogil=True)
def _fit_rectangle(hull, quad):  # type: ignore[no-untyped-def]
    """Write the box around a hull into `quad` (4, 2); return False where a tie leaves it to OpenCV."""
    num_points = len(hull)
    rectangle_areas = np.empty(num_points, np.float64)
    best = -1
    for edge in range(num_points):
        following = (edge + 1) % num_points
        dx, dy = hull[following, 0] - hull[edge, 0], hull[following, 1] - hull[edge, 1]
        rectangle_areas[edge] = np.inf
        if dx == 0 and dy == 0:
            continue
        along_low, along_high, across_low, across_high = _extents(hull, dx, dy)
        rectangle_areas[edge] = (along_high - along_low) * (across_high - across_low) / (dx * dx + dy * dy)
        if best < 0 or rectangle_areas[edge] < rectangle_areas[best]:
            best = edge
    if best < 0 or rectangle_areas[best] <= 0:
        return False
    following = (best + 1) % num_points
    best_dx, best_dy = hull[following, 0] - hull[best, 0], hull[following, 1] - hull[best, 1]
    for edge in range(num_points):
        following = (edge + 1) % num_points
        dx, dy = hull[following, 0] - hull[edge, 0], hull[following, 1] - hull[edge, 1]
        turned = dx * best_dy != dy * best_dx and dx * best_dx != -dy * best_dy
        if turned and rectangle_areas[edge] <= rectangle_areas[best] * (1 + _AREA_TIE):
            return False
    return _write_corners(hull, best_dx, best_dy, quad)


@njit(cache=True, nogil=True)
def _write_corners(hull, dx, dy, quad):  # type: ignore[no-untyped-def]
    """Write the rectangle along (dx, dy) around a hull, or the axis-aligned one; False where a tie leaves it open."""
    along_low, along_high, across_low, across_high = _extents(hull, dx, dy)
    squared = dx * dx + dy * dy
    length = math.sqrt(squared)
    long_side = max(along_high - along_low, across_high - across_low) / length
    short_side = min(along_high - along_low, across_high - across_low) / length
    excess = abs(1 - long_side / (short_side + 1e-5))
    if abs(excess - _SQUARE) < _RATIO_TIE:
        return False
    corners = np.empty((4, 2), np.float64)
    if excess <= _SQUARE:
        x_low, x_high, y_low, y_high = _extents(hull, 1, 0)
        corners[0], corners[1] = (x_low, y_low), (x_high, y_low)
        corners[2], corners[3] = (x_high, y_high), (x_low, y_high)
    else:
        pairs = ((along_low, across_low), (along_high, across_low), (along_high, across_high), (along_low, across_high))
        for corner in range(4):
            along, across = pairs[corner]
            corners[corner, 0] = (along * dx - across * dy) / squared
            corners[corner, 1] = (along * dy + across * dx) / squared
    sums = corners[:, 0] + corners[:, 1]
    start = np.argmin(sums)
    for corner in range(4):
        if corner != start and sums[corner] - sums[start] < _START_TIE:
            return False
    for corner in range(4):
        quad[corner, 0] = corners[(start + corner) % 4, 0] + hull[0, 0]
        quad[corner, 1] = corners[(start + corner) % 4, 1] + hull[0, 1]
    return True
