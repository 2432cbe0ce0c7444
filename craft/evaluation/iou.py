"""The IoU protocol of ICDAR 2015, 2017 and 2019: the words and detections of one image, matched and scored."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import ImageScore, Match, average_precision, dont_care_flags, score_matches
from craft.geometry import shared_areas, valid_polygon

GeometryArray = NDArray[np.object_]

# An overlap of exactly one half is not above one half. If sides cross between whole pixels, its area is off by a few
# units in the last digit, differently in every library; the tolerance keeps such ties ties.
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

    A detection with more than `ignore_threshold` of its area in one don't-care word is ignored. The others are matched
    one to one: words in their order, each to the first free detection with IoU above `iou_threshold`; detections in
    their order, or by falling score if there are scores, sorted as in the official script. Polygons are (P, 2) each.
    Raises ValueError if numbers of flags and words, or of scores and detections, differ; or a polygon has fewer than
    three corners or a coordinate that is not finite.

    Source: ICDAR 2015 Robust Reading Competition, Karatzas et al., section III, and the organisers' script for
        Challenge 4, Task 1. That script refuses counter-clockwise polygons; here the direction does not matter, and
        polygons that cross themselves are repaired and counted.
    """
    dont_care = dont_care_flags(truth_dont_care, len(truth_polygons))
    order = _official_order(scores, len(detection_polygons))
    truth, repaired_truth = repaired_geometries(truth_polygons, "word")
    detections, repaired_detections = repaired_geometries(detection_polygons, "detection")
    ious, covered = _overlaps(truth, detections[order], dont_care, iou_threshold, ignore_threshold)

    ignored = np.asarray((covered > ignore_threshold + _TIE).any(axis=0))
    pairs = greedy_pairs((ious > iou_threshold + _TIE) & ~ignored[None, :])
    words = np.flatnonzero(~dont_care)
    score = score_matches(
        [Match((int(words[row]),), (int(order[column]),), float(ious[row, column])) for row, column in pairs],
        truth_credit=float(len(pairs)),
        detection_credit=float(len(pairs)),
        dont_care=dont_care,
        ignored=ignored[np.argsort(order)],
        repaired_truth=repaired_truth,
        repaired_detections=repaired_detections,
    )
    if scores is None:
        return score
    hits = np.isin(np.arange(len(order)), [column for _, column in pairs])[~ignored]
    ranked = np.asarray(scores, dtype=np.float64)[order][~ignored]
    area = average_precision(ranked, hits, len(words)) if len(words) else score.precision
    return replace(score, average_precision=area, ranked_scores=ranked, ranked_hits=hits)


def repaired_geometries(
    polygons: Sequence[ArrayLike] | NDArray[np.floating], what: str
) -> tuple[GeometryArray, tuple[int, ...]]:
    """Build (N,) shapely geometries of polygons (P, 2); repair and list those that cross themselves or have no area.

    Raises ValueError if a polygon, called `what`, has fewer than three corners or a coordinate that is not finite.
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
    """Intersect N valid geometries with M others, where the area can reach `least` (N, M): (N, M) square pixels.

    Pairs whose bounding boxes share less than `least` get 0. Exact for integer coordinates and axis-aligned sides.
    """
    areas = np.zeros((len(first), len(second)))
    (low, high), (other_low, other_high) = (np.split(shapely.bounds(items), 2, axis=1) for items in (first, second))
    sides = np.minimum(high[:, None], other_high[None, :]) - np.maximum(low[:, None], other_low[None, :])
    boxes = np.where((sides > 0).all(axis=-1), sides[..., 0] * sides[..., 1], 0.0)
    # The margin keeps borderline pairs, since the two sides of the comparison are rounded differently.
    wanted = (boxes > 0) & (boxes >= least * (1 - 1e-9))
    # A polygon as large as its bounding box is that box.
    is_box = shapely.area(first) == np.prod(high - low, axis=1)
    other_is_box = shapely.area(second) == np.prod(other_high - other_low, axis=1)
    plain = wanted & is_box[:, None] & other_is_box[None, :]
    areas[plain] = boxes[plain]
    rows, columns = np.nonzero(wanted & ~plain)
    areas[rows, columns] = shared_areas(first[rows], second[columns])
    return areas


def greedy_pairs(eligible: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pair rows of (N, M) with columns one to one: rows in order, each with its first free eligible column."""
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
    """The order in which the official script goes through the detections."""
    if scores is None:
        return np.arange(num_detections)
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if len(values) != num_detections:
        raise ValueError(f"{num_detections} detections with {len(values)} scores; give one score per detection")
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
    """IoU of cared-for words with detections, and share of detections in don't-care words; 0 if under the threshold."""
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
