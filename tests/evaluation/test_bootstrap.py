"""Bootstrap intervals of a dataset's score and of the difference between two systems."""

from __future__ import annotations

import numpy as np
import pytest

from craft.evaluation.bootstrap import bootstrap_difference, bootstrap_interval
from craft.evaluation.iou import evaluate_image
from craft.evaluation.summary import summarise


def image(found: int, missed: int, wrong: int):
    """An image with that many words found, words missed and detections of nothing."""
    words = [[(20 * n, 0), (20 * n + 9, 0), (20 * n + 9, 9), (20 * n, 9)] for n in range(found + missed)]
    detections = words[:found] + [[(20 * n, 50), (20 * n + 9, 50), (20 * n + 9, 59)] for n in range(wrong)]
    return evaluate_image(words, [False] * len(words), detections)


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
    with pytest.raises(ValueError, match="share is 95"):
        bootstrap_interval([image(1, 0, 0)], generator=generator, share=95)
    with pytest.raises(ValueError, match="same images"):
        bootstrap_difference([image(1, 0, 0)], [image(2, 0, 0)], generator=generator)
