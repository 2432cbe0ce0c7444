"""TotalText: words of any shape as polygons, in text files or MATLAB files, one per image.

A text file, where a record may run over several lines:

    x: [[206 251 386 542]], y: [[633 811 931 946]], ornt: [u'c'], transcriptions: [u'PETROSAINS']

A MATLAB file holds `polygt`, one row a word: 'x:', x, 'y:', y, transcription, orientation. The corners run along the
upper side in reading order, then backwards along the lower side. The transcription "#" means "don't care".
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from craft.atomic_files import write_atomic
from craft.datasets.folders import FolderLayout, OfficialFolders
from craft.datasets.label_format import LabelWriter, SceneToWrite, folder_format
from craft.datasets.labels import DONT_CARE_TEXT, Words, make_word, read_label_text, read_words, shorten
from craft.datasets.synthtext import read_mat
from craft.errors import Problem
from craft.scene import Word

_RECORD_START = re.compile(r"^[ \t]*x[ \t]*:", re.MULTILINE)
_RECORD = re.compile(
    r"\s*x\s*:\s*\[\[(?P<x>[^\]]*)\]\]\s*,\s*y\s*:\s*\[\[(?P<y>[^\]]*)\]\]\s*"
    r"(?:,\s*ornt\s*:\s*\[(?P<ornt>[^\]]*)\]\s*)?,\s*transcriptions\s*:\s*\[(?P<text>.*)\]\s*",
    re.DOTALL,
)
_QUOTED = re.compile(r"""u?(['"])(?P<inside>.*)\1""", re.DOTALL)
_REMEDY = "write x: [[...]], y: [[...]], ornt: [u'c'], transcriptions: [u'...']"


_Record = str | tuple[NDArray[np.float64], NDArray[np.float64], str]
"""x, y and transcription of a word, or a text that is not a word's."""


def read_label_file(path: Path) -> Words:
    """Read the words of an image from a .txt or .mat file.

    Source: Ch'ng and Chan, Total-Text, ICDAR 2017; readme of the dataset's ground truth.
    """
    return read_words(path, _mat_records if path.suffix.lower() == ".mat" else _text_records, _parse)


def _text_records(path: Path) -> list[tuple[str, _Record]]:
    text = read_label_text(path)
    starts = [match.start() for match in _RECORD_START.finditer(text)]
    head = (text[: starts[0]] if starts else text).strip()
    records: list[tuple[str, _Record]] = [(f"{path}:1", head)] if head else []
    for start, end in pairwise([*starts, len(text)]):
        where = f"{path}:{text.count(chr(10), 0, start) + 1}"
        records.append((where, _text_record(text[start:end])))
    return records


def _text_record(text: str) -> _Record:
    record = _RECORD.fullmatch(text)
    if record is None:
        return text.strip()
    quoted = _QUOTED.fullmatch(record["text"].strip())
    try:
        x, y = (np.array(record[axis].replace(",", " ").split(), dtype=np.float64) for axis in "xy")
    except ValueError:
        return text.strip()
    return x, y, quoted["inside"] if quoted else record["text"].strip()


def _mat_records(path: Path) -> list[tuple[str, _Record]]:
    table = read_mat(path, ("polygt",))["polygt"]
    if table.size and (table.ndim != 2 or table.shape[1] < 5):
        raise Problem(f"polygt is an array of {list(table.shape)} cells, wanted [words, 6]", "download it again")
    records: list[tuple[str, _Record]] = []
    for number, row in enumerate(table if table.size else (), 1):
        text = str(np.ravel(row[4])[0]) if np.size(row[4]) else ""
        x, y = (np.ravel(row[column]).astype(np.float64) for column in (1, 3))
        records.append((f"{path}:{number}", (x, y, text)))
    return records


def _parse(record: _Record, where: str) -> Word:
    if isinstance(record, str):
        raise Problem(f"not a TotalText word: {shorten(record)}", _REMEDY)
    x, y, text = record
    if len(x) != len(y) or len(x) < 4:
        raise Problem(f"{len(x)} x and {len(y)} y coordinates, wanted as many of each, at least 4", _REMEDY)
    return make_word(np.stack([x, y], axis=1), text=DONT_CARE_TEXT if text.strip() == "#" else text, source=where)


_PARTS = {
    "train": OfficialFolders(
        ("Images/Train",), ("Groundtruth/Polygon/Train", "Polygon/Train", "txt_format/Train", "gt/Train")
    ),
    "validation": OfficialFolders(
        ("Images/Test",), ("Groundtruth/Polygon/Test", "Polygon/Test", "txt_format/Test", "gt/Test")
    ),
}


def _write(scenes: Sequence[SceneToWrite], folder: Path) -> None:
    for written in scenes:
        lines = []
        for word in written.scene.words:
            x, y = (" ".join(str(round(float(value))) for value in axis) for axis in word.polygon_xy.T)
            text, kind = ("#", "#") if word.dont_care or not word.text else (word.text, "c")
            quote = '"' if "'" in text else "'"
            lines.append(f"x: [[{x}]], y: [[{y}]], ornt: [u'{kind}'], transcriptions: [u{quote}{text}{quote}]\n")
        write_atomic(folder / f"poly_gt_{written.scene.name}.txt", "".join(lines))


FORMAT = folder_format(
    "totaltext",
    FolderLayout("totaltext", read_label_file, _PARTS, (".txt", ".mat")),
    resembles=lambda text: _RECORD_START.match(text) is not None and "transcriptions" in text,
    writer=LabelWriter(_write, fractions=False),
)
