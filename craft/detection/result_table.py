"""The table of words of many images, detections.csv, which keeps the rows of every finished image whatever stops a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from craft.atomic_files import write_atomic

_HEADER = ("image", "word", "score", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "page")
_OLD_HEADER = _HEADER[:-1]  # before tables had pages


class ResultTable:
    """A table that grows image by image. Rows of an earlier run stay, but for images that are searched again."""

    def __init__(self, path: Path) -> None:
        """Open a table, with the header if it is new.

        Raises:
            ValueError: the file is there and is no such table.
        """
        self.path = path
        self._new: dict[str, list[list[Any]]] = {}
        self._old: list[list[str]] = []
        if path.exists():
            rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8", errors="replace"))))
            if rows and tuple(rows[0]) not in (_HEADER, _OLD_HEADER):
                raise ValueError(f"{path}: is not a table that craft wrote; give another folder")
            whole = [row for row in rows[1:] if len(row) == len(rows[0])]
            self._old = [[*row, ""][: len(_HEADER)] for row in whole]
        write_atomic(path, _encoded([_HEADER, *self._old]), durable=False)

    def add(self, image: str, rows: list[list[Any]]) -> None:
        """Add the rows of a finished image, or of one of its pages, to the file."""
        self._new.setdefault(image, []).extend(rows)
        with open(self.path, "ab") as file:
            file.write(_encoded(rows))

    def close(self) -> None:
        """Remove rows of an earlier run for images that were searched again."""
        if any(row[0] in self._new for row in self._old):
            old = [row for row in self._old if row[0] not in self._new]
            new = [row for rows in self._new.values() for row in rows]
            write_atomic(self.path, _encoded([_HEADER, *old, *new]), durable=False)


def _encoded(rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode(errors="backslashreplace")
