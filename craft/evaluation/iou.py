"""The IoU protocol of ICDAR 2015, 2017 and 2019: one image's words and detections to a score. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import ImageScore, Match, average_precision, harmonic_mean, shares
from craft.geometry import shared_areas, valid_polygon

GeometryArray = NDArray[np.object_]

# An overlap of exactly one half is not above one half. Where sides cross between whole pixels its area comes out a few
# units of the last digit off, either way and unlike in every library; this keeps such ties ties.
_TIE = 1e-10


def evaluate_image(
    truth_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    truth_dont_care: Sequence[bool] | NDArray[np.bool_],
    detection_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    scores: ArrayLike | None = None,
    *,
    iou_threshold: float = 0.5,
    ignore_threshold: float = 0.5,
) -> ImageScore:
    """Score the detections of one image by the official IoU protocol.

    A detection with more than half its area in one don't-care word is ignored. The rest are matched one to one:
    words in their order, each to the first free detection with IoU above one half; detections stand in their order,
    or by falling score where scores are given, as the official script sorts them.

    Args:
        truth_polygons: labelled words, (P, 2) each, in pixels; an (N, 4, 2) array does.
        truth_dont_care: one flag per word.
        detection_polygons: detections, (P, 2) each, in the same pixels.
        scores: one per detection, higher is surer; None where there are none.
        iou_threshold: a match needs an IoU above this.
        ignore_threshold: an ignored detection has more than this share of its area in a don't-care word.

    Returns:
        The score; its indices count the arguments as they were given.

    Raises:
        ValueError: as many flags as words, or scores as detections, were not given, or a polygon has fewer than
            three corners or a coordinate that is not finite.

    Source: ICDAR 2015 Robust Reading Competition, Karatzas et al., section III, and the organisers' script for
        Challenge 4, Task 1. There a polygon that runs counter-clockwise is refused; here the direction does not
        matter, and polygons that cross themselves are repaired and counted.
    """
    dont_care = np.asarray(truth_dont_care, dtype=bool).reshape(-1)
    if len(dont_care) != len(truth_polygons):
        raise ValueError(f"{len(truth_polygons)} words with {len(dont_care)} don't-care flags; one flag per word")
    order = _official_order(scores, len(detection_polygons))
    truth, repaired_truth = repaired_geometries(truth_polygons, "word")
    detections, repaired_detections = repaired_geometries(detection_polygons, "detection")
    ious, covered = _overlaps(truth, detections[order], dont_care, iou_threshold, ignore_threshold)

    ignored = np.asarray((covered > ignore_threshold + _TIE).any(axis=0))
    pairs = greedy_pairs((ious > iou_threshold + _TIE) & ~ignored[None, :])
    words, credit = np.flatnonzero(~dont_care), float(len(pairs))
    num_truth, num_detections = len(words), int((~ignored).sum())
    precision, recall = shares(credit, credit, num_truth, num_detections)
    ranked_scores, ranked_hits, area = None, None, None
    if scores is not None:
        hit = np.zeros(len(order), dtype=bool)
        hit[[column for _, column in pairs]] = True
        ranked_scores, ranked_hits = np.asarray(scores, dtype=np.float64)[order][~ignored], hit[~ignored]
        area = precision if num_truth == 0 else average_precision(ranked_scores, ranked_hits, num_truth)
    return ImageScore(
        precision=precision,
        recall=recall,
        hmean=harmonic_mean(precision, recall),
        average_precision=area,
        matches=tuple(
            Match((int(words[row]),), (int(order[column]),), float(ious[row, column])) for row, column in pairs
        ),
        truth_credit=credit,
        detection_credit=credit,
        num_truth=num_truth,
        num_dont_care=int(dont_care.sum()),
        num_detections=num_detections,
        ignored_detections=tuple(sorted(order[ignored].tolist())),
        ranked_scores=ranked_scores,
        ranked_hits=ranked_hits,
        repaired_truth=repaired_truth,
        repaired_detections=repaired_detections,
    )


def repaired_geometries(
    polygons: Sequence[ArrayLike] | NDArray[np.floating], what: str
) -> tuple[GeometryArray, tuple[int, ...]]:
    """Build shapely geometries, repaired where a polygon crosses itself.

    Args:
        polygons: (P, 2) each, in pixels.
        what: what messages call one of them.

    Returns:
        (N,) array of geometries, and the indices of those that crossed themselves or had no area.

    Raises:
        ValueError: a polygon has fewer than three corners or a coordinate that is not finite.
    """
    arrays = [np.asarray(polygon, dtype=np.float64) for polygon in polygons]
    for index, points in enumerate(arrays):
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
            raise ValueError(f"{what} {index} has shape {points.shape}; wanted (P, 2) with at least 3 corners")
    if arrays and not np.isfinite(np.concatenate(arrays)).all():
        index = next(index for index, points in enumerate(arrays) if not np.isfinite(points).all())
        raise ValueError(f"{what} {index} has a coordinate that is not finite: {arrays[index].tolist()}")
    geometries = np.empty(len(arrays), dtype=object)
    if len({len(points) for points in arrays}) == 1:
        geometries[:] = shapely.polygons(np.stack(arrays))  # one call for all quads, not one each
    elif arrays:
        geometries[:] = [shapely.Polygon(points) for points in arrays]
    sound = shapely.is_valid(geometries) & (shapely.area(geometries) > 0)
    repaired = np.flatnonzero(~sound).tolist()
    for index in repaired:
        # A wing may have a whisker of no area; shapely intersects collections only when their parts are alike.
        parts = shapely.get_parts(valid_polygon(arrays[index]))
        geometries[index] = shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return geometries, tuple(repaired)


def intersection_areas(first: GeometryArray, second: GeometryArray, least: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of the intersection of every geometry with every other, where it can be large enough to matter.

    Args:
        first: (N,) valid shapely geometries.
        second: (M,) valid shapely geometries.
        least: (N, M) float64, square pixels; a pair is left at 0 where even the boxes of the two share less.

    Returns:
        (N, M) float64, square pixels; exact for integer coordinates and axis-aligned sides.
    """
    areas = np.zeros((len(first), len(second)))
    one, other = np.split(shapely.bounds(first), 2, axis=1), np.split(shapely.bounds(second), 2, axis=1)
    sides = np.minimum(one[1][:, None], other[1][None, :]) - np.maximum(one[0][:, None], other[0][None, :])
    boxes = np.where((sides > 0).all(axis=-1), sides[..., 0] * sides[..., 1], 0.0)
    # The margin keeps pairs on the edge, where the two sides of the comparison were rounded differently.
    wanted = (boxes > 0) & (boxes >= least * (1 - 1e-9))
    # A polygon as large as its box is that box, and two boxes share what their boxes share.
    full = [shapely.area(item) == np.prod(box[1] - box[0], axis=1) for item, box in ((first, one), (second, other))]
    plain = wanted & full[0][:, None] & full[1][None, :]
    areas[plain] = boxes[plain]
    rows, columns = np.nonzero(wanted & ~plain)
    areas[rows, columns] = shared_areas(first[rows], second[columns])
    return areas


def greedy_pairs(eligible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pair rows with columns one to one: rows in order, each with the first free column that is eligible.

    Args:
        eligible: (N, M) bool.

    Returns:
        (row, column) pairs in the order they were made.
    """
    pairs: list[tuple[int, int]] = []
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    for row, column in np.argwhere(eligible).tolist():
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    return pairs


def _official_order(scores: ArrayLike | None, num_detections: int) -> NDArray[np.intp]:
    """The order in which the official script looks at the detections."""
    if scores is None:
        return np.arange(num_detections)
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if len(values) != num_detections:
        raise ValueError(f"{num_detections} detections with {len(values)} scores; one score per detection")
    if not np.isfinite(values).all():
        raise ValueError("a detection's score is not finite; leave such detections out")
    return np.argsort(-values)


def _overlaps(
    truth: GeometryArray,
    detections: GeometryArray,
    dont_care: NDArray[np.bool_],
    iou_threshold: float,
    ignore_threshold: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU of the cared-for words with the detections, and the share of the detections in the don't-care words.

    Pairs that cannot reach the threshold may be left at 0.
    """
    truth_areas, sizes = shapely.area(truth), shapely.area(detections)
    sums = sizes[None, :] + truth_areas[:, None]  # in the official order: detection first
    # IoU > t means shared > t (sum - shared).
    least = np.where(dont_care[:, None], ignore_threshold * sizes, iou_threshold / (1 + iou_threshold) * sums)
    shared = intersection_areas(truth, detections, least)
    unions = (sums - shared)[~dont_care]
    ious = np.divide(shared[~dont_care], unions, out=np.zeros_like(unions), where=unions != 0)
    inside = shared[dont_care]
    covered = np.divide(inside, sizes[None, :], out=np.zeros_like(inside), where=sizes[None, :] != 0)
    return ious, covered
