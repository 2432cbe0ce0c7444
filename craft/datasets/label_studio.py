"""Label Studio: the JSON export (not JSON-MIN), with rectangles or polygons and a text area for each region.

    [{"id": 1, "data": {"ocr": "/data/upload/1/3fa85f64-img_1.jpg"}, "annotations": [{"was_cancelled": false, "result": [
        {"id": "a1", "type": "rectangle", "original_width": 1280, "original_height": 720,
         "value": {"x": 10, "y": 20, "width": 30, "height": 5, "rotation": 0}},
        {"id": "a1", "type": "textarea", "value": {"x": 10, ..., "text": ["word"]}},
        {"id": "a1", "type": "labels", "value": {..., "labels": ["Text"]}}]}]}]

Coordinates are per cent of the image; a rectangle is turned around its top-left corner. What belongs to a region has
its id. Of a task that several people labelled the first annotation is read that was not cancelled.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import load_json, write_json, write_text
from craft.datasets.tool_labels import Entry, Label, ToolFormat, is_dont_care, pass_over, turn, upright_box
from craft.errors import Problem
from craft.images.reader import IMAGE_ENDINGS

_CLASS_KEYS = ("labels", "rectanglelabels", "polygonlabels", "choices")
_REMEDY = "export the project as JSON"


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    tasks = load_json(path)
    if not isinstance(tasks, list):
        raise Problem("is not a list of tasks", _REMEDY)
    for number, task in enumerate(tasks, 1):
        yield f"task {task.get('id', number)}", task


def _entry(task: Any) -> Entry:
    if "data" not in task and "annotations" not in task:
        what = "is JSON-MIN, which does not say which text belongs to which box"
        raise Problem(what, _REMEDY)
    done = [item for item in task.get("annotations", ()) if not item.get("was_cancelled")]
    if not done:
        raise pass_over("a task without an annotation", "label it, or leave it out on purpose")
    regions: dict[str, dict[str, Any]] = {}
    for result in done[0]["result"]:
        region = regions.setdefault(str(result.get("id")), {"types": []})
        region["types"].append(result.get("type"))
        region |= {key: result[key] for key in ("original_width", "original_height") if key in result}
        region |= {"several": len(done) > 1}
        region.setdefault("value", {}).update(result.get("value") or {})
        if result.get("meta", {}).get("text"):
            region.setdefault("meta", result["meta"]["text"])
    return Entry(_image_of(task), [(f"region {key}", region) for key, region in regions.items()])


def _image_of(task: Any) -> str:
    """The path or the name of a task's image, whatever the data's key is."""
    for value in task["data"].values():
        if not isinstance(value, str):
            continue
        parts = urlsplit(value)
        local = parse_qs(parts.query).get("d", [""])[0]
        path = local or (unquote(parts.path) if parts.scheme or value.startswith("/data/") else value)
        if Path(path).suffix.lower() in IMAGE_ENDINGS:
            return path.lstrip("/") if parts.scheme or value.startswith("/data/") else path
    raise Problem("its data holds no path of an image", _REMEDY)


def _parse(region: Any) -> Label:
    value, (width, height) = region["value"], (region.get("original_width"), region.get("original_height"))
    if not ("points" in value or {"x", "y", "width", "height"} <= set(value)):
        kinds = ", ".join(sorted(map(str, set(region["types"]))))
        raise pass_over(f"a region of type {kinds} is no word")
    if not width or not height:
        raise Problem("lacks original_width and original_height", _REMEDY)
    scale = (width / 100, height / 100)
    if "points" in value:
        corners = [[x * scale[0], y * scale[1]] for x, y in value["points"]]
    else:
        box = upright_box(
            *(value[key] * scale[axis] for key, axis in (("x", 0), ("y", 1), ("width", 0), ("height", 1)))
        )
        corners = turn(box, value.get("rotation") or 0, box[0])
    names = [name for key in _CLASS_KEYS for name in value.get(key) or ()]
    return Label(
        corners,
        value.get("text") or region.get("meta"),
        dont_care=any(map(is_dont_care, names)),
        remark="a task that several people labelled, whose first annotation is read" if region["several"] else "",
    )


def _write(scenes: Sequence[SceneToWrite], path: Path) -> None:
    tasks = []
    for number, (scene, image, (height, width)) in enumerate(scenes, 1):
        results: list[Any] = []
        for index, word in enumerate(scene.words, 1):
            points = [[100 * float(x) / width, 100 * float(y) / height] for x, y in word.polygon_xy]
            common = {"id": f"word{index}", "to_name": "image", "original_width": width, "original_height": height}
            common |= {"image_rotation": 0, "origin": "manual"}
            shape = {"points": points, "closed": True}
            label = ["Ignore" if word.dont_care else "Text"]
            results.append({**common, "from_name": "polygon", "type": "polygon", "value": shape})
            results.append({**common, "from_name": "label", "type": "labels", "value": {**shape, "labels": label}})
            if text := write_text(word):
                value = {**shape, "text": [text]}
                results.append({**common, "from_name": "transcription", "type": "textarea", "value": value})
        annotation = {"id": number, "was_cancelled": False, "ground_truth": False, "result": results}
        tasks.append(
            {"id": number, "data": {"ocr": f"/data/local-files/?d={quote(image)}"}, "annotations": [annotation]}
        )
    write_json(path, tasks)


def _resembles(text: str) -> bool:
    return ('"annotations"' in text and '"result"' in text and '"data"' in text) or '"original_width"' in text


FORMAT = ToolFormat(
    *("label-studio", ".json", _resembles, _entries, _entry, _parse), LabelWriter(_write, "label_studio.json")
).label_format()
