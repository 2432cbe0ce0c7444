"""Figures of ranked detections, precision at a recall and average precision, and intervals of their differences. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.evaluation.bootstrap import Interval
from craft.evaluation.image_score import ImageScore


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """All counted detections of a set by falling score.

    Attributes:
        hits: (N,) bool, which of them matched a word.
        image: (N,) int64, the image of each.
        words: (I,) int64, cared-for words of each image.
    """

    hits: NDArray[np.bool_]
    image: NDArray[np.int64]
    words: NDArray[np.int64]


Figure = Callable[[Ranking, NDArray[np.float64]], NDArray[np.float64]]
"""From a ranking, and how often each image is in each of S sets (S, I), to the figure of each set (S,)."""


def rank(image_scores: Sequence[ImageScore]) -> Ranking:
    """Rank the detections of all images of a set together.

    Args:
        image_scores: one per image, of detections with scores.

    Returns:
        The ranking; detections of equal score stay in the order of the images.

    Raises:
        ValueError: an image's detections have no scores.
    """
    scores, hits, image = [np.zeros(0)], [np.zeros(0, dtype=np.bool_)], [np.zeros(0, dtype=np.int64)]
    for index, one in enumerate(image_scores):
        if one.ranked_scores is None or one.ranked_hits is None:
            raise ValueError(f"image {index + 1} was scored without scores of its detections; pass them to score_scene")
        scores.append(one.ranked_scores)
        hits.append(one.ranked_hits)
        image.append(np.full(len(one.ranked_hits), index, dtype=np.int64))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    words = np.array([one.num_truth for one in image_scores], dtype=np.int64)
    return Ranking(np.concatenate(hits)[order], np.concatenate(image)[order], words)


def precision_at(recall: float) -> Figure:
    """The largest precision of all score thresholds that reach a recall.

    Args:
        recall: to be reached, 0 to 1.

    Returns:
        The figure: 0 where the recall is not reached.
    """

    def figure(ranking: Ranking, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        matched, precision, num_words = _along(ranking, counts)
        reached = (matched >= recall * num_words[:, None]) & (num_words[:, None] > 0)
        return np.where(reached, precision, 0.0).max(axis=1, initial=0.0)

    return figure


def average_precision_of(ranking: Ranking, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the words of the precision at the rank where each was found, as `image_score.average_precision` has it.

    Args:
        ranking: of a set.
        counts: (S, I) float64, how often each image is in each set.

    Returns:
        (S,) float64. An image drawn twice counts twice at one rank; 0 where there is no word.
    """
    _matched, precision, num_words = _along(ranking, counts)
    gained = counts[:, ranking.image] * ranking.hits  # (S, N)
    return (gained * precision).sum(axis=1) / np.maximum(num_words, 1)


def figure_of(image_scores: Sequence[ImageScore], figure: Figure) -> float:
    """A figure of a set as it is.

    Args:
        image_scores: one per image.
        figure: `average_precision_of`, or what `precision_at` gives.

    Returns:
        The figure.

    Raises:
        ValueError: an image's detections have no scores.
    """
    return float(figure(rank(image_scores), np.ones((1, len(image_scores))))[0])


def bootstrap_ranked_difference(
    first: Sequence[Sequence[ImageScore]],
    second: Sequence[Sequence[ImageScore]],
    figure: Figure,
    *,
    generator: np.random.Generator,
    share: float = 0.95,
    num_resamples: int = 2000,
) -> Interval:
    """Interval of the mean difference of two systems, each trained several times, on the same images.

    Args:
        first: per training, one score per image.
        second: as many trainings, in the same order, scored on the same images.
        figure: what is compared.
        generator: source of the draws; all trainings of both systems get the same images in every draw.
        share: of the resampled differences inside the interval, 0 to 1.
        num_resamples: sets drawn.

    Returns:
        The percentile interval around the second's mean figure minus the first's. It says how the difference depends on
        the images, not how it depends on the seeds: their spread belongs beside it.

    Raises:
        ValueError: no images or no training, or the two were scored on other images.
    """
    words = {tuple(one.num_truth for one in scores) for scores in (*first, *second)}
    if len(words) != 1 or len(first) != len(second) or not next(iter(words)):
        raise ValueError(
            f"{len(first)} and {len(second)} trainings on {len(words)} different sets of images; score both systems, "
            "as many trainings of each, on the same scenes in the same order"
        )
    num_images = len(next(iter(words)))
    draws = generator.multinomial(num_images, np.full(num_images, 1 / num_images), size=num_resamples)
    counts = np.concatenate([np.ones((1, num_images)), draws.astype(np.float64)])
    pairs = [(rank(one), rank(other)) for one, other in zip(first, second, strict=True)]
    differences = np.mean([figure(other, counts) - figure(one, counts) for one, other in pairs], axis=0)
    low, high = np.quantile(differences[1:], [(1 - share) / 2, (1 + share) / 2])
    return Interval(float(differences[0]), float(low), float(high), share, num_resamples)


def _along(
    ranking: Ranking, counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Words matched (S, N) and precision (S, N) down to each rank, and words (S,)."""
    weights = counts[:, ranking.image]  # (S, N)
    matched = np.cumsum(weights * ranking.hits, axis=1)
    return matched, matched / np.maximum(np.cumsum(weights, axis=1), 1), counts @ ranking.words
