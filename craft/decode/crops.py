"""Upright crops of words or lines, for a recogniser."""

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.decode.detections import Detections
from craft.geometry import clockwise, quad_sides

_TALL = 1.5  # height to width from which text is taken to run downwards


def text_crops(image: NDArray[np.uint8], found: Detections, *, lines: bool = False) -> list[NDArray[np.uint8]]:
    """Cut words, or lines, out of their image (H, W, 3) and turn them upright; in reading order.

    A box more than 1.5 times as high as wide is turned so that what runs downwards runs to the right. A line's crop is the
    smallest rectangle around its words.
    """
    order = found.reading_order()
    if not lines:
        return [_upright(image, found.quads_xy[word]) for word in order.words]
    numbers = order.line[order.words]
    groups = np.split(order.words, np.flatnonzero(np.diff(numbers)) + 1) if len(numbers) else []
    return [_upright(image, _around(found.quads_xy[group])) for group in groups]


def _around(quads_xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """The smallest rectangle (4, 2) around quads, in the order of the first of them."""
    if len(quads_xy) == 1:
        return quads_xy[0]
    corners = clockwise(cv2.boxPoints(cv2.minAreaRect(quads_xy.reshape(-1, 2).astype(np.float32))))
    return np.asarray(np.roll(corners, -int(corners.sum(axis=1).argmin()), axis=0), np.float32)


def _upright(image: NDArray[np.uint8], quad_xy: NDArray[np.float32]) -> NDArray[np.uint8]:
    width, height = (float(side) for side in quad_sides(quad_xy))
    if height > _TALL * width:
        quad_xy, width, height = np.roll(quad_xy, -1, axis=0), height, width
    size_wh = (max(1, round(width)), max(1, round(height)))
    target = np.array([[0, 0], [size_wh[0], 0], size_wh, [0, size_wh[1]]], np.float32)
    matrix = cv2.getPerspectiveTransform(quad_xy.astype(np.float32) - 0.5, target - 0.5)
    return np.asarray(cv2.warpPerspective(image, matrix, size_wh, borderMode=cv2.BORDER_REPLICATE), np.uint8)
