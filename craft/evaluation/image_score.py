"""What a protocol says about one image: who matched whom, and what the image adds to the totals of a set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Match:
    """Words and detections that a protocol takes as the same text.

    Attributes:
        truth: indices of labelled words; one in the IoU protocol.
        detections: indices of detections, in the order they were given; one in the IoU protocol.
        iou: intersection over union of the two, None where more than two take part.
    """

    truth: tuple[int, ...]
    detections: tuple[int, ...]
    iou: float | None


@dataclass(frozen=True, slots=True, eq=False)
class ImageScore:
    """The score of one image under one protocol.

    Attributes:
        precision: share of the counted detections that are right, 0 to 1.
        recall: share of the cared-for words that were found, 0 to 1.
        hmean: harmonic mean of the two.
        average_precision: area under precision over recall, None where detections had no scores.
        matches: who matched whom.
        truth_credit: sum over cared-for words of how far each was found; their number in the IoU protocol.
        detection_credit: sum over counted detections of how far each is right.
        num_truth: cared-for words.
        num_dont_care: don't-care words.
        num_detections: counted detections: those not ignored.
        ignored_detections: indices of detections that lie in a don't-care word and count neither way.
        ranked_scores: (num_detections,) float64 scores of the counted detections, None where there were none.
        ranked_hits: (num_detections,) bool, which of those matched.
        repaired_truth: indices of words whose polygon crossed itself or had no area.
        repaired_detections: indices of detections whose polygon crossed itself or had no area.
    """

    precision: float
    recall: float
    hmean: float
    average_precision: float | None
    matches: tuple[Match, ...]
    truth_credit: float
    detection_credit: float
    num_truth: int
    num_dont_care: int
    num_detections: int
    ignored_detections: tuple[int, ...] = ()
    ranked_scores: NDArray[np.float64] | None = None
    ranked_hits: NDArray[np.bool_] | None = None
    repaired_truth: tuple[int, ...] = ()
    repaired_detections: tuple[int, ...] = ()


def harmonic_mean(precision: float, recall: float) -> float:
    """Harmonic mean of precision and recall, 0 where both are 0, computed in the official scripts' order.

    Args:
        precision: 0 to 1.
        recall: 0 to 1.

    Returns:
        0 to 1.
    """
    return 0.0 if precision + recall == 0 else 2.0 * precision * recall / (precision + recall)


def shares(truth_credit: float, detection_credit: float, num_truth: int, num_detections: int) -> tuple[float, float]:
    """Precision and recall of one image, by the official scripts' rule for images with nothing to find.

    Args:
        truth_credit: how much of the cared-for words was found.
        detection_credit: how much of the counted detections is right.
        num_truth: cared-for words.
        num_detections: counted detections.

    Returns:
        Precision and recall. With no cared-for word the recall is 1 and the precision is 1 where nothing was
        detected, else 0; with words but no detection both are 0.
    """
    if num_truth == 0:
        return (0.0 if num_detections > 0 else 1.0), 1.0
    return (0.0 if num_detections == 0 else detection_credit / num_detections), truth_credit / num_truth


def average_precision(scores: NDArray[np.float64], hits: NDArray[np.bool_], num_truth: int) -> float:
    """Mean over the cared-for words of the precision at the rank where each was found.

    Args:
        scores: (N,) float64, one per counted detection.
        hits: (N,) bool, which of them matched a word.
        num_truth: cared-for words.

    Returns:
        0 to 1. Detections of equal score are ranked by numpy's default sort, as in the official script, whose
        digits depend on it; the default sort is not stable and may differ from machine to machine.
    """
    order = np.argsort(-scores)
    correct, total = 0, 0.0
    for rank, hit in enumerate(hits[order].tolist(), start=1):
        if hit:
            correct += 1
            total += float(correct) / rank
    return total / num_truth if num_truth > 0 else total


def score_as_dict(score: ImageScore) -> dict[str, Any]:
    """The score as plain values for JSON.

    Args:
        score: of one image.

    Returns:
        A dictionary of numbers, lists and None.
    """
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
