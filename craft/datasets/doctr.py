"""docTR: labels.json of a detection dataset (`polygons`) or of an OCR dataset (`typed_words`); images in images/.

    {"img_1.jpg": {"img_dimensions": [720, 1280], "img_hash": "...", "polygons": [[[1, 2], [31, 2], [31, 12], [1, 12]]],
                   "typed_words": [{"value": "word", "geometry": [1, 2, 31, 12]}]}}

What is written holds both, so that either of docTR's readers takes it. Its polygons have four corners, its words are
upright boxes; neither knows "don't care".
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from craft.datasets.json_fields import plain_numbers
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import load_json, write_json, write_text
from craft.datasets.tool_labels import Entry, Label, ToolFormat, upright_box
from craft.geometry import bounding_boxes


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    for name, label in load_json(path).items():
        yield f"image {name}", (name, label)


def _entry(raw: Any) -> Entry:
    name, label = raw
    polygons = label.get("polygons")
    if isinstance(polygons, dict):  # by class
        polygons = [polygon for of_class in polygons.values() for polygon in of_class]
    if polygons is None:
        pairs = [(word["geometry"], word["value"]) for word in label["typed_words"]]
    else:
        texts = [word["value"] for word in label.get("typed_words") or ()]
        pairs = list(zip(polygons, texts if len(texts) == len(polygons) else [None] * len(polygons), strict=True))
    return Entry(name, [(f"word {number}", pair) for number, pair in enumerate(pairs, 1)])


def _parse(label: Any) -> Label:
    geometry, text = label
    if len(geometry) == 4 and not isinstance(geometry[0], list):
        left, top, right, bottom = geometry
        return Label(upright_box(left, top, right - left, bottom - top), text)
    return Label(geometry, text)


def _write(scenes: Sequence[SceneToWrite], path: Path) -> None:
    content: dict[str, Any] = {}
    for scene, image, size_hw in scenes:
        words = []
        for word in scene.words:
            box = [round(float(value), 2) for value in bounding_boxes(word.polygon_xy)]
            words.append({"value": write_text(word), "geometry": box})
        content[image] = {
            "img_dimensions": list(size_hw),
            "img_hash": hashlib.sha256((path.parent / image).read_bytes()).hexdigest(),
            "polygons": [plain_numbers(word.polygon_xy) for word in scene.words],
            "typed_words": words,
        }
    write_json(path, content)


def _resembles(text: str) -> bool:
    return '"typed_words"' in text or ('"polygons"' in text and '"img_dimensions"' in text)


FORMAT = ToolFormat(
    *("doctr", ".json", _resembles, _entries, _entry, _parse),
    LabelWriter(_write, "labels.json", polygons=False, dont_care=False),
).label_format()
