"""Connected components of thresholded score maps as runs of pixels, with no label image in between.

A run is a stretch of neighbouring map pixels in one row whose region or affinity score is above its threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Columns of the integer table of runs. Numbers instead of a record type, since numba compiles these faster.
ROW, START, STOP, FIRST_TEXT, LAST_TEXT, NUM_TEXT = range(6)
_NO_TEXT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The 4-connected components of a pair of score maps, in the order of their first pixels, row by row.

    Attributes:
        runs: (R, 6) int32, grouped by component and top to bottom inside one: row, first column, last column + 1,
            first and last column whose region score is above the low threshold (-1 where none is), number of those.
        offsets: (C + 1,) int64, component c has the runs offsets[c] to offsets[c + 1].
        areas: (C,) int64, pixels.
        boxes_xyxy: (C, 4) int32, first column and row, last column and row + 1, map indices.
        peaks: (C,) float32, largest region score of the pixels above the low threshold; 0 where there is none.
        sums: (C,) float64, sum of these pixels' region scores.
        num_text: (C,) int64, number of these pixels.
    """

    runs: NDArray[np.int32]
    offsets: NDArray[np.int64]
    areas: NDArray[np.int64]
    boxes_xyxy: NDArray[np.int32]
    peaks: NDArray[np.float32]
    sums: NDArray[np.float64]
    num_text: NDArray[np.int64]


def find_components(
    region: NDArray[np.float32], affinity: NDArray[np.float32], *, low_text: float, link_threshold: float
) -> Components:
    """Find the 4-connected components of (region > low_text) or (affinity > link_threshold).

    Args:
        region: (H, W) float32, C-contiguous.
        affinity: (H, W) float32, C-contiguous.
        low_text: compared as float32, as OpenCV does.
        link_threshold: compared as float32.

    Returns:
        The components in the order in which OpenCV numbers them. NaN is above no threshold.

    Source: run-length labelling with union-find, after He, Chao and Suzuki, A Run-Based Two-Scan Labeling Algorithm,
        IEEE Transactions on Image Processing 2008.
    """
    runs, values = _scan(region, affinity, np.float32(low_text), np.float32(link_threshold))
    component, num_components = _connect(runs)
    return Components(*_gather(runs, values, component, num_components))


def label_components(components: Components, kept: NDArray[np.int64], *, size_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Paint the pixels of some components.

    Args:
        components: what `find_components` found.
        kept: (N,) int64, the components wanted.
        size_hw: height and width of the maps.

    Returns:
        (H, W) int32: n + 1 on the pixels of component kept[n], 0 elsewhere.
    """
    labels = np.zeros(size_hw, dtype=np.int32)
    _paint(labels, components.runs, components.offsets, kept)
    return labels


@njit(cache=True, nogil=True)
def _paint(labels, runs, offsets, kept):  # type: ignore[no-untyped-def]
    for index in range(len(kept)):
        for run in range(offsets[kept[index]], offsets[kept[index] + 1]):
            labels[runs[run, ROW], runs[run, START] : runs[run, STOP]] = index + 1


@njit(cache=True, nogil=True)
def _scan(region, affinity, low_text, link_threshold):  # type: ignore[no-untyped-def]
    """Find the runs of both maps, row by row: the table of integers and (R, 2) float64 peaks and sums."""
    height, width = region.shape
    runs = np.empty((1024, 6), np.int32)
    values = np.empty((1024, 2), np.float64)
    num_runs = 0
    mask = np.zeros((width // 8 + 2) * 8, np.uint8)  # the zeros behind the row end its last run
    words = mask.view(np.uint64)
    for row in range(height):
        for column in range(width):
            mask[column] = (region[row, column] > low_text) | (affinity[row, column] > link_threshold)
        if num_runs + width // 2 + 1 > len(runs):
            capacity = 2 * len(runs) + width
            more_runs, more_values = np.empty((capacity, 6), np.int32), np.empty((capacity, 2), np.float64)
            more_runs[:num_runs], more_values[:num_runs] = runs[:num_runs], values[:num_runs]
            runs, values = more_runs, more_values
        column = 0
        while column < width:
            if column % 8 == 0 and words[column // 8] == 0:  # most of a map is empty: pass eight pixels at once
                column += 8
            elif mask[column] == 0:
                column += 1
            else:
                column = _measure_run(region, low_text, mask, row, column, runs[num_runs], values[num_runs])
                num_runs += 1
    return runs[:num_runs], values[:num_runs]


@njit(cache=True, nogil=True)
def _measure_run(region, low_text, mask, row, start, run, value):  # type: ignore[no-untyped-def]
    """Fill in one run's row of the tables, and return the column behind it."""
    first, last, num_text = _NO_TEXT, _NO_TEXT, 0
    peak, total = 0.0, 0.0
    column = start
    while mask[column] != 0:
        score = region[row, column]
        if score > low_text:
            if first == _NO_TEXT:
                first = column
            last = column
            num_text += 1
            total += score
            peak = max(peak, score)
        column += 1
    run[ROW], run[START], run[STOP] = row, start, column
    run[FIRST_TEXT], run[LAST_TEXT], run[NUM_TEXT] = first, last, num_text
    value[0], value[1] = peak, total
    return column


@njit(cache=True, nogil=True)
def _find_root(parent, index):  # type: ignore[no-untyped-def]
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


@njit(cache=True, nogil=True)
def _connect(runs):  # type: ignore[no-untyped-def]
    """Number each run's component: runs that share a column in neighbouring rows belong together."""
    num_runs = len(runs)
    parent = np.arange(num_runs)
    above = 0
    for run in range(num_runs):
        row, start, stop = runs[run, ROW], runs[run, START], runs[run, STOP]
        while above < run and (
            runs[above, ROW] < row - 1 or (runs[above, ROW] == row - 1 and runs[above, STOP] <= start)
        ):
            above += 1
        other = above
        while other < run and runs[other, ROW] == row - 1 and runs[other, START] < stop:
            first, second = _find_root(parent, run), _find_root(parent, other)
            parent[max(first, second)] = min(first, second)  # the root is the earliest run: it gives the order
            other += 1
    component = np.empty(num_runs, np.int64)
    num_components = 0
    for run in range(num_runs):
        root = _find_root(parent, run)
        if root == run:
            component[run] = num_components
            num_components += 1
        else:
            component[run] = component[root]
    return component, num_components


@njit(cache=True, nogil=True)
def _gather(runs, values, component, num_components):  # type: ignore[no-untyped-def]
    """Sort the runs by component and sum up each component: the fields of `Components`."""
    offsets = np.zeros(num_components + 1, np.int64)
    areas, num_text = np.zeros(num_components, np.int64), np.zeros(num_components, np.int64)
    peaks, sums = np.zeros(num_components, np.float32), np.zeros(num_components, np.float64)
    boxes = np.empty((num_components, 4), np.int32)
    boxes[:, :2] = np.iinfo(np.int32).max
    boxes[:, 2:] = 0
    for run in range(len(runs)):
        index = component[run]
        row, start, stop = runs[run, ROW], runs[run, START], runs[run, STOP]
        offsets[index + 1] += 1
        areas[index] += stop - start
        num_text[index] += runs[run, NUM_TEXT]
        peaks[index] = max(peaks[index], np.float32(values[run, 0]))
        sums[index] += values[run, 1]
        boxes[index, 0], boxes[index, 1] = min(boxes[index, 0], start), min(boxes[index, 1], row)
        boxes[index, 2], boxes[index, 3] = max(boxes[index, 2], stop), max(boxes[index, 3], row + 1)
    offsets = np.cumsum(offsets)
    filled = offsets[:-1].copy()
    grouped = np.empty_like(runs)
    for run in range(len(runs)):
        grouped[filled[component[run]]] = runs[run]
        filled[component[run]] += 1
    return grouped, offsets, areas, boxes, peaks, sums, num_text
