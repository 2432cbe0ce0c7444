"""Jittered words and the grid: inside the image, repeatable, and as many as asked for."""

import numpy as np
import pytest

from craft.region.proposals import LEAST_SIDE, clip_boxes, grid_boxes, jittered_boxes

SIZE_HW = (200, 300)


def assert_usable(boxes):
    assert boxes.dtype == np.float32
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= SIZE_HW[1]).all()
    assert (boxes[:, 3] <= SIZE_HW[0]).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all()


def test_the_first_copy_of_a_word_is_the_word_and_others_lie_around_it():
    words = np.array([[50, 60, 90, 80], [100, 100, 200, 130]], dtype=np.float32)

    boxes = jittered_boxes(words, count=20, seed=4, size_hw=SIZE_HW)

    np.testing.assert_allclose(boxes[:2], words)
    assert len(boxes) == 20
    assert_usable(boxes)
    assert len(np.unique(boxes, axis=0)) == 20


def test_copies_follow_from_the_seed_and_have_a_limit_per_word():
    word = np.array([[50, 60, 90, 80]], dtype=np.float32)

    first, again, other = (jittered_boxes(word, count=500, seed=seed, size_hw=SIZE_HW) for seed in (1, 1, -2))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(first) == 32


@pytest.mark.parametrize(("words", "count"), [(np.zeros((0, 4)), 10), (np.array([[0, 0, 20, 20]]), 0)])
def test_gives_no_boxes_without_words_or_where_none_are_asked_for(words, count):
    assert jittered_boxes(words, count=count, seed=0, size_hw=SIZE_HW).shape == (0, 4)


def test_grid_covers_the_image_with_several_aspect_ratios():
    boxes = grid_boxes(count=100_000, seed=0, size_hw=SIZE_HW)

    assert_usable(boxes)
    for x, y in ((5, 5), (150, 100), (290, 190)):
        assert ((boxes[:, 0] <= x) & (boxes[:, 2] >= x) & (boxes[:, 1] <= y) & (boxes[:, 3] >= y)).any()
    aspects = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    assert aspects.min() < 0.5
    assert aspects.max() > 4


def test_a_part_of_the_grid_follows_from_the_seed_and_has_no_repeats():
    first, again, other = (grid_boxes(count=50, seed=seed, size_hw=SIZE_HW) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 50
    assert grid_boxes(count=0, seed=1, size_hw=SIZE_HW).shape == (0, 4)


def test_an_image_smaller_than_every_box_has_no_grid():
    assert grid_boxes(count=10, seed=1, size_hw=(8, 8)).shape == (0, 4)


def test_boxes_are_clipped_and_slivers_dropped():
    boxes = clip_boxes([[-5, -5, 10, 10], [0, 0, 3, 50], [290, 0, 400, 9]], size_hw=SIZE_HW)

    np.testing.assert_array_equal(boxes, [[0, 0, 10, 10], [290, 0, 300, 9]])
