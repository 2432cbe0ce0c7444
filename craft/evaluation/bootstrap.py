"""Bootstrap intervals: how far the score of a dataset, or a difference of two systems, depends on the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from craft.evaluation.image_score import ImageScore
from craft.evaluation.summary import image_totals

Metric = Literal["precision", "recall", "hmean"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the percentile interval of its resampled values, `share` of which lie inside."""

    value: float
    low: float
    high: float
    share: float
    num_resamples: int

    def __str__(self) -> str:
        return f"{self.value:.4f} ({100 * self.share:g} % interval {self.low:.4f} to {self.high:.4f})"


def bootstrap_interval(
    image_scores: Sequence[ImageScore],
    *,
    generator: np.random.Generator,
    metric: Metric = "hmean",
    share: float = 0.95,
    num_resamples: int = 2000,
) -> Interval:
    """Resample the images of a dataset with replacement, and return the interval of a metric.

    Raises ValueError if there are no images, or `share` is not between 0 and 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Images, not words, are resampled:
        the words of one image are found or missed together.
    """
    _check(len(image_scores), share)
    totals = image_totals(image_scores)
    counts = _resampled_counts(len(totals), num_resamples, generator)
    value = float(_metric_of(totals.sum(axis=0), metric))
    return _interval(value, _metric_of(counts @ totals, metric), share)


def bootstrap_difference(
    first: Sequence[ImageScore],
    second: Sequence[ImageScore],
    *,
    generator: np.random.Generator,
    metric: Metric = "hmean",
    share: float = 0.95,
    num_resamples: int = 2000,
) -> Interval:
    """Interval of the second system's metric minus the first's; both get the same images in every resample.

    Each gives one score per image, in the same order. Raises as `bootstrap_interval`, or if the images differ.
    """
    _check(len(first), share)
    if [score.num_truth for score in first] != [score.num_truth for score in second]:
        raise ValueError(
            f"the two systems were not scored on the same images ({len(first)} and {len(second)} images, or other "
            "words in them); score both on the same scenes in the same order"
        )
    first_totals, second_totals = image_totals(first), image_totals(second)
    counts = _resampled_counts(len(first), num_resamples, generator)
    value = float(_metric_of(second_totals.sum(axis=0), metric) - _metric_of(first_totals.sum(axis=0), metric))
    differences = _metric_of(counts @ second_totals, metric) - _metric_of(counts @ first_totals, metric)
    return _interval(value, differences, share)


def format_intervals(first: Sequence[ImageScore], second: Sequence[ImageScore] | None = None) -> str:
    """Lay out the 95 % intervals of one system's metrics, or of the second's metrics minus the first's; seed 0."""
    lines = []
    metrics: tuple[Metric, ...] = get_args(Metric)
    for metric in metrics:
        generator = np.random.default_rng(0)
        if second is None:
            lines.append(f"{metric:<10} {bootstrap_interval(first, generator=generator, metric=metric)}")
        else:
            found = bootstrap_difference(first, second, generator=generator, metric=metric)
            sure = "" if found.low <= 0 <= found.high else ", more than chance"
            lines.append(f"{metric:<10} {found}{sure}")
    return "\n".join(lines)


def _metric_of(totals: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """The metric of one dataset (4,) or of many (S, 4)."""
    truth_credit, detection_credit, num_truth, num_detections = np.moveaxis(totals, -1, 0)
    recall = np.maximum(truth_credit, 0) / np.where(num_truth == 0, 1, num_truth)
    precision = np.maximum(detection_credit, 0) / np.where(num_detections == 0, 1, num_detections)
    if metric == "recall":
        return recall
    if metric == "precision":
        return precision
    both = precision + recall
    return np.asarray(2 * precision * recall / np.where(both == 0, 1, both))


def _resampled_counts(num_images: int, num_resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """(S, N): how often each image is in each resample."""
    return generator.multinomial(num_images, np.full(num_images, 1 / num_images), size=num_resamples).astype(float)


def _interval(value: float, resampled: NDArray[np.float64], share: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - share) / 2, (1 + share) / 2])
    return Interval(value, float(low), float(high), share, len(resampled))


def _check(num_images: int, share: float) -> None:
    if num_images == 0:
        raise ValueError("no images to resample; a bootstrap interval needs at least one scored image")
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; give a number between 0 and 1, such as 0.95")
