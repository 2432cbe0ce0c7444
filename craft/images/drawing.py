"""Pictures for people: words, characters and score maps drawn over the image. RGB uint8 in, RGB uint8 out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.scene import Detections

Colour = tuple[int, int, int]
WORD_COLOUR: Colour = (0, 220, 70)
POLYGON_COLOUR: Colour = (255, 180, 0)
CHARACTER_COLOUR: Colour = (0, 150, 255)
_FRACTION_BITS = 4  # cv2 draws at sixteenths of a pixel
_LARGEST_COORDINATE = 1e6  # far outside of any picture, and inside cv2's 32 bits


def draw_polygons(
    image: NDArray[np.uint8],
    polygons_xy: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    *,
    colour: Colour = WORD_COLOUR,
    thickness: int | None = None,
) -> NDArray[np.uint8]:
    """Draw closed outlines.

    Args:
        image: (H, W, 3) uint8, RGB.
        polygons_xy: (P, 2) each, or (N, P, 2), pixels of the image, (0, 0) at the top-left pixel's corner.
        colour: red, green, blue, 0 to 255.
        thickness: of the lines in pixels; by the image's size where None.

    Returns:
        (H, W, 3) uint8, a new picture.
    """
    drawn = np.ascontiguousarray(image).copy()
    thickness = thickness or line_thickness(image)
    outlines = [_fixed_point(polygon) for polygon in polygons_xy if len(polygon)]
    cv2.polylines(drawn, outlines, True, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)
    return drawn


def draw_scores(
    image: NDArray[np.uint8],
    quads_xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    *,
    colour: Colour = WORD_COLOUR,
) -> NDArray[np.uint8]:
    """Write each word's score at its first corner, with two digits, on a dark ground.

    Args:
        image: (H, W, 3) uint8, RGB.
        quads_xy: (N, 4, 2) pixels of the image.
        scores: (N,) 0 to 1.
        colour: of the digits.

    Returns:
        (H, W, 3) uint8, a new picture.
    """
    drawn = np.ascontiguousarray(image).copy()
    size, thickness = 0.35 * line_thickness(image), max(1, line_thickness(image) // 2)
    for quad, score in zip(quads_xy, scores, strict=True):
        text = f"{score:.2f}"
        (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
        corner = np.clip(np.nan_to_num(quad[0]), -_LARGEST_COORDINATE, _LARGEST_COORDINATE)
        x, y = int(max(corner[0], 0)), int(max(corner[1], height + below))
        cv2.rectangle(drawn, (x, y - height - below), (x + width, y), (0, 0, 0), cv2.FILLED)
        cv2.putText(drawn, text, (x, y - below), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thickness, cv2.LINE_AA)
    return drawn


def draw_detections(image: NDArray[np.uint8], detections: Detections, *, scores: bool = True) -> NDArray[np.uint8]:
    """Draw what was found: characters below polygons, or quads where there are none, and scores on top.

    Args:
        image: (H, W, 3) uint8, RGB, the picture that was searched.
        detections: what was found in it.
        scores: write the scores too.

    Returns:
        (H, W, 3) uint8, a new picture.
    """
    thin = max(1, line_thickness(image) // 2)
    characters = [quad for quads in detections.character_quads_xy for quad in quads]
    drawn = draw_polygons(image, characters, colour=CHARACTER_COLOUR, thickness=thin)
    if detections.polygons_xy:
        drawn = draw_polygons(drawn, detections.polygons_xy, colour=POLYGON_COLOUR)
    else:
        drawn = draw_polygons(drawn, detections.quads_xy)
    return draw_scores(drawn, detections.quads_xy, detections.scores) if scores else drawn


def heat_map(scores: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour a score map from blue (0) over green to red (1).

    Args:
        scores: (H, W); values outside 0 to 1 are clipped, NaN counts as 0.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    levels = np.rint(np.clip(np.nan_to_num(scores), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_JET)[:, :, ::-1])


def overlay_map(image: NDArray[np.uint8], scores: NDArray[np.floating], *, opacity: float = 0.6) -> NDArray[np.uint8]:
    """Lay a score map over the picture that it belongs to, the stronger the higher the score.

    Args:
        image: (H, W, 3) uint8, RGB.
        scores: (h, w) that covers the whole picture, at any size, 0 to 1.
        opacity: of a score of 1, 0 to 1.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    height, width = image.shape[:2]
    clipped = np.clip(np.nan_to_num(scores), 0, 1).astype(np.float32)
    resized = cv2.resize(clipped, (width, height), interpolation=cv2.INTER_LINEAR)
    weight = opacity * resized[:, :, None]
    return np.rint(image * (1 - weight) + heat_map(resized) * weight).astype(np.uint8)


def line_thickness(image: NDArray[np.uint8]) -> int:
    """Thickness of lines, in pixels, that shows on a picture of this size: 2 at 1280 pixels."""
    return max(1, round(max(image.shape[:2]) / 640))


def _fixed_point(polygon_xy: NDArray[np.floating]) -> NDArray[np.int32]:
    """Corners in OpenCV's sixteenths of a pixel, counted from the first pixel's centre."""
    corners = np.clip(np.nan_to_num(np.asarray(polygon_xy, np.float64)), -_LARGEST_COORDINATE, _LARGEST_COORDINATE)
    return np.rint((corners - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)[:, None, :]
