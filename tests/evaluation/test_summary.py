"""Totals of a dataset, and how they are printed."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from craft.evaluation import deteval
from craft.evaluation.iou import evaluate_image
from craft.evaluation.summary import format_scores, summarise


def image(found: int, missed: int, wrong: int, scores=None):
    """An image with that many words found, words missed and detections of nothing."""
    words = [[(20 * n, 0), (20 * n + 9, 0), (20 * n + 9, 9), (20 * n, 9)] for n in range(found + missed)]
    detections = words[:found] + [[(20 * n, 50), (20 * n + 9, 50), (20 * n + 9, 59)] for n in range(wrong)]
    return evaluate_image(words, [False] * len(words), detections, scores)


def test_a_dataset_is_scored_by_its_totals_not_by_the_mean_over_images():
    scores = summarise([image(1, 0, 0), image(1, 3, 2)])  # 2 of 5 words, 2 of 4 detections

    assert (scores.recall, scores.precision) == (0.4, 0.5)
    assert scores.hmean == pytest.approx(2 * 0.4 * 0.5 / 0.9)
    assert (scores.num_matched, scores.num_truth, scores.num_detections, scores.num_images) == (2, 5, 4, 2)


def test_recall_is_of_the_words_credit_and_precision_of_the_detections():
    word, left, right = ([(x1, 0), (x2, 0), (x2, 9), (x1, 9)] for x1, x2 in ((0, 19), (0, 9), (10, 19)))

    scores = summarise([deteval.evaluate_image([word], [False], [left, right, [(50, 0), (59, 0), (59, 9)]])])

    assert scores.recall == pytest.approx(0.8)  # split in two
    assert scores.precision == pytest.approx(1.6 / 3)


def test_an_empty_dataset_and_one_without_words_or_detections_score_zero():
    for image_scores in ([], [image(0, 0, 0)], [image(0, 2, 0)], [image(0, 0, 2)]):
        scores = summarise(image_scores)

        assert (scores.precision, scores.recall, scores.hmean) == (0, 0, 0)


def test_scores_are_printed_with_what_they_count():
    bow_tie = [(0, 0), (9, 9), (9, 0), (0, 9)]
    scores = summarise([image(1, 1, 0, [0.5]), evaluate_image([], [], [bow_tie], [0.1])])

    text = format_scores(scores, title="icdar2015, scenes 1 to 2")

    assert text.splitlines() == [
        "icdar2015, scenes 1 to 2",
        "precision 0.5000   recall 0.5000   H-mean 0.5000   average precision 0.5000",
        "2 images, 2 words (and 0 don't care), 2 detections (and 0 ignored), 1 matched",
        "repaired polygons: 0 of words, 1 of detections",
    ]
    assert asdict(scores)["num_repaired_detections"] == 1
