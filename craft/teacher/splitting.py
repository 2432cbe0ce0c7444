"""Where the characters of an upright word are, from its region map: by watershed, or by the cuts that fit its length.

Map coordinates are continuous: pixel i covers i to i + 1. Words here read from left to right; one that reads downwards
is split along the transposed map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from craft.teacher.character_spans import likely_boxes
from craft.teacher.watershed import watershed_boxes

Splitter = Literal["cuts", "length", "watershed"]

_WIDEST_CLOSED = 0.5  # gap that two characters close, as a share of a character's mean width; a space is wider
TRUSTED = 0.5  # a word less sure than this is split evenly, and is trusted this far


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One word split.

    Attributes:
        boxes_xyxy: (C, 4) float64, map pixels, from left to right; C is the length that was given, or what the
            watershed found.
        num_found: characters counted without knowing the length.
        confidence: how well that count fits the length, 0 to 1.
    """

    boxes_xyxy: NDArray[np.float64]
    num_found: int
    confidence: float


def count_confidence(length: int, num_found: int) -> float:
    """How far a word's characters are trusted.

    Args:
        length: grapheme clusters of the transcription without spaces, > 0.
        num_found: characters counted without knowing the length.

    Returns:
        1 where both agree, less with every one too many or too few, 0 from `length` wrong ones on.

    Source: CRAFT, Baek et al., CVPR 2019, equation 1.
    """
    return (length - min(length, abs(length - num_found))) / length


def split_map(
    levels: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float], length: int, *, splitter: Splitter
) -> Split:
    """Split an upright word into characters.

    Args:
        levels: (H, W) uint8, region scores around the word, in 255ths.
        box_xyxy: the word's own rectangle in the map, map pixels, with an area.
        length: characters of the word, > 0.
        splitter: "watershed": the basins of OpenCV's watershed, as many as it finds. "length": the most likely
            `length` characters side by side, as tall as they look; the count behind the confidence is that of the
            profile's peaks. "cuts": the same characters, but each as tall as the word and up to the middle between it
            and the next, the outer ones to the word's ends: together they fill the word, as an even split does, but
            for a space. People label words higher than their ink, so that these agree with the labels.

    Returns:
        The characters and their confidence.

    Raises:
        ValueError: `length` is not positive, or `splitter` is unknown.
    """
    if length < 1:
        raise ValueError(f"a word of {length} characters cannot be split; leave out words without text")
    if splitter == "watershed":
        boxes = watershed_boxes(levels, box_xyxy)
        return Split(boxes, len(boxes), count_confidence(length, len(boxes)))
    if splitter not in ("cuts", "length"):
        raise ValueError(f"unknown splitter {splitter!r}; use cuts, length or watershed")
    boxes, num_found = likely_boxes(levels, box_xyxy, length)
    if splitter == "cuts":
        boxes = _filling(boxes, box_xyxy)
    return Split(boxes, num_found, count_confidence(length, num_found))


def _filling(boxes_xyxy: NDArray[np.float64], word_xyxy: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """Boxes (C, 4) grown to the word's height, its ends and each other; between two words of one label a gap stays."""
    left, top, right, bottom = word_xyxy
    filling = boxes_xyxy.copy()
    filling[:, 1], filling[:, 3] = top, bottom
    filling[0, 0], filling[-1, 2] = left, right
    ends, starts = boxes_xyxy[:-1, 2], boxes_xyxy[1:, 0]
    meet = starts - ends <= _WIDEST_CLOSED * (right - left) / len(boxes_xyxy)
    middles = 0.5 * (ends + starts)
    filling[:-1, 2], filling[1:, 0] = np.where(meet, middles, ends), np.where(meet, middles, starts)
    return filling
