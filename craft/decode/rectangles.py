"""Minimum-area rectangles around dilated components, as in the original, but without a mask."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.decode.components import FIRST_TEXT, LAST_TEXT, ROW, Components
from craft.kernels import njit

# OpenCV decides between rectangles closer than this, since its float32 arithmetic does in the original.
_AREA_TIE = 1e-4  # relative
_RATIO_TIE = 1e-4  # of the sides' ratio, at the limit of "nearly square"
_START_TIE = 2e-3  # map pixels of x + y
_SQUARE = 0.1  # sides that differ by less than this share make the box axis-aligned
_ROLLED = np.array([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]])


def component_quads(
    components: Components, kept: NDArray[np.int64], *, size_hw: tuple[int, int], centred: bool = False
) -> NDArray[np.float32]:
    """Put the original's box around each component of `kept`, which all have a pixel above the low threshold.

    The pixels above the low threshold are dilated by a rectangle of side 1 + int(2 sqrt(area min(w, h) / (w h))),
    clipped to the map. The box is the rectangle of least area around them, or the axis-aligned one if the sides are
    nearly equal, starting at the corner with the smallest x + y.

    Returns (N, 4, 2) float32, map indices, clockwise on the screen; where `centred`, without the half pixel, right and
    down, by which a dilation of even side is off its centre.

    Source: CRAFT's released decoder. Dilation is a Minkowski sum with a rectangle, so the hull of the rows' shifted
        ends is the hull of the dilated mask; a side of the rectangle lies on an edge of the hull.
    """
    num_words, height = len(kept), size_hw[0]
    boxes = components.boxes_xyxy
    # A row adds two points, and a component of r rows fills at most 2 r rows of the hull's ends.
    most_points = 4 * int((boxes[kept, 3] - boxes[kept, 1]).sum())
    hulls, hull_offsets = np.empty((most_points, 2), np.int32), np.zeros(num_words + 1, np.int64)
    quads, settled = np.empty((num_words, 4, 2), np.float32), np.zeros(num_words, np.bool_)
    _fit_all(
        (components.runs, components.offsets, components.areas, boxes),
        kept,
        np.empty((2, height), np.int64),
        size_hw,
        (hulls, hull_offsets, quads, settled),
        np.empty(most_points, np.float64),
    )
    for index in np.flatnonzero(~settled):
        quads[index] = _fit_with_opencv(hulls[hull_offsets[index] : hull_offsets[index + 1]])
    if centred:
        quads[_reaches(components, kept) % 2 == 1] -= 0.5
    return quads


def _reaches(components: Components, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pixels the dilation adds in each direction, both sides together: its side is one more. (N,)"""
    sides = components.boxes_xyxy[kept, 2:] - components.boxes_xyxy[kept, :2]
    share = components.areas[kept] * sides.min(axis=1) / (sides[:, 0] * sides[:, 1])
    return (np.sqrt(share) * 2).astype(np.int64)


def _fit_with_opencv(hull_xy: NDArray[np.int32]) -> NDArray[np.float32]:
    """The original's box around a hull (P, 2), with OpenCV's handling of ties and degenerate hulls."""
    quad: Any = cv2.boxPoints(cv2.minAreaRect(hull_xy))
    width, height = np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[1] - quad[2])
    ratio = max(width, height) / (min(width, height) + 1e-5)
    if abs(1 - ratio) <= _SQUARE:
        (left, top), (right, bottom) = hull_xy.min(axis=0), hull_xy.max(axis=0)
        quad = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
    return quad[_ROLLED[int(quad.sum(axis=1).argmin())]]


@njit(cache=True, nogil=True)
def _fit_all(components, kept, sides, size_hw, found, rectangle_areas):
    """Fill in hulls and boxes, and which boxes are settled without OpenCV, with scratch memory for a word."""
    runs, offsets, areas, boxes_xyxy = components
    hulls, hull_offsets, quads, settled = found
    for word in range(len(kept)):
        component = kept[word]
        box_width = boxes_xyxy[component, 2] - boxes_xyxy[component, 0]
        box_height = boxes_xyxy[component, 3] - boxes_xyxy[component, 1]
        share = areas[component] * min(box_width, box_height) / (box_width * box_height)
        reach = int(math.sqrt(share) * 2)
        own_runs = runs[offsets[component] : offsets[component + 1]]
        _dilate(own_runs, reach, size_hw, sides, boxes_xyxy[component])
        hull_offsets[word + 1] = _hull_of_sides(sides, boxes_xyxy[component], reach, size_hw, hulls, hull_offsets[word])
        hull = hulls[hull_offsets[word] : hull_offsets[word + 1]]
        settled[word] = _fit_rectangle(hull, rectangle_areas, quads[word])


@njit(cache=True, nogil=True)
def _rows_reached(box_xyxy, reach, height):
    """First and last row of a box that grows by `reach`, inside the map."""
    return max(0, box_xyxy[1] - reach), min(height - 1, box_xyxy[3] - 1 + reach)


@njit(cache=True, nogil=True)
def _dilate(runs, reach, size_hw, sides, box_xyxy):
    """Fill in the first and last column of the dilated pixels in each row that can matter for the hull.

    OpenCV anchors a rectangle of side n at n // 2: a pixel spreads that far right and down, and the rest left and up.
    """
    height, width = size_hw
    forward = (reach + 1) // 2
    backward = reach - forward
    first_row, last_row = _rows_reached(box_xyxy, reach, height)
    for row in range(first_row, last_row + 1):
        sides[0, row], sides[1, row] = width, -1
    for run in range(len(runs)):
        if runs[run, FIRST_TEXT] >= 0:
            start = max(0, runs[run, FIRST_TEXT] - backward)
            stop = min(width - 1, runs[run, LAST_TEXT] + forward)
            upper, lower = max(0, runs[run, ROW] - backward), min(height - 1, runs[run, ROW] + forward)
            sides[0, upper], sides[1, upper] = min(sides[0, upper], start), max(sides[1, upper], stop)
            sides[0, lower], sides[1, lower] = min(sides[0, lower], start), max(sides[1, lower], stop)


@njit(cache=True, nogil=True)
def _hull_of_sides(sides, box_xyxy, reach, size_hw, hulls, start):
    """Write the convex hull of what `_dilate` filled in to `hulls` from `start` on, clockwise; return its end."""
    first_row, last_row = _rows_reached(box_xyxy, reach, size_hw[0])
    stop = start
    for side in range(2):  # the right side downwards, then the left side upwards
        chain_start = stop
        for step in range(last_row - first_row + 1):
            row = first_row + step if side == 0 else last_row - step
            if sides[1, row] >= 0:
                x = sides[1 - side, row]
                stop = _end_of_chain(hulls, chain_start, stop, x, row)
                hulls[stop, 0], hulls[stop, 1] = x, row
                stop += 1
    return stop


@njit(cache=True, nogil=True)
def _end_of_chain(hulls, start, stop, x, y):
    """Index for (x, y) after hulls[start:stop], whose last points may no longer be corners."""
    while stop - start >= 2:
        before_x, before_y = hulls[stop - 2, 0], hulls[stop - 2, 1]
        last_x, last_y = hulls[stop - 1, 0], hulls[stop - 1, 1]
        if (last_x - before_x) * (y - last_y) - (last_y - before_y) * (x - last_x) > 0:
            break
        stop -= 1
    return stop


@njit(cache=True, nogil=True)
def _extents(hull, dx, dy):
    """Smallest and largest x dx + y dy, then y dx - x dy, over the hull, relative to its first point."""
    x_origin, y_origin = hull[0, 0], hull[0, 1]
    along_low, along_high, across_low, across_high = 0, 0, 0, 0
    for point in range(1, len(hull)):
        x, y = hull[point, 0] - x_origin, hull[point, 1] - y_origin
        along, across = x * dx + y * dy, y * dx - x * dy
        along_low, along_high = min(along_low, along), max(along_high, along)
        across_low, across_high = min(across_low, across), max(across_high, across)
    return along_low, along_high, across_low, across_high


@njit(cache=True, nogil=True)
def _fit_rectangle(hull, rectangle_areas, quad):
    """Write the box around a hull to `quad` (4, 2); return False if a tie leaves it to OpenCV."""
    num_points = len(hull)
    best = -1
    for edge in range(num_points):
        dx, dy = _edge(hull, edge)
        rectangle_areas[edge] = np.inf
        if dx != 0 or dy != 0:
            along_low, along_high, across_low, across_high = _extents(hull, dx, dy)
            rectangle_areas[edge] = (along_high - along_low) * (across_high - across_low) / (dx * dx + dy * dy)
            if best < 0 or rectangle_areas[edge] < rectangle_areas[best]:
                best = edge
    if best < 0 or rectangle_areas[best] <= 0:
        return False
    best_dx, best_dy = _edge(hull, best)
    for edge in range(num_points):
        dx, dy = _edge(hull, edge)
        turned = dx * best_dy != dy * best_dx and dx * best_dx != -dy * best_dy
        if turned and rectangle_areas[edge] <= rectangle_areas[best] * (1 + _AREA_TIE):
            return False
    return _write_corners(hull, best_dx, best_dy, quad)


@njit(cache=True, nogil=True)
def _edge(hull, index):
    """The vector from a hull's corner to the next."""
    following = index + 1 if index + 1 < len(hull) else 0
    return np.int64(hull[following, 0] - hull[index, 0]), np.int64(hull[following, 1] - hull[index, 1])


@njit(cache=True, nogil=True)
def _write_corners(hull, dx, dy, quad):
    """Write the rectangle along (dx, dy) around a hull, or the axis-aligned one; return False on a tie."""
    along_low, along_high, across_low, across_high = _extents(hull, dx, dy)
    length = math.sqrt(dx * dx + dy * dy)
    first_side, second_side = (along_high - along_low) / length, (across_high - across_low) / length
    excess = abs(1 - max(first_side, second_side) / (min(first_side, second_side) + 1e-5))
    if abs(excess - _SQUARE) < _RATIO_TIE:
        return False
    if excess <= _SQUARE:
        dx, dy = np.int64(1), np.int64(0)
        along_low, along_high, across_low, across_high = _extents(hull, dx, dy)
    squared = dx * dx + dy * dy
    start, least, second_least = 0, np.inf, np.inf
    for corner in range(4):
        along = along_low if corner == 0 or corner == 3 else along_high
        across = across_low if corner < 2 else across_high
        total = ((along + across) * dx + (along - across) * dy) / squared  # x + y
        if total < least:
            start, least, second_least = corner, total, least
        else:
            second_least = min(second_least, total)
    if second_least - least < _START_TIE:
        return False
    for position in range(4):
        corner = (start + position) % 4
        along = along_low if corner == 0 or corner == 3 else along_high
        across = across_low if corner < 2 else across_high
        quad[position, 0] = (along * dx - across * dy) / squared + hull[0, 0]
        quad[position, 1] = (along * dy + across * dx) / squared + hull[0, 1]
    return True
