"""Figures of ranked detections, precision at a recall and average precision, and intervals of their differences. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def precision_at(recall: float) -> Figure:
    """The largest precision of all score thresholds that reach a recall.

    The figure is 0 where the recall, 0 to 1, is not reached.
    """

    def figure(ranking: Ranking, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        matched, precision, num_words = _along(ranking, counts)
        reached = (matched >= recall * num_words[:, None]) & (num_words[:, None] > 0)
        return np.where(reached, precision, 0.0).max(axis=1, initial=0.0)

    return figure


def average_precision_of(ranking: Ranking, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the words of the precision at the rank where each was found; 0 where there is no word.

    An image that is in a set twice counts twice at one rank.
    """
    _matched, precision, num_words = _along(ranking, counts)
    gained = counts[:, ranking.image] * ranking.hits  # (S, N)
    return (gained * precision).sum(axis=1) / np.maximum(num_words, 1)


def figure_of(ranking: Ranking, figure: Figure) -> float:
    """A figure of a set as it is."""
    return float(figure(ranking, np.ones((1, len(ranking.words))))[0])


def resample_difference(
    first: Sequence[Ranking], second: Sequence[Ranking], figure: Figure, *, num_resamples: int = 2000
) -> tuple[float, float]:
    """Resample seeds and images, both with replacement: the 95 % interval of the second's mean figure minus the first's.

    Rankings are one per seed, in the same order, of the same images. Source: Davison and Hinkley, Bootstrap methods and
    their application, 1997, section 3.8.
    """
    generator, num_images = np.random.default_rng(2016), len(first[0].words)
    counts = generator.multinomial(num_images, np.full(num_images, 1 / num_images), size=num_resamples).astype(float)
    pairs = zip(first, second, strict=True)
    differences = np.stack([figure(other, counts) - figure(one, counts) for one, other in pairs], axis=1)  # (S, seeds)
    seeds = generator.integers(len(first), size=differences.shape)
    low, high = np.quantile(np.take_along_axis(differences, seeds, axis=1).mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _along(
    ranking: Ranking, counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Words matched (S, N) and precision (S, N) down to each rank, and words (S,)."""
    weights = counts[:, ranking.image]  # (S, N)
    matched = np.cumsum(weights * ranking.hits, axis=1)
    return matched, matched / np.maximum(np.cumsum(weights, axis=1), 1), counts @ ranking.words
