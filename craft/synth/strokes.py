"""Shapes as outlines: polygons, discs, rings and thick lines, all wound the same way so that they join where they meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.geometry import signed_area
from craft.synth.fonts import Outline


def polygons(corners_xy: ArrayLike) -> Outline:
    """Polygons with as many corners each.

    Args:
        corners_xy: (N, P, 2).

    Returns:
        Their outline, every polygon clockwise.
    """
    points = np.array(corners_xy, dtype=np.float64)
    if len(points) == 0:
        return Outline(np.empty((0, 2)), np.empty(0, np.int64))
    backwards = signed_area(points) < 0
    points[backwards] = points[backwards, ::-1]
    return _clockwise(points)


def _clockwise(points: NDArray[np.float64]) -> Outline:
    """Polygons (N, P, 2) that are known to be clockwise."""
    count, corners = points.shape[:2]
    return Outline(points.reshape(-1, 2), np.arange(1, count + 1, dtype=np.int64) * corners)


def rectangles(boxes_xyxy: ArrayLike) -> Outline:
    """Axis-aligned rectangles.

    Args:
        boxes_xyxy: (N, 4), x1 < x2 and y1 < y2.

    Returns:
        Their outline.
    """
    x1, y1, x2, y2 = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4).T
    return _clockwise(np.stack([np.stack([x1, x2, x2, x1], 1), np.stack([y1, y1, y2, y2], 1)], 2))


def discs(centres_xy: ArrayLike, radii: ArrayLike, *, corners: int = 20) -> Outline:
    """Filled circles or ellipses.

    Args:
        centres_xy: (N, 2).
        radii: (N,) or, for ellipses, (N, 2) along x and y.
        corners: corners of each.

    Returns:
        Their outline.
    """
    centres = np.asarray(centres_xy, dtype=np.float64).reshape(-1, 2)
    sizes = np.asarray(radii, dtype=np.float64)
    sizes = np.broadcast_to(sizes[..., None], centres.shape) if sizes.ndim < 2 else sizes
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _clockwise(centres[:, None] + sizes[:, None] * ring)


def lines(starts_xy: ArrayLike, ends_xy: ArrayLike, thickness: ArrayLike) -> Outline:
    """Straight strokes with square ends.

    Args:
        starts_xy: (N, 2).
        ends_xy: (N, 2).
        thickness: (N,) or one number.

    Returns:
        Their outline.
    """
    starts, ends = (np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in (starts_xy, ends_xy))
    along = ends - starts
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    half = 0.5 * np.broadcast_to(np.asarray(thickness, dtype=np.float64), len(starts))[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    cap = along * half * 0.5
    return _clockwise(
        np.stack([starts - cap - across, ends + cap - across, ends + cap + across, starts - cap + across], 1)
    )


def polylines(points_xy: ArrayLike, thickness: float) -> Outline:
    """Strokes through points, rounded where they turn.

    Args:
        points_xy: (N, P, 2).
        thickness: of every stroke.

    Returns:
        Their outline.
    """
    points = np.asarray(points_xy, dtype=np.float64)
    straight = lines(points[:, :-1].reshape(-1, 2), points[:, 1:].reshape(-1, 2), thickness)
    return joined(
        [straight, discs(points.reshape(-1, 2), np.full(points.shape[0] * points.shape[1], 0.5 * thickness), corners=8)]
    )


def joined(outlines: list[Outline]) -> Outline:
    """Several outlines as one.

    Args:
        outlines: any number.

    Returns:
        All contours, one after another.
    """
    sizes = np.cumsum([0] + [len(outline.points_xy) for outline in outlines])
    return Outline(
        np.concatenate([outline.points_xy for outline in outlines] or [np.empty((0, 2))]),
        np.concatenate(
            [outline.contour_ends + size for outline, size in zip(outlines, sizes, strict=False)]
            or [np.empty(0, np.int64)]
        ),
    )
