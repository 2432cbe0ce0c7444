"""Shaped text on a plane sent into the picture: outlines, character quads and word quads move through one matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.datasets.generator.fonts import Outline, ShapedText, Typeface
from craft.geometry import bounding_boxes, transform_points


@dataclass(frozen=True, slots=True, eq=False)
class PlacedText:
    """A word in the picture.

    Attributes:
        outline: its contours, image pixels.
        character_quads_xy: (C, 4, 2) float32, image pixels, in reading order; characters without ink have none.
        quad_xy: (4, 2) float32, the word's ink box on its plane, sent into the picture.
        text: the characters that have a quad, in reading order.
    """

    outline: Outline
    character_quads_xy: NDArray[np.float32]
    quad_xy: NDArray[np.float32]
    text: str


def character_boxes(shaped: ShapedText, typeface: Typeface, *, word_height: bool = False) -> NDArray[np.float64]:
    """Ink boxes of the characters that have ink, none narrower or lower than half the x-height.

    Args:
        shaped: the text, in em.
        typeface: the face it was shaped with.
        word_height: make every box as high as the whole text's, for comparison.

    Returns:
        (C, 4) float64, x1, y1, x2, y2 in em.
    """
    boxes = shaped.boxes_xyxy[~np.isnan(shaped.boxes_xyxy[:, 0])].copy()
    if len(boxes) == 0:
        return boxes
    least = 0.5 * typeface.x_height
    for low, high in ((0, 2), (1, 3)):
        lacking = np.maximum(least - (boxes[:, high] - boxes[:, low]), 0)
        boxes[:, low] -= 0.5 * lacking
        boxes[:, high] += 0.5 * lacking
    if word_height:
        boxes[:, 1], boxes[:, 3] = boxes[:, 1].min(), boxes[:, 3].max()
    return boxes


def box_corners(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of axis-aligned boxes, clockwise from the top-left.

    Args:
        boxes_xyxy: (..., 4).

    Returns:
        (..., 4, 2) float64.
    """
    x1, y1, x2, y2 = np.moveaxis(np.asarray(boxes_xyxy, dtype=np.float64), -1, 0)
    return np.stack([np.stack([x1, x2, x2, x1], -1), np.stack([y1, y1, y2, y2], -1)], -1)


def place_text(
    shaped: ShapedText, typeface: Typeface, *, size: float, matrix: NDArray[np.float64], word_height: bool = False
) -> PlacedText:
    """Send shaped text through a homography.

    Args:
        shaped: text with at least one character that has ink.
        typeface: the face it was shaped with.
        size: plane pixels per em.
        matrix: (3, 3) float64, plane pixels (the pen's start at the origin) to image pixels.
        word_height: character boxes as high as the word.

    Returns:
        The text in the picture.
    """
    boxes = character_boxes(shaped, typeface, word_height=word_height) * size
    whole = np.array([boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()])
    inked = ~np.isnan(shaped.boxes_xyxy[:, 0])
    return PlacedText(
        Outline(_send(shaped.outline.points_xy * size, matrix), shaped.outline.contour_ends),
        transform_points(box_corners(boxes), matrix),
        transform_points(box_corners(whole), matrix),
        "".join(character for character, has_ink in zip(shaped.characters, inked, strict=True) if has_ink),
    )


def plane_matrix(
    centre_xy: NDArray[np.float64],
    *,
    target_xy: tuple[float, float],
    degrees: float,
    tilt: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Homography that turns and tilts a plane around one of its points.

    Args:
        centre_xy: (2,) float64, the point of the plane that stays the middle, plane pixels.
        target_xy: where it goes, image pixels.
        degrees: rotation, clockwise on the screen.
        tilt: how much the distance grows per plane pixel along x and y; 0 keeps parallels parallel.

    Returns:
        (3, 3) float64.
    """
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    to_centre = np.array([[1, 0, -centre_xy[0]], [0, 1, -centre_xy[1]], [0, 0, 1]])
    tilting = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1]])
    turning = np.array([[cosine, -sine, target_xy[0]], [sine, cosine, target_xy[1]], [0, 0, 1]])
    return turning @ tilting @ to_centre


def pixel_window(points_xy: NDArray[np.floating], *, margin: float, size_hw: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the picture that points, and a margin around them, lie in.

    Args:
        points_xy: (..., 2) image pixels.
        margin: image pixels added on every side.
        size_hw: size of the picture.

    Returns:
        Slices of rows and of columns, empty where nothing is inside.
    """
    x1, y1, x2, y2 = bounding_boxes(np.reshape(points_xy, (-1, 2)))
    height, width = size_hw
    top, bottom = (int(np.clip(value, 0, height)) for value in (np.floor(y1 - margin), np.ceil(y2 + margin)))
    left, right = (int(np.clip(value, 0, width)) for value in (np.floor(x1 - margin), np.ceil(x2 + margin)))
    return slice(top, bottom), slice(left, right)


def _send(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = points @ matrix[2, :2] + matrix[2, 2]
    return (points @ matrix[:2, :2].T + matrix[:2, 2]) / scale[:, None]
