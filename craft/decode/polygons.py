"""The shape of a decoded word: a polygon along its centre line, and its characters. Map indices throughout."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.decode.decode import DecodedWords, label_map
from craft.geometry import is_simple, quad_sides, transform_points
from craft.kernels import njit
from craft.targets.shapes import ENLARGEMENT, SIGMA

_STRAIGHT_SHARE = 0.15  # a word is straight if its centre line leaves its chord by less than this share of its height
_LEAST_SIDE = 6  # map pixels; a smaller word shows no curve
_NUM_NODES = 7  # of the centre line; a polygon has twice as many corners, like CTW1500's labels
_NUM_SECTIONS = 5  # of a word, in which its height is measured
_RECTIFIED_HEIGHT = 32  # of a word in which characters are separated, pixels
_LARGEST_SCALE = 8.0  # from map pixels to those
_HALF_PEAK = 0.5  # level at which a character's width is measured, as a share of its own peak
_FLOOR = 0.25  # scores under this share of the word's peak belong to no character
_LEAST_PEAK = 0.4  # of a character, as a share of the word's peak
_PROMINENCE = 0.08  # of a character: how far its peak rises above the saddle to a higher one


def gaussian_reach(level: float) -> float:
    """Distance from a character's centre at which its target falls to a level in (0, 1), in half sides of the character."""
    return SIGMA * math.sqrt(2 * math.log(1 / level)) / (1 / ENLARGEMENT)


def word_polygons(words: DecodedWords, *, low_text: float) -> list[NDArray[np.float32]]:
    """Put a polygon around each word, decoded with `low_text`, that follows its curve.

    Returns:
        (P, 2) float32 per word, map indices, clockwise, the side above the text first: 14 corners for a curved word;
        the quad itself for a straight or tiny one.

    Source: the released decoder of CRAFT, Baek et al., CVPR 2019 (section 3.3), for a centre line with local heights.
        Ours fits one cubic to all columns, not five pivots, and widens by the target's Gaussian, not by 1.45.
    """
    labels = label_map(words) if len(words) else np.zeros(words.size_hw, np.int32)
    expansion = 1 / gaussian_reach(min(max(low_text, 0.05), 0.95))
    return [
        _word_polygon(quad, labels, word=word, box_xyxy=words.boxes_xyxy[word], expansion=expansion)
        for word, quad in enumerate(words.quads)
    ]


def _word_polygon(
    quad: NDArray[np.float32], labels: NDArray[np.int32], *, word: int, box_xyxy: NDArray[np.int32], expansion: float
) -> NDArray[np.float32]:
    width, height = (float(side) for side in quad_sides(quad))
    if min(width, height) < _LEAST_SIDE:
        return quad
    frame = quad if width >= height else np.roll(quad, -1, axis=0)  # a tall word is followed from top to bottom
    width, height = max(width, height), min(width, height)
    left, top, right, bottom = box_xyxy
    plane = (labels[top:bottom, left:right] == word + 1).astype(np.uint8)
    to_rectangle, size_wh = _rectifier(frame - np.array([left, top]), width=width, height=height, scale=1.0)
    mask = cv2.warpPerspective(plane, to_rectangle, size_wh, flags=cv2.INTER_NEAREST) > 0
    columns = np.flatnonzero(mask.any(axis=0))
    tops = mask.argmax(axis=0)[columns]
    bottoms = mask.shape[0] - 1 - mask[::-1].argmax(axis=0)[columns]
    heights = bottoms - tops + 1.0
    if len(columns) < 2 * _NUM_NODES:
        return quad
    chains = _follow_curve(columns.astype(np.float64), 0.5 * (tops + bottoms), heights, expansion=expansion)
    centre_line = 0.5 * (chains[:_NUM_NODES] + chains[: _NUM_NODES - 1 : -1])
    if _largest_sag(centre_line) < _STRAIGHT_SHARE * np.linalg.norm(chains[0] - chains[-1]):
        return quad
    corners = transform_points(chains, np.linalg.inv(to_rectangle)) + np.array([left, top], np.float32)
    return corners if is_simple(corners) else quad


def _follow_curve(
    columns: NDArray[np.float64], centres: NDArray[np.float64], heights: NDArray[np.float64], *, expansion: float
) -> NDArray[np.float64]:
    """Both chains of corners (14, 2) around the centre line of a word, given its columns."""
    middle, half_width = 0.5 * (columns[0] + columns[-1]), 0.5 * (columns[-1] - columns[0])
    curve = np.polynomial.Polynomial.fit((columns - middle) / half_width, centres, deg=3, domain=[-1, 1])
    slope = curve.deriv()
    thickness = heights / np.hypot(1, slope((columns - middle) / half_width) / half_width)
    sections = np.array_split(thickness, _NUM_SECTIONS)
    measured = 0.5 * float(np.median([section.max() for section in sections]))
    nodes = np.linspace(-1, 1, _NUM_NODES)
    points = np.column_stack([middle + half_width * nodes, curve(nodes)])
    along = np.column_stack([np.ones(_NUM_NODES), slope(nodes) / half_width])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    points[0] -= (expansion - 1) * measured * along[0]  # the Gaussian ends inside the first and last character
    points[-1] += (expansion - 1) * measured * along[-1]
    across = expansion * measured * np.column_stack([-along[:, 1], along[:, 0]])
    return np.concatenate([points - across, (points + across)[::-1]])


def _largest_sag(line_xy: NDArray[np.float64]) -> float:
    """Largest distance of a line's points (P, 2) from the chord between its ends."""
    chord = line_xy[-1] - line_xy[0]
    offsets = line_xy - line_xy[0]
    return float(np.abs(offsets[:, 0] * chord[1] - offsets[:, 1] * chord[0]).max() / np.linalg.norm(chord))


def _rectifier(
    quad: NDArray[np.floating], *, width: float, height: float, scale: float
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """The matrix from map indices to the indices of a word's upright crop, and that crop's (width, height)."""
    size_wh = (int(width * scale) + 1, int(height * scale) + 1)
    last_x, last_y = max(size_wh[0] - 1, 1), max(size_wh[1] - 1, 1)
    corners = np.array([[0, 0], [last_x, 0], [last_x, last_y], [0, last_y]], dtype=np.float32)
    return np.asarray(cv2.getPerspectiveTransform(quad.astype(np.float32), corners), np.float64), size_wh


def character_quads(region: NDArray[np.float32], words: DecodedWords) -> list[NDArray[np.float32]]:
    """Find the characters of each word as separate peaks of the region map (H, W) that it was decoded from.

    Returns:
        (C, 4, 2) float32 per word, map indices, in reading order along the word's longer sides: left to right, or top
        to bottom if it is more than 1.5 times as high as wide.

    Source: the watershed of CRAFT, Baek et al., CVPR 2019, section 3.2.2. Peaks are told from ripples by their
        prominence, and a box is measured at half its own peak and widened by the target's Gaussian.
    """
    if len(words) == 0:
        return []
    labels = label_map(words)
    return [_word_characters(region, labels, quad, word=word) for word, quad in enumerate(words.quads)]


def _word_characters(
    region: NDArray[np.float32], labels: NDArray[np.int32], quad: NDArray[np.float32], *, word: int
) -> NDArray[np.float32]:
    width, height = (max(float(side), 1.0) for side in quad_sides(quad))
    low = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 1, 0)
    high = np.ceil(quad.max(axis=0)).astype(int) + 2
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    foreign = (labels[window] != 0) & (labels[window] != word + 1)
    plane = np.where(foreign, np.float32(0), region[window])
    scale = min(max(_RECTIFIED_HEIGHT / min(width, height), 1.0), _LARGEST_SCALE)
    to_rectangle, size_wh = _rectifier(quad - low, width=width, height=height, scale=scale)
    scores = np.asarray(cv2.warpPerspective(plane, to_rectangle, size_wh, flags=cv2.INTER_LINEAR), np.float32)
    highest = float(scores.max())
    basins, peaks = _find_basins(scores, floor=_FLOOR * highest, prominence=_PROMINENCE * highest)
    boxes = np.tile(np.array([[np.inf, np.inf, -np.inf, -np.inf]]), (len(peaks), 1))
    _half_peak_boxes(scores, basins, peaks, boxes)
    boxes = boxes[peaks >= _LEAST_PEAK * highest]
    boxes = _in_reading_order(boxes, axis=1 if height > 1.5 * width else 0)
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (C, 4, 2)
    return transform_points(corners, np.linalg.inv(to_rectangle)) + low.astype(np.float32)


def _in_reading_order(boxes_xyxy: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
    """Widen boxes from half peak to the character's size, sort them, and let overlapping neighbours meet halfway."""
    middles = 0.5 * (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:])
    halves = 0.5 * (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) / gaussian_reach(_HALF_PEAK)
    order = np.argsort(middles[:, axis], kind="stable")
    boxes = np.concatenate([middles - halves, middles + halves], axis=1)[order]
    overlap = boxes[:-1, axis + 2] > boxes[1:, axis]
    meeting = np.where(overlap, 0.5 * (boxes[:-1, axis + 2] + boxes[1:, axis]), np.nan)
    boxes[:-1, axis + 2] = np.where(overlap, meeting, boxes[:-1, axis + 2])
    boxes[1:, axis] = np.where(overlap, meeting, boxes[1:, axis])
    return boxes


def _find_basins(
    scores: NDArray[np.float32], *, floor: float, prominence: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Each pixel's basin in a map (H, W), -1 at or below `floor`, and each basin's peak (C,)."""
    order = np.argsort(-scores, axis=None, kind="stable")
    order = order[: int(np.count_nonzero(scores > np.float32(floor)))]
    basins = np.full(scores.shape, -1, np.int64)
    parent, peaks = np.empty(len(order), np.int64), np.empty(len(order), np.float32)
    num_basins = _flood(scores, np.float32(prominence), order, basins, parent, peaks)
    parent, peaks = parent[:num_basins], peaks[:num_basins]
    is_root = parent == np.arange(num_basins)
    number = np.append(np.cumsum(is_root) - 1, -1)  # the last one is for pixels without a basin
    while not is_root[parent].all():
        parent = parent[parent]
    return number[np.append(parent, num_basins)[basins]], peaks[is_root]


@njit(cache=True, nogil=True)
def _flood(scores, prominence, order, basins, parent, peaks):
    """Give every pixel of `order`, highest first, a basin; return the number of basins.

    A pixel without an assigned neighbour starts a basin; others join that of their highest neighbour. Where two basins
    meet, one that rises less than `prominence` above that pixel gets the other as its parent.
    """
    height, width = scores.shape
    num_basins = np.int64(0)
    for pixel in order:
        row, column = pixel // width, pixel % width
        nearest, nearest_score = np.int64(-1), scores[row, column]
        for other_row in range(max(0, row - 1), min(height, row + 2)):
            for other_column in range(max(0, column - 1), min(width, column + 2)):
                other = basins[other_row, other_column]
                if other >= 0 and (nearest < 0 or scores[other_row, other_column] > nearest_score):
                    nearest, nearest_score = other, scores[other_row, other_column]
        if nearest < 0:
            parent[num_basins], peaks[num_basins] = num_basins, scores[row, column]
            nearest = num_basins
            num_basins += 1
        basins[row, column] = nearest
        for other_row in range(max(0, row - 1), min(height, row + 2)):
            for other_column in range(max(0, column - 1), min(width, column + 2)):
                other = basins[other_row, other_column]
                if other >= 0 and other != nearest:
                    _merge_basins(parent, peaks, nearest, other, scores[row, column] + prominence)
    return num_basins


@njit(cache=True, nogil=True)
def _merge_basins(parent, peaks, first, second, least):
    """Join two basins that meet, unless the lower peak is at least `least`."""
    while parent[first] != first:
        first = parent[first]
    while parent[second] != second:
        second = parent[second]
    if peaks[first] < peaks[second]:
        first, second = second, first
    if first != second and peaks[second] < least:
        parent[second] = first


@njit(cache=True, nogil=True)
def _half_peak_boxes(scores, basins, peaks, boxes_xyxy):
    """Widen boxes (C, 4) to the outer borders of each basin's pixels above half its peak."""
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            basin = basins[row, column]
            if basin >= 0 and scores[row, column] > _HALF_PEAK * peaks[basin]:
                boxes_xyxy[basin, 0] = min(boxes_xyxy[basin, 0], column - 0.5)
                boxes_xyxy[basin, 1] = min(boxes_xyxy[basin, 1], row - 0.5)
                boxes_xyxy[basin, 2] = max(boxes_xyxy[basin, 2], column + 0.5)
                boxes_xyxy[basin, 3] = max(boxes_xyxy[basin, 3], row + 0.5)
