"""The CLEval protocol: words and detections compared by characters, with a penalty for each cut and each merge."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.evaluation.image_score import ImageScore, Match, dont_care_flags, score_matches
from craft.evaluation.iou import repaired_geometries
from craft.evaluation.pseudo_characters import character_centres, cut_out, hold_points, matched_pairs, shared_areas_of
from craft.geometry import word_size

LEAST_PRECISION = np.float32(0.3)  # share of a detection that its word, or its words together, must cover
_DOWNWARDS = 0.5  # width over height below which a word is read downwards
_MOST_CHARACTERS = 10  # of a word without a transcription, or a false detection


def evaluate_image(
    truth_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    truth_dont_care: Sequence[bool] | NDArray[np.bool_],
    detection_polygons: Sequence[ArrayLike] | NDArray[np.floating],
    num_characters: Sequence[int | None],
) -> ImageScore:
    """Score the detections of one image by CLEval's detection protocol: counts are of characters, not of words.

    A word of n characters has n points along its middle. A detection finds those it holds, once each; it is matched with
    a word where at least 0.3 of it lies in the word, or in the words that it merges. Each further detection of a word,
    and each further word of a detection, costs a character. A detection without a word counts as about as many
    characters as it is long. `num_characters` is (N,), None where a word has no transcription.

    Raises ValueError as `craft.evaluation.iou.evaluate_image`.

    Source: CLEval, Baek et al., CVPR Workshops 2020, and the authors' code (clovaai/CLEval), without recognition.
    """
    dont_care = dont_care_flags(truth_dont_care, len(truth_polygons))
    truth, repaired_truth = repaired_geometries(truth_polygons, "word")
    detections, repaired_detections = repaired_geometries(detection_polygons, "detection")
    known = [None if ignored else count for count, ignored in zip(num_characters, dont_care.tolist(), strict=True)]
    counts, centres = _characters(truth_polygons, known)
    truth[dont_care] = cut_out(truth[dont_care], truth[~dont_care])
    areas = shapely.area(detections)[None, :]
    shared = shared_areas_of(truth, detections)
    precision = np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0).astype(np.float32)
    held = hold_points(detections, centres)
    found = np.array([mask.sum(axis=1) for mask in held], dtype=np.int64).reshape(precision.shape)
    in_dont_care = (precision >= LEAST_PRECISION)[dont_care].any(axis=0)
    ignored = in_dont_care | (np.where(found > 0, precision, 0)[dont_care].sum(axis=0) >= LEAST_PRECISION)

    matches = _match(precision, found, ~dont_care[:, None] & ~ignored[None, :])
    matched = matched_pairs(matches, precision.shape)
    hits = sum(int((held[row][matched[row]]).any(axis=0).sum()) for row in np.flatnonzero(matched.any(axis=1)))
    alone = np.flatnonzero(~ignored & ~matched.any(axis=0)).tolist()
    false = [_length(1 / (1e-5 + _width_to_height(detection_polygons[index]))) for index in alone]
    return score_matches(
        matches,
        truth_credit=float(hits - int(np.maximum(matched.sum(axis=1) - 1, 0).sum())),
        detection_credit=float(hits - int(np.maximum(matched.sum(axis=0) - 1, 0).sum())),
        dont_care=dont_care,
        ignored=ignored,
        repaired_truth=repaired_truth,
        repaired_detections=repaired_detections,
        counts=(
            sum(count for count, skipped in zip(counts, dont_care, strict=True) if not skipped),
            int(found[matched].sum()) + sum(false),
        ),
    )


def _characters(
    polygons: Sequence[ArrayLike] | NDArray[np.floating], known: Sequence[int | None]
) -> tuple[list[int], list[NDArray[np.float64]]]:
    """How many characters each word counts as, by its shape where that is not known, and their centres (C, 2)."""
    ratios = [_width_to_height(polygon) for polygon in polygons]
    counts = [
        _length(max(ratio, 1 / ratio)) if count is None else count for count, ratio in zip(known, ratios, strict=True)
    ]
    words = zip(polygons, counts, ratios, strict=True)
    return counts, [character_centres(polygon, count, downwards=ratio < _DOWNWARDS) for polygon, count, ratio in words]


def _match(precision: NDArray[np.float32], found: NDArray[np.int64], compared: NDArray[np.bool_]) -> list[Match]:
    """One to one, then a word to many detections, then a detection to many words; none excludes another.

    `compared` is (N, M), True for cared-for words and counted detections.
    """
    holds = found > 0
    fits = (precision >= LEAST_PRECISION) & holds
    lone = fits & (fits.sum(axis=1) == 1)[:, None] & (fits.sum(axis=0) == 1)[None, :]
    matches = [Match((word,), (index,), None) for word, index in np.argwhere(lone & compared).tolist()]
    fits, holds = fits & compared, holds & compared
    for word in np.flatnonzero(fits.sum(axis=1) >= 2).tolist():
        matches.append(Match((word,), tuple(np.flatnonzero(fits[word]).tolist()), None))
    for index in np.flatnonzero(holds.sum(axis=0) >= 2).tolist():
        parts = np.flatnonzero(holds[:, index]).tolist()
        if precision[parts, index].sum(dtype=np.float64) >= float(LEAST_PRECISION):
            matches.append(Match(tuple(parts), (index,), None))
    return matches


def _width_to_height(polygon_xy: ArrayLike) -> float:
    """Mean width over mean height, along a word of any number of corners."""
    width, height = word_size(polygon_xy)
    return (width + 1e-5) / (height + 1e-5)


def _length(ratio: float) -> int:
    """How many characters a word of this length over its height is taken to have."""
    return min(round(0.5 + ratio), _MOST_CHARACTERS)
