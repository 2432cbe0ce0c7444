"""Outlines: contours as corners, shapes made of them, and the rasterizer that turns them into antialiased masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.geometry import signed_area
from craft.kernels import njit


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Closed contours of corners, y DOWN; in em for glyphs (baseline at y = 0), else in plane or image pixels."""

    points_xy: NDArray[np.float64]  # (P, 2) the corners of all contours one after another
    contour_ends: NDArray[np.int64]  # (K,) index after the last corner of each contour


def polygons(corners_xy: ArrayLike) -> Outline:
    """Outline N polygons of P corners each, (N, P, 2), all made clockwise."""
    points = np.array(corners_xy, dtype=np.float64)
    if len(points) == 0:
        return join_outlines([])
    backwards = signed_area(points) < 0
    points[backwards] = points[backwards, ::-1]
    return _clockwise(points)


def rectangles(boxes_xyxy: ArrayLike) -> Outline:
    """Outline axis-aligned rectangles, (4,) or (N, 4) with x1 < x2 and y1 < y2."""
    x1, y1, x2, y2 = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4).T
    return _clockwise(np.stack([np.stack([x1, x2, x2, x1], 1), np.stack([y1, y1, y2, y2], 1)], 2))


def discs(centres_xy: ArrayLike, radii: ArrayLike, *, corners: int = 20) -> Outline:
    """Outline discs around (N, 2) centres with (N,) radii, as polygons with `corners` corners."""
    centres = np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2)
    sizes = np.broadcast_to(np.asarray(radii, dtype=np.float64)[..., None], centres.shape)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _clockwise(centres[:, None] + sizes[:, None] * ring)


def lines(starts_xy: ArrayLike, ends_xy: ArrayLike, thickness: float) -> Outline:
    """Outline N straight strokes with square ends, from (N, 2) to (N, 2)."""
    starts, ends = (np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in (starts_xy, ends_xy))
    along = ends - starts
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    half = 0.5 * thickness
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    cap = along * half * 0.5
    return _clockwise(
        np.stack([starts - cap - across, ends + cap - across, ends + cap + across, starts - cap + across], 1)
    )


def polylines(points_xy: ArrayLike, thickness: float) -> Outline:
    """Outline N strokes through P points each, (N, P, 2), rounded where they turn."""
    points = np.asarray(points_xy, dtype=np.float64)
    straight = lines(points[:, :-1].reshape(-1, 2), points[:, 1:].reshape(-1, 2), thickness)
    joints = points.reshape(-1, 2)
    return join_outlines([straight, discs(joints, np.full(len(joints), 0.5 * thickness), corners=8)])


def join_outlines(outlines: Sequence[Outline]) -> Outline:
    """Concatenate the contours of any number of outlines."""
    if not outlines:
        return Outline(np.empty((0, 2)), np.empty(0, np.int64))
    starts = np.cumsum([0] + [len(outline.points_xy) for outline in outlines[:-1]])
    return Outline(
        np.concatenate([outline.points_xy for outline in outlines]),
        np.concatenate([outline.contour_ends + start for outline, start in zip(outlines, starts, strict=True)]),
    )


def _clockwise(points: NDArray[np.float64]) -> Outline:
    """Polygons (N, P, 2) that are known to be clockwise."""
    count, corners = points.shape[:2]
    return Outline(points.reshape(-1, 2), np.arange(1, count + 1, dtype=np.int64) * corners)


@njit(cache=True, nogil=True)
def extent(points):
    """Find the box (x1, y1, x2, y2) of (P, 2) points, P > 0; for few points several times as fast as NumPy."""
    x1, y1 = points[0, 0], points[0, 1]
    x2, y2 = x1, y1
    for index in range(1, len(points)):
        x, y = points[index, 0], points[index, 1]
        x1, y1, x2, y2 = min(x1, x), min(y1, y), max(x2, x), max(y2, y)
    return float(x1), float(y1), float(x2), float(y2)


def coverage(
    points_xy: NDArray[np.float64], contour_ends: NDArray[np.int64], *, size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Rasterize contours, clipped to the mask: how much of each pixel lies inside, 255 for all of it.

    Contours that run the same way around and overlap are joined; contours that run the other way are holes.

    Source: R. Levien's font-rs describes the signed-area accumulation; written anew here.
    """
    height, width = size_hw
    mask = np.zeros((height, width), np.uint8)
    if len(points_xy) and height > 0 and width > 0:
        _fill(np.ascontiguousarray(points_xy, dtype=np.float64), np.asarray(contour_ends, dtype=np.int64), mask)
    return mask


@njit(cache=True, nogil=True)
def _fill(points, contour_ends, mask):
    height, width = mask.shape
    change = np.zeros((height, width + 2), np.float32)
    first, last = (
        np.full(height, width),
        np.full(height, -1),
    )  # columns with sides; each of the others equals its left neighbour
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
            if change[row, column] != 0.0:  # rare: away from the sides of shapes a pixel equals its left neighbour
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
