"""VGG Image Annotator 1 and 2: regions of images, in a project or in the JSON of exported annotations.

    {"img_1.jpg51234": {"filename": "img_1.jpg", "size": 51234, "file_attributes": {}, "regions": [
        {"shape_attributes": {"name": "polygon", "all_points_x": [1, 31, 31, 1], "all_points_y": [2, 2, 12, 12]},
         "region_attributes": {"text": "word"}},
        {"shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 30, "height": 10}, "region_attributes": {}}]}}

A project has this under "_via_img_metadata". The transcription is the region's attribute "text", "transcription" or
alike, or its only attribute.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from craft.datasets.json_fields import plain_numbers
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import load_json, write_json, write_text
from craft.datasets.tool_labels import Entry, Label, ToolFormat, pass_over, text_among, text_of_class, upright_box


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    content = load_json(path)
    for key, image in content.get("_via_img_metadata", content).items():
        yield f"image {key}", image


def _entry(image: Any) -> Entry:
    regions = image["regions"]
    listed = regions.values() if isinstance(regions, dict) else regions  # version 1 numbers them
    return Entry(image["filename"], [(f"region {number}", region) for number, region in enumerate(listed, 1)])


def _parse(region: Any) -> Label:
    shape, attributes = region["shape_attributes"], region.get("region_attributes") or {}
    if shape["name"] == "rect":
        corners = upright_box(*(shape[key] for key in ("x", "y", "width", "height")))
    elif shape["name"] == "polygon":
        corners = [list(point) for point in zip(shape["all_points_x"], shape["all_points_y"], strict=True)]
    else:
        raise pass_over(f"a {shape['name']} is no word")
    text = text_among(attributes)
    if text is None and len(attributes) == 1:
        text = text_of_class(next(iter(attributes.values())))
    return Label(corners, text, script=str(attributes.get("script") or ""))


def _write(scenes: Sequence[SceneToWrite], path: Path) -> None:
    images: dict[str, Any] = {}
    for scene, image, _ in scenes:
        size = Path(path.parent / image).stat().st_size
        regions = []
        for word in scene.words:
            xs, ys = plain_numbers(word.polygon_xy.T)
            attributes = {"text": write_text(word), **({"script": word.script} if word.script else {})}
            shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
            regions.append({"shape_attributes": shape, "region_attributes": attributes})
        images[f"{image}{size}"] = {"filename": image, "size": size, "regions": regions, "file_attributes": {}}
    write_json(path, images)


def _resembles(text: str) -> bool:
    return '"_via_' in text or ('"shape_attributes"' in text and '"filename"' in text)


FORMAT = ToolFormat(
    *("via", ".json", _resembles, _entries, _entry, _parse), LabelWriter(_write, "via.json", script=True)
).label_format()
