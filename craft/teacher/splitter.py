"""Splits the region map of an upright word into characters: by watershed, or into as many as its text has.

Map coordinates are continuous: pixel i covers i to i + 1. Words here read from left to right; one that reads downwards
is split in its transposed map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from craft.config import Splitter
from craft.teacher.character_spans import likely_boxes
from craft.teacher.watershed import watershed_boxes

LEAST_CONFIDENCE = 0.5  # a word below this is split evenly, and gets this confidence
_WIDEST_CLOSED_GAP = 0.5  # between two characters, as a share of the mean character width; a space is wider


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
