"""PaddleOCR: Label.txt, as PPOCRLabel and the detection datasets have it, one image a line.

    images/img_1.jpg<tab>[{"transcription": "word", "points": [[1, 2], [31, 2], [31, 12], [1, 12]], "difficult": false}]

"###" and "*" are don't care; so is a word that is marked difficult.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from craft.atomic_files import write_atomic
from craft.datasets.json_fields import plain_numbers
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.labels import read_label_text, split_lines
from craft.datasets.tool_files import write_text
from craft.datasets.tool_labels import Entry, Label, ToolFormat
from craft.errors import Problem

_UNREAD = "待识别"  # PPOCRLabel's "to be recognised"


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(split_lines(read_label_text(path)), 1):
        if line.strip():
            yield str(number), line


def _entry(line: str) -> Entry:
    image, tab, words = line.partition("\t")
    try:
        labels = json.loads(words) if tab else None
    except json.JSONDecodeError as error:
        raise Problem(f"not JSON after the tab ({error.msg})", "correct the line") from None
    if not isinstance(labels, list):
        raise Problem(
            "is no path, a tab and a list of words", 'write: img.jpg<tab>[{"transcription": ..., "points": ...}]'
        )
    return Entry(image.strip(), [(f"word {number}", label) for number, label in enumerate(labels, 1)])


def _parse(label: Any) -> Label:
    text = label.get("transcription")
    return Label(label["points"], None if text == _UNREAD else text, dont_care=bool(label.get("difficult")))


def _write(scenes: Sequence[SceneToWrite], path: Path) -> None:
    lines = []
    for scene, image, _ in scenes:
        words = [
            {"transcription": write_text(word), "points": plain_numbers(word.polygon_xy), "difficult": word.dont_care}
            for word in scene.words
        ]
        lines.append(f"{image}\t{json.dumps(words, ensure_ascii=False)}\n")
    write_atomic(path, "".join(lines))


def _resembles(text: str) -> bool:
    return any('\t[{"transcription"' in line or line.endswith("\t[]") for line in text.splitlines()[:20])


FORMAT = ToolFormat(
    *("paddleocr", ".txt", _resembles, _entries, _entry, _parse), LabelWriter(_write, "Label.txt")
).label_format()
