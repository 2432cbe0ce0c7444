"""Character quads hug their glyphs, and planes are seen as a camera sees them."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from craft.geometry import polygon_iou, quad_around
from craft.synth.placement import letter_height, pixel_window, place_text, plane_in_space, project
from craft.synth.typeface import Typeface, load_typeface

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def face(name: str = "DejaVuSans") -> Typeface:
    return load_typeface(str(FOLDER / f"{name}.ttf"))


def ink_box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.max(axis=1) > 100), np.flatnonzero(mask.max(axis=0) > 100)
    x1, y1, x2, y2 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


@pytest.mark.parametrize("name", ["DejaVuSans", "DejaVuSerif-Italic", "STIXGeneralBol", "cmr10"])
def test_character_quads_hug_the_ink_of_glyphs_rendered_alone(name):
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


def test_spaces_have_no_quad():
    typeface = face()
    placed = place_text(typeface.shape("a b"), typeface, size=20, matrix=np.eye(3))

    assert placed.text == "ab"
    assert placed.character_quads_xy.shape == (2, 4, 2)


def test_a_plane_seen_from_the_front_keeps_its_size_and_a_turned_one_shrinks_away():
    facing = plane_in_space(target_xy=(50, 60), yaw=0, pitch=0, roll=0, distance=500)
    turned = plane_in_space(target_xy=(50, 60), yaw=60, pitch=0, roll=0, distance=500)

    np.testing.assert_allclose(project(np.array([[0.0, 0], [10, -5]]), facing), [[50, 60], [60, 55]])
    left, right = project(np.array([[-100.0, 0], [100, 0]]), turned)[:, 0] - 50
    assert -left > right > 0  # the right side is further away
    assert right < 50  # and foreshortened to cos 60 degrees or less


def test_the_quad_around_a_bent_word_starts_where_the_word_does():
    typeface = face()
    placed = place_text(typeface.shape("around"), typeface, size=40, matrix=np.eye(3), bend=1 / 120)

    quad = quad_around(placed.polygon_xy)

    assert len(placed.polygon_xy) > 6
    assert np.linalg.norm(quad - placed.polygon_xy[0], axis=1).argmin() == 0
    assert abs(letter_height(placed.polygon_xy) - 40 * 0.76) < 4


def test_the_height_of_a_quad_is_that_of_a_polygon_to_the_last_bit():
    for quad in np.random.default_rng(0).uniform(0, 700, (300, 4, 2)).astype(np.float32):
        left, right = quad[0] - quad[3], quad[1] - quad[2]
        across = 0.5 * (quad[1] + quad[2]) - 0.5 * (quad[0] + quad[3])
        height = np.linalg.norm(np.stack([left, right]), axis=1).mean()

        assert letter_height(quad) == float(min(height, np.linalg.norm(across[None], axis=1).sum()))


@pytest.mark.parametrize(
    ("points", "rows", "columns"),
    [
        ([[3.2, 4.7], [9.9, 6.1]], (2, 9), (1, 12)),
        ([[-50.0, -50.0], [900.0, 900.0]], (0, 20), (0, 30)),
        ([[-90.0, 3.0], [-80.0, 5.0]], (1, 7), (0, 0)),
        ([[-1e30, 3.0], [np.inf, 5.0]], (1, 7), (0, 30)),
    ],
)
def test_the_window_around_points_is_clipped_to_the_image(points, rows, columns):
    window = pixel_window(np.array(points), margin=2, size_hw=(20, 30))

    assert window == (slice(*rows), slice(*columns))
