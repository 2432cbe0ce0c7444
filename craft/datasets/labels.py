"""What the label readers share: a word checked, a label file's text, a dataset as read."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.errors import Problem, refuse_device
from craft.geometry import are_convex_and_clockwise, clockwise, convex_turn, is_simple
from craft.scene import Scene, Word, is_visible

DONT_CARE_TEXT = "###"
LARGEST_COORDINATE = 1e6
Record = TypeVar("Record")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, eq=False)
class DatasetReading:
    """A labelled dataset as read."""

    scenes: tuple[Scene, ...]  # those whose image has a label, in order, without unreadable words
    problems: tuple[Problem, ...] = ()  # everything wrong or worth a remark, in the order it was found
    bad_scenes: frozenset[str] = frozenset()  # names with a fatal problem, even if no scene came of them

    @property
    def good_scenes(self) -> tuple[Scene, ...]:
        """The scenes that nothing is wrong with."""
        return tuple(scene for scene in self.scenes if scene.name not in self.bad_scenes)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The fatal problems."""
        return tuple(problem for problem in self.problems if problem.fatal)


@dataclass(slots=True)
class ReadingBuilder:
    """A reading that grows scene by scene."""

    scenes: list[Scene] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad_names: set[str] = field(default_factory=set)

    def add(self, scene: Scene, problems: Collection[Problem]) -> None:
        """Add a scene and what is wrong with its words."""
        self.scenes.append(scene)
        self.problems.extend(problems)
        if any(problem.fatal for problem in problems):
            self.bad_names.add(scene.name)

    def refuse(self, name: str, file: Path, what: str, remedy: str) -> None:
        """Add a problem with a file of a scene."""
        self.problems.append(Problem(what, remedy, where=str(file)))
        self.bad_names.add(name)

    def build(self) -> DatasetReading:
        """Finish the reading."""
        return DatasetReading(tuple(self.scenes), tuple(self.problems), frozenset(self.bad_names))


def join_readings(readings: Iterable[DatasetReading]) -> DatasetReading:
    """Put readings, whose scenes' names differ, one after the other."""
    parts = list(readings)
    return DatasetReading(
        scenes=tuple(scene for part in parts for scene in part.scenes),
        problems=tuple(problem for part in parts for problem in part.problems),
        bad_scenes=frozenset().union(*(part.bad_scenes for part in parts)),
    )


Words = tuple[tuple[Word, ...], tuple[Problem, ...]]
"""Words in the order of their labels, and a problem for each label that could not be read."""


def read_words(
    path: Path, split: Callable[[Path], list[tuple[str, Record]]], parse: Callable[[Record, str], Word]
) -> Words:
    """Read a label file's words: `split` gives its records with their "file:line", and `parse` makes words of them."""
    words: list[Word] = []
    problems: list[Problem] = []
    try:
        records = split(path)
    except Problem as problem:
        return (), (problem.at(str(path)),)
    for where, record in records:
        try:
            words.append(parse(record, where))
        except Problem as problem:
            problems.append(problem.at(where))
    return tuple(words), tuple(problems)


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
    """Check a label and make it a word, don't care if it has neither a transcription nor characters.

    The texts None and "###", and those without a visible character, mean no transcription; the script "None" counts as
    none. Problems are those of `check_polygon` and `check_unicode`, without a location.
    """
    check_unicode(text or "", "text")
    check_unicode(script, "script")
    polygon = check_polygon(polygon_xy, what="word")
    characters: NDArray[np.float32] | None = None
    if character_quads_xy is not None:
        characters = _check_quads(np.asarray(character_quads_xy, dtype=np.float64))
    text = text.strip() if text is not None else ""
    usable = text != DONT_CARE_TEXT and any(map(is_visible, text))
    known = usable or characters is not None
    return Word(
        polygon_xy=polygon,
        text=text if usable else None,
        script="" if script.strip() == "None" else script.strip(),
        dont_care=dont_care or not known,
        untranscribed=not (dont_care or known or text == DONT_CARE_TEXT),
        character_quads_xy=characters,
        confidence=confidence,
        source=source,
    )


def _check_quads(quads_xy: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Apply `check_polygon` to each character, all at once where they are convex and clockwise, as most are."""
    if not len(quads_xy):
        return None
    if np.isfinite(quads_xy).all() and np.abs(quads_xy).max() <= LARGEST_COORDINATE:
        quads = quads_xy.astype(np.float32)
        if quads.shape[1] == 4 and are_convex_and_clockwise(quads):
            return quads
    return np.stack([check_polygon(quad, what=f"character {number}") for number, quad in enumerate(quads_xy, 1)])


def check_polygon(polygon_xy: ArrayLike, *, what: str) -> NDArray[np.float32]:
    """Check a polygon (P, 2), called `what` in messages, and reverse a counter-clockwise one around its first corner.

    Raises Problem if a coordinate is not finite or beyond a million pixels, the polygon has no area, or its sides
    cross.
    """
    points = np.asarray(polygon_xy, dtype=np.float64)
    if len(points) == 4:
        plain = _plain_quad(points)
        if plain is not None:
            return plain
    if not np.isfinite(points).all() or np.abs(points).max() > LARGEST_COORDINATE:
        raise Problem(
            f"{what} has a coordinate that is not finite or beyond a million pixels: {_corners(points)}",
            "correct it, or delete the label",
        )
    points = points.astype(np.float32)
    if not is_simple(points):
        remedy = "give its corners in clockwise order from the start of the text, or delete the label"
        if _on_one_line(points):
            raise Problem(f"{what} has no area: {_corners(points)}", remedy)
        raise Problem(f"{what}'s sides cross or touch: {_corners(points)}", remedy)
    return clockwise(points)


def _plain_quad(points: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Apply `check_polygon` to a convex quad, as nearly all labels are, number by number; None for others."""
    if not all(abs(number) <= LARGEST_COORDINATE for corner in points.tolist() for number in corner):
        return None
    rounded = points.astype(np.float32)
    turn = convex_turn(rounded.tolist())
    if turn == 0:
        return None
    return rounded if turn > 0 else rounded[[0, 3, 2, 1]]


def check_unicode(text: str, what: str) -> None:
    """Raise a Problem where text, called `what`, holds half of a surrogate pair, which no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"{what} holds half of a surrogate pair, {text[error.start]!r} at character {error.start + 1}"
        raise Problem(found, "write the whole character, or leave it out") from None


def read_label_text(path: Path) -> str:
    """Read a label file as UTF-8, without a byte order mark; a Problem says at which line it is not."""
    refuse_device(path, "give a file")
    try:
        buffer = path.read_bytes()
    except OSError as error:
        remedy = "restore the file, or remove its image"
        raise Problem(f"label file cannot be read ({error.strerror})", remedy, where=str(path)) from error
    try:
        return buffer.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = buffer.count(b"\n", 0, error.start) + 1
        what = f"label file is not UTF-8 (byte {buffer[error.start]:#04x})"
        raise Problem(what, "save the file as UTF-8", where=f"{path}:{line}") from error


def numbered_lines(path: Path) -> list[tuple[str, str]]:
    """Read the lines of a label file that are not blank, each with its "file:line"."""
    numbered = enumerate(split_lines(read_label_text(path)), 1)
    return [(f"{path}:{number}", line) for number, line in numbered if line.strip()]


def split_lines(text: str) -> list[str]:
    """Split at line feeds and carriage returns alone: transcriptions may hold Unicode's other separators."""
    return _LINE_END.split(text)


def shorten(text: str) -> str:
    """Quote text for a message, cut to 80 characters."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def words_outside(scene: Scene, *, size_hw: tuple[int, int]) -> list[Problem]:
    """Remark on each word that lies wholly outside an image of `size_hw` pixels."""
    height, width = size_hw
    found = []
    for word in scene.words:
        xs, ys = word.polygon_xy.T.tolist()
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            what = f"word {shorten(word.text or DONT_CARE_TEXT)} lies outside its image of {width} x {height} pixels"
            remedy = "check that label and image belong together"
            found.append(Problem(what, remedy, where=word.source, fatal=False))
    return found


def _corners(points: NDArray[np.floating]) -> str:
    return " ".join(f"({x:g}, {y:g})" for x, y in points)


def _on_one_line(points: NDArray[np.floating]) -> bool:
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    return bool(np.linalg.matrix_rank(centred, tol=1e-6 * max(1.0, float(np.abs(centred).max()))) < 2)
