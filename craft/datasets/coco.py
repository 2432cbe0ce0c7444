"""COCO's object annotations with a transcription among the attributes, and COCO-Text, whose layout TextOCR shares.

COCO       {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}], "annotations": [
            {"id", "image_id", "category_id", "bbox": [x, y, width, height], "segmentation": [[x1, y1, x2, y2, ...]],
             "area", "iscrowd", "attributes": {"text": "word"}}]}
COCO-Text  {"imgs": {"1": {"id", "file_name", "width", "height", "set": "train"}}, "imgToAnns": {"1": [11]}, "anns":
            {"11": {"id", "image_id", "bbox", "mask": [x1, y1, ...], "utf8_string", "legibility", "language", "class"}}}
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from craft.datasets.json_fields import plain_numbers
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import load_json, write_json, write_text
from craft.datasets.tool_labels import (
    Entry,
    Label,
    ToolFormat,
    is_dont_care,
    pairs_of,
    text_among,
    text_of_class,
    upright_box,
)
from craft.geometry import bounding_boxes, signed_area
from craft.scene import Word

_SPLITS = {"train": "train", "val": "validation"}
_LATIN = ("english",)


def _coco_entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    content = load_json(path)
    names = {category["id"]: category.get("name") for category in content.get("categories") or ()}
    labels: dict[Any, list[Any]] = {image["id"]: [] for image in content["images"]}
    stray: list[Any] = []
    for annotation in content["annotations"]:
        label = {**annotation, "category": names.get(annotation.get("category_id"))}
        labels.get(annotation.get("image_id"), stray).append(label)
    for image in content["images"]:
        yield f"image {image['id']}", (image["file_name"], labels[image["id"]])
    for annotation in stray:
        yield f"annotation {annotation.get('id')}", (None, annotation)


def _coco_entry(raw: Any) -> Entry:
    name, labels = raw
    if name is None:
        raise KeyError(f"image {labels.get('image_id')}")
    return Entry(name, [(f"annotation {label.get('id')}", label) for label in labels])


def _parse_coco(label: Any) -> Label:
    outlines, remark = label.get("segmentation"), ""
    if isinstance(outlines, list) and outlines:
        corners = pairs_of(outlines[0])
        if len(outlines) > 1:
            remark = "a word in several pieces, of which the first is read"
    else:
        remark = "a mask, of which the box is read" if isinstance(outlines, dict) else ""
        corners = upright_box(*label["bbox"])
    attributes = {**label, **(label.get("attributes") or {})}
    text = text_among(attributes)
    ignored = bool(label.get("iscrowd") or attributes.get("dont_care") or label.get("ignore"))
    return Label(
        corners,
        text if text is not None else text_of_class(label.get("category")),
        script=str(attributes.get("script") or ""),
        dont_care=ignored or is_dont_care(label.get("category")),
        remark=remark,
    )


def _write_coco(scenes: Sequence[SceneToWrite], path: Path) -> None:
    images: list[Any] = []
    annotations: list[Any] = []
    for number, (scene, image, (height, width)) in enumerate(scenes, 1):
        images.append({"id": number, "file_name": image, "width": width, "height": height})
        for word in scene.words:
            attributes = {"text": write_text(word), **({"script": word.script} if word.script else {})}
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**annotation, **_shape(word, "segmentation"), "attributes": attributes})
    categories = [{"id": 1, "name": "text", "supercategory": ""}]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def _shape(word: Word, key: str) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in bounding_boxes(word.polygon_xy))
    outline = plain_numbers(word.polygon_xy.ravel())
    area = round(abs(float(signed_area(word.polygon_xy))), 2)
    box = [round(value, 2) for value in (left, top, right - left, bottom - top)]
    return {"bbox": box, "area": area, key: [outline] if key == "segmentation" else outline}


def _cocotext_entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    content = load_json(path)
    labels: dict[str, list[Any]] = {str(key): [] for key in content["imgs"]}
    for key, annotation in content["anns"].items():
        labels[str(annotation["image_id"])].append((f"annotation {key}", annotation))
    for key, image in content["imgs"].items():
        if split in ("all", _SPLITS.get(image.get("set"), split)):
            yield f"image {key}", Entry(image["file_name"], labels[str(key)])


def _parse_cocotext(label: Any) -> Label:
    outline = label.get("points") or label.get("mask")
    text = label.get("utf8_string")
    language = str(label.get("language") or "")
    return Label(
        pairs_of(outline) if outline and len(outline) >= 8 else upright_box(*label["bbox"]),
        text,
        script="Latin" if language in _LATIN else "",
        # TextOCR writes a dot for what cannot be read.
        dont_care=label.get("legibility") == "illegible" or ("points" in label and text == "."),
    )


def _write_cocotext(scenes: Sequence[SceneToWrite], path: Path) -> None:
    images: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    of_image: dict[str, list[int]] = {}
    for number, (scene, image, (height, width)) in enumerate(scenes, 1):
        images[str(number)] = {"id": number, "file_name": image, "width": width, "height": height, "set": "train"}
        of_image[str(number)] = list(range(len(labels) + 1, len(labels) + 1 + len(scene.words)))
        for word in scene.words:
            label = {"id": len(labels) + 1, "image_id": number, **_shape(word, "mask"), "class": "machine printed"}
            label |= {"language": "english" if word.script == "Latin" else "na"}
            read = (
                {"legibility": "illegible"}
                if word.dont_care
                else {"legibility": "legible", "utf8_string": word.text or ""}
            )
            labels[str(label["id"])] = label | read
    write_json(path, {"cats": {}, "anns": labels, "imgs": images, "imgToAnns": of_image})


def _is_coco(text: str) -> bool:
    return '"file_name"' in text and '"image_id"' in text and not _is_cocotext(text)


def _is_cocotext(text: str) -> bool:
    return '"anns"' in text or '"imgToAnns"' in text or '"utf8_string"' in text


FORMATS = (
    ToolFormat(
        *("coco", ".json", _is_coco, _coco_entries, _coco_entry, _parse_coco),
        LabelWriter(_write_coco, "annotations.json", script=True),
    ).label_format(),
    ToolFormat(
        *("cocotext", ".json", _is_cocotext, _cocotext_entries, lambda raw: raw, _parse_cocotext),
        LabelWriter(_write_cocotext, "cocotext.json"),
    ).label_format(),
)
