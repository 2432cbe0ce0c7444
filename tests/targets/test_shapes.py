"""Shapes of quads against array formulas, and affinity quads."""

import numpy as np
import pytest

from craft.geometry import bounding_boxes, homographies_from_square, signed_area
from craft.targets.shapes import affinity_quads, distrust, ellipses, grown_strips, trust
from tests.targets.reference import affinity_quad, enlarge_quads, grow_quads

SIZE_HW = (200, 240)
SQUARE = np.array([[0, 0], [12, 0], [12, 12], [0, 12]], dtype=np.float64)


def random_quads(count: int, *, push: float, seed: int) -> np.ndarray:
    """(count, 4, 2) upright rectangles of 20 x 12 around the map's middle, with their corners moved at random."""
    generator = np.random.default_rng(seed)
    square = np.array([[0, 0], [20, 0], [20, 12], [0, 12]], dtype=np.float64)
    return square + generator.uniform(40, 140, (count, 1, 2)) + generator.uniform(-push, push, (count, 4, 2))


def test_functions_of_an_ellipse_send_its_quads_corners_to_the_square():
    quads = random_quads(50, push=3, seed=0)

    shapes = ellipses(quads, np.zeros(50, np.int64), np.ones(50, np.float32), map_size_hw=SIZE_HW)

    enlarged = np.concatenate([enlarge_quads(quads, factor=1.5), np.ones((50, 4, 1))], axis=2)
    square = np.einsum("qkc,qpc->qpk", shapes.function, enlarged)
    expected = np.broadcast_to([[-1, -1], [1, -1], [1, 1], [-1, 1]], (50, 4, 2))
    np.testing.assert_allclose(square[..., :2] / square[..., 2:], expected, atol=1e-9)


def test_the_box_of_an_ellipse_is_that_of_the_pixels_inside():
    quads = random_quads(50, push=3, seed=1)
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    to_square = np.linalg.inv(homographies_from_square(enlarge_quads(quads, factor=1.5)))

    shapes = ellipses(quads, np.zeros(50, np.int64), np.ones(50, np.float32), map_size_hw=SIZE_HW)

    for matrix, (left, top, width, height) in zip(to_square, shapes.box, strict=True):
        u, v, w = np.einsum("ij,jyx->iyx", matrix, np.stack([columns, rows, np.ones_like(rows)]))
        y, x = np.nonzero(u**2 + v**2 <= w**2)
        # A bound may pass between two centres of a row that it touches without either being inside.
        assert 0 <= x.min() - left <= 1
        assert 0 <= y.min() - top <= 1
        assert 0 <= left + width - 1 - x.max() <= 1
        assert 0 <= top + height - 1 - y.max() <= 1


def test_sides_of_a_strip_are_those_of_the_grown_quad():
    quads = random_quads(50, push=2, seed=2)  # convex all
    grown = grow_quads(quads, share=0.25)

    pieces = grown_strips(quads, np.zeros(50, np.int64), np.zeros(50, np.float32), map_size_hw=SIZE_HW)

    corners = np.concatenate([grown, np.ones((50, 4, 1))], axis=2)
    distances = np.einsum("skc,spc->skp", pieces.function, corners)  # of every corner from every side
    for side in range(4):
        np.testing.assert_allclose(distances[:, side, [side, (side + 1) % 4]], 0, atol=1e-9)
        assert (distances[:, side, [(side + 2) % 4, (side + 3) % 4]] > 0).all()
    bounds = bounding_boxes(grown)
    np.testing.assert_array_equal(pieces.box[:, :2], np.ceil(bounds[:, :2] - 0.5))
    np.testing.assert_array_equal(pieces.box[:, :2] + pieces.box[:, 2:], np.floor(bounds[:, 2:] - 0.5) + 1)


def test_a_strip_that_is_not_convex_is_cut_in_two_of_the_same_area():
    arrow = np.array([[60, 60], [140, 60], [85, 85], [60, 140]], dtype=np.float64)

    pieces = grown_strips(arrow[None], np.zeros(1, np.int64), np.zeros(1, np.float32), map_size_hw=SIZE_HW)

    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    points = np.stack([columns, rows, np.ones_like(rows)])
    inside = (np.einsum("skc,cyx->skyx", pieces.function, points) >= 0).all(axis=1)
    assert len(pieces) == 2
    area = signed_area(grow_quads(arrow, share=0.25))
    assert abs(inside.any(axis=0).sum() - area) < 0.02 * area
    assert inside.all(axis=0).sum() < 0.02 * area  # the cut alone is in both


def test_trust_inverts_distrust_to_the_bit():
    confidence = np.array([0.0, 1e-30, 0.1, 0.5, 1.0], dtype=np.float32)

    np.testing.assert_array_equal(trust(distrust(confidence)), confidence)


def moved(x: float, y: float) -> np.ndarray:
    return SQUARE + np.array([x, y])


def turned(quads: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return quads @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_affinity_goes_through_the_centroids_of_the_upper_and_lower_triangles():
    quads, word = affinity_quads([SQUARE, moved(12, 0)], [3, 3])

    np.testing.assert_allclose(quads, [[[6, 2], [18, 2], [18, 10], [6, 10]]])
    np.testing.assert_array_equal(word, [3])


def test_affinity_goes_through_the_left_and_right_triangles_of_characters_above_one_another():
    quads, _ = affinity_quads([SQUARE, moved(0, 12)], [0, 0])

    np.testing.assert_allclose(quads, [[[2, 6], [10, 6], [10, 18], [2, 18]]])


@pytest.mark.parametrize("degrees", [30, 90, 135, 180, 250])
def test_affinity_turns_with_the_word(degrees):
    for step in ([12, 0], [0, 12]):
        upright = np.stack([SQUARE, SQUARE + step, SQUARE + 2 * np.array(step)])

        quads, _ = affinity_quads(turned(upright, degrees), [0, 0, 0])

        np.testing.assert_allclose(quads, turned(affinity_quads(upright, [0, 0, 0])[0], degrees), atol=1e-9)


def test_affinity_equals_the_reference_for_characters_in_perspective():
    generator = np.random.default_rng(0)
    characters = [SQUARE + generator.uniform(-2, 2, (4, 2)) + [12 * index, 0] for index in range(6)]

    quads, _ = affinity_quads(characters, [0] * 6)

    expected = [affinity_quad(characters[index], characters[index + 1], vertical=False) for index in range(5)]
    np.testing.assert_allclose(quads, expected)


def test_affinity_lies_only_between_neighbours_of_one_word():
    characters = [moved(12 * index, 0) for index in range(6)]

    quads, word = affinity_quads(characters, [0, 0, 1, 2, 2, 2])

    np.testing.assert_array_equal(word, [0, 2, 2])
    np.testing.assert_allclose(quads[:, 0], [[6, 2], [42, 2], [54, 2]])


@pytest.mark.parametrize("count", [0, 1])
def test_affinity_is_empty_without_two_characters(count):
    quads, word = affinity_quads(np.array([SQUARE] * count).reshape(-1, 4, 2), [0] * count)

    assert quads.shape == (0, 4, 2)
    assert word.shape == (0,)


def test_a_quad_with_a_nearly_straight_corner_becomes_the_parallelogram_of_its_mean_sides():
    quad = np.array([[[50, 50], [70, 50], [60.0005, 60.0005], [50, 70]]], dtype=np.float64)
    first, second, third, fourth = quad[0]
    middle, right, down = (
        quad[0].mean(axis=0),
        (second + third - first - fourth) / 4,
        (third + fourth - first - second) / 4,
    )
    instead = np.stack([middle - right - down, middle + right - down, middle + right + down, middle + down - right])

    found, expected = (
        ellipses(quads, np.zeros(1, np.int64), np.ones(1, np.float32), map_size_hw=SIZE_HW)
        for quads in (quad, instead[None])
    )

    np.testing.assert_allclose(found.function, expected.function, rtol=1e-6, atol=1e-9)
