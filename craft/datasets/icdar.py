"""Label files of the ICDAR robust reading competitions: 2013, 2015, 2017 MLT and 2019 MLT. One word a line.

    2013          x1,y1,x2,y2,"transcription" or x1 y1 x2 y2 "transcription": left, top, right, bottom
    2015          x1,y1,x2,y2,x3,y3,x4,y4,transcription
    2017, 2019    x1,y1,x2,y2,x3,y3,x4,y4,script,transcription

The transcription is all that follows the last comma of the fixed fields, commas included; `###` and nothing at all are
"don't care". Files are UTF-8, with or without a byte order mark; lines end in LF, CRLF or CR; blank lines are skipped.

2013 puts every transcription in quotes and escapes quotes inside with a backslash: these are taken off. The other
formats do not quote, and quotes belong to the text: ICDAR2015's training words "SCAN" carry theirs.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from craft.atomic_files import write_atomic
from craft.config import DatasetFormat
from craft.datasets.folders import FolderLayout, OfficialFolders
from craft.datasets.label_format import LabelFormat, LabelWriter, SceneToWrite, folder_format
from craft.datasets.labels import DONT_CARE_TEXT, Words, make_word, numbered_lines, read_words, shorten, split_lines
from craft.errors import Problem
from craft.scene import Word

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_BOX_SEPARATOR = re.compile(r"\s*,\s*|\s+")
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_QUOTED_DONT_CARE = f'"{DONT_CARE_TEXT}"'

# Scripts of MLT 2017 and 2019, and others that people label; any other word in that field gets a remark.
KNOWN_SCRIPTS = frozenset(
    (
        *("Arabic", "Bangla", "Chinese", "Hindi", "Japanese", "Korean", "Latin", "Mixed", "None", "Symbols"),
        *("Armenian", "Bengali", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek", "Gujarati", "Gurmukhi"),
        *("Han", "Hangul", "Hebrew", "Kannada", "Khmer", "Lao", "Malayalam", "Mongolian", "Myanmar", "Oriya"),
        *("Sinhala", "Tamil", "Telugu", "Thai", "Tibetan"),
    )
)


class _Fields(NamedTuple):
    coordinates: int
    has_script: bool
    example: str


_FIELDS = {
    "icdar2013": _Fields(4, False, 'x1,y1,x2,y2,"transcription"'),
    "icdar2015": _Fields(8, False, "x1,y1,x2,y2,x3,y3,x4,y4,transcription"),
    "icdar2017": _Fields(8, True, "x1,y1,x2,y2,x3,y3,x4,y4,script,transcription"),
    "icdar2019": _Fields(8, True, "x1,y1,x2,y2,x3,y3,x4,y4,script,transcription"),
}


def parse_line(line: str, *, format: str, source: str = "") -> Word:
    """Read one line of a label file. The format is never guessed: a 2017 line is also a 2015 line with commas in it.

    Raises Problem for too few fields, a coordinate that is not a number, or a box or quad without area or crossing
    itself.

    Source: ICDAR 2013, 2015 and 2017/2019 MLT robust reading competitions, description of task 1's ground truth.
    """
    fields = _FIELDS[format]
    if format == "icdar2013":
        parts = _BOX_SEPARATOR.split(line.strip(), maxsplit=fields.coordinates)
    else:
        parts = line.split(",", fields.coordinates + fields.has_script)
    wanted = fields.coordinates + fields.has_script + 1
    if len(parts) < wanted:
        remedy = f"write the line as {fields.example}, with {DONT_CARE_TEXT} where the text cannot be read"
        raise Problem(f"{len(parts)} fields in {shorten(line)}, wanted {wanted}", _remedy_for(remedy, parts, wanted))
    numbers = [_number(part, index, line) for index, part in enumerate(parts[: fields.coordinates], 1)]
    script = parts[fields.coordinates] if fields.has_script else ""
    _refuse_more_corners(line, numbers)
    text = parts[-1].strip()
    if format == "icdar2013":
        quoted = _QUOTED.fullmatch(text)
        text = quoted[1].replace('\\"', '"').replace("\\\\", "\\") if quoted else text
    elif text in (_QUOTED_DONT_CARE, '""'):
        text = DONT_CARE_TEXT
    return make_word(_corners(numbers), text=text, script=script, source=source)


def read_label_file(path: Path, *, format: str) -> Words:
    """Read the words of an image; an empty file is an image without words."""
    return read_words(path, numbered_lines, lambda line, where: parse_line(line, format=format, source=where))


def script_remarks(words: list[Word], *, format: str) -> list[Problem]:
    """Remark on signs that a whole dataset was read in the wrong one of the 2015 and 2017 formats.

    They are an unknown script, or 2015 labels whose every transcription starts with the name of a script and a comma.
    """
    if format == "icdar2015":
        starts = [word.text.partition(",") for word in words if word.text is not None]
        if starts and all(comma and start in KNOWN_SCRIPTS for start, comma, _ in starts):
            what = f"every transcription starts with a script, as {shorten(words[0].text or '')} does"
            remedy = "set format: icdar2017 if the labels have a script field"
            return [Problem(what, remedy, where=words[0].source, fatal=False)]
        return []
    if not _FIELDS[format].has_script:
        return []
    first = {word.script: word for word in reversed(words) if word.script and word.script not in KNOWN_SCRIPTS}
    remedy = "set format: icdar2015 if the labels have no script field"
    return [
        Problem(f"unknown script {shorten(script)}", remedy, where=word.source, fatal=False)
        for script, word in sorted(first.items())
    ]


def _number(text: str, index: int, line: str) -> float:
    if not _NUMBER.fullmatch(text):
        what = f"coordinate {index} is {shorten(text)}, not a number, in {shorten(line)}"
        raise Problem(what, "correct it: pixels, such as 377 or 377.5")
    return float(text)


def _refuse_more_corners(line: str, numbers: list[float]) -> None:
    """Refuse a polygon: two or more further corners after the first ones, within a word's length of them."""
    fields = _BOX_SEPARATOR.split(line.strip()) if len(numbers) == 4 else line.split(",")
    count = next((index for index, field in enumerate(fields) if not _NUMBER.fullmatch(field)), len(fields))
    further = np.array([float(field) for field in fields[len(numbers) : count]])[: (count - len(numbers)) // 2 * 2]
    if len(further) < 4 or not np.isfinite([*numbers, *further]).all():
        return
    first = np.array(numbers).reshape(-1, 2)
    distance = np.maximum(first.min(axis=0) - further.reshape(-1, 2), further.reshape(-1, 2) - first.max(axis=0))
    if (distance <= np.ptp(first, axis=0).max()).all():
        what = f"{count} numbers before the text, wanted {len(numbers)}, in {shorten(line)}"
        raise Problem(what, "give polygons as JSON Lines or in TotalText's format")


def _remedy_for(remedy: str, parts: list[str], wanted: int) -> str:
    if wanted == 10 and len(parts) == 9:
        return f"{remedy}; if no line has a script field, set format: icdar2015"
    if wanted >= 9 and len(parts) == 5:
        return f"{remedy}; if all lines are boxes x1,y1,x2,y2, set format: icdar2013"
    return remedy


def _corners(numbers: list[float]) -> list[tuple[float, float]]:
    if len(numbers) == 8:
        return list(zip(numbers[0::2], numbers[1::2], strict=True))
    left, top, right, bottom = numbers
    if right <= left or bottom <= top:
        what = f"box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) has no area or its corners are swapped"
        raise Problem(what, "write left, top, right, bottom")
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _write(scenes: Sequence[SceneToWrite], folder: Path, *, format: str) -> None:
    """Write gt_NAME.txt for each scene; see `parse_line` for the formats."""
    fields = _FIELDS[format]
    for written in scenes:
        lines = []
        for word in written.scene.words:
            text = DONT_CARE_TEXT if word.dont_care or not word.text else word.text
            corners = word.polygon_xy if fields.coordinates == 8 else word.polygon_xy[[0, 2]]
            numbers = [str(round(float(value))) for value in corners.ravel()]
            if format == "icdar2013":
                text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            lines.append(",".join([*numbers, *([word.script or "None"] if fields.has_script else []), text]) + "\n")
        write_atomic(folder / f"gt_{written.scene.name}.txt", "".join(lines))


def _resembles(text: str, *, format: str) -> bool:
    """Whether most lines have the format's fields; a script is told by its name."""
    lines = [line for line in split_lines(text)[:20] if line.strip()]
    fields = _FIELDS[format]

    def fits(line: str) -> bool:
        parts = _BOX_SEPARATOR.split(line.strip()) if fields.coordinates == 4 else line.split(",")
        count = next((index for index, part in enumerate(parts) if not _NUMBER.fullmatch(part)), len(parts))
        if fields.coordinates == 4:
            return count == 4 and line.rstrip().endswith('"')
        has_script = len(parts) >= 10 and parts[8].strip() in KNOWN_SCRIPTS
        return count >= 8 and len(parts) > 8 and has_script == fields.has_script

    return bool(lines) and sum(map(fits, lines)) > len(lines) / 2


def _format(name: DatasetFormat, **parts: OfficialFolders) -> LabelFormat:
    read, remark = partial(read_label_file, format=name), partial(script_remarks, format=name)
    fields = _FIELDS[name]
    return folder_format(
        name,
        FolderLayout(name, read, parts, remark=remark),
        resembles=partial(_resembles, format=name),
        writer=LabelWriter(
            partial(_write, format=name),
            polygons=False,
            slanted=fields.coordinates == 8,
            fractions=False,
            script=fields.has_script,
        ),
    )


FORMATS = (
    _format(
        "icdar2013",
        train=OfficialFolders(("Challenge2_Training_Task12_Images",), ("Challenge2_Training_Task1_GT",)),
        validation=OfficialFolders(("Challenge2_Test_Task12_Images",), ("Challenge2_Test_Task1_GT",)),
    ),
    _format(
        "icdar2015",
        train=OfficialFolders(("ch4_training_images",), ("ch4_training_localization_transcription_gt",)),
        validation=OfficialFolders(
            ("ch4_test_images",), ("Challenge4_Test_Task1_GT", "ch4_test_localization_transcription_gt")
        ),
    ),
    _format(
        "icdar2017",
        train=OfficialFolders(
            tuple(f"ch8_training_images_{number}" for number in range(1, 9)),
            ("ch8_training_localization_transcription_gt_v2",),
        ),
        validation=OfficialFolders(("ch8_validation_images",), ("ch8_validation_localization_transcription_gt_v2",)),
    ),
    _format("icdar2019", train=OfficialFolders(("ImagesPart1", "ImagesPart2"), ("train_gt_t13",))),
)
