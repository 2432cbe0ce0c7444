"""Quads between neighbouring characters."""

import numpy as np
import pytest

from craft.targets.shapes import affinity_quads
from tests.targets.reference import affinity_quad

FIRST = np.array([[0, 0], [12, 0], [12, 12], [0, 12]], dtype=np.float64)


def moved(x: float, y: float) -> np.ndarray:
    return FIRST + np.array([x, y])


def turned(quads: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return quads @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_goes_through_the_centroids_of_the_upper_and_lower_triangles():
    quads, word = affinity_quads([FIRST, moved(12, 0)], [3, 3])

    np.testing.assert_allclose(quads, [[[6, 2], [18, 2], [18, 10], [6, 10]]])
    np.testing.assert_array_equal(word, [3])


def test_goes_through_the_left_and_right_triangles_of_characters_above_one_another():
    quads, _ = affinity_quads([FIRST, moved(0, 12)], [0, 0])

    np.testing.assert_allclose(quads, [[[2, 6], [10, 6], [10, 18], [2, 18]]])


@pytest.mark.parametrize("degrees", [30, 90, 135, 180, 250])
def test_turns_with_the_word(degrees):
    for step in ([12, 0], [0, 12]):
        upright = np.stack([FIRST, FIRST + step, FIRST + 2 * np.array(step)])

        quads, _ = affinity_quads(turned(upright, degrees), [0, 0, 0])

        np.testing.assert_allclose(quads, turned(affinity_quads(upright, [0, 0, 0])[0], degrees), atol=1e-9)


def test_equals_the_reference_for_characters_in_perspective():
    generator = np.random.default_rng(0)
    characters = [FIRST + generator.uniform(-2, 2, (4, 2)) + [12 * index, 0] for index in range(6)]

    quads, _ = affinity_quads(characters, [0] * 6)

    expected = [affinity_quad(characters[index], characters[index + 1], vertical=False) for index in range(5)]
    np.testing.assert_allclose(quads, expected)


def test_lies_only_between_neighbours_of_one_word():
    characters = [moved(12 * index, 0) for index in range(6)]

    quads, word = affinity_quads(characters, [0, 0, 1, 2, 2, 2])

    np.testing.assert_array_equal(word, [0, 2, 2])
    np.testing.assert_allclose(quads[:, 0], [[6, 2], [42, 2], [54, 2]])


@pytest.mark.parametrize("count", [0, 1])
def test_is_empty_without_two_characters(count):
    quads, word = affinity_quads(np.array([FIRST] * count).reshape(-1, 4, 2), [0] * count)

    assert quads.shape == (0, 4, 2)
    assert word.shape == (0,)
