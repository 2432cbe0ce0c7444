"""From image scores to the score of a set: totals, bootstrap intervals, and how they are printed. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from craft.evaluation.image_score import ImageScore, average_precision, harmonic_mean

Metric = Literal["precision", "recall", "hmean"]


@dataclass(frozen=True, slots=True)
class Scores:
    """The score of a set of images: totals over all words and detections, not means over images.

    Attributes:
        precision: credit of the detections over their number, 0 where there are none.
        recall: credit of the words over their number, 0 where there are none.
        hmean: harmonic mean of the two.
        average_precision: over all detections of the set by falling score; None where some had no scores.
        num_matched: sum of the words' credits: matched words in the IoU protocol, partial credits in DetEval.
        num_truth: cared-for words.
        num_detections: counted detections.
        num_images: images.
        num_dont_care: don't-care words.
        num_ignored: detections that lie in a don't-care word and count neither way.
        num_repaired_truth: words whose polygon crossed itself or had no area.
        num_repaired_detections: detections whose polygon crossed itself or had no area.
    """

    precision: float
    recall: float
    hmean: float
    average_precision: float | None
    num_matched: float
    num_truth: int
    num_detections: int
    num_images: int
    num_dont_care: int
    num_ignored: int
    num_repaired_truth: int
    num_repaired_detections: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and how far it might have come out otherwise on other images.

    Attributes:
        value: on the images as they are.
        low: lower end of the interval.
        high: upper end of the interval.
        share: share of the resampled sets that lie inside, 0 to 1.
        num_resamples: sets drawn.
    """

    value: float
    low: float
    high: float
    share: float
    num_resamples: int

    def __str__(self) -> str:
        return f"{self.value:.4f} ({100 * self.share:g} % interval {self.low:.4f} to {self.high:.4f})"


def summarise(image_scores: Sequence[ImageScore]) -> Scores:
    """Add up the scores of images as the official scripts do (micro-average).

    Args:
        image_scores: one per image of the set, images without detections included, in the set's order.

    Returns:
        The totals. A set without cared-for words has recall 0, one without counted detections precision 0.
    """
    totals = _totals(image_scores).sum(axis=0)
    truth_credit, detection_credit, num_truth, num_detections = (float(total) for total in totals)
    recall = 0.0 if num_truth == 0 else truth_credit / num_truth
    precision = 0.0 if num_detections == 0 else detection_credit / num_detections
    return Scores(
        precision=precision,
        recall=recall,
        hmean=harmonic_mean(precision, recall),
        average_precision=_set_average_precision(image_scores, int(num_truth)),
        num_matched=truth_credit,
        num_truth=int(num_truth),
        num_detections=int(num_detections),
        num_images=len(image_scores),
        num_dont_care=sum(score.num_dont_care for score in image_scores),
        num_ignored=sum(len(score.ignored_detections) for score in image_scores),
        num_repaired_truth=sum(len(score.repaired_truth) for score in image_scores),
        num_repaired_detections=sum(len(score.repaired_detections) for score in image_scores),
    )


def bootstrap_interval(
    image_scores: Sequence[ImageScore],
    *,
    generator: np.random.Generator,
    metric: Metric = "hmean",
    share: float = 0.95,
    num_resamples: int = 2000,
) -> Interval:
    """Interval of a set's figure, by drawing as many images with replacement, again and again.

    Args:
        image_scores: one per image.
        generator: source of the draws.
        metric: which figure.
        share: of the resampled figures inside the interval, 0 to 1.
        num_resamples: sets drawn.

    Returns:
        The percentile interval around the figure.

    Raises:
        ValueError: no images, or `share` is not between 0 and 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Images, not words, are drawn:
        the words of one image are found or missed together.
    """
    _check_bootstrap(len(image_scores), share)
    totals = _totals(image_scores)
    draws = _draw_counts(len(totals), num_resamples, generator)
    value = float(_figure(totals.sum(axis=0), metric))
    return _interval(value, _figure(draws @ totals, metric), share)


def bootstrap_difference(
    first: Sequence[ImageScore],
    second: Sequence[ImageScore],
    *,
    generator: np.random.Generator,
    metric: Metric = "hmean",
    share: float = 0.95,
    num_resamples: int = 2000,
) -> Interval:
    """Interval of the difference of two systems on the same images: the second's figure minus the first's.

    Args:
        first: one score per image.
        second: one score per image, in the same order.
        generator: source of the draws; both systems get the same images in every draw.
        metric: which figure.
        share: of the resampled differences inside the interval, 0 to 1.
        num_resamples: sets drawn.

    Returns:
        The percentile interval around the difference; one that leaves out 0 speaks for a real difference.

    Raises:
        ValueError: no images, unlike numbers of images or of cared-for words, or `share` is not between 0 and 1.
    """
    _check_bootstrap(len(first), share)
    if [score.num_truth for score in first] != [score.num_truth for score in second]:
        raise ValueError(
            f"the two systems were not scored on the same images ({len(first)} and {len(second)} images, or other "
            "words in them); score both on the same scenes in the same order"
        )
    first_totals, second_totals = _totals(first), _totals(second)
    draws = _draw_counts(len(first), num_resamples, generator)
    value = float(_figure(second_totals.sum(axis=0), metric) - _figure(first_totals.sum(axis=0), metric))
    return _interval(value, _figure(draws @ second_totals, metric) - _figure(draws @ first_totals, metric), share)


def format_scores(scores: Scores, *, title: str = "") -> str:
    """Lay a set's score out for people.

    Args:
        scores: of a set.
        title: first line: protocol, set, thresholds; left out where empty.

    Returns:
        Several lines without a final newline.
    """
    lines = [title] if title else []
    lines.append(f"precision {scores.precision:.4f}   recall {scores.recall:.4f}   H-mean {scores.hmean:.4f}")
    if scores.average_precision is not None:
        lines[-1] += f"   average precision {scores.average_precision:.4f}"
    lines.append(
        f"{scores.num_images} images, {scores.num_truth} words ({scores.num_dont_care} don't care beside them), "
        f"{scores.num_detections} detections ({scores.num_ignored} ignored beside them), {scores.num_matched:g} matched"
    )
    if scores.num_repaired_truth or scores.num_repaired_detections:
        lines.append(
            f"repaired polygons: {scores.num_repaired_truth} of words, {scores.num_repaired_detections} of detections"
        )
    return "\n".join(lines)


def scores_as_dict(scores: Scores) -> dict[str, Any]:
    """The score of a set as plain values for JSON.

    Args:
        scores: of a set.

    Returns:
        A dictionary with the attributes of `Scores`.
    """
    return asdict(scores)


def _totals(image_scores: Sequence[ImageScore]) -> NDArray[np.float64]:
    """(N, 4): credit of words, credit of detections, words, detections of every image."""
    rows = [
        (score.truth_credit, score.detection_credit, score.num_truth, score.num_detections) for score in image_scores
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _set_average_precision(image_scores: Sequence[ImageScore], num_truth: int) -> float | None:
    parts_scores = [score.ranked_scores for score in image_scores if score.ranked_scores is not None]
    parts_hits = [score.ranked_hits for score in image_scores if score.ranked_hits is not None]
    if not parts_scores or len(parts_scores) < len(image_scores):
        return None
    return average_precision(np.concatenate(parts_scores), np.concatenate(parts_hits), num_truth)


def _figure(totals: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """The figure of one set (4,) or of many (S, 4)."""
    truth_credit, detection_credit, num_truth, num_detections = np.moveaxis(totals, -1, 0)
    recall = truth_credit / np.where(num_truth == 0, 1, num_truth)
    precision = detection_credit / np.where(num_detections == 0, 1, num_detections)
    if metric == "recall":
        return recall
    if metric == "precision":
        return precision
    both = precision + recall
    return np.asarray(2 * precision * recall / np.where(both == 0, 1, both))


def _draw_counts(num_images: int, num_resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """(S, N): how often each image is in each resampled set."""
    return generator.multinomial(num_images, np.full(num_images, 1 / num_images), size=num_resamples).astype(float)


def _interval(value: float, resampled: NDArray[np.float64], share: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - share) / 2, (1 + share) / 2])
    return Interval(value, float(low), float(high), share, len(resampled))


def _check_bootstrap(num_images: int, share: float) -> None:
    if num_images == 0:
        raise ValueError("no images to draw from; a bootstrap interval needs at least one scored image")
    if not 0 < share < 1:
        raise ValueError(f"share {share} of the resampled figures; wanted between 0 and 1, such as 0.95")
