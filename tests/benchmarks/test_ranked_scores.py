"""Ranked detections: figures against slow references, and intervals of differences."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.studies.ranked_scores import (
    Ranking,
    average_precision_of,
    figure_of,
    precision_at,
)
from craft.evaluation.iou import evaluate_image
from craft.evaluation.summary import summarise


def rank(image_scores):
    """The detections of images by falling score."""
    image = np.repeat(np.arange(len(image_scores)), [len(one.ranked_hits) for one in image_scores])
    order = np.argsort(-np.concatenate([one.ranked_scores for one in image_scores]), kind="stable")
    hits = np.concatenate([one.ranked_hits for one in image_scores])
    return Ranking(hits[order], image[order], np.array([one.num_truth for one in image_scores]))


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

    assert figure_of(rank(images), precision_at(0.25)) == 1
    assert figure_of(rank(images), precision_at(0.5)) == 0.75
    assert figure_of(rank(images), precision_at(0.76)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_the_one_of_the_protocol(seed):
    images = random_images(np.random.default_rng(seed))

    assert figure_of(rank(images), average_precision_of) == pytest.approx(summarise(images).average_precision)


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
