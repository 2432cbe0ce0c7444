"""CVAT for images 1.1: one XML file with boxes and polygons, the transcription among their attributes.

    <annotations><version>1.1</version><image id="0" name="img_1.jpg" width="1280" height="720">
      <box label="word" xtl="1.0" ytl="2.0" xbr="31.0" ybr="12.0" rotation="15.0" occluded="0" z_order="0">
        <attribute name="text">word</attribute></box>
      <polygon label="word" points="1.0,2.0;31.0,2.0;31.0,12.0;1.0,12.0" ...><attribute ...>...</attribute></polygon>

A box is turned around its centre.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from craft.datasets.json_fields import plain_numbers
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import has_all, load_xml, write_text, write_xml
from craft.datasets.tool_labels import (
    Entry,
    Label,
    ToolFormat,
    is_dont_care,
    pass_over,
    text_among,
    text_of_class,
    turn,
    upright_box,
)
from craft.errors import Problem


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    root = load_xml(path)
    if root.tag != "annotations" or root.find("track") is not None:
        kind = "CVAT for video" if root.tag == "annotations" else f"an XML file of {root.tag}"
        raise Problem(f"is {kind}", "export the task as CVAT for images 1.1")
    for image in root.iterfind("image"):
        yield f"image {image.get('id')}", image


def _entry(image: Element) -> Entry:
    shapes = [shape for shape in image if shape.tag != "tag"]
    return Entry(image.attrib["name"], [(f"{shape.tag} {number}", shape) for number, shape in enumerate(shapes, 1)])


def _parse(shape: Element) -> Label:
    if shape.tag == "box":
        left, top, right, bottom = (float(shape.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        centre = (0.5 * (left + right), 0.5 * (top + bottom))
        corners = turn(upright_box(left, top, right - left, bottom - top), float(shape.get("rotation", 0)), centre)
    elif shape.tag == "polygon":
        corners = [[float(value) for value in point.split(",")] for point in shape.attrib["points"].split(";")]
    else:
        raise pass_over(f"a {shape.tag} is no word")
    attributes = {item.attrib["name"]: item.text or "" for item in shape.iterfind("attribute")}
    text = text_among(attributes)
    name = shape.get("label")
    return Label(
        corners,
        text if text is not None else text_of_class(name),
        script=attributes.get("script", ""),
        dont_care=is_dont_care(name) or attributes.get("dont_care") == "true",
    )


def _write(scenes: Sequence[SceneToWrite], path: Path) -> None:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _add_labels(SubElement(SubElement(root, "meta"), "task"), len(scenes))
    for number, (scene, image, (height, width)) in enumerate(scenes):
        of_image = SubElement(root, "image", id=str(number), name=image, width=str(width), height=str(height))
        for word in scene.words:
            points = ";".join(",".join(map(str, point)) for point in plain_numbers(word.polygon_xy))
            shape = SubElement(
                of_image, "polygon", label="text", source="manual", occluded="0", points=points, z_order="0"
            )
            SubElement(shape, "attribute", name="text").text = write_text(word)
            if word.script:
                SubElement(shape, "attribute", name="script").text = word.script
    write_xml(path, root)


def _add_labels(task: Element, num_images: int) -> None:
    """What the tool has to know of a task: its mode, and the label with its attributes."""
    for tag, text in (("name", "craft"), ("size", str(num_images)), ("mode", "annotation")):
        SubElement(task, tag).text = text
    label = SubElement(SubElement(task, "labels"), "label")
    SubElement(label, "name").text = "text"
    attributes = SubElement(label, "attributes")
    for name in ("text", "script"):
        attribute = SubElement(attributes, "attribute")
        for tag, text in (("name", name), ("mutable", "False"), ("input_type", "text"), ("default_value", "")):
            SubElement(attribute, tag).text = text
        SubElement(attribute, "values")


FORMAT = ToolFormat(
    *("cvat", ".xml", has_all("<annotations", "<image "), _entries, _entry, _parse),
    LabelWriter(_write, "annotations.xml", script=True),
).label_format()
