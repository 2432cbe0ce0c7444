"""Splits the region map of an upright word into characters: by watershed, or into as many as its text has.

Map coordinates are continuous: pixel i covers i to i + 1. Words here read from left to right; one that reads downwards
is split in its transposed map.
"""

import math
from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.config import Splitter
from craft.kernels import njit
from craft.targets.shapes import ENLARGEMENT, FALLOFF, SIGMA
from craft.teacher.character_spans import likely_boxes

_EDGE_SCORE = math.exp(-FALLOFF)  # a target's value at its character's edge: the background lies below
_CORE_SCORE = 0.5  # markers are the connected pixels above
_BORDER = 2  # pixels of background around a word: OpenCV's watershed assigns the outermost to no basin
LEAST_CONFIDENCE = 0.5  # a word below this is split evenly, and gets this confidence
_WIDEST_CLOSED_GAP = 0.5  # between two characters, as a share of the mean character width; a space is wider


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


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The characters of one word."""

    boxes_xyxy: NDArray[np.float64]  # (C, 4) map pixels, left to right; C is the length, or what the watershed found
    num_found: int  # characters counted without knowing the length
    confidence: float  # how well that count fits the length, 0 to 1


def count_confidence(length: int, num_found: int) -> float:
    """Rate from 0 to 1 how well a count of characters, made without knowing the length, fits the length > 0.

    Source: CRAFT, Baek et al., CVPR 2019, equation 1.
    """
    return (length - min(length, abs(length - num_found))) / length


def split_map(
    levels: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float], length: int, *, splitter: Splitter
) -> Split:
    """Split an upright word into characters.

    Args:
        levels: (H, W) uint8, region scores around the word, in 255ths.
        box_xyxy: the word's own rectangle, map pixels, with an area.
        length: characters of the word, > 0.
        splitter: "watershed": the basins of OpenCV's watershed, as many as it finds. "length": the most likely
            `length` characters side by side, as tall as they look; the profile's peaks are counted for the
            confidence. "cuts": the same characters, but as tall as the word and extended to the middle of the gaps
            between them and to the word's ends, so that they fill the word, except for spaces. People label words
            higher than their ink, and these agree with such labels.
    """
    if length < 1:
        raise ValueError(f"cannot split a word of {length} characters; leave out words without text")
    if splitter not in get_args(Splitter):
        raise ValueError(f"unknown splitter {splitter!r}; use one of {', '.join(get_args(Splitter))}")
    if splitter == "watershed":
        boxes = watershed_boxes(levels, box_xyxy)
        return Split(boxes, len(boxes), count_confidence(length, len(boxes)))
    boxes, num_found = likely_boxes(levels, box_xyxy, length)
    if splitter == "cuts":
        boxes = _fill_word(boxes, box_xyxy)
    return Split(boxes, num_found, count_confidence(length, num_found))


def _fill_word(boxes_xyxy: NDArray[np.float64], word_xyxy: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Extend boxes (C, 4) to the word's height, its ends and each other, but not across a space."""
    left, top, right, bottom = word_xyxy
    filled = boxes_xyxy.copy()
    filled[:, 1], filled[:, 3] = top, bottom
    filled[0, 0], filled[-1, 2] = left, right
    ends, starts = boxes_xyxy[:-1, 2], boxes_xyxy[1:, 0]
    closed = starts - ends <= _WIDEST_CLOSED_GAP * (right - left) / len(boxes_xyxy)
    middles = 0.5 * (ends + starts)
    filled[:-1, 2], filled[1:, 0] = np.where(closed, middles, ends), np.where(closed, middles, starts)
    return filled
