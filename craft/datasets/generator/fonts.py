"""Fonts: their outlines, measures and coverage, and text shaped with HarfBuzz into glyph outlines."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import regex
import uharfbuzz
from numpy.typing import NDArray

# Greatest distance between a curve and the segments it is flattened to, in em.
FLATNESS = 0.0015

# H, eta, en, hiragana a, "middle", ga, alef, ka in Bangla and Devanagari: the first that a font has gives its height.
_TALL_LETTERS = "H\u0397\u041d\u3042\u4e2d\uac00\u0627\u0995\u0915"


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A flattened glyph or text. Coordinates are em, x to the right, y DOWN, the baseline at y = 0.

    Attributes:
        points_xy: (P, 2) float64, the corners of all contours one after another.
        contour_ends: (K,) int64, index after the last corner of each contour.
    """

    points_xy: NDArray[np.float64]
    contour_ends: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ShapedText:
    """A word or line that HarfBuzz shaped.

    Attributes:
        outline: its contours, in em.
        characters: its grapheme clusters, spaces included, in reading order.
        boxes_xyxy: (len(characters), 4) float64, ink box of each in em; NaN for one without ink, such as a space.
        advance: em that the pen moved, to the right (or down, for vertical text).
    """

    outline: Outline
    characters: tuple[str, ...]
    boxes_xyxy: NDArray[np.float64]
    advance: float


class Typeface:
    """One face of a font file, with its glyph outlines kept once flattened.

    Attributes:
        path: font file.
        index: face inside a collection.
        name: file name without its ending, with "#index" where the file holds several faces.
    """

    def __init__(self, path: str | Path, index: int = 0):
        self.path = str(path)
        self.index = index
        self._face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(self.path), index)
        if self._face.glyph_count == 0:
            raise ValueError(f"{path}: not a font file, or no face {index} in it; remove it or name another")
        self._font = uharfbuzz.Font(self._face)
        self._units = float(self._face.upem)
        self._codepoints = self._face.unicodes
        self._glyphs: dict[int, tuple[Outline, tuple[float, ...]]] = {}
        self.name = Path(path).stem + (f"#{index}" if index else "")

    @cached_property
    def cap_height(self) -> float:
        """Height of H in em, or of the first tall letter that there is."""
        return self._letter_height(_TALL_LETTERS) or 0.7

    @cached_property
    def x_height(self) -> float:
        """Height of x in em, or half of the capitals' where there is no x."""
        return self._letter_height("x") or 0.5 * self.cap_height

    def covers(self, text: str) -> bool:
        """Whether the face has a glyph with ink for every character of a text (spaces and joiners aside).

        Args:
            text: any text.

        Returns:
            True where nothing of it would be drawn as an empty box.
        """
        return all(ord(sign) in self._codepoints for sign in text if not sign.isspace() and sign not in "\u200c\u200d")

    def has_ink(self, character: str) -> bool:
        """Whether the glyph of a character draws something.

        Args:
            character: one code point that the face covers.

        Returns:
            False for a space or a glyph left empty.
        """
        return bool(self._glyph(self._font.get_nominal_glyph(ord(character)))[1])

    def names(self) -> dict[str, str]:
        """What the face says of itself.

        Returns:
            "family", "full" (its full name) and "licence", the first 160 characters or "not stated".
        """
        identifiers = uharfbuzz.OTNameIdPredefined

        def read(identifier: int) -> str:
            return " ".join((self._face.get_name(identifier) or "").split())

        family = read(identifiers.TYPOGRAPHIC_FAMILY) or read(identifiers.FONT_FAMILY) or self.name
        full = read(identifiers.FULL_NAME) or self.name
        return {"family": family, "full": full, "licence": read(identifiers.LICENSE)[:160] or "not stated"}

    def shape(self, text: str, *, vertical: bool = False) -> ShapedText:
        """Shape a text: joining, conjuncts, kerning and direction as its script asks.

        Args:
            text: one word or line, of one direction.
            vertical: set it from top to bottom, with the font's vertical forms; x is then measured from the middle
                of the column, y from its top.

        Returns:
            The shaped text.

        Raises:
            ValueError: the face lacks a glyph that the text needs.
        """
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        if vertical:
            buffer.direction = "ttb"
        uharfbuzz.shape(self._font, buffer, {})
        clusters = regex.findall(r"\X", text)
        starts = list(accumulate((len(cluster) for cluster in clusters), initial=0))
        infos, positions = buffer.glyph_infos, buffer.glyph_positions
        following = _following({info.cluster for info in infos}, len(text))
        boxes = np.full((len(clusters), 4), np.nan)
        points, ends = [], []
        pen_x, pen_y, size = 0.0, 0.0, 0
        for info, position in zip(infos, positions, strict=True):
            if info.codepoint == 0:
                raise ValueError(f"{self.path}: no glyph for {text!r}; choose a font that has it")
            glyph, ink = self._glyph(info.codepoint)
            if ink:
                x = (pen_x + position.x_offset) / self._units
                y = -(pen_y + position.y_offset) / self._units
                points.append(glyph.points_xy + np.array([x, y]))
                ends.append(glyph.contour_ends + size)
                size += len(glyph.points_xy)
                first = bisect_right(starts, info.cluster) - 1
                last = max(bisect_left(starts, following[info.cluster]), first + 1)
                box = (ink[0] + x, ink[1] + y, ink[2] + x, ink[3] + y)
                _add_ink(boxes, box, first, last, right_to_left=buffer.direction == "rtl")
            pen_x += position.x_advance
            pen_y += position.y_advance
        outline = Outline(
            np.concatenate(points) if points else np.empty((0, 2)),
            np.concatenate(ends) if ends else np.empty(0, np.int64),
        )
        advance = (-pen_y if vertical else pen_x) / self._units
        return ShapedText(outline, tuple(clusters), boxes, advance)

    def _glyph(self, glyph: int) -> tuple[Outline, tuple[float, ...]]:
        """Outline of a glyph and its ink box x1, y1, x2, y2 in em; the box is empty where there is no ink."""
        found = self._glyphs.get(glyph)
        if found is None:
            recorder = _Recorder(self._units)
            self._font.draw_glyph(glyph, _draw_functions(), recorder)
            outline = recorder.outline()
            points = outline.points_xy
            box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist()) if len(points) else ()
            found = self._glyphs[glyph] = outline, box
        return found

    def _letter_height(self, letters: str) -> float:
        for letter in letters:
            if ord(letter) in self._codepoints:
                box = self._glyph(self._font.get_nominal_glyph(ord(letter)))[1]
                if box:
                    return -box[1]
        return 0.0


@cache
def load_typeface(path: str, index: int = 0) -> Typeface:
    """Open a font file once per process.

    Args:
        path: font file.
        index: face inside a collection.

    Returns:
        The face.

    Raises:
        ValueError: it is not a font.
    """
    return Typeface(path, index)


def _following(clusters: set[int], end: int) -> dict[int, int]:
    """For each cluster of glyphs the first code point after it."""
    ordered = sorted(clusters)
    return dict(zip(ordered, [*ordered[1:], end], strict=True))


def _add_ink(
    boxes: NDArray[np.float64], ink: tuple[float, float, float, float], first: int, last: int, *, right_to_left: bool
) -> None:
    """Grow the boxes of the characters that a glyph draws; the box of a ligature is cut evenly between its own."""
    x1, y1, x2, y2 = ink
    count = last - first
    for part in range(count):
        left, right = x1 + (x2 - x1) * part / count, x1 + (x2 - x1) * (part + 1) / count
        box = boxes[last - 1 - part if right_to_left else first + part]
        if np.isnan(box[0]):
            box[:] = (left, y1, right, y2)
        else:
            box[:] = (min(box[0], left), min(box[1], y1), max(box[2], right), max(box[3], y2))


class _Recorder:
    """Collects the flattened contours of one glyph from HarfBuzz' drawing callbacks."""

    def __init__(self, units: float):
        self._units = units
        self._points: list[tuple[float, float]] = []
        self._ends: list[int] = []

    def move(self, x: float, y: float) -> None:
        self._points.append((x, y))

    def quadratic(self, control: tuple[float, float], end: tuple[float, float]) -> None:
        start = self._points[-1]
        bend = math.hypot(start[0] - 2 * control[0] + end[0], start[1] - 2 * control[1] + end[1]) / self._units
        steps = min(max(math.ceil(math.sqrt(bend / 4 / FLATNESS)), 1), 12)
        for step in range(1, steps + 1):
            t = step / steps
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            self._points.append(
                (a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1])
            )

    def cubic(self, first: tuple[float, float], second: tuple[float, float], end: tuple[float, float]) -> None:
        start = self._points[-1]
        bend = max(
            math.hypot(start[0] - 2 * first[0] + second[0], start[1] - 2 * first[1] + second[1]),
            math.hypot(first[0] - 2 * second[0] + end[0], first[1] - 2 * second[1] + end[1]),
        )
        steps = min(max(math.ceil(math.sqrt(0.75 * bend / self._units / FLATNESS)), 1), 16)
        for step in range(1, steps + 1):
            t = step / steps
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            self._points.append(
                (
                    a * start[0] + b * first[0] + c * second[0] + d * end[0],
                    a * start[1] + b * first[1] + c * second[1] + d * end[1],
                )
            )

    def close(self) -> None:
        self._ends.append(len(self._points))

    def outline(self) -> Outline:
        points = np.array(self._points, dtype=np.float64).reshape(-1, 2) / self._units
        return Outline(points * np.array([1.0, -1.0]), np.array(self._ends, dtype=np.int64))


@cache
def _draw_functions() -> uharfbuzz.DrawFuncs:
    functions = uharfbuzz.DrawFuncs()
    functions.set_move_to_func(lambda x, y, recorder: recorder.move(x, y))
    functions.set_line_to_func(lambda x, y, recorder: recorder.move(x, y))
    functions.set_quadratic_to_func(lambda cx, cy, x, y, recorder: recorder.quadratic((cx, cy), (x, y)))
    functions.set_cubic_to_func(lambda ax, ay, bx, by, x, y, recorder: recorder.cubic((ax, ay), (bx, by), (x, y)))
    functions.set_close_path_func(lambda recorder: recorder.close())
    return functions
