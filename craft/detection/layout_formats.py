"""Words of an image as layout files, boxes without text: hOCR, ALTO and PAGE, with lines and blocks in reading order."""

import re
from collections.abc import Callable, Iterator
from xml.etree import ElementTree as xml

import numpy as np
from numpy.typing import NDArray

import craft
from craft.decode.detections import Detections
from craft.detection.result_formats import outlines
from craft.geometry import bounding_boxes, box_corners

ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # characters of file names that XML does not hold
_MADE = "2026-01-01T00:00:00"  # PAGE asks for times; the same words give the same file


def hocr_text(path: str, found: Detections) -> str:
    """The content of an hOCR file (version 1.2), whose words are empty spans."""
    height, width = found.size_hw or (0, 0)
    root = xml.Element("html", {"xmlns": "http://www.w3.org/1999/xhtml", "lang": "en"})
    head = xml.SubElement(root, "head")
    xml.SubElement(head, "title").text = path
    xml.SubElement(head, "meta", {"name": "ocr-system", "content": f"craft {craft.__version__}"})
    xml.SubElement(head, "meta", {"name": "ocr-capabilities", "content": "ocr_page ocr_carea ocr_line ocrx_word"})
    quoted = path.replace("\\", "\\\\").replace('"', '\\"')
    title = f'image "{quoted}"; bbox 0 0 {width} {height}; ppageno {(found.page or 1) - 1}'
    page = xml.SubElement(xml.SubElement(root, "body"), "div", {"class": "ocr_page", "id": "page_1", "title": title})
    for block, lines in _blocks(found):
        area = xml.SubElement(page, "div", {"class": "ocr_carea", "id": f"block_{block}", "title": _bbox(found, lines)})
        for line, words in lines:
            row = xml.SubElement(
                area, "span", {"class": "ocr_line", "id": f"line_{line}", "title": _bbox(found, words)}
            )
            for word in words:
                title = f"{_bbox(found, [word])}; x_wconf {round(100 * float(found.scores[word]))}"
                xml.SubElement(row, "span", {"class": "ocrx_word", "id": f"word_{word + 1}", "title": title})
    return _document(root)


def alto_text(path: str, found: Detections) -> str:
    """The content of an ALTO file (version 4), whose strings are empty."""
    height, width = found.size_hw or (0, 0)
    root = xml.Element("alto", {"xmlns": ALTO})
    description = xml.SubElement(root, "Description")
    xml.SubElement(description, "MeasurementUnit").text = "pixel"
    xml.SubElement(xml.SubElement(description, "sourceImageInformation"), "fileName").text = path
    size = {"WIDTH": str(width), "HEIGHT": str(height)}
    page = xml.SubElement(
        xml.SubElement(root, "Layout"), "Page", {"ID": "page_1", "PHYSICAL_IMG_NR": str(found.page or 1), **size}
    )
    space = xml.SubElement(page, "PrintSpace", {"HPOS": "0", "VPOS": "0", **size})
    for block, lines in _blocks(found):
        area = xml.SubElement(space, "TextBlock", {"ID": f"block_{block}", **_box(found, _all(lines))})
        for line, words in lines:
            row = xml.SubElement(area, "TextLine", {"ID": f"line_{line}", **_box(found, words)})
            for word in words:
                score = f"{min(max(float(found.scores[word]), 0), 1):.4f}"
                made = {"ID": f"word_{word + 1}", "CONTENT": "", "WC": score, **_box(found, [word])}
                string = xml.SubElement(row, "String", made)
                shape = xml.SubElement(string, "Shape")
                xml.SubElement(shape, "Polygon", {"POINTS": _points(outlines(found)[word])})
    return _document(root)


def page_text(path: str, found: Detections) -> str:
    """The content of a PAGE file (2019-07-15), whose words have outlines and no text."""
    height, width = found.size_hw or (0, 0)
    root = xml.Element("PcGts", {"xmlns": PAGE})
    metadata = xml.SubElement(root, "Metadata")
    for name, text in (("Creator", f"craft {craft.__version__}"), ("Created", _MADE), ("LastChange", _MADE)):
        xml.SubElement(metadata, name).text = text
    page = xml.SubElement(root, "Page", {"imageFilename": path, "imageWidth": str(width), "imageHeight": str(height)})
    blocks = list(_blocks(found))
    if blocks:
        order = xml.SubElement(xml.SubElement(page, "ReadingOrder"), "OrderedGroup", {"id": "order"})
        for index, (block, _) in enumerate(blocks):
            xml.SubElement(order, "RegionRefIndexed", {"index": str(index), "regionRef": f"block_{block}"})
    for block, lines in blocks:
        region = _with_outline(page, "TextRegion", f"block_{block}", box_corners(_edges(found, _all(lines))))
        for line, words in lines:
            row = _with_outline(region, "TextLine", f"line_{line}", box_corners(_edges(found, words)))
            for word in words:
                _with_outline(row, "Word", f"word_{word + 1}", outlines(found)[word])
    return _document(root)


LAYOUTS: dict[str, tuple[str, Callable[[str, Detections], str]]] = {
    "hocr": (".hocr", hocr_text),
    "alto": (".alto.xml", alto_text),
    "page": (".page.xml", page_text),
}
"""Ending and writer of each format."""


def _blocks(found: Detections) -> Iterator[tuple[int, list[tuple[int, list[int]]]]]:
    """Blocks in reading order: their number and lines, each with its number and words."""
    order = found.reading_order()
    blocks: dict[int, dict[int, list[int]]] = {}
    for word in order.words.tolist():
        blocks.setdefault(int(order.block[word]) + 1, {}).setdefault(int(order.line[word]) + 1, []).append(word)
    for block, lines in blocks.items():
        yield block, list(lines.items())


def _all(lines: list[tuple[int, list[int]]]) -> list[int]:
    return [word for _, words in lines for word in words]


def _edges(found: Detections, words: list[int]) -> tuple[int, int, int, int]:
    boxes = bounding_boxes(found.quads_xy[words])
    low, high = np.floor(boxes[:, :2].min(axis=0)), np.ceil(boxes[:, 2:].max(axis=0))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _bbox(found: Detections, words: list[int] | list[tuple[int, list[int]]]) -> str:
    members = [member for item in words for member in (item[1] if isinstance(item, tuple) else [item])]
    return "bbox {} {} {} {}".format(*_edges(found, members))


def _box(found: Detections, words: list[int]) -> dict[str, str]:
    left, top, right, bottom = _edges(found, words)
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left), "HEIGHT": str(bottom - top)}


def _points(outline: NDArray[np.floating]) -> str:
    return " ".join(f"{x},{y}" for x, y in np.maximum(np.rint(outline.astype(np.float64)), 0).astype(int).tolist())


def _with_outline(parent: xml.Element, tag: str, name: str, outline: NDArray[np.floating]) -> xml.Element:
    element = xml.SubElement(parent, tag, {"id": name})
    xml.SubElement(element, "Coords", {"points": _points(outline)})
    return element


def _document(root: xml.Element) -> str:
    xml.indent(root)
    text = xml.tostring(root, encoding="unicode")
    text = _NO_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
