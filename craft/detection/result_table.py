"""The table of words of many images, detections.csv, which keeps the rows of every finished image whatever stops a run."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from craft.atomic_files import write_atomic

# Pages, which tables once lacked, are between what readers find by its place from the left or from the right.
_HEADER = ("image", "word", "score", "page", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
_OLD_HEADER = (*_HEADER[:3], *_HEADER[4:])


class ResultTable:
    """A table that grows image by image. Rows of an earlier run stay, but for images that are searched again."""

    def __init__(self, path: Path) -> None:
        """Open a table, with the header if it is new. Raises ValueError if the file is there and is no such table."""
        self.path = path
        self._new: dict[str, list[list[Any]]] = {}
        content = _encoded([_HEADER, *self._read()])
        if not path.exists() or path.read_bytes() != content:  # new, of an older version, or cut in a row
            write_atomic(path, content, shared=True, durable=False)

    def add(self, image: str, rows: list[list[Any]]) -> None:
        """Add the rows of a finished image, or of one of its pages, to the file."""
        self._new.setdefault(_escaped(image), []).extend(rows)
        with open(self.path, "ab") as file:
            file.write(_encoded(rows if file.tell() else [_HEADER, *rows]))  # someone may have removed the file

    def close(self) -> None:
        """Remove rows of other runs, earlier or beside this one, for the images of this run."""
        new = [row for rows in self._new.values() for row in rows]
        content = _encoded([_HEADER, *(row for row in self._read() if row[0] not in self._new), *new])
        if not self.path.exists() or self.path.read_bytes() != content:
            write_atomic(self.path, content, shared=True, durable=False)

    def _read(self) -> list[list[str]]:
        """The whole rows of the file."""
        text = self.path.read_bytes().decode(errors="replace") if self.path.exists() else ""
        rows = list(csv.reader(io.StringIO(text, newline="")))
        if rows and tuple(rows[0]) not in (_HEADER, _OLD_HEADER):
            raise ValueError(f"{self.path}: is not a table that craft wrote; give another folder")
        added = [""] if rows and tuple(rows[0]) == _OLD_HEADER else []
        return [[*row[:3], *added, *row[3:]] for row in rows[1:] if len(row) == len(rows[0])]


def _encoded(rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return _escaped(buffer.getvalue()).encode()


def _escaped(text: str) -> str:
    """Text as it is read back, with bytes of names that are not UTF-8 as escapes."""
    return text.encode(errors="backslashreplace").decode()
