"""The score of one image: which detections matched which words, and what it adds to the dataset's totals; and the
average precision of ranked detections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Match:
    """Words and detections that a protocol takes for the same text; one of each in the IoU protocol."""

    truth: tuple[int, ...]  # indices of labelled words
    detections: tuple[int, ...]  # indices of detections, in the order they were given
    iou: float | None  # intersection over union, None in DetEval


@dataclass(frozen=True, slots=True, eq=False)
class ImageScore:
    """The score of one image under one protocol."""

    precision: float  # of the counted detections, 0 to 1
    recall: float  # of the cared-for words, 0 to 1
    hmean: float
    average_precision: float | None  # None if the detections had no scores
    matches: tuple[Match, ...]  # pairs or groups of words and detections
    truth_credit: float  # sum over cared-for words of how far each was found; the number found in the IoU protocol
    detection_credit: float  # sum over counted detections of how far each is right
    num_truth: int  # cared-for words
    num_dont_care: int
    num_detections: int  # counted detections, which are those not ignored
    ignored_detections: tuple[int, ...] = ()  # indices of those in a don't-care word, which count neither way
    ranked_scores: NDArray[np.float64] | None = None  # (num_detections,), of the counted detections
    ranked_hits: NDArray[np.bool_] | None = None  # (num_detections,), True for those that matched
    repaired_truth: tuple[int, ...] = ()  # indices of polygons that crossed themselves or had no area
    repaired_detections: tuple[int, ...] = ()  # the same for detections


def harmonic_mean(precision: float, recall: float) -> float:
    """Harmonic mean, 0 if both are 0, computed in the official scripts' order of operations."""
    return 0.0 if precision + recall == 0 else 2.0 * precision * recall / (precision + recall)


def dont_care_flags(flags: Sequence[bool] | NDArray[np.bool_], num_words: int) -> NDArray[np.bool_]:
    """The don't-care flags of an image's words as (N,) bool; ValueError if there are not as many as words."""
    array = np.asarray(flags, dtype=bool).reshape(-1)
    if len(array) != num_words:
        raise ValueError(f"{num_words} words with {len(array)} don't-care flags; give one flag per word")
    return array


def score_matches(
    matches: Sequence[Match],
    *,
    truth_credit: float,
    detection_credit: float,
    dont_care: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    repaired_truth: tuple[int, ...] = (),
    repaired_detections: tuple[int, ...] = (),
    counts: tuple[int, int] | None = None,
) -> ImageScore:
    """Score an image by its matches, by the official scripts' rule for images with nothing to find.

    With no cared-for word the recall is 1, and the precision is 1 if nothing was detected, else 0. With words but no
    detection both are 0. `dont_care` is (N,) for the words, `ignored` (M,) for the detections. `counts` are what a
    protocol counts instead of words and detections, such as characters, whose credit may be negative: both shares of
    nothing are then 0.
    """
    num_truth, num_detections = counts or (int((~dont_care).sum()), int((~ignored).sum()))
    if counts is not None:
        recall = max(0.0, truth_credit) / num_truth if num_truth else 0.0
        precision = max(0.0, detection_credit) / num_detections if num_detections else 0.0
    elif num_truth == 0:
        precision, recall = (0.0 if num_detections > 0 else 1.0), 1.0
    else:
        precision, recall = detection_credit / max(num_detections, 1), truth_credit / num_truth
    return ImageScore(
        precision=precision,
        recall=recall,
        hmean=harmonic_mean(precision, recall),
        average_precision=None,
        matches=tuple(matches),
        truth_credit=truth_credit,
        detection_credit=detection_credit,
        num_truth=num_truth,
        num_dont_care=int(dont_care.sum()),
        num_detections=num_detections,
        ignored_detections=tuple(np.flatnonzero(ignored).tolist()),
        repaired_truth=repaired_truth,
        repaired_detections=repaired_detections,
    )


def score_as_dict(score: ImageScore) -> dict[str, Any]:
    """The score as plain values for JSON."""
    return {
        "precision": score.precision,
        "recall": score.recall,
        "hmean": score.hmean,
        "average_precision": score.average_precision,
        "num_truth": score.num_truth,
        "num_dont_care": score.num_dont_care,
        "num_detections": score.num_detections,
        "matches": [
            {"truth": list(match.truth), "detections": list(match.detections), "iou": match.iou}
            for match in score.matches
        ],
        "ignored_detections": list(score.ignored_detections),
        "repaired_truth": list(score.repaired_truth),
        "repaired_detections": list(score.repaired_detections),
    }


def average_precision(scores: NDArray[np.float64], hits: NDArray[np.bool_], num_truth: int) -> float:
    """Mean over the cared-for words of the precision at the rank where each was found; words not found count 0.

    Takes the (N,) scores of the counted detections, and (N,) whether each matched a word.

    Source: the organisers' script for ICDAR 2015, Challenge 4. Equal scores are ranked by numpy's default sort as
        there; it is not stable, so the last digits may depend on the machine.
    """
    order = np.argsort(-scores)
    correct, total = 0, 0.0
    for rank, hit in enumerate(hits[order].tolist(), start=1):
        if hit:
            correct += 1
            total += float(correct) / rank
    return total / num_truth if num_truth > 0 else total


def dataset_average_precision(image_scores: Sequence[ImageScore]) -> float | None:
    """Average precision over the detections of all images ranked together; None if any had no scores."""
    scores = [score.ranked_scores for score in image_scores if score.ranked_scores is not None]
    hits = [score.ranked_hits for score in image_scores if score.ranked_hits is not None]
    if not scores or len(scores) < len(image_scores):
        return None
    num_truth = sum(score.num_truth for score in image_scores)
    return average_precision(np.concatenate(scores), np.concatenate(hits), num_truth)
