"""What the generator computes in compiled code is what the plain way computes."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import uharfbuzz

from craft.synth.blending import lit, toned
from craft.synth.curves import FLATNESS, flattened_glyph
from craft.synth.fonts import load_typeface
from craft.synth.placement import letter_height, pixel_window
from craft.synth.rasterizer import extent

FOLDER = Path(matplotlib.get_data_path()) / "fonts"


class Recorder:
    """A glyph's contours point by point, curve by curve, as the formulas of Bezier curves say."""

    def __init__(self, units):
        self.units, self.points, self.ends = units, [], []

    def curve(self, controls, bend, most):
        start = self.points[-1]
        steps = min(max(math.ceil(math.sqrt(bend / self.units / FLATNESS)), 1), most)
        degree = len(controls)
        for step in range(1, steps + 1):
            t = step / steps
            shares = [math.comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
            at = [sum(s * p[axis] for s, p in zip(shares, [start, *controls], strict=True)) for axis in range(2)]
            self.points.append(tuple(at))

    def quadratic(self, control, end):
        start = self.points[-1]
        bend = math.hypot(*(start[axis] - 2 * control[axis] + end[axis] for axis in range(2)))
        self.curve([control, end], bend / 4, 12)

    def cubic(self, first, second, end):
        points = [self.points[-1], first, second, end]
        bends = [
            math.hypot(*(points[k][axis] - 2 * points[k + 1][axis] + points[k + 2][axis] for axis in range(2)))
            for k in range(2)
        ]
        self.curve([first, second, end], 0.75 * max(bends), 16)


def plainly_flattened(font, glyph, units):
    functions, recorder = uharfbuzz.DrawFuncs(), Recorder(units)
    functions.set_move_to_func(lambda x, y, r: r.points.append((x, y)))
    functions.set_line_to_func(lambda x, y, r: r.points.append((x, y)))
    functions.set_quadratic_to_func(lambda cx, cy, x, y, r: r.quadratic((cx, cy), (x, y)))
    functions.set_cubic_to_func(lambda ax, ay, bx, by, x, y, r: r.cubic((ax, ay), (bx, by), (x, y)))
    functions.set_close_path_func(lambda r: r.ends.append(len(r.points)))
    font.draw_glyph(glyph, functions, recorder)
    return np.array(recorder.points).reshape(-1, 2) / units * [1.0, -1.0], recorder.ends


@pytest.mark.parametrize("text", ["S", "g&", "I", " ", "@8"])
def test_glyphs_are_flattened_as_the_formulas_say(text):
    path = str(FOLDER / "ttf" / "DejaVuSerif.ttf")
    face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(path))
    font = uharfbuzz.Font(face)
    for sign in text:
        glyph = font.get_nominal_glyph(ord(sign))

        points, ends = flattened_glyph(font, glyph, units=float(face.upem))

        expected, expected_ends = plainly_flattened(font, glyph, float(face.upem))
        np.testing.assert_allclose(points, expected, rtol=0, atol=1e-12)
        assert ends.tolist() == expected_ends


def test_cubic_curves_are_flattened_as_the_formulas_say():
    class Drawing:
        """A font whose only glyph is a drop with two cubic sides."""

        def draw_glyph(self, _glyph, functions, data):
            self.calls(functions, data)

    drop = [
        ("line", (0.0, 0.0)),
        ("cubic", (300.0, 900.0, 800.0, -100.0, 1000.0, 500.0)),
        ("cubic", (1000.0, 501.0, 1.0, 0.5, 0.0, 0.0)),
    ]
    marks = {"line": 0.0, "cubic": 2.0}
    drawing = Drawing()
    drawing.calls = lambda _functions, recording: recording.extend(
        [number for name, values in drop for number in (marks[name], *values)] + [3.0]
    )
    recorder = Recorder(1000.0)
    recorder.points.append(drop[0][1])
    for _name, (ax, ay, bx, by, x, y) in drop[1:]:
        recorder.cubic((ax, ay), (bx, by), (x, y))

    points, ends = flattened_glyph(drawing, 0, units=1000.0)

    np.testing.assert_allclose(points, np.array(recorder.points) / 1000.0 * [1.0, -1.0], rtol=0, atol=1e-12)
    assert ends.tolist() == [len(recorder.points)]
    assert len(points) > 20


def test_text_is_its_glyphs_at_their_pens():
    typeface = load_typeface(str(FOLDER / "ttf" / "DejaVuSans.ttf"))

    together = typeface.shape("iB")  # a pair without kerning, and an i has two contours
    first, second = typeface.shape("i"), typeface.shape("B")

    moved = second.outline.points_xy + np.array([first.advance, 0.0])
    np.testing.assert_allclose(together.outline.points_xy, np.concatenate([first.outline.points_xy, moved]), atol=1e-12)
    ends = second.outline.contour_ends + len(first.outline.points_xy)
    assert together.outline.contour_ends.tolist() == [*first.outline.contour_ends, *ends]
    np.testing.assert_allclose(
        together.boxes_xyxy[1], second.boxes_xyxy[0] + np.array([first.advance, 0.0] * 2), atol=1e-12
    )


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_an_extent_is_the_least_and_the_largest(kind, count):
    points = np.random.default_rng(count).normal(0, 100, (count, 2)).astype(kind)

    assert extent(points) == (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


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
def test_the_window_around_points_is_cut_at_the_picture(points, rows, columns):
    window = pixel_window(np.array(points), margin=2, size_hw=(20, 30))

    assert window == (slice(*rows), slice(*columns))


def test_light_multiplies_as_opencv_does_for_every_level():
    levels, light = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    picture = np.stack([levels, levels[::-1], levels[:, ::-1]], axis=2)

    np.testing.assert_array_equal(lit(picture, light), cv2.multiply(picture, cv2.merge([light] * 3), scale=1 / 128))


def test_levels_are_looked_up_for_each_channel():
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    table = generator.integers(0, 256, (256, 3), dtype=np.uint8)

    expected = np.stack([table[picture[..., channel], channel] for channel in range(3)], axis=2)
    np.testing.assert_array_equal(toned(picture, table), expected)
    np.testing.assert_array_equal(toned(picture[::2], table), expected[::2])
