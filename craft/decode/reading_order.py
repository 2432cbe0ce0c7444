"""Reading order: words grouped into lines and blocks by where they stand, rotated and curved lines included."""

from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

_GAP = 1.3  # largest gap between two words of a line, in heights of the taller
_SHIFT = 0.5  # largest offset across a line, in heights of the lower word
_SIZES = 2.0  # largest ratio of the heights of two words of a line
_TURN = np.cos(np.radians(35))  # of neighbours along a curve
_LEADING = 1.4  # largest gap between two lines of a block, in heights of the lower
_LONG = 1.3  # width to height from which a box shows the direction of its text


class ReadingOrder(NamedTuple):
    """Words in the order in which one reads them: left to right and down, in the direction that most words have."""

    words: NDArray[np.intp]  # (N,) indices of words in reading order
    line: NDArray[np.intp]  # (N,) line of each word, numbered in reading order
    block: NDArray[np.intp]  # (N,) block of each word, numbered in reading order


def reading_order(quads_xy: NDArray[np.floating]) -> ReadingOrder:
    """Group words (N, 4, 2) into lines and blocks, and put all three in reading order.

    A line is a chain of words, each of which is the other's nearest neighbour along its own direction, so it may be
    rotated or curved. Lines that overlap along their direction, with little space between them and of like height, make
    a block. Blocks are read down a column before the next column to the right.
    """
    if len(quads_xy) == 0:
        nothing = np.zeros(0, np.intp)
        return ReadingOrder(nothing, nothing, nothing)
    boxes = _Boxes(np.asarray(quads_xy, np.float64))
    lines = _chains(_following(boxes))
    blocks = _blocks(boxes, lines)
    words, line, block = [], np.zeros(len(quads_xy), np.intp), np.zeros(len(quads_xy), np.intp)
    count = 0
    for number, members in enumerate(blocks):
        for index in members:
            words += lines[index]
            line[lines[index]], block[lines[index]] = count, number
            count += 1
    return ReadingOrder(np.array(words, np.intp), line, block)


class _Boxes:
    """Centres, directions and sizes of words, and the page's frame, in which most words run to the right."""

    def __init__(self, quads: NDArray[np.float64]) -> None:
        edges = np.roll(quads, -1, axis=1) - quads  # (N, 4, 2)
        first, second = 0.5 * (edges[:, 0] - edges[:, 2]), 0.5 * (edges[:, 1] - edges[:, 3])
        widths, heights = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
        along = np.where((widths >= heights)[:, None], first, second)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        along *= np.where((along[:, :1] < -1e-3) | ((np.abs(along[:, :1]) <= 1e-3) & (along[:, 1:] < 0)), -1, 1)
        shown = np.maximum(widths, heights) > _LONG * np.minimum(widths, heights)
        self.page = _mean_direction(along[shown] if shown.any() else np.array([[1.0, 0.0]]))
        along[~shown] = self.page  # a box as high as wide takes the page's direction
        along *= np.where((along @ self.page < 0)[:, None], -1, 1)
        self.along, self.across = along, np.stack([-along[:, 1], along[:, 0]], axis=1)
        self.centres = quads.mean(axis=1)
        offsets = quads - self.centres[:, None]
        self.length = np.abs(np.einsum("nij,nj->ni", offsets, along)).max(axis=1) * 2
        self.height = np.maximum(np.abs(np.einsum("nij,nj->ni", offsets, self.across)).max(axis=1) * 2, 1e-6)
        frame = np.array([self.page, [-self.page[1], self.page[0]]])
        turned = quads @ frame.T
        self.low, self.high = turned.min(axis=1), turned.max(axis=1)  # in the page's frame


def _mean_direction(along: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction of most words: the mean of the doubled angles of those near the median, to the right or down."""
    angles = 2 * np.arctan2(along[:, 1], along[:, 0])
    mean = 0.5 * np.arctan2(np.median(np.sin(angles)), np.median(np.cos(angles)))
    return np.array([np.cos(mean), np.sin(mean)])


def _following(boxes: _Boxes) -> NDArray[np.intp]:
    """The word that follows each in its line, -1 where there is none."""
    ends = boxes.centres + 0.5 * boxes.length[:, None] * boxes.along
    reach = ends + _GAP * _SIZES * boxes.height[:, None] * boxes.along
    rays = shapely.linestrings(np.stack([boxes.centres, reach], axis=1))
    half = 0.5 * boxes.height[:, None] * boxes.across
    spans = 0.5 * boxes.length[:, None] * boxes.along
    quads = np.stack(
        [
            boxes.centres - spans - half,
            boxes.centres + spans - half,
            boxes.centres + spans + half,
            boxes.centres - spans + half,
        ],
        axis=1,
    )
    outlines: Any = shapely.polygons(quads)
    source, target = shapely.STRtree(outlines).query(rays, predicate="intersects")
    source, target = source[source != target], target[source != target]
    offset = boxes.centres[target] - boxes.centres[source]
    mean = boxes.along[source] + boxes.along[target]
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    forward = (offset * mean).sum(axis=1)
    gap = forward - 0.5 * (boxes.length[source] + boxes.length[target])
    shift = np.abs(offset[:, 0] * mean[:, 1] - offset[:, 1] * mean[:, 0])
    lower = np.minimum(boxes.height[source], boxes.height[target])
    taller = np.maximum(boxes.height[source], boxes.height[target])
    fits = (forward > 0) & (gap > -lower) & (gap < _GAP * taller) & (taller < _SIZES * lower)
    fits &= (shift < _SHIFT * lower) & ((boxes.along[source] * boxes.along[target]).sum(axis=1) > _TURN)
    source, target, distance = source[fits], target[fits], (gap + 2 * shift)[fits]
    order = np.argsort(distance, kind="stable")
    following, taken = np.full(len(boxes.centres), -1, np.intp), np.zeros(len(boxes.centres), bool)
    for one, other in zip(source[order].tolist(), target[order].tolist(), strict=True):
        if following[one] < 0 and not taken[other] and not _closes_circle(following, other, one):
            following[one], taken[other] = other, True
    return following


def _closes_circle(following: NDArray[np.intp], start: int, end: int) -> bool:
    while start >= 0:
        if start == end:
            return True
        start = int(following[start])
    return False


def _chains(following: NDArray[np.intp]) -> list[list[int]]:
    starts = np.setdiff1d(np.arange(len(following)), following)
    chains = []
    for word in starts.tolist():
        chain = []
        while word >= 0:
            chain.append(word)
            word = int(following[word])
        chains.append(chain)
    return chains


def _blocks(boxes: _Boxes, lines: list[list[int]]) -> list[list[int]]:
    """Lines by block, both in reading order."""
    low = np.array([boxes.low[line].min(axis=0) for line in lines])
    high = np.array([boxes.high[line].max(axis=0) for line in lines])
    height = np.array([np.median(boxes.height[line]) for line in lines])
    grown = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1] + _LEADING * height)
    first, second = shapely.STRtree(list(shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))).query(
        grown, predicate="intersects"
    )
    overlap = np.minimum(high[first, 0], high[second, 0]) - np.maximum(low[first, 0], low[second, 0])
    lower, taller = np.minimum(height[first], height[second]), np.maximum(height[first], height[second])
    below = low[second, 1] + high[second, 1] > low[first, 1] + high[first, 1]
    gap = low[second, 1] - high[first, 1]
    fits = below & (overlap > 0) & (gap < _LEADING * lower) & (taller < 1.5 * lower)
    root = list(range(len(lines)))
    for one, other in zip(first[fits].tolist(), second[fits].tolist(), strict=True):
        root[_root(root, one)] = _root(root, other)
    members: dict[int, list[int]] = {}
    for index in range(len(lines)):
        members.setdefault(_root(root, index), []).append(index)
    groups = [_rows(np.array(group), low, high, height) for group in members.values()]
    order = _column_order(
        np.array([low[group].min(axis=0) for group in groups]), np.array([high[group].max(axis=0) for group in groups])
    )
    return [groups[index] for index in order]


def _root(root: list[int], index: int) -> int:
    while root[index] != index:
        root[index] = root[root[index]]
        index = root[index]
    return index


def _rows(
    lines: NDArray[np.intp], low: NDArray[np.float64], high: NDArray[np.float64], height: NDArray[np.float64]
) -> list[int]:
    """Lines of a block by rows, and from left to right where several stand in one row."""
    middle = 0.5 * (low[lines, 1] + high[lines, 1])
    down = np.argsort(middle, kind="stable")
    starts = np.flatnonzero(np.diff(middle[down]) > 0.5 * height[lines[down[1:]]]) + 1
    rows = (row[np.argsort(low[lines[row], 0], kind="stable")] for row in np.split(down, starts))
    return [int(line) for row in rows for line in lines[row]]


def _column_order(low: NDArray[np.float64], high: NDArray[np.float64]) -> list[int]:
    """The order in which boxes are read: down a column before the next one to the right.

    Source: G. Nagy and S. Seth, Hierarchical Representation of Optically Scanned Documents, 1984 (recursive X-Y cut). Ours
        cuts at gaps across the page so that as many rows as possible stay together that columns run through.
    """
    order: list[int] = []
    pending = [np.arange(len(low))]
    while pending:
        boxes = pending.pop()
        parts = _cut(boxes, low[:, 0], high[:, 0])
        if len(parts) == 1:
            parts = _keep_columns(_cut(boxes, low[:, 1], high[:, 1]), low[:, 0], high[:, 0])
        if len(parts) > 1:
            pending += reversed(parts)
        else:  # one box, or boxes that enclose one another
            order += boxes[np.lexsort((low[boxes, 0], low[boxes, 1]))].tolist()
    return order


def _cut(boxes: NDArray[np.intp], low: NDArray[np.float64], high: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Groups of boxes between which straight cuts go, along one axis."""
    ordered = boxes[np.argsort(low[boxes], kind="stable")]
    return np.split(ordered, np.flatnonzero(low[ordered[1:]] >= np.maximum.accumulate(high[ordered])[:-1]) + 1)


def _keep_columns(
    rows: list[NDArray[np.intp]], left: NDArray[np.float64], right: NDArray[np.float64]
) -> list[NDArray[np.intp]]:
    """Join the longest run of rows that columns run through."""
    best, start = (0, 1), 0
    for end in range(1, len(rows) + 1):
        while end - start > 1 and len(_cut(np.concatenate(rows[start:end]), left, right)) == 1:
            start += 1
        best = max(best, (start, end), key=lambda run: run[1] - run[0])
    return [*rows[: best[0]], np.concatenate(rows[best[0] : best[1]]), *rows[best[1] :]]
