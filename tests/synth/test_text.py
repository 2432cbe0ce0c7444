"""Shaping, rasterising and placing: every character quad hugs its glyph."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import shapely
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry import Polygon

from craft.geometry import polygon_iou
from craft.synth.fonts import Typeface, load_typeface
from craft.synth.layouts import LAYOUTS, arrange
from craft.synth.lexicon import LANGUAGES, word_list
from craft.synth.placement import letter_height, place_text, plane_in_space, quad_around, send
from craft.synth.rasterizer import coverage
from craft.synth.text import Writer, script_label
from craft.synth.typefaces import font_pool

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def face(name: str = "DejaVuSans") -> Typeface:
    return load_typeface(str(FOLDER / f"{name}.ttf"))


def ink_box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.max(axis=1) > 100), np.flatnonzero(mask.max(axis=0) > 100)
    x1, y1, x2, y2 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def test_a_square_covers_exactly_its_pixels_and_half_of_the_one_it_cuts():
    square = np.array([[1.0, 1.0], [3.5, 1.0], [3.5, 3.0], [1.0, 3.0]])

    mask = coverage(square, np.array([4]), size_hw=(4, 5))

    expected = np.zeros((4, 5), np.uint8)
    expected[1:3, 1:3] = 255
    expected[1:3, 3] = 128
    np.testing.assert_array_equal(mask, expected)


def test_coverage_equals_the_area_of_polygons_partly_outside():
    generator = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(generator.uniform(0, 2 * np.pi, 7))
        points = generator.uniform(-4, 20, 2) + 9 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        column, row = np.meshgrid(np.arange(16), np.arange(16))
        reference = shapely.area(shapely.intersection(shapely.box(column, row, column + 1, row + 1), Polygon(points)))

        mask = coverage(points, np.array([7]), size_hw=(16, 16))

        np.testing.assert_allclose(mask, 255 * reference, atol=0.51)


def test_overlapping_contours_join_and_opposite_ones_are_holes():
    outer = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])

    joined = coverage(np.concatenate([outer, outer]), np.array([4, 8]), size_hw=(4, 4))
    hole = coverage(np.concatenate([outer, outer[::-1]]), np.array([4, 8]), size_hw=(4, 4))

    assert (joined == 255).all()
    assert (hole == 0).all()


@pytest.mark.parametrize("name", ["DejaVuSans", "DejaVuSerif-Italic", "STIXGeneralBol", "cmr10"])
def test_character_quads_hug_the_ink_of_glyphs_drawn_alone(name):
    size, typeface = 48, face(name)
    font = ImageFont.truetype(str(FOLDER / f"{name}.ttf"), size)
    overlaps = []
    for letter in "ABCDEGHKMNOPQRSTUVWXYZabcdeghkmnopqrstuvwxyz023456789":
        matrix = np.array([[1.0, 0, 20], [0, 1, 70], [0, 0, 1]])
        placed = place_text(typeface.shape(letter), typeface, size=size, matrix=matrix)
        alone = Image.new("L", (100, 100))
        ImageDraw.Draw(alone).text((20, 70), letter, fill=255, font=font, anchor="ls")
        overlaps.append(polygon_iou(placed.character_quads_xy[0], ink_box(np.asarray(alone))))

    assert np.mean(overlaps) > 0.9
    assert min(overlaps) > 0.7


def test_narrow_characters_get_half_the_x_height():
    typeface = face()
    placed = place_text(typeface.shape("i.-"), typeface, size=100, matrix=np.eye(3))

    width = placed.character_quads_xy[:, 1, 0] - placed.character_quads_xy[:, 0, 0]
    height = placed.character_quads_xy[:, 3, 1] - placed.character_quads_xy[:, 0, 1]
    assert (np.minimum(width, height) >= 50 * typeface.x_height - 1e-3).all()


def test_a_ligature_is_cut_between_its_characters():
    typeface = face("DejaVuSerif")
    shaped = typeface.shape("office")

    assert shaped.characters == tuple("office")
    assert (np.diff(shaped.boxes_xyxy[:, 0]) > 0).all()


def test_arabic_is_joined_and_its_characters_run_from_right_to_left():
    typeface = face()
    word = "\u0643\u062a\u0627\u0628"  # kitab, book

    shaped = typeface.shape(word)
    apart = sum(typeface.shape(letter).advance for letter in word)

    assert shaped.characters == tuple(word)
    assert (np.diff(shaped.boxes_xyxy[:, 0]) < 0).all()
    assert shaped.advance < apart


def test_a_combining_mark_belongs_to_its_letter():
    shaped = face().shape("e\u0301t")

    assert shaped.characters == ("e\u0301", "t")
    assert shaped.boxes_xyxy.shape == (2, 4)


def test_spaces_have_no_quad():
    typeface = face()
    placed = place_text(typeface.shape("a b"), typeface, size=20, matrix=np.eye(3))

    assert placed.text == "ab"
    assert placed.character_quads_xy.shape == (2, 4, 2)


def test_a_glyph_that_is_missing_is_refused_and_never_drawn_as_a_box():
    typeface = face("cmr10")

    assert not typeface.covers("\u4e2d")
    with pytest.raises(ValueError, match="no glyph for '\u4e2d'"):
        typeface.shape("\u4e2d")


def test_a_file_that_is_no_font_is_refused(tmp_path):
    (tmp_path / "text.ttf").write_text("no font")

    with pytest.raises(ValueError, match="not a font file"):
        Typeface(tmp_path / "text.ttf")


def test_a_plane_seen_from_the_front_keeps_its_size_and_a_turned_one_shrinks_away():
    facing = plane_in_space(target_xy=(50, 60), yaw=0, pitch=0, roll=0, distance=500)
    turned = plane_in_space(target_xy=(50, 60), yaw=60, pitch=0, roll=0, distance=500)

    np.testing.assert_allclose(send(np.array([[0.0, 0], [10, -5]]), facing), [[50, 60], [60, 55]])
    left, right = send(np.array([[-100.0, 0], [100, 0]]), turned)[:, 0] - 50
    assert -left > right > 0  # the right side is further away
    assert right < 50  # and foreshortened to cos 60 degrees or less


def test_the_quad_around_a_bent_word_starts_where_the_word_does():
    typeface = face()
    placed = place_text(typeface.shape("around"), typeface, size=40, matrix=np.eye(3), bend=1 / 120)

    quad = quad_around(placed.polygon_xy)

    assert len(placed.polygon_xy) > 6
    assert np.linalg.norm(quad - placed.polygon_xy[0], axis=1).argmin() == 0
    assert abs(letter_height(placed.polygon_xy) - 40 * 0.76) < 4


def test_every_layout_writes_something_in_every_script_with_a_font():
    pool = font_pool((), system=False)
    generator = np.random.default_rng(0)
    for script in pool.families:
        for kind in LAYOUTS:
            writer = Writer(generator, script, pool.choose(generator, script), "mixed")

            items = arrange(kind, writer, size=20.0)

            assert items
            assert all(not np.isnan(item.shaped.boxes_xyxy).any() for item in items)


def test_script_labels_follow_the_letters():
    assert script_label("Caf\u00e9", "Latin") == "Latin"
    assert script_label("12:30", "Korean") == "Latin"
    assert script_label("\u4e2d\u56fd", "Chinese") == "Chinese"
    assert script_label("\u4e2dA", "Chinese") == "Mixed"
    assert script_label("!?", "Arabic") == "Symbols"


def test_every_word_list_has_words_of_its_own_script():
    for languages in LANGUAGES.values():
        assert abs(sum(share for _, share in languages) - 1) < 1e-9
        for language, _ in languages:
            words = word_list(language)
            assert len(words) >= 800
            assert len(set(words)) == len(words)
    with pytest.raises(ValueError, match="no word list for language 'xx'"):
        word_list("xx")
