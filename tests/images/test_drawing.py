"""Drawings: where the lines fall, that nothing is changed in place, and that odd input does no harm."""

from __future__ import annotations

import numpy as np

from craft.images.drawing import WORD_COLOUR, draw_detections, draw_polygons, heat_map, overlay_map
from craft.scene import Detections

QUAD = np.array([[[10, 10], [50, 10], [50, 30], [10, 30]]], np.float32)


def test_outline_falls_on_the_pixels_around_its_coordinates():
    image = np.zeros((60, 80, 3), np.uint8)

    drawn = draw_polygons(image, QUAD + 0.5, thickness=1)

    near = 30  # lines are smoothed
    np.testing.assert_allclose(drawn[10, 30], WORD_COLOUR, atol=near)  # pixel 10 has its centre at 10.5
    np.testing.assert_allclose(drawn[20, 10], WORD_COLOUR, atol=near)
    np.testing.assert_allclose(drawn[30, 30], WORD_COLOUR, atol=near)
    assert not drawn[20, 30].any()
    assert not image.any()


def test_detections_are_drawn_with_scores_characters_and_polygons():
    image = np.full((60, 80, 3), 90, np.uint8)
    found = Detections(QUAD, np.array([0.87], np.float32))
    rich = Detections(QUAD, found.scores, [QUAD[0] + 3], [QUAD - 2])

    assert (draw_detections(image, found, scores=False) != image).any()
    assert (draw_detections(image, found) != draw_detections(image, found, scores=False)).any()
    assert (draw_detections(image, rich) != draw_detections(image, found)).any()


def test_no_detections_leave_the_picture_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    none = Detections(np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32))

    np.testing.assert_array_equal(draw_detections(image, none), image)


def test_outlines_far_outside_or_not_finite_do_no_harm():
    image = np.zeros((20, 30, 3), np.uint8)
    wild = np.array([[[-1e9, np.nan], [1e12, 5], [np.inf, 1e9], [0, 0]]])

    assert draw_detections(image, Detections(wild.astype(np.float32), np.ones(1, np.float32))).shape == image.shape


def test_heat_map_runs_from_blue_to_red():
    low, high = heat_map(np.array([[0.0, 1.0]]))[0].astype(int)

    assert low[2] > low[0]
    assert high[0] > high[2]
    np.testing.assert_array_equal(heat_map(np.array([[-1.0, np.nan, 2.0]]))[0], [low, low, high])


def test_overlay_leaves_what_scores_nothing_as_it_is():
    image = np.full((40, 60, 3), 100, np.uint8)
    scores = np.zeros((20, 30), np.float32)
    scores[5:15, 20:28] = 1

    laid = overlay_map(image, scores)

    np.testing.assert_array_equal(laid[:, :30], image[:, :30])
    assert (laid[20, 48] != image[20, 48]).any()
