"""Precision over recall of detections ranked by score: average precision of one image and of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from craft.evaluation.image_score import ImageScore


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
