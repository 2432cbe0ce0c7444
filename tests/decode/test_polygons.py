"""Outlines and characters of words whose maps were drawn, so that the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from craft.decode.decode import DecodedWords, decode_maps, to_pixels
from craft.decode.polygons import character_quads, gaussian_reach, word_polygons
from craft.geometry import is_simple, polygon_iou, signed_area
from tests.decode.reference import bent_word, draw_word, level_word


def decode_bent(num_characters: int, *, height: float, bend: float, turn: float):
    outline, characters = bent_word(num_characters, height=height, bend=bend, turn=turn)
    columns, rows = (characters.reshape(-1, 2).max(axis=0) + 20).astype(int) // 2
    region, affinity = draw_word(characters, map_size_hw=(rows, columns))
    return outline, characters, region, decode_maps(region, affinity)


def shares_of_neighbours(found: np.ndarray, truth: np.ndarray) -> list[float]:
    return [polygon_iou(quad, other) for quad, other in zip(to_pixels(found, rule="centre"), truth, strict=True)]


@pytest.mark.parametrize("turn", np.linspace(0, 2 * np.pi, 9)[:-1])
@pytest.mark.parametrize(("height", "bend", "least"), [(16, 1.5, 0.80), (24, 1.0, 0.85), (48, 2.2, 0.75)])
def test_polygon_follows_a_bent_word(height, bend, least, turn):
    outline, _, _, words = decode_bent(10, height=height, bend=bend, turn=turn)

    polygons = word_polygons(words, low_text=0.4)

    assert [polygon.shape for polygon in polygons] == [(14, 2)]
    assert polygons[0].dtype == np.float32
    assert is_simple(polygons[0])
    assert signed_area(polygons[0]) > 0
    polygon_share = polygon_iou(to_pixels(polygons[0], rule="centre"), outline)
    assert polygon_share >= least
    assert polygon_share > polygon_iou(to_pixels(words.quads[0], rule="centre"), outline) + 0.2


def test_straight_word_keeps_its_quad():
    _, characters = level_word(6, height=32, aspect=0.8, angle=0.3, middle_xy=(160, 160))
    words = decode_maps(*draw_word(characters, map_size_hw=(160, 160)))

    np.testing.assert_array_equal(word_polygons(words, low_text=0.4)[0], words.quads[0])


def test_tiny_word_keeps_its_quad():
    region, affinity = np.zeros((2, 20, 20), np.float32)
    region[5:7, 5:12] = 0.9
    words = decode_maps(region, affinity)

    np.testing.assert_array_equal(word_polygons(words, low_text=0.4)[0], words.quads[0])


@pytest.mark.parametrize("height", [10, 16, 32, 64])
@pytest.mark.parametrize("angle", [0.0, 0.4, -0.7])
def test_characters_of_a_word_are_found_in_reading_order(height, angle):
    _, characters = level_word(5, height=height, aspect=0.75, angle=angle, middle_xy=(4 * height, 4 * height))
    region, affinity = draw_word(characters, map_size_hw=(4 * height, 4 * height))

    (found,) = character_quads(region, decode_maps(region, affinity))

    assert found.shape == (5, 4, 2)
    assert found.dtype == np.float32
    assert min(shares_of_neighbours(found, characters)) > (0.5 if height < 16 else 0.6)


def test_characters_of_a_vertical_word_come_from_top_to_bottom():
    characters = np.array([[[100, y], [130, y], [130, y + 30], [100, y + 30]] for y in (40, 70, 100, 130)], float)
    region, affinity = draw_word(characters, map_size_hw=(100, 120))

    (found,) = character_quads(region, decode_maps(region, affinity))

    assert min(shares_of_neighbours(found, characters)) > 0.7


def test_characters_of_a_bent_word_are_all_found():
    _, _, region, words = decode_bent(9, height=32, bend=1.5, turn=0.0)

    assert [len(found) for found in character_quads(region, words)] == [9]


def test_ripple_is_no_character_of_its_own():
    rows, columns = np.mgrid[:40, :60].astype(np.float32)
    region = np.exp(-((columns - 30) ** 2 + (rows - 20) ** 2) / 60).astype(np.float32)
    region += 0.02 * np.sin(2 * columns)

    (found,) = character_quads(region, decode_maps(region, np.zeros_like(region)))

    assert len(found) == 1


def test_other_words_inside_the_quad_are_not_characters_of_this_one():
    region, affinity = np.zeros((2, 60, 100), np.float32)
    rows, columns = np.mgrid[:60, :100].astype(np.float32)
    for x, y in ((20, 20), (40, 20), (60, 40)):
        region = np.maximum(region, np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 40)).astype(np.float32)
    affinity[18:23, 20:41] = 0.9
    words = decode_maps(region, affinity)

    assert [len(found) for found in character_quads(region, words)] == [2, 1]


def test_no_words_have_no_outlines_and_no_characters():
    region, affinity = np.zeros((2, 20, 20), np.float32)
    words: DecodedWords = decode_maps(region, affinity)

    assert word_polygons(words, low_text=0.4) == []
    assert character_quads(region, words) == []


def test_word_at_the_border_has_characters_and_an_outline():
    region, affinity = np.zeros((2, 30, 60), np.float32)
    region[0:6, 0:20] = 0.9
    words = decode_maps(region, affinity)

    assert len(character_quads(region, words)[0]) == 1
    assert len(word_polygons(words, low_text=0.4)[0]) == 4


def test_gaussian_falls_to_a_quarter_where_two_equal_characters_meet():
    # At the border of a character u is 1 / 1.5, and exp(-(1 / 1.5)^2 / (2 * 0.4^2)) is 0.2494.
    assert gaussian_reach(0.2494) == pytest.approx(1.0, abs=1e-3)
