"""Totals, average precision over a set, and bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from craft.evaluation.iou import evaluate_image
from craft.evaluation.summary import (
    bootstrap_difference,
    bootstrap_interval,
    format_scores,
    scores_as_dict,
    summarise,
)


def image(found: int, missed: int, wrong: int, scores=None):
    """An image with that many words found, words missed and detections of nothing."""
    words = [[(20 * n, 0), (20 * n + 9, 0), (20 * n + 9, 9), (20 * n, 9)] for n in range(found + missed)]
    detections = words[:found] + [[(20 * n, 50), (20 * n + 9, 50), (20 * n + 9, 59)] for n in range(wrong)]
    return evaluate_image(words, [False] * len(words), detections, scores)


def test_a_set_is_scored_by_its_totals_not_by_the_mean_over_images():
    scores = summarise([image(1, 0, 0), image(1, 3, 2)])  # 2 of 5 words, 2 of 4 detections

    assert (scores.recall, scores.precision) == (0.4, 0.5)
    assert scores.hmean == pytest.approx(2 * 0.4 * 0.5 / 0.9)
    assert (scores.num_matched, scores.num_truth, scores.num_detections, scores.num_images) == (2, 5, 4, 2)


def test_an_empty_set_and_a_set_without_words_or_detections_score_zero():
    for image_scores in ([], [image(0, 0, 0)], [image(0, 2, 0)], [image(0, 0, 2)]):
        scores = summarise(image_scores)

        assert (scores.precision, scores.recall, scores.hmean) == (0, 0, 0)


def test_average_precision_ranks_the_detections_of_all_images_together():
    first, second = image(1, 0, 1, [0.9, 0.3]), image(1, 0, 1, [0.5, 0.7])  # ranks: hit, miss, hit, miss

    assert summarise([first, second]).average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_average_precision_is_none_where_an_image_has_no_scores():
    assert summarise([image(1, 0, 0, [0.9]), image(1, 0, 0)]).average_precision is None
    assert summarise([image(1, 0, 0, [0.9]), image(0, 1, 0, [])]).average_precision == 0.5


def test_the_interval_holds_the_figure_and_narrows_with_more_images():
    few = [image(2, 1, 1), image(1, 2, 0), image(3, 0, 1)]

    narrow = bootstrap_interval(few * 40, generator=np.random.default_rng(0))
    wide = bootstrap_interval(few * 4, generator=np.random.default_rng(0))

    assert wide.low <= narrow.low < narrow.value == wide.value == summarise(few).hmean < narrow.high <= wide.high


def test_the_interval_matches_resampling_image_by_image():
    images = [image(2, 1, 1), image(1, 2, 0), image(3, 0, 1), image(0, 1, 2)]
    generator = np.random.default_rng(1)
    slow = [summarise([images[index] for index in generator.integers(0, 4, size=4)]).precision for _ in range(3000)]

    interval = bootstrap_interval(
        images, generator=np.random.default_rng(2), metric="precision", share=0.8, num_resamples=20000
    )

    assert interval.low == pytest.approx(np.quantile(slow, 0.1), abs=0.02)
    assert interval.high == pytest.approx(np.quantile(slow, 0.9), abs=0.02)


def test_the_same_generator_seed_gives_the_same_interval():
    images = [image(2, 1, 1), image(1, 2, 0)]

    first, second = (bootstrap_interval(images, generator=np.random.default_rng(5), metric="recall") for _ in "ab")

    assert first == second


def test_a_steady_difference_is_seen_although_the_images_differ_widely():
    plain = [image(n % 5, 5 - n % 5, 0) for n in range(60)]
    better = [image(n % 5 + 1, 4 - n % 5, 0) for n in range(60)]  # one word more in every image

    difference = bootstrap_difference(plain, better, generator=np.random.default_rng(0), metric="recall")

    assert difference.value == pytest.approx(0.2)
    assert (difference.low, difference.high) == (pytest.approx(0.2), pytest.approx(0.2))


def test_two_equal_systems_differ_by_nothing():
    images = [image(2, 1, 1), image(1, 2, 0)]

    difference = bootstrap_difference(images, images, generator=np.random.default_rng(0))

    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_what_cannot_be_resampled_is_refused():
    generator = np.random.default_rng(0)

    with pytest.raises(ValueError, match="no images"):
        bootstrap_interval([], generator=generator)
    with pytest.raises(ValueError, match="share 95"):
        bootstrap_interval([image(1, 0, 0)], generator=generator, share=95)
    with pytest.raises(ValueError, match="same images"):
        bootstrap_difference([image(1, 0, 0)], [image(2, 0, 0)], generator=generator)


def test_scores_are_printed_with_what_they_count():
    bow_tie = [(0, 0), (9, 9), (9, 0), (0, 9)]
    scores = summarise([image(1, 1, 0, [0.5]), evaluate_image([], [], [bow_tie], [0.1])])

    text = format_scores(scores, title="icdar2015, scenes 1 to 2")

    assert text.splitlines() == [
        "icdar2015, scenes 1 to 2",
        "precision 0.5000   recall 0.5000   H-mean 0.5000   average precision 0.5000",
        "2 images, 2 words (0 don't care beside them), 2 detections (0 ignored beside them), 1 matched",
        "repaired polygons: 0 of words, 1 of detections",
    ]
    assert scores_as_dict(scores)["num_repaired_detections"] == 1
