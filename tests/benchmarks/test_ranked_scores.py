"""Ranked detections: figures against slow references, and intervals of differences."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.studies.ranked_scores import (
    average_precision_of,
    bootstrap_ranked_difference,
    figure_of,
    precision_at,
    rank,
)
from craft.evaluation.iou import evaluate_image
from craft.evaluation.summary import summarise


def image(hits: str, missed: int, scores=None):
    """An image whose detections are right (1) or wrong (0), with so many words missed besides."""
    boxes = [[(20 * n, 0), (20 * n + 9, 0), (20 * n + 9, 9), (20 * n, 9)] for n in range(len(hits) + missed)]
    words = [box for box, hit in zip(boxes, hits, strict=False) if hit == "1"] + boxes[len(hits) :]
    return evaluate_image(words, [False] * len(words), boxes[: len(hits)], scores)


def random_images(generator, count=6):
    images = []
    for _ in range(count):
        hits = "".join(generator.choice(["0", "1"], size=generator.integers(0, 7)))
        images.append(image(hits, int(generator.integers(0, 3)), generator.random(len(hits))))
    return images


def test_precision_at_a_recall_is_the_best_of_the_thresholds_that_reach_it():
    # By falling score: right, wrong, right, right; four words. Precision 1, 1/2, 2/3, 3/4.
    images = [image("101", 1, [0.9, 0.8, 0.7]), image("1", 0, [0.6])]

    assert figure_of(images, precision_at(0.25)) == 1
    assert figure_of(images, precision_at(0.5)) == 0.75
    assert figure_of(images, precision_at(0.76)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_the_one_of_the_protocol(seed):
    images = random_images(np.random.default_rng(seed))

    assert figure_of(images, average_precision_of) == pytest.approx(summarise(images).average_precision)


@pytest.mark.parametrize("figure", [average_precision_of, precision_at(0.5)])
def test_an_image_that_counts_twice_gives_what_a_set_with_it_twice_gives(figure):
    generator = np.random.default_rng(3)
    for _ in range(20):
        images = random_images(generator, count=3)
        twice = figure(rank(images), np.array([[2.0, 0.0, 1.0]]))[0]

        # Copies lie at one rank there and at two here, so that only their order differs: compare where it does not.
        slow = [scored for scored in (images[0], images[2])]
        expected = slow_figure(slow, (2, 1), figure)
        assert twice == pytest.approx(expected)


def slow_figure(images, copies, figure):
    found = sorted(
        (
            (-score, hit, times)
            for one, times in zip(images, copies, strict=True)
            for score, hit in zip(one.ranked_scores, one.ranked_hits, strict=True)
        ),
        key=lambda row: row[0],
    )
    words = sum(one.num_truth * times for one, times in zip(images, copies, strict=True))
    matched = seen = 0
    precisions, gained = [0.0], 0.0
    for _score, hit, times in found:
        seen += times
        matched += times * bool(hit)
        gained += times * bool(hit) * matched / seen
        if words and matched >= 0.5 * words:
            precisions.append(matched / seen)
    return gained / max(words, 1) if figure is average_precision_of else max(precisions)


def test_the_interval_of_a_system_against_itself_is_zero_and_a_better_one_lies_above():
    worse = [image("01", 1, [0.9, 0.8]) for _ in range(12)]
    better = [image("01", 1, [0.7, 0.8]) for _ in range(12)]
    same, above = (
        bootstrap_ranked_difference(
            [worse] * 2, [other] * 2, average_precision_of, generator=np.random.default_rng(0), num_resamples=200
        )
        for other in (worse, better)
    )

    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert above.value == pytest.approx(0.5 - 12 / 24 * np.mean([k / (12 + k) for k in range(1, 13)]))
    assert above.low > 0


def test_systems_scored_on_other_images_or_without_scores_are_refused():
    some, other = [image("1", 0, [0.5])], [image("1", 2, [0.5])]
    for first, second in (([some], [other]), ([some, some], [some]), ([], [])):
        with pytest.raises(ValueError, match="on the same scenes"):
            bootstrap_ranked_difference(first, second, average_precision_of, generator=np.random.default_rng(0))
    with pytest.raises(ValueError, match="image 1 was scored without scores"):
        rank([image("1", 0)])
