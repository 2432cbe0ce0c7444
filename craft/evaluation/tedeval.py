"""The TedEval protocol: words and detections matched one to one or in parts, and scored by the characters found."""

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import ImageScore, Match, dont_care_flags, score_matches
from craft.evaluation.iou import GeometryArray, repaired_geometries
from craft.evaluation.pseudo_characters import character_centres, cut_out, hold_points, matched_pairs, shared_areas_of
from craft.geometry import bounding_boxes

LEAST_RECALL = LEAST_PRECISION = 0.4  # of a word's area, of a detection's
_DOWNWARDS = 1.5  # height over width of its bounding box above which a word is read downwards
_LARGEST_ANGLE = 45.0  # degrees between parts of one word, or words of one detection


def evaluate_image(
    truth_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    truth_dont_care: Sequence[bool] | NDArray[np.bool_],
    detection_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    num_characters: Sequence[int | None],
) -> ImageScore:
    """Score the detections of one image by TedEval.

    A word's credit is the share of its characters, points along its middle, that exactly one of its detections holds; a
    detection's, that of the characters of its words that it holds. Words and detections are matched one to one where
    each covers 0.4 of the other, and with several that lie in a line. What detections share with don't-care words is cut
    off. `num_characters` is (N,), None where a word has no transcription: it counts as one character.

    Raises ValueError as `craft.evaluation.iou.evaluate_image`.

    Source: TedEval, Lee et al., ICCV Workshops 2019, and the authors' code (clovaai/TedEval).
    """
    dont_care = dont_care_flags(truth_dont_care, len(truth_polygons))
    truth, repaired_truth = repaired_geometries(truth_polygons, "word")
    detections, repaired_detections = repaired_geometries(detection_polygons, "detection")
    centres = [
        character_centres(polygon, 0 if ignored else max(1, count or 1), downwards=_is_tall(polygon))
        for polygon, count, ignored in zip(truth_polygons, num_characters, dont_care.tolist(), strict=True)
    ]
    truth[dont_care] = cut_out(truth[dont_care], truth[~dont_care])
    shared = shared_areas_of(truth, detections)
    ignored = _in_dont_care(*_shares(shared, truth, detections), dont_care)
    whole, detections = detections, cut_out(detections, truth[dont_care])
    changed = np.flatnonzero([before is not after for before, after in zip(whole, detections, strict=True)])
    shared[:, changed] = shared_areas_of(truth, detections[changed])
    recall, precision = _shares(shared, truth, detections)
    shapes = (list(map(np.asarray, truth_polygons)), list(map(np.asarray, detection_polygons)))
    matches = _match(recall, precision, ~dont_care[:, None] & ~ignored[None, :], shapes, (truth, detections))

    matched = matched_pairs(matches, recall.shape)
    held = hold_points(detections, centres)
    rows = np.flatnonzero(matched.any(axis=1)).tolist()
    own = {row: held[row] & matched[row][:, None] for row in rows}  # (M, C) of each word
    detection_credit = 0.0
    for column in np.flatnonzero(matched.any(axis=0)):
        parts = [own[row][column] for row in np.flatnonzero(matched[:, column]).tolist()]
        detection_credit += sum(int(part.sum()) for part in parts) / sum(map(len, parts))
    return score_matches(
        matches,
        truth_credit=sum(float((own[row].sum(axis=0) == 1).mean()) for row in rows),
        detection_credit=detection_credit,
        dont_care=dont_care,
        ignored=ignored,
        repaired_truth=repaired_truth,
        repaired_detections=repaired_detections,
    )


def _shares(
    shared: NDArray[np.float64], truth: GeometryArray, detections: GeometryArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, M) share of each word inside each detection, and of the detection inside the word."""
    word_areas, areas = shapely.area(truth)[:, None], shapely.area(detections)[None, :]
    recall = np.divide(shared, word_areas, out=np.zeros_like(shared), where=word_areas > 0)
    return recall, np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def _in_dont_care(
    recall: NDArray[np.float64], precision: NDArray[np.float64], dont_care: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(M,) whether a detection lies in one don't-care word, or in several that it covers."""
    several = np.where(recall[dont_care] > LEAST_RECALL, precision[dont_care], 0.0).sum(axis=0) >= LEAST_PRECISION
    return np.asarray(several | (precision[dont_care] > LEAST_PRECISION).any(axis=0))


def _match(
    recall: NDArray[np.float64],
    precision: NDArray[np.float64],
    compared: NDArray[np.bool_],
    polygons: tuple[list[NDArray], list[NDArray]],
    geometries: tuple[GeometryArray, GeometryArray],
) -> list[Match]:
    """A detection to many words, then one to one, then a word to many detections; none excludes another.

    `compared` is (N, M), True for cared-for words and counted detections.
    """
    matches = []
    holds = compared & (recall >= LEAST_RECALL)
    for column in np.flatnonzero(holds.sum(axis=0) >= 2).tolist():
        parts = np.flatnonzero(holds[:, column]).tolist()
        if precision[parts, column].sum() >= LEAST_PRECISION and _in_line(
            _pivots([polygons[0][part] for part in parts])
        ):
            matches.append(Match(tuple(parts), (column,), None))
    fits = (recall >= LEAST_RECALL) & (precision >= LEAST_PRECISION)
    lone = fits & (fits.sum(axis=1) == 1)[:, None] & (fits.sum(axis=0) == 1)[None, :]
    for row, column in np.argwhere(lone & compared).tolist():
        if _is_near(row, column, polygons, geometries):
            matches.append(Match((row,), (column,), None))
    is_part = compared & (precision >= LEAST_PRECISION)
    for row in np.flatnonzero(is_part.sum(axis=1) >= 2).tolist():
        parts = np.flatnonzero(is_part[row]).tolist()
        if recall[row, parts].sum() >= LEAST_RECALL and _in_line(_pivots([polygons[1][part] for part in parts])):
            matches.append(Match((row,), tuple(parts), None))
    return matches


def _is_near(
    row: int,
    column: int,
    polygons: tuple[list[NDArray], list[NDArray]],
    geometries: tuple[GeometryArray, GeometryArray],
) -> bool:
    """Whether the centres are nearer than half the sum of the mean diagonals."""
    centres = shapely.get_coordinates(shapely.centroid([geometries[0][row], geometries[1][column]]))
    diagonals = _diagonal(polygons[0][row]) + _diagonal(polygons[1][column])
    return bool(2 * np.linalg.norm(centres[0] - centres[1]) < diagonals)


def _diagonal(polygon_xy: NDArray) -> float:
    """Mean length of the lines between opposite corners."""
    half = len(polygon_xy) // 2
    lines = polygon_xy[0] - polygon_xy[half], polygon_xy[half - 1] - polygon_xy[-1]
    return float(np.mean([np.linalg.norm(line) for line in lines]))


def _pivots(polygons: list[NDArray]) -> NDArray[np.float64]:
    """(N, 2, 2): the middle of each left side, and the centre of gravity."""
    pivots = [
        (0.5 * (polygon[0] + polygon[-1]), shapely.get_coordinates(shapely.centroid(shapely.Polygon(polygon)))[0])
        for polygon in polygons
    ]
    return np.array(pivots, dtype=np.float64).reshape(-1, 2, 2)


def _in_line(pivots: NDArray[np.float64]) -> bool:
    """Whether, seen from each centre, the own left side lies in the direction of every other, or opposite to it."""
    for first in range(len(pivots)):
        for second in range(len(pivots)):
            if first == second:
                continue
            (start, centre), other = pivots[first], pivots[second, 1]
            angle = math.degrees(_direction(centre, other) - _direction(start, other)) % 360
            angle = 360 - angle if angle > 180 else angle
            if min(angle, 180 - angle) >= _LARGEST_ANGLE:
                return False
    return True


def _direction(end: NDArray[np.float64], start: NDArray[np.float64]) -> float:
    return math.atan2(end[1] - start[1], end[0] - start[0])


def _is_tall(polygon_xy: ArrayLike) -> bool:
    left, top, right, bottom = bounding_boxes(polygon_xy).tolist()
    return bottom - top > _DOWNWARDS * (right - left)
