"""What the label readers share: a set as read, a word checked, a label file's text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.geometry import are_convex_and_clockwise, clockwise, convex_turn, is_simple
from craft.scene import Problem, Scene, Word

DONT_CARE_TEXT = "###"
LARGEST_COORDINATE = 1e6
_LINE_END = re.compile(r"\r\n|\n|\r")


class LabelError(ValueError):
    """One label is wrong; says what is wrong and what to do, while the caller knows where."""

    def __init__(self, what: str, remedy: str, *, line: int | None = None) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
        self.line = line

    def at(self, where: str) -> Problem:
        """The problem to report for `where`: "file:line", or "file" where the error itself knows its line, if any."""
        return Problem(where if self.line is None else f"{where}:{self.line}", self.what, self.remedy)


@dataclass(frozen=True, slots=True, eq=False)
class SetReading:
    """A labelled set as read.

    Attributes:
        scenes: every scene whose picture has a label, in the order of their numbers or of the file; words that could
            not be read are missing from theirs.
        problems: everything wrong or worth a remark, in the order it was found.
        bad_scenes: names of the scenes with a fatal problem, also of those that could not become a scene at all.
    """

    scenes: tuple[Scene, ...]
    problems: tuple[Problem, ...] = ()
    bad_scenes: frozenset[str] = frozenset()

    @property
    def good_scenes(self) -> tuple[Scene, ...]:
        """The scenes that nothing is wrong with."""
        return tuple(scene for scene in self.scenes if scene.name not in self.bad_scenes)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The fatal problems."""
        return tuple(problem for problem in self.problems if problem.fatal)


def make_word(
    polygon_xy: ArrayLike,
    *,
    text: str | None,
    script: str = "",
    dont_care: bool = False,
    character_quads_xy: ArrayLike | None = None,
    confidence: float = 1.0,
    source: str = "",
) -> Word:
    """Check a label and make it a word.

    A counter-clockwise polygon is reversed around its first corner, which stays the start of the text. A word without
    a transcription and without characters is "don't care".

    Args:
        polygon_xy: (P, 2) corners in source pixels, P >= 4, used as given.
        text: the transcription; None, "" and "###" mean that there is none.
        script: as the label says; "None" counts as none.
        dont_care: True where the label says so by other means than the text.
        character_quads_xy: (C, 4, 2) in source pixels and reading order, or None.
        confidence: of the characters, 0 to 1.
        source: "file:line".

    Returns:
        The word.

    Raises:
        LabelError: a coordinate is not finite or beyond a million pixels, or a polygon has no area or crosses itself.
    """
    polygon = check_polygon(polygon_xy, what="word")
    characters: NDArray[np.float32] | None = None
    if character_quads_xy is not None:
        characters = _check_quads(np.asarray(character_quads_xy, dtype=np.float64))
    text = text.strip() if text is not None else ""
    usable = text not in ("", DONT_CARE_TEXT)
    return Word(
        polygon_xy=polygon,
        text=text if usable else None,
        script="" if script.strip() == "None" else script.strip(),
        dont_care=dont_care or not (usable or characters is not None),
        character_quads_xy=characters,
        confidence=confidence,
        source=source,
    )


def _check_quads(quads_xy: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """What `check_polygon` makes of each character; all at once where they are convex and clockwise, as nearly all are."""
    if not len(quads_xy):
        return None
    if np.isfinite(quads_xy).all() and np.abs(quads_xy).max() <= LARGEST_COORDINATE:
        quads = quads_xy.astype(np.float32)
        if quads.shape[1] == 4 and are_convex_and_clockwise(quads):
            return quads
    return np.stack([check_polygon(quad, what=f"character {number}") for number, quad in enumerate(quads_xy, 1)])


def check_polygon(polygon_xy: ArrayLike, *, what: str) -> NDArray[np.float32]:
    """Check a polygon and make it clockwise.

    Args:
        polygon_xy: (P, 2) corners in pixels.
        what: what messages call it.

    Returns:
        (P, 2) float32, clockwise, starting where it started.

    Raises:
        LabelError: a coordinate is not finite or too large, the polygon has no area, or its sides cross.
    """
    points = np.asarray(polygon_xy, dtype=np.float64)
    if len(points) == 4:
        plain = _plain_quad(points)
        if plain is not None:
            return plain
    if not np.isfinite(points).all() or np.abs(points).max() > LARGEST_COORDINATE:
        raise LabelError(
            f"{what} has a coordinate that is no number of pixels: {_corners(points)}",
            "correct it, or delete the label",
        )
    points = points.astype(np.float32)
    if not is_simple(points):
        remedy = "draw it again as corners in clockwise order from the start of the text, or delete the label"
        if _on_one_line(points):
            raise LabelError(f"{what} has no area: {_corners(points)}", remedy)
        raise LabelError(f"{what}'s sides cross or touch: {_corners(points)}", remedy)
    return clockwise(points)


def _plain_quad(points: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """What `check_polygon` makes of a convex quad, as nearly all labels are, number by number; None for others."""
    if not all(abs(number) <= LARGEST_COORDINATE for corner in points.tolist() for number in corner):
        return None
    rounded = points.astype(np.float32)
    turn = convex_turn(rounded.tolist())
    if turn == 0:
        return None
    return rounded if turn > 0 else rounded[[0, 3, 2, 1]]


def read_label_text(path: Path) -> str:
    """Read a label file as UTF-8, without the byte order mark that it may begin with.

    Args:
        path: the file.

    Returns:
        Its text.

    Raises:
        LabelError: it cannot be read or is not UTF-8; the message says in which line.
    """
    try:
        buffer = path.read_bytes()
    except OSError as error:
        raise LabelError(f"label cannot be read ({error.strerror})", "restore it, or remove its picture") from error
    try:
        return buffer.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = buffer.count(b"\n", 0, error.start) + 1
        what = f"label is not UTF-8 (byte {buffer[error.start]:#04x})"
        raise LabelError(what, "save the file as UTF-8", line=line) from error


def split_lines(text: str) -> list[str]:
    """Split at line feeds and carriage returns alone: transcriptions may hold Unicode's other separators."""
    return _LINE_END.split(text)


def shorten(text: str, *, limit: int = 80) -> str:
    """Quote text for a message, cut to `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def words_outside(scene: Scene, *, size_hw: tuple[int, int]) -> list[Problem]:
    """Remark on words that do not touch their picture.

    Args:
        scene: the scene.
        size_hw: height and width of its picture.

    Returns:
        One remark per word wholly outside.
    """
    height, width = size_hw
    found = []
    for word in scene.words:
        xs, ys = word.polygon_xy.T.tolist()
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            what = f"word {shorten(word.text or DONT_CARE_TEXT)} lies outside its picture of {width} x {height} pixels"
            found.append(Problem(word.source, what, "check that label and picture belong together", fatal=False))
    return found


def join_readings(readings: Iterable[SetReading]) -> SetReading:
    """Put readings one after the other.

    Args:
        readings: in order; their scenes' names differ.

    Returns:
        All of them as one.
    """
    parts = list(readings)
    return SetReading(
        scenes=tuple(scene for part in parts for scene in part.scenes),
        problems=tuple(problem for part in parts for problem in part.problems),
        bad_scenes=frozenset().union(*(part.bad_scenes for part in parts)),
    )


def _corners(points: NDArray[np.floating]) -> str:
    return " ".join(f"({x:g}, {y:g})" for x, y in points)


def _on_one_line(points: NDArray[np.floating]) -> bool:
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    return bool(np.linalg.matrix_rank(centred, tol=1e-6 * max(1.0, float(np.abs(centred).max()))) < 2)
