"""Labels of annotation tools: scenes as entries of a file, their words checked and their images found."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from craft.config import DatasetFormat, DatasetSettings
from craft.datasets.file_pairs import Numbers, is_in_range, list_files
from craft.datasets.json_fields import character_corners, check_name, check_path, corners_of
from craft.datasets.label_format import LabelFormat, LabelWriter, Match
from craft.datasets.labels import DatasetReading, ReadingBuilder, make_word, shorten
from craft.datasets.tool_files import sample_of
from craft.errors import Problem
from craft.images.reader import IMAGE_ENDINGS
from craft.scene import Scene, Word

_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
_DONT_CARE = frozenset(("###", "*", "dont_care", "don't care", "dontcare", "ignore", "illegible", "unreadable"))
_CLASSES = frozenset(("text", "word", "words", "line", "textline", "text_line", "text line", "object", "item", "box"))
_TEXT_KEYS = ("text", "transcription", "transcript", "utf8_string", "value", "content", "ocr", "caption")
_UPLOAD = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file


class Label(NamedTuple):
    """One label as a tool wrote it, not yet checked."""

    corners: Any  # (P, 2) pixels
    text: Any = None
    script: str = ""
    dont_care: bool = False
    characters: Any = None  # (C, 4, 2), or None
    remark: str = ""  # what reading the label lost


class Entry(NamedTuple):
    """One image of a label file."""

    image: str  # its path, as the file has it
    labels: Sequence[tuple[str, Any]]  # what each label is called inside the entry, and the label


@dataclass(frozen=True)
class ToolFormat:
    """How an annotation tool writes its labels."""

    name: DatasetFormat
    ending: str  # of label files, lower case
    resembles: Callable[[str], bool]  # whether a part of a file looks like it
    entries: Callable[[Path, str], Iterable[tuple[str, Any]]]  # of a label file, for a split: what each is called
    entry: Callable[[Any], Entry]  # raises a Problem, not fatal to pass the entry over
    parse: Callable[[Any], Label]  # raises a Problem, not fatal to pass the label over
    writer: LabelWriter

    def label_format(self) -> LabelFormat:
        """The entry of the registry; no name of a file shows such a format."""
        return LabelFormat(self.name, lambda path: Match.NONE, self.read, None, self.resembles, self.writer)

    def read(self, settings: DatasetSettings) -> DatasetReading:
        """Read the label files of a dataset; ValueError if there are none or too many."""
        reading = _Reading(settings.numbers)
        for file in self._label_files(settings):
            near, above = file.parent, file.absolute().parent.parent
            folders = [near, near / "images", above, above / "images"]
            if settings.images:
                folders = [Path(settings.path) / settings.images]
            with reading.noting(str(file), f"is no {self.name} file"):
                for called, raw in self.entries(file, settings.split):
                    where = f"{file}:{called}" if called else str(file)
                    with reading.noting(where, f"cannot be read as {self.name}: {shorten(str(raw))}"):
                        reading.add(self.entry(raw), f"{where}, " if called else f"{where}:", folders, self.parse)
        return reading.build()

    def _label_files(self, settings: DatasetSettings) -> list[Path]:
        path = Path(settings.path)
        given = path / settings.labels if settings.labels else path
        if given.is_file():
            return [given]
        if not given.is_dir():
            raise ValueError(f"{given}: there is no such file or folder; correct labels, which is relative to path")
        files = [file for file in list_files(given) if file.suffix.lower() == self.ending]
        if not files:
            raise ValueError(f"{given}: holds no {self.ending} file; give the label file or its folder as labels")
        if self.writer.file is None:
            return files
        alike = [file for file in files if self.resembles(sample_of(file))] or files
        if len(alike) > 1:
            names = ", ".join(file.name for file in alike[:5])
            raise ValueError(
                f"{given}: holds {len(alike)} label files ({names}); give one of them as path or as labels"
            )
        return alike


@dataclass
class _Reading:
    """A reading that grows entry by entry; labels that are passed over are counted by what they are."""

    numbers: Numbers
    builder: ReadingBuilder = field(default_factory=ReadingBuilder)
    names: set[str] = field(default_factory=set)
    remarks: dict[str, list[Problem]] = field(default_factory=dict)
    images: dict[Path, set[str]] = field(default_factory=dict)  # by folder

    def note(self, problem: Problem) -> None:
        if problem.fatal:
            self.builder.problems.append(problem)
        else:
            self.remarks.setdefault(problem.what, []).append(problem)

    @contextmanager
    def noting(self, where: str, malformed: str) -> Iterator[None]:
        try:
            yield
        except _MALFORMED as error:
            self.note(_problem(error, malformed).at(where))

    def add(self, entry: Entry, prefix: str, folders: Sequence[Path], parse: Callable[[Any], Label]) -> None:
        if not isinstance(entry.image, str) or not entry.image:
            raise Problem(f"image is {shorten(str(entry.image))}, not the path of an image", "export it again")
        check_path(entry.image, "the image's path")
        image = find_image(entry.image, folders)
        known = self.images.setdefault(image.parent, set())
        if image.name in known:
            raise Problem(f"second entry of the image {shorten(entry.image)}", "remove one of them")
        known.add(image.name)
        name = f"{image.parent.name}_{image.stem}" if image.stem in self.names else image.stem
        if not is_in_range(name, self.numbers):
            return
        check_name(name)
        if name in self.names:
            raise Problem(f"second image of the name {shorten(name)}", "rename one of them")
        self.names.add(name)
        words, problems = [], []
        for called, raw in entry.labels:
            at = prefix + called
            try:
                label = parse(raw)
                words.append(_word(label, at))
                if label.remark:
                    self.note(Problem(label.remark, where=at, fatal=False))
            except _MALFORMED as error:
                problem = _problem(error, f"cannot be read as a label: {shorten(str(raw))}").at(at)
                if problem.fatal:
                    problems.append(problem)
                else:
                    self.note(problem)
        self.builder.add(Scene(str(image), tuple(words), name), problems)

    def build(self) -> DatasetReading:
        for same in self.remarks.values():
            first = same[0]
            what = first.what if len(same) == 1 else f"{first.what} ({len(same):,} times, here first)"
            self.builder.problems.append(Problem(what, first.remedy, where=first.where, fatal=False))
        for folder, known in self.images.items() if self.numbers is None else ():
            there = {file.name for file in list_files(folder)} if folder.is_dir() else set[str]()
            others = sorted(name for name in there - known if Path(name).suffix.lower() in IMAGE_ENDINGS)
            if others:
                what = f"{len(others):,} images have no entry and are not used: {', '.join(others[:3])}"
                remedy = "label them, or leave them out on purpose"
                self.builder.problems.append(Problem(what, remedy, where=str(folder), fatal=False))
        return self.builder.build()


def _word(label: Label, where: str) -> Word:
    corners = label.corners
    if len(corners) > 4 and list(corners[0]) == list(corners[-1]):
        corners = corners[:-1]
    text = "" if label.text is None else text_of(label.text)
    return make_word(
        corners_of(corners, "polygon", fixed=None),
        text=text,
        script=label.script,
        dont_care=label.dont_care or text.strip().lower() in _DONT_CARE,
        character_quads_xy=None if label.characters is None else character_corners(label.characters),
        source=where,
    )


def text_of(value: Any) -> str:
    """The transcription that a tool wrote as a string, a number or a list of lines."""
    if isinstance(value, list):
        return " ".join(text_of(line) for line in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Problem(f"text is {shorten(str(value))}, not a string", "correct it or leave it out")
    return str(value)


def text_among(attributes: dict[str, Any]) -> Any:
    """The transcription among a label's attributes, under one of the names that people give it; None without."""
    lower = {key.lower(): value for key, value in attributes.items()}
    return next((lower[key] for key in _TEXT_KEYS if lower.get(key) not in (None, "")), None)


def text_of_class(name: Any) -> Any:
    """The transcription where people write it as a label's class; None where it is a word for text or for don't care."""
    return None if isinstance(name, str) and name.strip().lower() in _CLASSES | _DONT_CARE else name


def is_dont_care(name: Any) -> bool:
    """Whether a class or a flag says that a label is not to be used."""
    return isinstance(name, str) and name.strip().lower() in _DONT_CARE


def upright_box(left: float, top: float, width: float, height: float) -> list[list[float]]:
    """The corners of an upright box."""
    return [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]


def turn(corners: Sequence[Sequence[float]], degrees: float, pivot: Sequence[float]) -> list[list[float]]:
    """Corners turned clockwise on the screen around a pivot."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    moved = [(x - pivot[0], y - pivot[1]) for x, y in corners]
    return [[pivot[0] + x * cos - y * sin, pivot[1] + x * sin + y * cos] for x, y in moved]


def pass_over(what: str, remedy: str = "draw a rectangle or a polygon") -> Problem:
    """What `parse` raises for a label that is no word."""
    return Problem(what, remedy, fatal=False)


def pairs_of(numbers: Sequence[float]) -> list[list[float]]:
    """Corners from x1, y1, x2, y2, ..."""
    if len(numbers) % 2:
        raise Problem(f"{len(numbers)} coordinates, an odd number", "correct the label")
    return [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def find_image(name: str, folders: Sequence[Path]) -> Path:
    """Where an image lies that a tool names by its path, by its name alone or by that of its upload."""
    path = Path(name.replace("\\", "/"))
    for candidate in (path, path.name, _UPLOAD.sub("", path.name, count=1)):
        for folder in folders:
            try:
                if candidate and (folder / candidate).is_file():
                    return folder / candidate
            except (OSError, ValueError):  # a name too long, or with a zero byte
                continue
    return folders[0] / path


def _problem(error: Exception, what: str) -> Problem:
    if isinstance(error, Problem):
        return error
    lacking = f' (it lacks "{error.args[0]}")' if isinstance(error, KeyError) and error.args else ""
    return Problem(what + lacking, "export it again, or correct it")
