"""Reading order of words whose order is known: columns, rotated pages, curves, and nothing at all."""

import numpy as np
import pytest

from craft.decode.reading_order import reading_order


def line(left: float, top: float, num_words: int, height: float = 20) -> list:
    boxes = []
    for number in range(num_words):
        right = left + 40 + 11 * (number % 4)
        boxes.append([[left, top], [right, top], [right, top + height], [left, top + height]])
        left = right + 8
    return boxes


def page() -> np.ndarray:
    """A heading, two columns of two paragraphs that stand side by side, and a line across the foot."""
    boxes = line(20, 10, 12, 30)
    for left in (20, 420):
        for top in (80, 300):
            boxes += [word for row in range(5) for word in line(left, top + 30 * row, 5)]
    return np.array(boxes + line(20, 600, 12, 30), np.float64)


@pytest.mark.parametrize("degrees", [0, 12, 45, 80, -30])
def test_columns_are_read_one_after_the_other_at_any_angle(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    quads = page() @ np.array([[cosine, sine], [-sine, cosine]])
    shuffled = np.random.default_rng(0).permutation(len(quads))

    order = reading_order(quads[shuffled])

    np.testing.assert_array_equal(shuffled[order.words], np.arange(len(quads)))
    assert order.line.max() + 1 == 22
    assert order.block.max() + 1 == 6
    assert (np.diff(order.line[order.words]) >= 0).all()


def test_words_along_a_curve_make_one_line():
    angles = np.radians(np.linspace(200, 340, 8))
    centres = 500 + 300 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    along = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    corners = [(-40, -12), (40, -12), (40, 12), (-40, 12)]
    quads = np.stack([centres + x * along + y * across for x, y in corners], axis=1)

    order = reading_order(quads)

    np.testing.assert_array_equal(order.words, np.arange(8))
    assert set(order.line) == {0}


def test_words_side_by_side_but_far_apart_are_two_lines():
    quads = np.array(line(0, 0, 1) + line(200, 0, 1), np.float64)

    assert reading_order(quads).line.tolist() == [0, 1]


def test_no_words_and_one_word_have_an_order():
    assert reading_order(np.zeros((0, 4, 2))).words.tolist() == []
    assert reading_order(np.array(line(0, 0, 1), np.float64)).words.tolist() == [0]


def test_boxes_without_area_and_on_top_of_each_other_do_no_harm():
    quads = np.concatenate([np.zeros((3, 4, 2)), np.repeat(line(0, 0, 1), 3, axis=0)])

    assert sorted(reading_order(quads).words) == list(range(6))
