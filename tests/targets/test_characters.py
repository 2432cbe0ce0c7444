"""Characters of words: counted as readers see them, and split evenly."""

import numpy as np
import pytest

from craft.geometry import quad_sides, signed_area
from craft.scene import Scene, Word
from craft.targets.characters import grapheme_clusters, num_missing_characters, split_evenly, with_characters

WORD = np.array([[0, 0], [30, 0], [30, 10], [0, 10]], dtype=np.float32)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("word", ["w", "o", "r", "d"]),
        ("e\u0301te\u0301", ["e\u0301", "t", "e\u0301"]),  # accents as combining marks
        ("two  words\tand\u3000more", list("twowordsandmore")),
        ("\u0628\u0650\u0633\u0645", ["\u0628\u0650", "\u0633", "\u0645"]),  # Arabic with a vowel mark
        ("\u0995\u09bf\u09a8", ["\u0995\u09bf", "\u09a8"]),  # Bangla with a vowel sign
        ("\u200e\u200babc\ufeff", ["a", "b", "c"]),  # invisible signs
        ("\u4e2d\u6587", ["\u4e2d", "\u6587"]),
        ("\U0001f1e9\U0001f1ea", ["\U0001f1e9\U0001f1ea"]),  # a flag of two code points
        ("  ", []),
        ("", []),
    ],
)
def test_characters_are_counted_with_their_marks_and_without_spaces(text, characters):
    assert grapheme_clusters(text) == characters


def test_a_word_is_split_along_its_top_and_bottom():
    quads = split_evenly(WORD, "abc")

    assert quads.dtype == np.float32
    np.testing.assert_allclose(quads[:, 0], [[0, 0], [10, 0], [20, 0]])
    np.testing.assert_allclose(quads[1], [[10, 0], [20, 0], [20, 10], [10, 10]])


def test_spaces_take_no_room():
    np.testing.assert_array_equal(split_evenly(WORD, "a b c"), split_evenly(WORD, "abc"))


def test_a_rotated_word_is_split_along_its_own_sides():
    turn = np.array([[0, 1], [-1, 0]])  # by 90 degrees: (x, y) to (-y, x)

    quads = split_evenly(WORD @ turn, "abc")

    np.testing.assert_allclose(quads, split_evenly(WORD, "abc") @ turn, atol=1e-5)


def test_both_sides_of_a_tapering_word_are_cut_evenly():
    quads = split_evenly([[0, 0], [40, 4], [40, 12], [0, 20]], "ab")

    np.testing.assert_allclose(quads[0], [[0, 0], [20, 2], [20, 16], [0, 20]])
    np.testing.assert_allclose(quads[1], [[20, 2], [40, 4], [40, 12], [20, 16]])


def test_a_tall_word_of_several_characters_is_split_downwards():
    quads = split_evenly([[0, 0], [10, 0], [10, 30], [0, 30]], "abc")

    np.testing.assert_allclose(quads[0], [[0, 0], [10, 0], [10, 10], [0, 10]])
    np.testing.assert_allclose(quads[:, 0], [[0, 0], [0, 10], [0, 20]])


def test_a_tall_word_of_one_character_is_that_character():
    tall = [[0, 0], [10, 0], [10, 30], [0, 30]]

    np.testing.assert_allclose(split_evenly(tall, "l"), [tall])


def test_a_word_exactly_1_5_times_as_tall_as_wide_is_not_vertical():
    quads = split_evenly([[0, 0], [20, 0], [20, 30], [0, 30]], "ab")

    np.testing.assert_allclose(quads[0], [[0, 0], [10, 0], [10, 30], [0, 30]])


def test_a_polygon_is_split_along_the_length_of_its_chains():
    # Both chains bend after 10 of their 40 pixels: halves meet 20 along, not at a corner.
    polygon = [[0, 0], [10, 0], [40, 0], [40, 8], [10, 8], [0, 8]]

    quads = split_evenly(polygon, "ab")

    np.testing.assert_allclose(quads[0], [[0, 0], [20, 0], [20, 8], [0, 8]])


def test_characters_follow_an_arc():
    angles = np.linspace(np.pi, 2 * np.pi, 9)  # the upper half circle, from the left
    ray = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    arc = np.concatenate([60 * ray, 40 * ray[::-1]])

    quads = split_evenly(arc, "arched")

    width, height = quad_sides(quads)
    np.testing.assert_allclose(width, width[0], rtol=0.03)
    np.testing.assert_allclose(height, 20, rtol=0.03)
    middle = quads.mean(axis=1)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=1), 49, rtol=0.04)
    assert (np.diff(middle[:, 0]) > 0).all()
    assert (signed_area(quads) > 0).all()


def test_a_vertical_polygon_is_split_downwards():
    polygon = [[0, 0], [5, 0], [10, 0], [10, 40], [5, 40], [0, 40]]

    quads = split_evenly(polygon, "ab")

    np.testing.assert_allclose(quads[1], [[0, 20], [10, 20], [10, 40], [0, 40]])


@pytest.mark.parametrize("text", ["", " ", "\u200b"])
def test_a_text_without_characters_has_no_quads(text):
    assert split_evenly(WORD, text).shape == (0, 4, 2)


def test_characters_cover_the_word_without_gap_or_overlap():
    generator = np.random.default_rng(0)
    for _ in range(100):
        word = WORD + generator.uniform(-3, 3, (4, 2)).astype(np.float32)

        quads = split_evenly(word, "split")

        assert signed_area(quads).sum() == pytest.approx(float(signed_area(word)), rel=1e-4)
        np.testing.assert_array_equal(quads[:-1, 1], quads[1:, 0])
        np.testing.assert_array_equal(quads[:-1, 2], quads[1:, 3])


def test_fewer_than_four_corners_are_refused():
    with pytest.raises(ValueError, match="3 corners"):
        split_evenly(WORD[:3], "ab")


def test_words_of_a_scene_get_their_characters():
    given = np.array([WORD])
    words = (
        Word(WORD, text="abc"),
        Word(WORD, text="abc", character_quads_xy=given, confidence=0.5),
        Word(WORD, text="abc", dont_care=True),
    )

    split, kept, ignored = with_characters(Scene("a.jpg", words, "a")).words

    np.testing.assert_array_equal(split.character_quads_xy, split_evenly(WORD, "abc"))
    assert split.confidence == 1
    assert kept.character_quads_xy is given
    assert kept.confidence == 0.5
    assert ignored.character_quads_xy is None
    assert words[0].character_quads_xy is None  # the scene as read is unchanged


@pytest.mark.parametrize("text", [None, "", "\u200b "])
def test_a_word_without_characters_becomes_dont_care(text):
    (word,) = with_characters(Scene("a.jpg", (Word(WORD, text=text),), "a")).words

    assert word.dont_care


def test_a_scene_without_words_stays_as_it_is():
    assert with_characters(Scene("a.jpg", (), "a")).words == ()


def as_a_polygon(quad):
    """The quad with a corner in the middle of its upper and of its lower side: cut along chains, not along sides."""
    upper, lower = (quad[0] + quad[1]) / 2, (quad[2] + quad[3]) / 2
    return np.stack([quad[0], upper, quad[1], quad[2], lower, quad[3]]).astype(np.float32)


def test_quads_are_split_as_polygons_of_the_same_shape_are():
    generator = np.random.default_rng(0)
    for number in range(200):
        size = generator.uniform([60, 5], [300, 50])
        quad = generator.uniform(-50, 900, 2) + size * [[0, 0], [1, 0], [1, 1], [0, 1]] + generator.normal(0, 2, (4, 2))
        quad = quad.astype(np.float32)
        text = "abcdefghijkl"[: number % 12]

        np.testing.assert_allclose(split_evenly(quad, text), split_evenly(as_a_polygon(quad), text), atol=2e-3)


def test_points_and_lines_are_split_where_they_are():
    assert split_evenly(np.full((4, 2), 7.0), "abc").tolist() == np.full((3, 4, 2), 7.0).tolist()
    line = split_evenly([[0, 5], [30, 5], [30, 5], [0, 5]], "abc")
    np.testing.assert_allclose(line[1], [[10, 5], [20, 5], [20, 5], [10, 5]])


def test_a_letter_stays_with_the_invisible_sign_that_joins_it():
    assert grapheme_clusters("a\u200db") == ["a\u200d", "b"]


def test_words_whose_characters_are_known_miss_none():
    known = Word(WORD, "ab", character_quads_xy=np.stack([WORD, WORD]))

    assert [num_missing_characters(word) for word in (known, Word(WORD, "ab"), Word(WORD, dont_care=True))] == [0, 2, 0]


def test_the_width_of_a_word_is_the_mean_of_its_upper_and_lower_side():
    narrow_below = np.array([[0, 0], [20, 0], [15, 28], [5, 28]], dtype=np.float32)  # 15 wide on average, 28 high

    first, second = split_evenly(narrow_below, "ab")

    assert first[:, 1].max() <= second[:, 1].max()
    assert second[:, 1].min() > 10  # the second character lies below the first
