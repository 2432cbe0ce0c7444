"""LabelMe: one JSON file per image, with shapes whose description, or else whose label, is the transcription.

    {"version": "5.5.0", "flags": {}, "imagePath": "img_1.jpg", "imageData": null, "imageHeight": 720, "imageWidth": 1280,
     "shapes": [{"label": "text", "points": [[x, y], ...], "group_id": null, "description": "word",
                 "shape_type": "polygon", "flags": {}}]}

A label that is a name for text ("text", "word", ...) is no transcription. The image is read from its file, not from
imageData.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from craft.datasets.json_fields import plain_numbers
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import has_all, load_json, write_json, write_text
from craft.datasets.tool_labels import Entry, Label, ToolFormat, is_dont_care, pass_over, text_of_class


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    yield "", load_json(path)


def _entry(content: Any) -> Entry:
    return Entry(
        content["imagePath"], [(f"shape {number}", shape) for number, shape in enumerate(content["shapes"], 1)]
    )


def _parse(shape: Any) -> Label:
    points, kind = shape["points"], shape.get("shape_type") or "polygon"
    if kind == "rectangle" and len(points) == 2:
        (left, right), (top, bottom) = (sorted(axis) for axis in zip(*points, strict=True))
        points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    elif kind not in ("polygon", "rectangle", "oriented_rectangle"):
        raise pass_over(f"a {kind} is no word")
    text = shape.get("description") or text_of_class(shape["label"])
    flags = shape.get("flags") or {}
    ignored = any(value and is_dont_care(name) for name, value in flags.items())
    return Label(points, text, dont_care=ignored or is_dont_care(shape["label"]))


def labelme_content(image: str, size_hw: tuple[int, int], words: Iterable[tuple[Any, str]]) -> dict[str, Any]:
    """The content of a file for the image at a path, from its size and its words' corners and descriptions."""
    shapes = [
        {"label": "text", "points": points, "group_id": None, "description": text, "shape_type": "polygon", "flags": {}}
        for points, text in words
    ]
    content: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    return {**content, "imageHeight": size_hw[0], "imageWidth": size_hw[1]}


def _write(scenes: Sequence[SceneToWrite], folder: Path) -> None:
    for scene, image, size_hw in scenes:
        words = [(plain_numbers(word.polygon_xy), write_text(word)) for word in scene.words]
        write_json(folder / f"{PurePath(scene.name).name}.json", labelme_content(image, size_hw, words))


FORMAT = ToolFormat(
    *("labelme", ".json", has_all('"shapes"', '"imagePath"'), _entries, _entry, _parse), LabelWriter(_write)
).label_format()
