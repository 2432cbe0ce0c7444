"""The watershed of a word's region map, as the paper splits words into characters."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.kernels import njit
from craft.targets.shapes import ENLARGEMENT, FALLOFF, SIGMA

_EDGE_SCORE = math.exp(-FALLOFF)  # a target's value at its character's edge: the background lies below
_CORE_SCORE = 0.5  # markers are the connected pixels above
_BORDER = 2  # pixels of background around a word: OpenCV's watershed assigns the outermost to no basin


def watershed_boxes(levels: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Find the characters of a word as the basins of OpenCV's watershed; arguments as in `split_map`.

    Returns (C, 4) float64 boxes, map pixels, from left to right, clipped to the word's rectangle.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2.2. The thresholds are not in the paper: markers are the
        connected pixels above 0.5, and background is what scores below a character's target at its edge.
    """
    left, top, right, bottom = inner_pixels(box_xyxy, levels.shape)
    inner = np.zeros((bottom - top + 2 * _BORDER, right - left + 2 * _BORDER), np.uint8)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = levels[top:bottom, left:right]
    core = (inner > 255 * _CORE_SCORE).view(np.uint8)
    num_labels, markers = cv2.connectedComponents(core, connectivity=4, ltype=cv2.CV_32S)
    if num_labels == 1:
        return np.zeros((0, 4))
    _mark_background(inner, markers, 255 * _EDGE_SCORE)
    basins = cv2.watershed(cv2.merge([inner, inner, inner]), markers)
    boxes = np.empty((num_labels - 1, 4))
    _basin_boxes(np.asarray(basins, dtype=np.int32), boxes)
    boxes += [left - _BORDER, top - _BORDER, left - _BORDER, top - _BORDER]
    boxes = _widened(boxes[boxes[:, 2] > boxes[:, 0]])
    low, high = np.array(box_xyxy[:2]), np.array(box_xyxy[2:])
    return np.concatenate([np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)], axis=1)


def inner_pixels(box_xyxy: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the pixels with centres in a box; the nearest pixel where none is."""
    height, width = shape[:2]
    left, top = min(max(round(box_xyxy[0]), 0), width - 1), min(max(round(box_xyxy[1]), 0), height - 1)
    right, bottom = min(round(box_xyxy[2]), width), min(round(box_xyxy[3]), height)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _widened(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sort basins' boxes (C, 4), which end one sigma from the middle, and widen them; neighbours do not overlap."""
    middles = 0.5 * (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:])
    halves = 0.5 * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) * (1.0 / ENLARGEMENT / SIGMA)
    boxes = np.concatenate([middles - halves, middles + halves], axis=1)[np.argsort(middles[:, 0], kind="stable")]
    overlap = boxes[:-1, 2] > boxes[1:, 0]
    meeting = 0.5 * (boxes[:-1, 2] + boxes[1:, 0])
    boxes[:-1, 2] = np.where(overlap, meeting, boxes[:-1, 2])
    boxes[1:, 0] = np.where(overlap, meeting, boxes[1:, 0])
    return boxes


@njit(cache=True, nogil=True)
def _mark_background(levels, markers, edge):
    """Renumber the markers in place: the background becomes 1, the cores 2 and up."""
    for row in range(levels.shape[0]):
        for column in range(levels.shape[1]):
            if levels[row, column] < edge:
                markers[row, column] = 1
            elif markers[row, column] > 0:
                markers[row, column] += 1


@njit(cache=True, nogil=True)
def _basin_boxes(basins, boxes_xyxy):
    """Fill in boxes (C, 4) around basins 2 to C + 1, each with half of the one-pixel lines between basins."""
    boxes_xyxy[:, :2] = np.inf
    boxes_xyxy[:, 2:] = -np.inf
    for row in range(basins.shape[0]):
        for column in range(basins.shape[1]):
            basin = basins[row, column] - 2
            if basin >= 0:
                boxes_xyxy[basin, 0] = min(boxes_xyxy[basin, 0], column - 0.5)
                boxes_xyxy[basin, 1] = min(boxes_xyxy[basin, 1], row - 0.5)
                boxes_xyxy[basin, 2] = max(boxes_xyxy[basin, 2], column + 1.5)
                boxes_xyxy[basin, 3] = max(boxes_xyxy[basin, 3], row + 1.5)
