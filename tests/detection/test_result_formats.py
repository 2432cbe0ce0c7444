"""Result files read back: by our own evaluation, and by plain XML and JSON readers that know the formats' rules."""

import json
import os
from dataclasses import replace
from xml.etree import ElementTree as xml

import numpy as np
import pytest
from PIL import Image

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset
from craft.decode.detections import Detections
from craft.detection.layout_formats import ALTO, LAYOUTS, PAGE, alto_text, hocr_text, page_text
from craft.detection.result_formats import coco_dict, icdar_text, labelme_dict
from craft.detection.result_writer import ResultWriter
from craft.evaluation.result_files import read_results

QUADS = np.array(
    [
        [[10, 10], [60, 10], [60, 30], [10, 30]],
        [[70, 12], [120, 12], [120, 32], [70, 32]],
        [[10, 38], [60, 38], [60, 58], [10, 58]],
        [[10, 400], [60, 410], [58, 430], [8, 420]],
    ],
    np.float32,
)
FOUND = Detections(QUADS, np.array([0.9, 0.8, 0.7, 0.6], np.float32), size_hw=(500, 200))
NONE = FOUND[[]]


@pytest.mark.parametrize(("kind", "layout"), [("icdar", "quads"), ("icdar2019", "quads"), ("icdar2013", "boxes")])
def test_icdar_files_are_read_back(tmp_path, kind, layout):
    text = icdar_text(FOUND, boxes=kind == "icdar2013", scores=kind == "icdar2019")
    (tmp_path / "res_a.txt").write_text(text)

    (result,) = read_results(tmp_path, layout=layout)

    expected = QUADS.copy()
    if kind == "icdar2013":
        expected[3] = [[8, 400], [60, 400], [60, 430], [8, 430]]
    np.testing.assert_array_equal(result.polygons_xy, expected)
    assert (result.scores is not None) == (kind == "icdar2019")


def test_coco_files_are_read_back(tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps(coco_dict([("in/a.png", FOUND), ("in/b.png", NONE)])))

    by_name = {result.name.split(".")[0]: result for result in read_results(tmp_path / "coco.json", layout="quads")}

    np.testing.assert_allclose(by_name["a"].polygons_xy, QUADS)
    np.testing.assert_allclose(by_name["a"].scores, FOUND.scores, atol=1e-4)


def test_coco_boxes_hold_their_polygons_and_ids_are_unique():
    values = coco_dict([("a.png", FOUND), ("b.png", FOUND)])

    assert len({item["id"] for item in values["annotations"]}) == 8
    assert {item["image_id"] for item in values["annotations"]} == {item["id"] for item in values["images"]}
    left, top, width, height = values["annotations"][3]["bbox"]
    assert (left, top, width, height) == (8, 400, 52, 30)
    assert values["annotations"][0]["area"] == 50 * 20


def test_labelme_files_hold_polygons_and_the_size():
    values = labelme_dict("in/a.png", FOUND)

    assert (values["imageHeight"], values["imageWidth"], values["imagePath"]) == (500, 200, "in/a.png")
    assert {shape["shape_type"] for shape in values["shapes"]} == {"polygon"}
    np.testing.assert_allclose([shape["points"] for shape in values["shapes"]], QUADS)


@pytest.mark.parametrize("kind", ["labelme", "coco", "page-xml"])
def test_found_words_are_read_as_labels_without_a_transcription(tmp_path, kind):
    Image.new("RGB", (200, 500)).save(tmp_path / "a.png")
    files = {
        "labelme": ("a.labelme.json", json.dumps(labelme_dict("a.png", FOUND))),
        "coco": ("coco.json", json.dumps(coco_dict([("a.png", FOUND)]))),
        "page-xml": ("a.page.xml", page_text("a.png", FOUND)),
    }
    name, content = files[kind]
    (tmp_path / name).write_text(content)

    (scene,) = read_dataset(DatasetSettings(path=str(tmp_path), format=kind)).scenes

    assert [(word.text, word.untranscribed) for word in scene.words] == [(None, True)] * 4


def test_hocr_has_areas_lines_and_words_inside_each_other():
    root = xml.fromstring(hocr_text("a&b.png", FOUND))
    by_class: dict[str, list] = {}
    for element in root.iter():
        by_class.setdefault(element.get("class", ""), []).append(element)

    assert [len(by_class[name]) for name in ("ocr_page", "ocr_carea", "ocr_line", "ocrx_word")] == [1, 2, 3, 4]
    assert by_class["ocr_page"][0].get("title") == 'image "a&b.png"; bbox 0 0 200 500; ppageno 0'
    assert by_class["ocrx_word"][0].get("title") == "bbox 10 10 60 30; x_wconf 90"
    assert by_class["ocr_line"][0].get("title") == "bbox 10 10 120 32"


def test_alto_has_blocks_lines_and_strings_with_the_attributes_it_requires():
    root = xml.fromstring(alto_text("a.png", FOUND))
    name = f"{{{ALTO}}}"

    assert [len(list(root.iter(name + tag))) for tag in ("TextBlock", "TextLine", "String")] == [2, 3, 4]
    assert root.find(f".//{name}Page").attrib == {
        "ID": "page_1",
        "PHYSICAL_IMG_NR": "1",
        "WIDTH": "200",
        "HEIGHT": "500",
    }
    for string in root.iter(name + "String"):
        assert {"ID", "CONTENT", "HPOS", "VPOS", "WIDTH", "HEIGHT", "WC"} == set(string.attrib)
        assert 0 <= float(string.get("WC")) <= 1


def test_page_has_an_order_regions_lines_and_words_with_outlines():
    root = xml.fromstring(page_text("a.png", FOUND))
    name = f"{{{PAGE}}}"
    regions = [region.get("id") for region in root.iter(name + "TextRegion")]

    assert [reference.get("regionRef") for reference in root.iter(name + "RegionRefIndexed")] == regions
    assert [len(list(root.iter(name + tag))) for tag in ("TextLine", "Word")] == [3, 4]
    points = [word.find(name + "Coords").get("points") for word in root.iter(name + "Word")]
    np.testing.assert_array_equal(
        [[tuple(map(int, point.split(","))) for point in text.split()] for text in points], QUADS
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_without_words_and_with_identifiers_that_are_unique(layout):
    _, text_of = LAYOUTS[layout]

    for found in (NONE, FOUND):
        identifiers = [e.get("id") or e.get("ID") for e in xml.fromstring(text_of("a.png", found)).iter()]
        named = [identifier for identifier in identifiers if identifier]
        assert len(named) == len(set(named))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_hold_any_file_name_and_the_page(layout):
    _, text_of = LAYOUTS[layout]
    text = text_of('a\x01"b\x1b\\<\ufffe.tif', replace(FOUND, page=3))

    values = [value for element in xml.fromstring(text).iter() for value in (*element.attrib.values(), element.text)]
    assert any(value and "a\\x01" in value and "<\\xfffe.tif" in value for value in values)
    if layout == "hocr":
        assert r'image "a\x01\"b\x1b\\<\xfffe.tif"; bbox 0 0 200 500; ppageno 2' in values
    if layout == "alto":
        assert "3" in values


def test_labelme_finds_the_image_from_the_folder_of_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = ResultWriter(tmp_path / "out", ("labelme",), draw=False, scores=False, crops=None, lines=False)

    (path,) = writer.write("a", np.zeros((500, 200, 3), np.uint8), replace(FOUND, image_path="in/a.png"), None)

    assert json.loads(path.read_text())["imagePath"] == os.path.join("..", "in", "a.png")
