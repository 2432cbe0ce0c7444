"""Connected components of thresholded score maps as runs of pixels, without a label image.

A run is a stretch of neighbouring map pixels in one row whose region or affinity score is above its threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.geometry import MAP_STRIDE
from craft.kernels import njit

# Columns of the integer table of runs. Plain numbers, since numba compiles them faster than a record type.
# They are: row, first column, last column + 1, first and last column above the low threshold, number of these.
ROW, START, STOP, FIRST_TEXT, LAST_TEXT, NUM_TEXT = range(6)
_NO_TEXT = -1
LEAST_AREA = 10  # map pixels; smaller components are noise


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The 4-connected components of a pair of score maps, in the order of their first pixels, row by row."""

    runs: NDArray[np.int32]  # (R, 6) columns ROW to NUM_TEXT, grouped by component, top to bottom
    offsets: NDArray[np.int64]  # (C + 1,) component c has the runs offsets[c] to offsets[c + 1]
    areas: NDArray[np.int64]  # (C,) pixels
    boxes_xyxy: NDArray[np.int32]  # (C, 4) first column and row, last column and row + 1
    peaks: NDArray[np.float32]  # (C,) peak region score of the pixels above the low threshold, else 0
    sums: NDArray[np.float64]  # (C,) sum of their region scores
    num_text: NDArray[np.int64]  # (C,) their number


def find_components(
    region: NDArray[np.float32], affinity: NDArray[np.float32], *, low_text: float, link_threshold: float
) -> Components:
    """Find the 4-connected components of (region > low_text) or (affinity > link_threshold).

    Maps are (H, W) float32, C-contiguous; thresholds are compared as float32, as in OpenCV, and NaN is above none.
    Components come in the order in which OpenCV numbers them.

    Source: run-length labelling with union-find, after He, Chao and Suzuki, A Run-Based Two-Scan Labeling Algorithm,
        IEEE Transactions on Image Processing 2008.
    """
    runs, values = _find_runs(region, affinity, np.float32(low_text), np.float32(link_threshold))
    component = np.arange(len(runs))
    num_components = _connect(runs, component)
    return _gather(runs, values, component, num_components)


# Arrays are allocated in Python and filled in by the kernels: numba compiles kernels that neither allocate nor copy slices
# in seconds instead of tens of seconds.


def _find_runs(
    region: NDArray[np.float32], affinity: NDArray[np.float32], low_text: np.float32, link_threshold: np.float32
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The runs of both maps, row by row: the table of integers (R, 6), and peaks and sums (R, 2)."""
    mask = np.zeros((region.shape[1] // 8 + 2) * 8, np.uint8)  # the zeros behind a row end its last run
    capacity = max(1024, region.size // 32)
    while True:
        runs, values = np.empty((capacity, 6), np.int32), np.empty((capacity, 2), np.float64)
        num_runs = _scan(region, affinity, low_text, link_threshold, mask, mask.view(np.uint64), runs, values)
        if num_runs <= capacity:
            return runs[:num_runs], values[:num_runs]
        capacity = num_runs  # maps as dense as that are noise


def _gather(
    runs: NDArray[np.int32], values: NDArray[np.float64], component: NDArray[np.int64], num_components: int
) -> Components:
    """Sort the runs by component and sum up each component."""
    found = Components(
        runs=runs[np.argsort(component, kind="stable")],
        offsets=np.concatenate([[0], np.cumsum(np.bincount(component, minlength=num_components))]),
        areas=np.zeros(num_components, np.int64),
        boxes_xyxy=np.tile(np.array([[np.iinfo(np.int32).max] * 2 + [0] * 2], np.int32), (num_components, 1)),
        peaks=np.zeros(num_components, np.float32),
        sums=np.zeros(num_components, np.float64),
        num_text=np.zeros(num_components, np.int64),
    )
    _sum_up(runs, values, component, found.areas, found.boxes_xyxy, found.peaks, found.sums, found.num_text)
    return found


def label_components(components: Components, kept: NDArray[np.int64], *, size_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Label the pixels of some components: (H, W) int32, n + 1 on component kept[n], 0 elsewhere."""
    labels = np.zeros(size_hw, dtype=np.int32)
    _paint(labels, components.runs, components.offsets, kept)
    return labels


@njit(cache=True, nogil=True)
def _paint(labels, runs, offsets, kept):
    for index in range(len(kept)):
        for run in range(offsets[kept[index]], offsets[kept[index] + 1]):
            for column in range(runs[run, START], runs[run, STOP]):
                labels[runs[run, ROW], column] = index + 1


@njit(cache=True, nogil=True)
def _scan(region, affinity, low_text, link_threshold, mask, mask_words, runs, values):
    """Fill in the runs of both maps, as many as there is room for, and return how many there are.

    `mask_words` is the memory of `mask`, a row and zeros behind it, as 64-bit words.
    """
    height, width = region.shape
    num_runs = np.int64(0)  # with a plain 0 the kernels below would be compiled twice, once for the constant
    for row in range(height):
        for column in range(width):
            mask[column] = (region[row, column] > low_text) | (affinity[row, column] > link_threshold)
        column = np.int64(0)
        while column < width:
            if column % 8 == 0 and mask_words[column // 8] == 0:  # most of a map is empty: skip eight pixels at once
                column += 8
            elif mask[column] == 0:
                column += 1
            else:
                slot = min(num_runs, len(runs) - 1)
                column = _measure_run(region, low_text, mask, row, column, runs, values, slot)
                num_runs += 1
    return num_runs


@njit(cache=True, nogil=True)
def _measure_run(region, low_text, mask, row, start, runs, values, slot):
    """Fill in a run's row of the tables, and return the column after the run."""
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
            total += np.float64(score)
            peak = max(peak, score)
        column += 1
    runs[slot, ROW], runs[slot, START], runs[slot, STOP] = row, start, column
    runs[slot, FIRST_TEXT], runs[slot, LAST_TEXT], runs[slot, NUM_TEXT] = first, last, num_text
    values[slot, 0], values[slot, 1] = peak, total
    return column


@njit(cache=True, nogil=True)
def _find_root(parent, index):
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


@njit(cache=True, nogil=True)
def _connect(runs, component):
    """Number each run's component, and return how many there are.

    Runs that share a column in neighbouring rows are connected. `component` holds each run's own number at first and is
    the union-find forest in between; the earliest run is the root, which gives the order.
    """
    num_runs = len(runs)
    above = 0
    for run in range(num_runs):
        row, start, stop = runs[run, ROW], runs[run, START], runs[run, STOP]
        while above < run and (
            runs[above, ROW] < row - 1 or (runs[above, ROW] == row - 1 and runs[above, STOP] <= start)
        ):
            above += 1
        other = above
        while other < run and runs[other, ROW] == row - 1 and runs[other, START] < stop:
            first, second = _find_root(component, run), _find_root(component, other)
            component[max(first, second)] = min(first, second)
            other += 1
    num_components = 0
    for run in range(num_runs):
        parent = component[run]
        if parent == run:
            component[run] = num_components
            num_components += 1
        else:  # the parent is an earlier run, which has its number by now
            component[run] = component[parent]
    return num_components


@njit(cache=True, nogil=True)
def _sum_up(runs, values, component, areas, boxes_xyxy, peaks, sums, num_text):
    """Add every run to its component's area, box, peak, sum and number of text pixels."""
    for run in range(len(runs)):
        index = component[run]
        areas[index] += runs[run, STOP] - runs[run, START]
        num_text[index] += runs[run, NUM_TEXT]
        sums[index] += values[run, 1]
        if values[run, 0] > peaks[index]:
            peaks[index] = values[run, 0]
        boxes_xyxy[index, 0] = min(boxes_xyxy[index, 0], runs[run, START])
        boxes_xyxy[index, 1] = min(boxes_xyxy[index, 1], runs[run, ROW])
        boxes_xyxy[index, 2] = max(boxes_xyxy[index, 2], runs[run, STOP])
        boxes_xyxy[index, 3] = max(boxes_xyxy[index, 3], runs[run, ROW] + 1)


def component_boxes(
    region: NDArray[np.float32], affinity: NDArray[np.float32], *, thresholds: Sequence[float], count: int
) -> NDArray[np.float32]:
    """Put boxes around the components of (region > t) or (affinity > t) in maps (H, W), for several t.

    Boxes are widened as decoding widens words, since a map falls off before the character ends. The `count` with the
    highest peaks are kept.

    Returns:
        (K, 4) float32, xyxy in network input pixels, clipped to the map; components under 10 map pixels are left out.
    """
    height, width = region.shape
    boxes, peaks = [np.zeros((0, 4), dtype=np.float32)], [np.zeros(0, dtype=np.float32)]
    region, affinity = np.ascontiguousarray(region), np.ascontiguousarray(affinity)
    for threshold in thresholds:
        found = find_components(region, affinity, low_text=threshold, link_threshold=threshold)
        kept = found.areas >= LEAST_AREA
        corners = found.boxes_xyxy[kept].astype(np.float32)
        sides = corners[:, 2:] - corners[:, :2]
        reach = np.sqrt(found.areas[kept] * sides.min(axis=1, initial=np.inf) / np.maximum(sides.prod(axis=1), 1))
        corners[:, :2] -= reach[:, None]
        corners[:, 2:] += reach[:, None]
        boxes.append(np.clip(corners, 0, (width, height, width, height)).astype(np.float32) * MAP_STRIDE)
        peaks.append(found.peaks[kept])
    order = np.argsort(-np.concatenate(peaks), kind="stable")[:count]
    return np.concatenate(boxes)[order]
