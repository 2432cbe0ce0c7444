"""Finds the most likely characters of an upright word of known length in its region map, in compiled loops.

Region scores come in 255ths; they are compared as levels * float32(1 / 255), as they leave the network's map.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from craft.kernels import njit
from craft.targets.shapes import FALLOFF

_LEAST_BINS, _MOST_BINS = 8, 20  # of the profile, per character
_LEAST_WIDTH, _MOST_WIDTH = 0.2, 3.0  # of a character, as a share of the mean
_FAINTEST = 0.0  # strength of a character that the network misses: an empty map is split evenly
_GAP_COST = 0.02  # per bin that belongs to no character
_EVENNESS = 0.04  # cost per bin of mean width, times the squared logarithm of a character's share of it
_LEAST_PEAK = 0.35  # a lower peak of the profile is no character
_PROMINENCE = 0.1  # nor is one that rises less above the valley on its way to a higher one
_HALF_PEAK = 0.5  # share of its peak at which a character's height is measured
_REACH = math.sqrt(math.log(1 / _HALF_PEAK) / FALLOFF)  # how far out a target falls to it, in half heights
_LEAST_HEIGHT = 0.35  # of a character, as a share of the word's
_ONE_LEVEL = np.float32(1 / 255)


def likely_boxes(
    levels: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float], length: int
) -> tuple[NDArray[np.float64], int]:
    """Find the `length` most likely characters of a word; count its peaks, which does not depend on `length`.

    Levels and the word's box are as in `split_map`; boxes are (length, 4) float64, map pixels, from left to right.
    """
    boxes = np.empty((length, 4))
    left, top, right, bottom = box_xyxy
    targets = target_table(math.ceil(_MOST_BINS * _MOST_WIDTH), FALLOFF)
    return boxes, int(_split_upright(np.ascontiguousarray(levels), left, top, right, bottom, targets, boxes))


@lru_cache(maxsize=4)
def target_table(most: int, falloff: float) -> NDArray[np.float32]:
    """Tabulate targets exp(-falloff t^2), t from -1 to 1: row w of (most + 1, most) for a character w bins wide."""
    table = np.zeros((most + 1, most), np.float32)
    for width in range(1, most + 1):
        table[width, :width] = np.exp(-falloff * ((2 * np.arange(width) + 1) / width - 1) ** 2)
    return table


@njit(cache=True, nogil=True)
def _split_upright(levels, left, top, right, bottom, targets, boxes_xyxy):
    """Fill in boxes (C, 4) of the most likely C characters; return the number of peaks."""
    length = len(boxes_xyxy)
    num_bins = length * min(max(round((right - left) / length), _LEAST_BINS), _MOST_BINS)
    profile = _row_profile(levels, left, top, right, bottom, num_bins)
    mean = num_bins / length
    least = max(1, int(_LEAST_WIDTH * mean))
    most = min(num_bins - (length - 1) * least, max(math.ceil(_MOST_WIDTH * mean), least))
    spans = best_spans(profile, length, least, most, targets, _FAINTEST, _GAP_COST, _EVENNESS * mean)
    for index in range(length):
        boxes_xyxy[index, 0] = left + spans[index, 0] * ((right - left) / num_bins)
        boxes_xyxy[index, 1] = top
        boxes_xyxy[index, 2] = left + spans[index, 1] * ((right - left) / num_bins)
        boxes_xyxy[index, 3] = bottom
    _fit_heights(levels, boxes_xyxy, _LEAST_HEIGHT * (bottom - top))
    return count_peaks(profile, _LEAST_PEAK, _PROMINENCE)


@njit(cache=True, nogil=True)
def _row_profile(levels, left, top, right, bottom, num_bins):
    """The highest score across a word (num_bins,) float64 at the middles of equal parts, interpolated between columns."""
    height, width = levels.shape
    first = min(max(round(top), 0), height - 1)  # rows whose centres lie in the word; the nearest where none does
    last = max(min(round(bottom), height), first + 1)
    highest = np.zeros(width, np.uint8)
    for row in range(first, last):
        line = levels[row]
        for column in range(width):
            highest[column] = max(highest[column], line[column])
    profile = np.empty(num_bins)
    step = (right - left) / num_bins
    for index in range(num_bins):
        x = left + (index + 0.5) * step - 0.5
        column = min(max(math.floor(x), 0), width - 1)
        here = np.float64(np.float32(highest[column]) * _ONE_LEVEL)
        following = np.float64(np.float32(highest[min(column + 1, width - 1)]) * _ONE_LEVEL)
        profile[index] = here + (following - here) * min(max(x - column, 0.0), 1.0)
    return profile


@njit(cache=True, nogil=True)
def count_peaks(profile, least_peak, prominence):
    """Count the peaks of at least `least_peak` with a valley at least `prominence` lower between any two of them."""
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
def best_spans(profile, length, least, most, targets, faintest, gap_cost, evenness):
    """Spans (length, 2), in bins, of the characters whose targets fit a profile best, by least squares.

    A bin in no character should score 0; `targets` as in `target_table`. The loops run along bins, so that they become
    vector instructions.
    """
    num_bins = len(profile)
    fits = np.empty((most + 1, num_bins), np.float32)  # what a character of some width costs, by its first bin
    _fit_characters(profile.astype(np.float32), least, most, targets, np.float32(faintest), fits)
    for width in range(least, most + 1):
        unevenness = evenness * math.log(width / (num_bins / length)) ** 2
        for first in range(num_bins - width + 1):
            fits[width, first] = np.float32(fits[width, first] + unevenness)
    before = np.zeros(num_bins + 1)  # least cost with one character fewer, by the bin where they end
    for end in range(1, num_bins + 1):
        before[end] = before[end - 1] + profile[end - 1] * profile[end - 1] + gap_cost
    widths = np.zeros((length + 1, num_bins + 1), np.int32)  # of the character that ends here; 0 for a gap
    for number in range(1, length + 1):
        first, last = number * least, num_bins - (length - number) * least  # ends that leave room for the others
        costs = np.full(num_bins + 1, np.inf)
        chosen = widths[number]
        for width in range(least, min(most, last) + 1):
            start = max(first - width, first - least)
            stop = last - width + 1
            ends = slice(start + width, stop + width)
            _take_cheaper(before[start:stop], fits[width, start:stop], width, costs[ends], chosen[ends])
        for end in range(first + 1, last + 1):
            waiting = costs[end - 1] + profile[end - 1] * profile[end - 1] + gap_cost
            if waiting <= costs[end]:
                costs[end], chosen[end] = waiting, 0
        before = costs
    return _spans_of(widths)


@njit(cache=True, nogil=True)
def _spans_of(widths):
    """Follow the widths chosen (length + 1, num_bins + 1) back from the last bin."""
    length, num_bins = widths.shape[0] - 1, widths.shape[1] - 1
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
def _take_cheaper(before, fits, width, costs, chosen):
    """Choose a character of one width wherever it costs less; changes costs and chosen in place."""
    for index in range(len(before)):
        cost = before[index] + fits[index]
        cheaper = cost < costs[index]
        costs[index] = cost if cheaper else costs[index]
        chosen[index] = np.int32(width) if cheaper else chosen[index]


@njit(cache=True, nogil=True)
def _fit_characters(profile, least, most, targets, faintest, fits):
    """Fill in fits (width, first bin): squared differences between the profile and a character of every width there."""
    num_bins = len(profile)
    squares = np.zeros(num_bins + 1, np.float32)
    for index in range(num_bins):
        squares[index + 1] = squares[index] + profile[index] * profile[index]
    for width in range(least, most + 1):
        last = num_bins - width + 1
        row = fits[width, :last]
        row[:] = 0
        own = np.float32(0)
        for index in range(width):
            target = targets[width, index]
            own += target * target
            seen = profile[index : index + last]
            for first in range(last):
                row[first] += target * seen[first]
        for first in range(last):
            strength = min(max(row[first] / own, faintest), np.float32(1))
            fit = strength * (np.float32(2) * row[first] - strength * own)
            row[first] = squares[first + width] - squares[first] - fit


@njit(cache=True, nogil=True)
def _fit_heights(levels, boxes_xyxy, least_height):
    """Narrow boxes (C, 4) in place from the word's height to each character's own, measured at half its peak."""
    rows = np.zeros(levels.shape[0])
    for index in range(len(boxes_xyxy)):
        top, bottom = boxes_xyxy[index, 1], boxes_xyxy[index, 3]
        first_row, last_row = max(int(top + 0.5), 0), min(int(bottom + 0.5), levels.shape[0]) - 1
        first = max(int(boxes_xyxy[index, 0]), 0)
        last = min(max(int(np.ceil(boxes_xyxy[index, 2])), first + 1), levels.shape[1])
        peak_row = first_row
        for row in range(first_row, last_row + 1):
            highest = np.uint8(0)
            for level_here in levels[row, first:last]:
                highest = max(highest, level_here)
            rows[row] = np.float32(highest) * _ONE_LEVEL
            if rows[row] > rows[peak_row]:
                peak_row = row
        if last_row < first_row or rows[peak_row] < _LEAST_PEAK:
            continue
        limit = _HALF_PEAK * rows[peak_row]
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
        middle, half = 0.5 * (upper + lower), max(0.5 * (lower - upper) / _REACH, 0.5 * least_height)
        boxes_xyxy[index, 1] = max(middle - half, top)
        boxes_xyxy[index, 3] = min(middle + half, bottom)
