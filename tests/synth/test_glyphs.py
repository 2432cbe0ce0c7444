"""Glyphs flattened in compiled code against the formulas of Bezier curves."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import uharfbuzz

from craft.synth.glyphs import FLATNESS, flatten_glyph

FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


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
    path = str(FOLDER / "DejaVuSerif.ttf")
    face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(path))
    font = uharfbuzz.Font(face)
    for letter in text:
        glyph = font.get_nominal_glyph(ord(letter))

        outline = flatten_glyph(font, glyph, units=float(face.upem))

        expected, expected_ends = plainly_flattened(font, glyph, float(face.upem))
        np.testing.assert_allclose(outline.points_xy, expected, rtol=0, atol=1e-12)
        assert outline.contour_ends.tolist() == expected_ends


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

    outline = flatten_glyph(drawing, 0, units=1000.0)

    np.testing.assert_allclose(outline.points_xy, np.array(recorder.points) / 1000.0 * [1.0, -1.0], rtol=0, atol=1e-12)
    assert outline.contour_ends.tolist() == [len(recorder.points)]
    assert len(outline.points_xy) > 20
