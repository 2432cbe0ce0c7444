"""One face of a font file: its measures and coverage, and text shaped with HarfBuzz into an outline."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import regex
import uharfbuzz
from numpy.typing import NDArray

from craft.synth.glyphs import flatten_glyph
from craft.synth.outlines import Outline, extent

# H, eta, en, hiragana a, "middle", ga, alef, ka in Bangla and Devanagari: the first that a font has gives its height.
_TALL_LETTERS = "H\u0397\u041d\u3042\u4e2d\uac00\u0627\u0995\u0915"

_CLUSTER = regex.compile(r"\X")
_NO_INK = (np.nan,) * 4


@dataclass(frozen=True, slots=True, eq=False)
class ShapedText:
    """A shaped word or line."""

    outline: Outline  # its contours, in em
    characters: tuple[str, ...]  # its grapheme clusters, spaces included, in reading order
    boxes_xyxy: NDArray[np.float64]  # (len(characters), 4), ink box of each in em; NaN without ink
    advance: float  # em that the pen moved, to the right (or down, for vertical text)


class Typeface:
    """One face of a font file, with its glyph outlines kept once flattened."""

    def __init__(self, path: str | Path, index: int = 0):
        self.path = str(path)
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
        """Height of H in em, or of the first tall letter that the face has."""
        return self._letter_height(_TALL_LETTERS) or 0.7

    @cached_property
    def x_height(self) -> float:
        """Height of x in em, or half the capitals' height without an x."""
        return self._letter_height("x") or 0.5 * self.cap_height

    def covers(self, text: str) -> bool:
        """Return whether the face has a glyph for every character of a text, spaces and joiners aside."""
        return all(ord(char) in self._codepoints for char in text if not char.isspace() and char not in "\u200c\u200d")

    def has_ink(self, character: str) -> bool:
        """Return whether the glyph of a covered code point draws something."""
        return bool(self._glyph(self._font.get_nominal_glyph(ord(character)))[1])

    def names(self) -> dict[str, str]:
        """Return "family", "full" (name) and "licence" (its first 160 characters or "not stated") as the face has them."""
        identifiers = uharfbuzz.OTNameIdPredefined

        def read(identifier: int) -> str:
            return " ".join((self._face.get_name(identifier) or "").split())

        family = read(identifiers.TYPOGRAPHIC_FAMILY) or read(identifiers.FONT_FAMILY) or self.name
        full = read(identifiers.FULL_NAME) or self.name
        return {"family": family, "full": full, "licence": read(identifiers.LICENSE)[:160] or "not stated"}

    def shape(self, text: str, *, vertical: bool = False) -> ShapedText:
        """Shape a word or line of one direction: joining, conjuncts, kerning and direction as its script asks.

        Vertical text has the font's vertical forms; x is measured from the middle of the column, y from its top. Raises
        ValueError if the face lacks a glyph that the text needs.
        """
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        if vertical:
            buffer.direction = "ttb"
        uharfbuzz.shape(self._font, buffer, {})
        clusters = _CLUSTER.findall(text)
        starts = list(accumulate((len(cluster) for cluster in clusters), initial=0))
        infos, positions = buffer.glyph_infos, buffer.glyph_positions
        ordered = sorted({info.cluster for info in infos})
        following = dict(zip(ordered, [*ordered[1:], len(text)], strict=True))  # first code point after each cluster
        right_to_left = buffer.direction == "rtl"
        boxes: list[tuple[float, ...]] = [_NO_INK] * len(clusters)
        glyphs: list[Outline] = []
        pens: list[tuple[float, float]] = []
        pen_x, pen_y = 0.0, 0.0
        for info, position in zip(infos, positions, strict=True):
            if info.codepoint == 0:
                raise ValueError(f"{self.path}: no glyph for {text!r}; choose a font that has it")
            glyph, ink = self._glyph(info.codepoint)
            if ink:
                x = (pen_x + position.x_offset) / self._units
                y = -(pen_y + position.y_offset) / self._units
                glyphs.append(glyph)
                pens.append((x, y))
                first = bisect_right(starts, info.cluster) - 1
                last = max(bisect_left(starts, following[info.cluster]), first + 1)
                box = (ink[0] + x, ink[1] + y, ink[2] + x, ink[3] + y)
                _add_ink(boxes, box, first, last, right_to_left=right_to_left)
            pen_x += position.x_advance
            pen_y += position.y_advance
        advance = (-pen_y if vertical else pen_x) / self._units
        boxes_xyxy = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        return ShapedText(_move_glyphs(glyphs, pens), tuple(clusters), boxes_xyxy, advance)

    def _glyph(self, glyph: int) -> tuple[Outline, tuple[float, ...]]:
        """Outline of a glyph and its ink box x1, y1, x2, y2 in em; the box is empty where there is no ink."""
        found = self._glyphs.get(glyph)
        if found is None:
            outline = flatten_glyph(self._font, glyph, units=self._units)
            found = self._glyphs[glyph] = outline, extent(outline.points_xy) if len(outline.points_xy) else ()
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
    """Open face `index` of a font file once per process; ValueError where there is none."""
    return Typeface(path, index)


@cache
def bundled_folder() -> Path:
    """Return the folder of the fonts that come with matplotlib."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def bundled_typeface(name: str) -> Typeface:
    """Open a font that comes with matplotlib, such as "DejaVuSans"."""
    return load_typeface(str(bundled_folder() / f"{name}.ttf"))


def _move_glyphs(glyphs: list[Outline], pens_xy: list[tuple[float, float]]) -> Outline:
    """Glyphs moved to their pens, as one outline."""
    if not glyphs:
        return Outline(np.empty((0, 2)), np.empty(0, np.int64))
    points = np.empty((sum(len(glyph.points_xy) for glyph in glyphs), 2))
    ends, first = [], 0
    for glyph, pen in zip(glyphs, pens_xy, strict=True):
        last = first + len(glyph.points_xy)
        np.add(glyph.points_xy, pen, out=points[first:last])
        ends.append(glyph.contour_ends + first)
        first = last
    return Outline(points, np.concatenate(ends))


def _add_ink(
    boxes: list[tuple[float, ...]], ink: tuple[float, ...], first: int, last: int, *, right_to_left: bool
) -> None:
    """Grow the boxes of the characters that a glyph draws; the box of a ligature is cut evenly between its own."""
    x1, y1, x2, y2 = ink
    count = last - first
    for part in range(count):
        left, right = x1 + (x2 - x1) * part / count, x1 + (x2 - x1) * (part + 1) / count
        at = last - 1 - part if right_to_left else first + part
        box = boxes[at]
        if box is _NO_INK:
            boxes[at] = (left, y1, right, y2)
        else:
            boxes[at] = (min(box[0], left), min(box[1], y1), max(box[2], right), max(box[3], y2))
