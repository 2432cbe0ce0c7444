"""Glyphs: HarfBuzz gives lines and curves, which are flattened to segments too short to be seen."""

from functools import cache

import numpy as np
import uharfbuzz
from numpy.typing import NDArray

from craft.kernels import njit
from craft.synth.outlines import Outline

# Greatest distance between a curve and the segments it is flattened to, in em.
FLATNESS = 0.0015

_MOST_QUADRATIC, _MOST_CUBIC = 12, 16  # segments of a curve
_LINE, _QUADRATIC, _CUBIC, _CLOSE = 0.0, 1.0, 2.0, 3.0


def flatten_glyph(font: uharfbuzz.Font, glyph: int, *, units: float) -> Outline:
    """Flatten glyph number `glyph` of a font with `units` per em to corners, in em; no contours without ink."""
    recording: list[float] = []
    font.draw_glyph(glyph, _draw_functions(), recording)
    points, ends = _flatten(np.array(recording, dtype=np.float64), units, *_curve_weights())
    return Outline(points / units * np.array([1.0, -1.0]), ends)


@cache
def _draw_functions() -> uharfbuzz.DrawFuncs:
    """Callbacks that append a mark and coordinates to a list; they run once a segment, so they do nothing else."""
    functions = uharfbuzz.DrawFuncs()
    functions.set_move_to_func(lambda x, y, recording: recording.extend((_LINE, x, y)))
    functions.set_line_to_func(lambda x, y, recording: recording.extend((_LINE, x, y)))
    functions.set_quadratic_to_func(lambda cx, cy, x, y, recording: recording.extend((_QUADRATIC, cx, cy, x, y)))
    functions.set_cubic_to_func(
        lambda ax, ay, bx, by, x, y, recording: recording.extend((_CUBIC, ax, ay, bx, by, x, y))
    )
    functions.set_close_path_func(lambda recording: recording.append(_CLOSE))
    return functions


@cache
def _curve_weights() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of start, control points and end in point `step` of a curve of `steps` segments: [steps, step]."""
    quadratic = np.zeros((_MOST_QUADRATIC + 1, _MOST_QUADRATIC + 1, 3))
    cubic = np.zeros((_MOST_CUBIC + 1, _MOST_CUBIC + 1, 4))
    for steps in range(1, _MOST_CUBIC + 1):
        for step in range(1, steps + 1):
            t = step / steps
            cubic[steps, step] = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            if steps <= _MOST_QUADRATIC:
                quadratic[steps, step] = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return quadratic, cubic


@njit(cache=True, nogil=True)
def _flatten(recording, units, quadratic, cubic):
    points = np.empty((3 * len(recording), 2))  # a curve of 5 or 7 numbers becomes 12 or 16 corners at most
    ends = np.empty(len(recording), np.int64)
    size, contours, at = 0, 0, 0
    while at < len(recording):
        kind = recording[at]
        values = recording[at + 1 : at + 7]
        if kind == _LINE:
            points[size] = values[:2]
            size, at = size + 1, at + 3
        elif kind == _QUADRATIC:
            start, control, end = points[size - 1], values[:2], values[2:4]
            bend = np.hypot(start[0] - 2 * control[0] + end[0], start[1] - 2 * control[1] + end[1]) / units
            steps = min(max(int(np.ceil(np.sqrt(bend / 4 / FLATNESS))), 1), _MOST_QUADRATIC)
            for step in range(1, steps + 1):
                a, b, c = quadratic[steps, step]
                for axis in range(2):
                    points[size + step - 1, axis] = a * start[axis] + b * control[axis] + c * end[axis]
            size, at = size + steps, at + 5
        elif kind == _CUBIC:
            start, first, second, end = points[size - 1], values[:2], values[2:4], values[4:6]
            bend = max(
                np.hypot(start[0] - 2 * first[0] + second[0], start[1] - 2 * first[1] + second[1]),
                np.hypot(first[0] - 2 * second[0] + end[0], first[1] - 2 * second[1] + end[1]),
            )
            steps = min(max(int(np.ceil(np.sqrt(0.75 * bend / units / FLATNESS))), 1), _MOST_CUBIC)
            for step in range(1, steps + 1):
                a, b, c, d = cubic[steps, step]
                for axis in range(2):
                    points[size + step - 1, axis] = a * start[axis] + b * first[axis] + c * second[axis] + d * end[axis]
            size, at = size + steps, at + 7
        else:
            ends[contours] = size
            contours, at = contours + 1, at + 1
    return points[:size].copy(), ends[:contours].copy()
