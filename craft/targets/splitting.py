"""Where the characters of an upright word are, from its region map: by watershed, or by the cuts that fit its length.

Map coordinates are continuous: pixel i covers i to i + 1. Words here read from left to right; one that reads downwards
is split along the transposed map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from craft.targets.watershed import TARGET_FALL, inner_pixels, watershed_boxes

Splitter = Literal["length", "watershed"]

TRUSTED = 0.5  # a word less sure than this is split evenly, and is trusted this far

_LEAST_BINS, _MOST_BINS = 8, 20  # of the profile, per character
_LEAST_WIDTH, _MOST_WIDTH = 0.2, 3.0  # of a character, as a share of the mean
_FAINTEST = 0.0  # of a character where the network misses it: nothing seen is split evenly
_GAP_COST = 0.02  # per bin that belongs to no character
_EVENNESS = 0.04  # cost per bin of mean width, times the squared logarithm of a character's share of it
_LEAST_PEAK = 0.35  # a peak of the profile lower than this is no character
_PROMINENCE = 0.1  # nor is one that rises less above the valley on its way to a higher one
_HALF_PEAK = 0.5  # level at which a character's height is measured
_LEAST_HEIGHT = 0.35  # of a character, as a share of the word's


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
    region: NDArray[np.float32], box_xyxy: tuple[float, float, float, float], length: int, *, splitter: Splitter
) -> Split:
    """Split an upright word into characters.

    Args:
        region: (H, W) float32, region scores around the word, 0 to 1.
        box_xyxy: the word's own rectangle in the map, map pixels, with an area.
        length: characters of the word, > 0.
        splitter: "watershed": the basins of OpenCV's watershed, as many as it finds. "length": the most likely
            `length` characters side by side; the count behind the confidence is that of the profile's peaks.

    Returns:
        The characters and their confidence.

    Raises:
        ValueError: `length` is not positive, or `splitter` is unknown.
    """
    if length < 1:
        raise ValueError(f"a word of {length} characters cannot be split; leave out words without text")
    if splitter == "watershed":
        boxes = watershed_boxes(region, box_xyxy)
        return Split(boxes, len(boxes), count_confidence(length, len(boxes)))
    if splitter != "length":
        raise ValueError(f"unknown splitter {splitter!r}; use length or watershed")
    num_bins = int(length * np.clip(round((box_xyxy[2] - box_xyxy[0]) / length), _LEAST_BINS, _MOST_BINS))
    profile = row_profile(region, box_xyxy, num_bins=num_bins)
    num_found = int(_count_peaks(profile, _LEAST_PEAK, _PROMINENCE))
    boxes = _length_boxes(region, profile, box_xyxy, length)
    return Split(boxes, num_found, count_confidence(length, num_found))


def row_profile(
    region: NDArray[np.float32], box_xyxy: tuple[float, float, float, float], *, num_bins: int
) -> NDArray[np.float64]:
    """The highest score of every column of a word, at evenly spaced places along it.

    Args:
        region: (H, W) float32, region scores, 0 to 1.
        box_xyxy: the word's rectangle, map pixels.
        num_bins: places wanted.

    Returns:
        (num_bins,) float64, at the middles of as many equal parts of the rectangle; linear between columns.
    """
    _, top, _, bottom = inner_pixels(box_xyxy, region.shape)
    highest = region[top:bottom].max(axis=0).astype(np.float64)
    places = box_xyxy[0] + (np.arange(num_bins) + 0.5) * ((box_xyxy[2] - box_xyxy[0]) / num_bins)
    return np.interp(places, np.arange(len(highest)) + 0.5, highest)


def _length_boxes(
    region: NDArray[np.float32],
    profile: NDArray[np.float64],
    box_xyxy: tuple[float, float, float, float],
    length: int,
) -> NDArray[np.float64]:
    """The boxes of the most likely characters; their heights where each one's own scores say them."""
    mean = len(profile) / length
    least = max(1, int(_LEAST_WIDTH * mean))
    most = min(len(profile) - (length - 1) * least, max(math.ceil(_MOST_WIDTH * mean), least))
    spans = _best_spans(profile, length, least, most, TARGET_FALL, _FAINTEST, _GAP_COST, _EVENNESS * mean)
    left, top, right, bottom = box_xyxy
    boxes = np.empty((length, 4))
    boxes[:, 0] = left + spans[:, 0] * ((right - left) / len(profile))
    boxes[:, 2] = left + spans[:, 1] * ((right - left) / len(profile))
    boxes[:, 1], boxes[:, 3] = top, bottom
    reach = math.sqrt(math.log(1 / _HALF_PEAK) / TARGET_FALL)
    _fit_heights(region, boxes, _HALF_PEAK, reach, _LEAST_PEAK, _LEAST_HEIGHT * (bottom - top))
    return boxes


@njit(cache=True, nogil=True)
def _count_peaks(profile, least_peak, prominence):  # type: ignore[no-untyped-def]
    """Number of peaks of at least `least_peak` with a valley at least `prominence` lower between any two of them."""
    count = 0
    highest, lowest = 0.0, 0.0  # since the last valley, since the last peak
    rising = True
    for value in profile:
        if rising:
            highest = max(highest, value)
            if highest >= least_peak and value <= highest - prominence:
                count += 1
                rising, lowest = False, value
            elif value < highest - prominence:
                highest = value
        else:
            lowest = min(lowest, value)
            if value >= lowest + prominence:
                rising, highest = True, value
    return count + (1 if rising and highest >= least_peak else 0)


@njit(cache=True, nogil=True)
def _best_spans(profile, length, least, most, fall, faintest, gap_cost, evenness):  # type: ignore[no-untyped-def]
    """Spans (length, 2), in bins, of the characters whose targets differ least from a profile, in squares.

    A bin in no character should score 0. A character's width may be `least` to `most` bins.
    """
    num_bins = len(profile)
    mean = num_bins / length
    fits = np.empty((most + 1, num_bins), np.float32)  # what a character of some width costs, by its first bin
    _fit_characters(profile.astype(np.float32), least, most, fall, np.float32(faintest), fits)
    for width in range(least, most + 1):
        fits[width] += evenness * np.log(width / mean) ** 2
    costs = np.full((length + 1, num_bins + 1), np.inf)
    widths = np.zeros((length + 1, num_bins + 1), np.int32)  # of the character that ends here; 0 for a gap
    costs[0, 0] = 0.0
    for place in range(1, num_bins + 1):
        costs[0, place] = costs[0, place - 1] + profile[place - 1] ** 2 + gap_cost
    for number in range(1, length + 1):
        for end in range(number * least, num_bins + 1):
            best = costs[number, end - 1] + profile[end - 1] ** 2 + gap_cost
            chosen = 0
            for width in range(least, min(most, end) + 1):
                cost = costs[number - 1, end - width] + fits[width, end - width]
                if cost < best:
                    best, chosen = cost, width
            costs[number, end], widths[number, end] = best, chosen
    spans = np.empty((length, 2))
    number, end = length, num_bins
    while number > 0:
        width = widths[number, end]
        if width == 0:
            end -= 1
        else:
            spans[number - 1, 0], spans[number - 1, 1] = end - width, end
            number -= 1
            end -= width
    return spans


@njit(cache=True, nogil=True)
def _fit_characters(profile, least, most, fall, faintest, fits):  # type: ignore[no-untyped-def]
    """Squared differences of a character of every width at every first bin from the profile, into fits (width, first)."""
    num_bins = len(profile)
    squares = np.zeros(num_bins + 1, np.float32)
    for index in range(num_bins):
        squares[index + 1] = squares[index] + profile[index] * profile[index]
    for width in range(least, most + 1):
        target = np.empty(width, np.float32)
        own = np.float32(0)
        for index in range(width):
            place = (2 * index + 1) / width - 1
            target[index] = np.exp(-fall * place * place)
            own += target[index] * target[index]
        last = num_bins - width + 1
        row = fits[width]
        row[:last] = 0
        for index in range(width):
            for first in range(last):
                row[first] += target[index] * profile[first + index]
        for first in range(last):
            strength = min(max(row[first] / own, faintest), np.float32(1))
            fit = strength * (2 * row[first] - strength * own)
            row[first] = squares[first + width] - squares[first] - fit


@njit(cache=True, nogil=True)
def _fit_heights(region, boxes_xyxy, level, reach, least_peak, least_height):  # type: ignore[no-untyped-def]
    """Narrow boxes (C, 4) from the word's height to each character's own, measured at a share of its peak."""
    for index in range(len(boxes_xyxy)):
        top, bottom = boxes_xyxy[index, 1], boxes_xyxy[index, 3]
        first_row, last_row = max(int(top + 0.5), 0), min(int(bottom + 0.5), region.shape[0]) - 1
        first = max(int(boxes_xyxy[index, 0]), 0)
        last = min(max(int(np.ceil(boxes_xyxy[index, 2])), first + 1), region.shape[1])
        rows = np.zeros(region.shape[0])
        peak_row = first_row
        for row in range(first_row, last_row + 1):
            for column in range(first, last):
                rows[row] = max(rows[row], region[row, column])
            if rows[row] > rows[peak_row]:
                peak_row = row
        if last_row < first_row or rows[peak_row] < least_peak:
            continue
        limit = level * rows[peak_row]
        above, below = peak_row, peak_row
        while above > first_row and rows[above - 1] > limit:
            above -= 1
        while below < last_row and rows[below + 1] > limit:
            below += 1
        upper, lower = above + 0.0, below + 1.0
        if above > first_row:
            upper = above + 0.5 - (rows[above] - limit) / (rows[above] - rows[above - 1])
        if below < last_row:
            lower = below + 0.5 + (rows[below] - limit) / (rows[below] - rows[below + 1])
        middle, half = 0.5 * (upper + lower), max(0.5 * (lower - upper) / reach, 0.5 * least_height)
        boxes_xyxy[index, 1] = max(middle - half, top)
        boxes_xyxy[index, 3] = min(middle + half, bottom)
