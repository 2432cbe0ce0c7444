"""Placement: planes seen by a camera, and shaped text projected onto the image with its character quads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.geometry import box_corners
from craft.kernels import njit
from craft.synth.outlines import Outline, extent
from craft.synth.typeface import ShapedText, Typeface

Matrix = NDArray[np.float64]  # (3, 3) homography, plane pixels to image pixels
Point = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PlacedText:
    """A word in the image."""

    outline: Outline  # its contours, image pixels
    character_quads_xy: NDArray[np.float32]  # (C, 4, 2) image pixels, in reading order; of characters with ink
    polygon_xy: NDArray[np.float32]  # (P, 2) the word's ink box, projected onto the image; a quad unless bent
    text: str  # the characters that have a quad, in reading order


def place_text(
    shaped: ShapedText,
    typeface: Typeface,
    *,
    size: float,
    matrix: Matrix,
    origin_xy: tuple[float, float] = (0.0, 0.0),
    bend: float = 0.0,
    word_height: bool = False,
) -> PlacedText:
    """Bend shaped text that has ink and project it onto the image.

    Character boxes are ink boxes, none narrower or lower than half the x-height; `word_height` makes them word-high.

    Args:
        size: plane pixels per em.
        origin_xy: where the pen starts, plane pixels.
        bend: curvature of the baseline, 1 / plane pixels, around the plane's x = 0; above 0 its middle is highest.
    """
    boxes = _character_boxes(shaped.boxes_xyxy, 0.5 * typeface.x_height, word_height) * size
    whole = np.array([*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)])
    polygon = box_corners(whole)
    if bend:
        turn = abs(bend) * (whole[2] - whole[0])
        along = np.linspace(whole[0], whole[2], 3 + min(round(turn / 0.15), 6))
        upper, lower = np.full_like(along, whole[1]), np.full_like(along, whole[3])
        polygon = np.concatenate([np.stack([along, upper], 1), np.stack([along, lower], 1)[::-1]])

    corners = box_corners(boxes).reshape(-1, 2)
    together = np.concatenate([shaped.outline.points_xy * size, corners, polygon])  # one pass for all three
    moved = project(_bent(together, origin_xy, bend) if bend else together + origin_xy, matrix)
    num_points, num_corners = len(shaped.outline.points_xy), len(corners)
    inked = ~np.isnan(shaped.boxes_xyxy[:, 0])
    return PlacedText(
        Outline(moved[:num_points], shaped.outline.contour_ends),
        moved[num_points : num_points + num_corners].reshape(-1, 4, 2).astype(np.float32),
        moved[num_points + num_corners :].astype(np.float32),
        "".join(character for character, has_ink in zip(shaped.characters, inked, strict=True) if has_ink),
    )


@njit(cache=True, nogil=True)
def _character_boxes(inked, least, word_height):
    boxes = inked[~np.isnan(inked[:, 0])].copy()
    for index in range(len(boxes)):
        for low in range(2):
            lacking = max(least - (boxes[index, low + 2] - boxes[index, low]), 0.0)
            boxes[index, low] -= 0.5 * lacking
            boxes[index, low + 2] += 0.5 * lacking
    if word_height and len(boxes):
        boxes[:, 1], boxes[:, 3] = boxes[:, 1].min(), boxes[:, 3].max()
    return boxes


def _bent(points: NDArray[np.float64], origin_xy: tuple[float, float], bend: float) -> NDArray[np.float64]:
    """Points relative to the pen, moved to where it starts and onto the bent baseline."""
    radius = 1.0 / bend
    angle = (points[..., 0] + origin_xy[0]) * bend
    reach = radius - points[..., 1]
    return np.stack([reach * np.sin(angle), origin_xy[1] + radius - reach * np.cos(angle)], axis=-1)


def letter_height(polygon_xy: NDArray[np.float32]) -> float:
    """Return the smaller of a word's height and width, of two chains of corners (P, 2), image pixels."""
    if len(polygon_xy) == 4:
        return float(_quad_height(polygon_xy))
    half = len(polygon_xy) // 2
    upper, lower = polygon_xy[:half], polygon_xy[half:][::-1]
    height = np.linalg.norm(upper - lower, axis=1).mean()
    width = np.linalg.norm(np.diff(0.5 * (upper + lower), axis=0), axis=1).sum()
    return float(min(height, width))


@njit(cache=True, nogil=True)
def _quad_height(quad):
    """What `letter_height` says of a quad, in the quad's own precision."""
    half = quad.dtype.type(0.5)
    left, right = quad[0] - quad[3], quad[1] - quad[2]
    across = half * (quad[1] + quad[2]) - half * (quad[0] + quad[3])
    height = half * (np.sqrt(left[0] ** 2 + left[1] ** 2) + np.sqrt(right[0] ** 2 + right[1] ** 2))
    return min(height, np.sqrt(across[0] ** 2 + across[1] ** 2))


def rotation(radians: float) -> NDArray[np.float64]:
    """Return the (2, 2) matrix that turns rows of points clockwise on the screen: points @ matrix."""
    return np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])


def plane_matrix(centre_xy: Point, *, target_xy: Point, degrees: float, tilt: Point) -> Matrix:
    """Return the homography that turns a plane clockwise around a point, tilts it, and moves that point to `target_xy`.

    `tilt` is how much the distance grows per plane pixel along x and y; 0 keeps parallels parallel.
    """
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    to_centre = np.array([[1, 0, -centre_xy[0]], [0, 1, -centre_xy[1]], [0, 0, 1]])
    tilting = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1]])
    turning = np.array([[cosine, -sine, target_xy[0]], [sine, cosine, target_xy[1]], [0, 0, 1]])
    return turning @ tilting @ to_centre


def plane_in_space(*, target_xy: Point, yaw: float, pitch: float, roll: float, distance: float) -> Matrix:
    """Return the homography of a plane seen by a camera; its origin is seen at its true size at `target_xy`.

    Angles are in degrees: above 0, yaw moves the right side away and pitch the top, and roll is clockwise on the
    screen. `distance` is in plane pixels; small makes the perspective strong.

    Source: R. Hartley and A. Zisserman, Multiple View Geometry, 2nd edition, section 8.1 (image of a plane).
    """
    matrix = np.empty((3, 3))
    x, y = target_xy
    _plane_in_space(math.radians(yaw), math.radians(pitch), math.radians(roll), distance, x, y, matrix)
    return matrix


@njit(cache=True, nogil=True)
def _plane_in_space(yaw, pitch, roll, distance, x, y, matrix):
    """The plane's two axes after turning it by yaw, then pitch, then roll, seen from `distance`."""
    across = (np.cos(yaw), np.sin(pitch) * np.sin(yaw), np.cos(pitch) * np.sin(yaw))
    down = (0.0, np.cos(pitch), -np.sin(pitch))
    for column, axis in enumerate((across, down)):
        turned_x = np.cos(roll) * axis[0] - np.sin(roll) * axis[1]
        turned_y = np.sin(roll) * axis[0] + np.cos(roll) * axis[1]
        depth = axis[2] / distance
        matrix[0, column], matrix[1, column], matrix[2, column] = turned_x + x * depth, turned_y + y * depth, depth
    matrix[0, 2], matrix[1, 2], matrix[2, 2] = x, y, 1.0


def translated(matrix: Matrix, at_xy: Point) -> Matrix:
    """Return the homography of the plane whose origin is the point `at_xy` of the given one."""
    return matrix @ np.array([[1, 0, at_xy[0]], [0, 1, at_xy[1]], [0, 0, 1]])


def pixel_window(points_xy: NDArray[np.floating], *, margin: float, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of the image around (P, 2) points and a margin, empty where nothing is inside."""
    x1, y1, x2, y2 = extent(points_xy)
    height, width = size_hw
    # clipped before they become whole numbers: corners near the horizon may be infinitely far
    top, bottom = (int(min(max(value, 0), height)) for value in (np.floor(y1 - margin), np.ceil(y2 + margin)))
    left, right = (int(min(max(value, 0), width)) for value in (np.floor(x1 - margin), np.ceil(x2 + margin)))
    return slice(top, bottom), slice(left, right)


def project_outline(outline: Outline, matrix: Matrix) -> Outline:
    """Project an outline through a homography."""
    return Outline(project(outline.points_xy, matrix), outline.contour_ends)


def project(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Project points (..., 2) through a homography, in float64."""
    return _project(points.reshape(-1, 2), matrix).reshape(points.shape)


@njit(cache=True, nogil=True, error_model="numpy")  # what lies on the horizon is infinitely far
def _project(points, matrix):
    moved = np.empty(points.shape)
    for index in range(len(points)):
        x, y = points[index, 0], points[index, 1]
        depth = x * matrix[2, 0] + y * matrix[2, 1] + matrix[2, 2]
        moved[index, 0] = (x * matrix[0, 0] + y * matrix[0, 1] + matrix[0, 2]) / depth
        moved[index, 1] = (x * matrix[1, 0] + y * matrix[1, 1] + matrix[1, 2]) / depth
    return moved
