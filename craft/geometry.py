"""Quads and polygons: order, area, clipping, homographies and overlap. No torch.

Points are (x, y) in pixels; (0, 0) is the top-left corner of the top-left pixel, whose centre is (0.5, 0.5).
Quads are (N, 4, 2), clockwise on the screen (y points down), starting at the top-left of the text as it reads.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry
from shapely.validation import make_valid

FloatArray = NDArray[np.floating]

MAP_STRIDE = 2  # network input pixels per pixel of a score map, in each direction

_GRID = 1e-6  # pixels
_CLEAR_TURN = 1e-3  # square pixels; below it rounding could tell


def signed_area(polygon_xy: ArrayLike) -> NDArray[np.float64]:
    """Area of (..., P, 2) polygons by the shoelace formula in square pixels, positive where they run clockwise."""
    points = np.asarray(polygon_xy, dtype=np.float64)
    points = points - points[..., :1, :]  # far from the origin the products would lose digits
    following = np.concatenate([points[..., 1:, :], points[..., :1, :]], axis=-2)  # np.roll takes three times as long
    cross = points[..., 0] * following[..., 1] - following[..., 0] * points[..., 1]
    return 0.5 * cross.sum(axis=-1)


def clockwise(polygon_xy: ArrayLike) -> NDArray[np.float32]:
    """Return the (P, 2) polygon clockwise on the screen, float32, reversed around its first corner if it was not."""
    points = np.asarray(polygon_xy, dtype=np.float32)
    if signed_area(points) < 0:
        points = np.concatenate([points[:1], points[:0:-1]])
    return points


def quad_sides(quads_xy: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean width (top and bottom sides) and mean height (left and right sides) of (..., 4, 2) quads, float64 pixels."""
    quads = np.asarray(quads_xy, dtype=np.float64)
    lengths = np.linalg.norm(np.roll(quads, -1, axis=-2) - quads, axis=-1)
    return 0.5 * (lengths[..., 0] + lengths[..., 2]), 0.5 * (lengths[..., 1] + lengths[..., 3])


def box_corners(boxes_xyxy: ArrayLike) -> NDArray[Any]:
    """Corners (..., 4, 2) of axis-aligned boxes (..., 4), clockwise from the top-left, in the boxes' type."""
    return np.asarray(boxes_xyxy)[..., [[0, 1], [2, 1], [2, 3], [0, 3]]]


def homographies_from_square(quads_xy: ArrayLike) -> NDArray[np.float64]:
    """Matrices (..., 3, 3) float64 that send the square [-1, 1]^2 to (..., 4, 2) quads, for columns (u, v, 1).

    (-1, -1) goes to the first corner, (1, -1) to the second, (1, 1) to the third, (-1, 1) to the fourth. Quads must
    have an area.

    Source: P. Heckbert, Fundamentals of Texture Mapping and Image Warping, 1989, section 2.2.3 (unit square to quad).
    """
    quads = np.asarray(quads_xy, dtype=np.float64)
    first, second, third, fourth = (quads[..., corner, :] for corner in range(4))
    right, left = second - third, fourth - third
    excess = first - second + third - fourth
    denominator = right[..., 0] * left[..., 1] - right[..., 1] * left[..., 0]
    denominator = np.where(np.abs(denominator) < 1e-12, 1e-12, denominator)
    g = (excess[..., 0] * left[..., 1] - excess[..., 1] * left[..., 0]) / denominator
    h = (right[..., 0] * excess[..., 1] - right[..., 1] * excess[..., 0]) / denominator
    column_u = second - first + g[..., None] * second
    column_v = fourth - first + h[..., None] * fourth
    unit = np.stack(
        [
            np.concatenate([column_u, g[..., None]], axis=-1),
            np.concatenate([column_v, h[..., None]], axis=-1),
            np.concatenate([first, np.ones_like(g)[..., None]], axis=-1),
        ],
        axis=-1,
    )
    to_unit = np.array([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    return unit @ to_unit


def transform_points(points_xy: ArrayLike, matrix: ArrayLike) -> NDArray[np.float32]:
    """Send (..., 2) points through a (3, 3) homography; float32."""
    points = np.asarray(points_xy, dtype=np.float64)
    matrix = np.asarray(matrix, dtype=np.float64)
    moved = points @ matrix[:2, :2].T + matrix[:2, 2]
    scale = points @ matrix[2, :2] + matrix[2, 2]
    return (moved / scale[..., None]).astype(np.float32)


def is_simple(polygon_xy: ArrayLike) -> bool:
    """Whether a (P, 2) polygon has an area and no two of its sides cross; False for bow-ties, lines and points."""
    points = np.asarray(polygon_xy, dtype=np.float64)
    if len(points) == 4 and convex_turn(points.tolist()) != 0:
        return True
    polygon = Polygon(points)
    return bool(polygon.is_valid and polygon.area > 0)


def convex_turn(corners: list[list[float]]) -> int:
    """Return 1 for a convex quad of finite corners [x, y] that runs clockwise on the screen, -1 for the other way.

    Others give 0, also where rounding decides whether a corner is flat. Plain Python is fast for one quad.
    """
    turns = []
    for (ax, ay), (bx, by), (cx, cy) in zip(corners, corners[1:] + corners[:1], corners[2:] + corners[:2], strict=True):
        turns.append((bx - ax) * (cy - by) - (by - ay) * (cx - bx))
    if min(turns) > _CLEAR_TURN:
        return 1
    return -1 if max(turns) < -_CLEAR_TURN else 0


def are_convex_and_clockwise(quads_xy: ArrayLike) -> bool:
    """Whether every quad of (N, 4, 2) turns clearly to the right at every corner: simple, with an area, clockwise."""
    quads = np.asarray(quads_xy, dtype=np.float64)
    sides = np.concatenate([quads[:, 1:], quads[:, :1]], axis=1) - quads
    following = np.concatenate([sides[:, 1:], sides[:, :1]], axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]
    return bool((turns > _CLEAR_TURN).all())


def valid_polygon(polygon_xy: ArrayLike) -> BaseGeometry:
    """Build a valid shapely geometry from a (P, 2) polygon: a bow-tie becomes its two wings, a line has area 0."""
    polygon = Polygon(np.asarray(polygon_xy, dtype=np.float64))
    return polygon if polygon.is_valid else make_valid(polygon)


def shared_areas(
    first: Sequence[BaseGeometry] | NDArray[np.object_], second: Sequence[BaseGeometry] | NDArray[np.object_]
) -> NDArray[np.float64]:
    """Area in square pixels that (N,) valid shapely geometries share, pair by pair; (N,) float64.

    For outlines that differ by rounding alone, GEOS sometimes reports no overlap (1 pair in 10,000 of such). A result
    of 0 is therefore computed again with corners on a grid of a millionth of a pixel.
    """
    one, other = np.asarray(first, dtype=object), np.asarray(second, dtype=object)
    areas = np.asarray(shapely.area(shapely.intersection(one, other)))
    nothing = areas == 0
    if nothing.any():
        areas[nothing] = shapely.area(shapely.intersection(one[nothing], other[nothing], grid_size=_GRID))
    return areas


def polygon_iou(first_xy: ArrayLike, second_xy: ArrayLike) -> float:
    """Intersection over union of two (P, 2) polygons; 0 where neither has an area."""
    first, second = valid_polygon(first_xy), valid_polygon(second_xy)
    intersection = shared_areas([first], [second])[0]
    union = first.area + second.area - intersection
    return float(intersection / union) if union > 0 else 0.0


def visible_shares(polygons_xy: list[FloatArray], *, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Share of each (P, 2) polygon's area that lies inside an image, (N,) float64; 0 for a polygon without area."""
    height, width = size_hw
    shares = np.zeros(len(polygons_xy))
    for index, points in enumerate(polygons_xy):
        low, high = points.min(axis=0), points.max(axis=0)
        if (low >= 0).all() and high[0] <= width and high[1] <= height:
            shares[index] = 1.0 if signed_area(points) != 0 else 0.0
        elif (high > 0).all() and low[0] < width and low[1] < height:
            area = abs(signed_area(points))
            inside = abs(signed_area(clip_to_rectangle(points, size_hw=size_hw)))
            shares[index] = inside / area if area > 0 else 0.0
    return shares


def clip_to_rectangle(polygon_xy: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.float64]:
    """The part of a (P, 2) polygon inside the rectangle from (0, 0) to (width, height), (Q, 2) float64; Q may be 0.

    A polygon that is not convex may come back with sides that run to and fro along the border; its area is still right.

    Source: Sutherland and Hodgman, Reentrant Polygon Clipping, CACM 1974.
    """
    points = np.asarray(polygon_xy, dtype=np.float64)
    height, width = size_hw
    for axis, bound, sign in ((0, 0.0, 1.0), (0, float(width), -1.0), (1, 0.0, 1.0), (1, float(height), -1.0)):
        if len(points) == 0:
            break
        distance = sign * (points[:, axis] - bound)
        kept = []
        for index in range(len(points)):
            before = index - 1
            if (distance[before] < 0) != (distance[index] < 0):
                share = distance[before] / (distance[before] - distance[index])
                kept.append(points[before] + share * (points[index] - points[before]))
            if distance[index] >= 0:
                kept.append(points[index])
        points = np.array(kept).reshape(-1, 2)
    return points


def polygon_to_strips(polygon_xy: ArrayLike) -> NDArray[np.float32]:
    """Cut a clockwise (P, 2) polygon along its two long chains into (ceil(P / 2) - 1, 4, 2) quads that follow the text.

    The first half of the corners is the upper chain in reading order, the second half the lower chain backwards, as
    Total-Text and CTW1500 label curved words. An odd P gets a corner in the middle of its longest lower side.
    """
    points = np.asarray(polygon_xy, dtype=np.float32)
    if len(points) % 2:
        half = len(points) // 2 + 1
        ends = np.roll(points, -1, axis=0)
        lengths = np.linalg.norm(ends - points, axis=1)
        lengths[: half if len(points) > 3 else half - 1] = -1.0  # a triangle has no lower side: its right one is cut
        lengths[-1] = -1.0
        cut = int(lengths.argmax())
        points = np.insert(points, cut + 1, 0.5 * (points[cut] + ends[cut]), axis=0)
    if len(points) == 4:
        return points[None].copy()
    half = len(points) // 2
    upper, lower = points[:half], points[half:][::-1]
    return np.stack([upper[:-1], upper[1:], lower[1:], lower[:-1]], axis=1)


def word_size(polygon_xy: ArrayLike) -> tuple[float, float]:
    """Width of a word along its text, and mean height over the strips that its polygon (P, 2) is cut into, pixels."""
    widths, heights = quad_sides(polygon_to_strips(polygon_xy))
    return float(widths.sum()), float(heights.mean())


def bounding_boxes(polygons_xy: ArrayLike) -> NDArray[np.float64]:
    """Axis-aligned boxes x1, y1, x2, y2 of (..., P, 2) polygons; (..., 4) float64."""
    points = np.asarray(polygons_xy, dtype=np.float64)
    return np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1)


def quad_around(polygon_xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the smallest rectangle around a polygon, clockwise from the corner nearest to its first; a quad as is."""
    if len(polygon_xy) == 4:
        return polygon_xy
    corners = clockwise(cv2.boxPoints(cv2.minAreaRect(polygon_xy)))
    start = int(np.linalg.norm(corners - polygon_xy[0], axis=1).argmin())
    return np.roll(corners, -start, axis=0)
