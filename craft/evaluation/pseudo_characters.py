"""What TedEval and CLEval share: where a word's characters should be, and how words and detections lie on each other."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import Match
from craft.evaluation.iou import GeometryArray, intersection_areas
from craft.geometry import polygon_to_strips


def character_centres(polygon_xy: ArrayLike, count: int, *, downwards: bool) -> NDArray[np.float64]:
    """Put `count` points evenly along the middle of a word (P, 2), from left to right, or downwards: (count, 2).

    Source: TedEval, Lee et al., 2019, section 3.1, for quads. Words of more corners, whose middle line is that of their
        two chains of corners, are ours.
    """
    strips = polygon_to_strips(polygon_xy).astype(np.float64)
    if downwards and len(strips) == 1:
        strips = np.roll(strips, 1, axis=1)  # reading starts at what is the lower left of the text
    line = np.concatenate([strips[:, 0] + strips[:, 3], strips[-1:, 1] + strips[-1:, 2]]) / 2
    distances = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    if len(line) == 2 or distances[-1] == 0:
        shares = (np.arange(count) + 0.5)[:, None] / max(count, 1)
        return line[0] + (line[-1] - line[0]) * shares
    wanted = (np.arange(count) + 0.5) / max(count, 1) * distances[-1]
    return np.stack([np.interp(wanted, distances, line[:, axis]) for axis in range(2)], axis=1)


def hold_points(geometries: GeometryArray, points: Sequence[NDArray[np.float64]]) -> list[NDArray[np.bool_]]:
    """Whether each of M geometries holds each of a word's (C, 2) points: (M, C) for each word; borders are inside."""
    first = np.cumsum([0, *map(len, points)])
    everything = np.concatenate([np.zeros((0, 2)), *points])
    shapely.prepare(geometries)
    held = np.zeros((len(geometries), len(everything)), dtype=bool)
    if held.size:
        tree = shapely.STRtree(np.asarray(shapely.points(everything), dtype=object))
        pairs = tree.query(geometries, predicate="intersects")
        held[pairs[0], pairs[1]] = True
    return [held[:, start:end] for start, end in pairwise(first.tolist())]


def matched_pairs(matches: Sequence[Match], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of (N, M) words and detections are in a match together."""
    matched = np.zeros(shape, dtype=bool)
    for match in matches:
        matched[np.ix_(match.truth, match.detections)] = True
    return matched


def shared_areas_of(words: GeometryArray, detections: GeometryArray) -> NDArray[np.float64]:
    """(N, M) square pixels that words and detections share."""
    return intersection_areas(words, detections, np.zeros((len(words), len(detections))))


def cut_out(geometries: GeometryArray, others: GeometryArray) -> GeometryArray:
    """Take from each geometry the parts that it shares with any of the others."""
    pairs = shapely.STRtree(others).query(geometries, predicate="intersects")
    cut = geometries.copy()
    for index in np.unique(pairs[0]).tolist():
        cut[index] = shapely.difference(cut[index], shapely.union_all(others[pairs[1][pairs[0] == index]]))
    return cut
