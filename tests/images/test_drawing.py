"""Drawings: where the lines fall, that nothing is changed in place, and that odd input does no harm."""

from __future__ import annotations

import numpy as np
import pytest

from craft.decode.detections import Detections
from craft.images.drawing import (
    WHITE,
    WORD_COLOUR,
    add_caption,
    draw_polygons,
    encode_image,
    fit_long_side,
    heat_map,
    overlay_map,
    overlay_mask,
    tile_images,
    write_image,
)
from craft.images.reader import decode_image, read_image

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

    assert (found.draw(image, scores=False) != image).any()
    assert (found.draw(image, scores=True) != found.draw(image)).any()
    assert (rich.draw(image) != found.draw(image)).any()


def test_no_detections_leave_the_image_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    none = Detections(np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32))

    np.testing.assert_array_equal(none.draw(image), image)


def test_outlines_far_outside_or_not_finite_do_no_harm():
    image = np.zeros((20, 30, 3), np.uint8)
    wild = np.array([[[-1e9, np.nan], [1e12, 5], [np.inf, 1e9], [0, 0]]])

    assert Detections(wild.astype(np.float32), np.ones(1, np.float32)).draw(image).shape == image.shape


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


def test_a_caption_stands_above_the_image_whatever_letters_it_has():
    image = np.full((20, 120, 3), 7, np.uint8)

    captioned = add_caption(image, "words")

    assert captioned.shape == (38, 120, 3)
    np.testing.assert_array_equal(captioned[18:], image)
    assert captioned[:18].max() > 128
    np.testing.assert_array_equal(add_caption(image, "é"), add_caption(image, "?"))
    assert add_caption(image, "words", ground=WHITE)[:18].min() < 128


def test_tiles_stand_at_the_top_left_of_their_cells_with_gaps_between_them():
    tiles = [np.full((2, 3, 3), 1, np.uint8), np.full((1, 2, 3), 2, np.uint8), np.full((2, 3, 3), 3, np.uint8)]

    sheet = tile_images(tiles, columns=2, gap=1, ground=9)[..., 0]

    assert sheet.tolist() == [
        [1, 1, 1, 9, 2, 2, 9],
        [1, 1, 1, 9, 9, 9, 9],
        [9, 9, 9, 9, 9, 9, 9],
        [3, 3, 3, 9, 9, 9, 9],
        [3, 3, 3, 9, 9, 9, 9],
    ]
    np.testing.assert_array_equal(tile_images(tiles[:1], columns=4), tiles[0])


def test_a_mask_colours_what_it_covers():
    image = np.full((4, 4, 3), 100, np.uint8)

    masked = overlay_mask(image, np.array([[0.0, 1.0], [0.0, 0.0]]), colour=(200, 0, 100), opacity=0.5)

    assert masked[0, 3].tolist() == [150, 50, 100]
    assert (masked[2:] == 100).all()


def test_an_image_is_resized_to_its_longer_side():
    assert fit_long_side(np.zeros((30, 60, 3), np.uint8), 20).shape == (10, 20, 3)
    assert fit_long_side(np.zeros((1, 60, 3), np.uint8), 20).shape == (1, 20, 3)


def test_files_are_read_back_as_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)

    np.testing.assert_array_equal(read_image(write_image(tmp_path / "a.png", image)), image)
    np.testing.assert_array_equal(decode_image(encode_image(image, ending=".webp", quality=101)), image)
    assert len(encode_image(image, quality=10)) < len(encode_image(image, quality=95))


@pytest.mark.parametrize("name", ["a.doc", "a"])
def test_a_path_that_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=r"a(.doc)?: has no ending of an image; name a .png or .jpg file"):
        write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
