"""PAGE XML: one file per page, with the coordinates and texts of lines, words and glyphs.

    <PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="page_1.png"
     imageWidth="1280" imageHeight="720"><TextRegion><TextLine><Word id="w1"><Coords points="1,2 31,2 31,12 1,12"/>
       <TextEquiv><Unicode>word</Unicode></TextEquiv></Word></TextLine></TextRegion></Page></PcGts>

The words are read, and the lines of a page without any. Glyphs with four corners each are a word's characters.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.tool_files import has_all, load_xml, write_text, write_xml
from craft.datasets.tool_labels import Entry, Label, ToolFormat, is_dont_care
from craft.errors import Problem

_SCHEMA = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_WORD = "Word"


def _entries(path: Path, split: str) -> Iterator[tuple[str, Any]]:
    root = load_xml(path)
    if root.tag == "mets":
        return  # the table of contents of an export from Transkribus
    if root.tag != "PcGts":
        raise Problem(f"is an XML file of {root.tag}, not PAGE XML", "move it away, or export it as PAGE XML")
    pages = list(root.iterfind("Page"))
    for number, page in enumerate(pages, 1):
        yield f"page {number}" if len(pages) > 1 else "", page


def _entry(page: Element) -> Entry:
    found = list(page.iter(_WORD)) or list(page.iter("TextLine"))
    return Entry(page.attrib["imageFilename"], [(f"{item.tag} {item.get('id', '')}", item) for item in found])


def _parse(item: Element) -> Label:
    equivalent = item.find("TextEquiv")  # the first one, where a recogniser gives several
    text = None if equivalent is None else equivalent.findtext("Unicode") or equivalent.findtext("PlainText")
    glyphs = [_corners(glyph) for glyph in item.iterfind("Glyph")]
    return Label(
        _corners(item),
        text,
        dont_care=is_dont_care(text),
        characters=glyphs if glyphs and all(len(glyph) == 4 for glyph in glyphs) else None,
        remark="lines are read, since the page has no words" if item.tag != _WORD else "",
    )


def _corners(item: Element) -> list[list[float]]:
    coords = item.find("Coords")
    if coords is None:
        raise Problem("lacks Coords", "draw it again")
    if "points" in coords.attrib:
        return [[float(value) for value in point.split(",")] for point in coords.attrib["points"].split()]
    return [[float(point.attrib["x"]), float(point.attrib["y"])] for point in coords.iterfind("Point")]


def _write(scenes: Sequence[SceneToWrite], folder: Path) -> None:
    for scene, image, (height, width) in scenes:
        root = Element("PcGts", xmlns=_SCHEMA)
        metadata = SubElement(root, "Metadata")
        for name in ("Creator", "Created", "LastChange"):
            SubElement(metadata, name).text = "craft" if name == "Creator" else "1970-01-01T00:00:00"
        page = SubElement(root, "Page", imageFilename=image, imageWidth=str(width), imageHeight=str(height))
        whole = np.array([[0, 0], [width, 0], [width, height], [0, height]])
        region = _add(page, "TextRegion", "r1", whole)
        for number, word in enumerate(scene.words, 1):
            line = _add(region, "TextLine", f"l{number}", word.polygon_xy)
            element = _add(line, _WORD, f"w{number}", word.polygon_xy)
            for index, quad in enumerate(word.character_quads_xy if word.character_quads_xy is not None else (), 1):
                _add(element, "Glyph", f"w{number}g{index}", quad)
            if text := write_text(word):
                SubElement(SubElement(element, "TextEquiv"), "Unicode").text = text
        write_xml(folder / f"{scene.name}.xml", root)


def _add(parent: Element, tag: str, name: str, polygon_xy: Any) -> Element:
    element = SubElement(parent, tag, id=name)
    points = " ".join(f"{max(0, round(float(x)))},{max(0, round(float(y)))}" for x, y in polygon_xy)
    SubElement(element, "Coords", points=points)
    return element


FORMAT = ToolFormat(
    *("page-xml", ".xml", has_all("<PcGts"), _entries, _entry, _parse),
    LabelWriter(_write, fractions=False, characters=True),
).label_format()
