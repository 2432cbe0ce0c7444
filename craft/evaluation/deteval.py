"""The DetEval protocol of ICDAR 2013: boxes of one image, which may be split or merged, matched and scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import ImageScore, Match, dont_care_flags, score_matches
from craft.geometry import bounding_boxes

LEAST_RECALL = 0.8  # t_r: share of a word that its detection, or its detections together, must cover
LEAST_PRECISION = 0.4  # t_p: share of a detection that its word, or its words together, must cover
SPLIT_CREDIT = 0.8  # of a word found as several detections, and of each of these


@dataclass(frozen=True, slots=True, eq=False)
class _Overlaps:
    """What the rules look at: cared-for words in rows, counted detections in columns."""

    recall: NDArray[np.float64]  # (N, M) share of the word's area inside the detection
    precision: NDArray[np.float64]  # (N, M) share of the detection's area inside the word
    fits: NDArray[np.bool_]  # (N, M) both are high enough
    lone: NDArray[np.bool_]  # (N, M) the only fit in its row and column, don't-care words and ignored detections too


def evaluate_image(
    truth_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    truth_dont_care: Sequence[bool] | NDArray[np.bool_],
    detection_polygons: Sequence[ArrayLike] | NDArray[np.floating],
) -> ImageScore:
    """Score the detections of one image by DetEval: one to one, then one word to many detections, then the reverse.

    Polygons (P, 2), pixels, count by their bounding boxes, whose last row and column of pixels belong to them: a box
    from 0 to 9 is 10 wide. A detection with more than 0.4 of its area in one don't-care word is ignored. A word or
    detection that is matched one to one or merged gets a credit of 1, 0.8 if split. There is no average precision.

    Raises ValueError if numbers of flags and words differ, or a coordinate is not finite.

    Source: C. Wolf and J.-M. Jolion, Object Count/Area Graphs for the Evaluation of Object Detection and
        Segmentation Algorithms, IJDAR 2006, with the constants and the order of the organisers' DetEval script for
        ICDAR 2013, Challenge 2, Task 1. The script's limit on the distance of centres is left out: where boxes
        overlap, their centres are always nearer than half the sum of the diagonals.
    """
    dont_care = dont_care_flags(truth_dont_care, len(truth_polygons))
    truth = _pixel_boxes(truth_polygons, "word")
    detections = _pixel_boxes(detection_polygons, "detection")
    shared = _shared_areas(truth, detections)
    covered = shared[dont_care] / _areas(detections)[None, :]
    ignored = np.asarray((covered > LEAST_PRECISION).any(axis=0))

    words, counted = np.flatnonzero(~dont_care), np.flatnonzero(~ignored)
    matches, truth_credit, detection_credit = _match(_overlaps(truth, detections, shared, words, counted))
    return score_matches(
        [
            Match(tuple(words[list(m.truth)].tolist()), tuple(counted[list(m.detections)].tolist()), None)
            for m in matches
        ],
        truth_credit=truth_credit,
        detection_credit=detection_credit,
        dont_care=dont_care,
        ignored=ignored,
    )


def _match(overlaps: _Overlaps) -> tuple[list[Match], float, float]:
    """Match in the official order; return matches, and the credits of the words and of the detections."""
    free_rows = np.ones(overlaps.recall.shape[0], dtype=bool)
    free_columns = np.ones(overlaps.recall.shape[1], dtype=bool)
    touching = overlaps.recall > 0
    matches: list[Match] = []
    truth_credit = detection_credit = 0.0

    single = overlaps.fits & overlaps.lone
    single &= (touching.sum(axis=1) == 1)[:, None] & (touching.sum(axis=0) == 1)[None, :]
    for row, column in np.argwhere(single).tolist():
        free_rows[row] = free_columns[column] = False
        matches.append(Match((row,), (column,), None))
        truth_credit += 1.0
        detection_credit += 1.0

    for row in np.flatnonzero(free_rows).tolist():
        columns = np.flatnonzero(free_columns & (overlaps.precision[row] >= LEAST_PRECISION)).tolist()
        total = sum(overlaps.recall[row, column] for column in columns)
        if round(float(total), 4) >= LEAST_RECALL and touching[row].sum() >= 2:
            free_rows[row] = False
            free_columns[columns] = False
            matches.append(Match((row,), tuple(columns), None))
            truth_credit += 1.0 if len(columns) == 1 else SPLIT_CREDIT
            detection_credit += 1.0 if len(columns) == 1 else SPLIT_CREDIT * len(columns)

    for column in np.flatnonzero(free_columns).tolist():
        rows = np.flatnonzero(free_rows & (overlaps.recall[:, column] >= LEAST_RECALL)).tolist()
        total = sum(overlaps.precision[row, column] for row in rows)
        if round(float(total), 4) >= LEAST_PRECISION and touching[:, column].sum() >= 2:
            free_columns[column] = False
            free_rows[rows] = False
            matches.append(Match(tuple(rows), (column,), None))
            truth_credit += float(len(rows))
            detection_credit += 1.0
    return matches, truth_credit, detection_credit


def _overlaps(
    truth: NDArray[np.float64],
    detections: NDArray[np.float64],
    shared: NDArray[np.float64],
    words: NDArray[np.intp],
    counted: NDArray[np.intp],
) -> _Overlaps:
    """Compare all words with all detections, and keep the rows and columns that the rules look at."""
    recall = shared / _areas(truth)[:, None]
    precision = shared / _areas(detections)[None, :]
    fits = (recall >= LEAST_RECALL) & (precision >= LEAST_PRECISION)
    lone = (fits.sum(axis=1) == 1)[:, None] & (fits.sum(axis=0) == 1)[None, :]
    cut = np.ix_(words, counted)
    return _Overlaps(recall[cut], precision[cut], fits[cut], lone[cut])


def _pixel_boxes(polygons: Sequence[ArrayLike] | NDArray[np.floating], what: str) -> NDArray[np.float64]:
    """(N, 4) xyxy boxes whose far sides lie behind their last pixel."""
    boxes = np.array([bounding_boxes(polygon) for polygon in polygons], dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise ValueError(f"{what} {int(np.flatnonzero(~np.isfinite(boxes).all(axis=1))[0])} is not finite")
    boxes[:, 2:] += 1.0
    return boxes


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _shared_areas(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) intersection areas of boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray(np.clip(high - low, 0.0, None).prod(axis=-1))
