"""The formats of annotation tools: small files as the tools write them, and round trips of every format."""

import json
import re

import cv2
import numpy as np
import pytest

from craft.config import DatasetSettings
from craft.datasets.formats import FORMATS
from craft.datasets.jsonlines import write_scenes
from craft.datasets.label_converter import WRITTEN_FORMATS, convert_labels
from craft.datasets.reading import read_dataset
from craft.scene import Scene, Word

QUAD = [[10, 20], [50, 20], [50, 32], [10, 32]]
CURVED = [[10, 60], [30, 52], [50, 60], [50, 72], [30, 64], [10, 72]]
TOOLS = ("coco", "cocotext", "cvat", "doctr", "label-studio", "labelme", "paddleocr", "page-xml", "via")


def dump(value):
    return json.dumps(value, ensure_ascii=False)


def xml_page(*words):
    body = "".join(
        f'<Word id="w{n}"><Coords points="{points}"/><TextEquiv><Unicode>{text}</Unicode></TextEquiv></Word>'
        for n, (points, text) in enumerate(words, 1)
    )
    return (
        '<?xml version="1.0"?><PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2013-07-15"><Page '
        'imageFilename="a.jpg" imageWidth="100" imageHeight="80"><TextRegion id="r"><Coords points="0,0 99,0 99,79"/>'
        f'<TextLine id="l"><Coords points="0,0 99,0 99,79"/>{body}</TextLine></TextRegion></Page></PcGts>'
    )


def studio_region(key, kind, **value):
    return {"id": key, "type": kind, "original_width": 100, "original_height": 80, "value": value}


# Of each format: the name of its file, and the file of an image a.jpg with the quad "word" and an ignored curved word.
FILES = {
    "coco": (
        "annotations.json",
        dump(
            {
                "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}],
                "categories": [{"id": 1, "name": "text"}],
                "annotations": [
                    {"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 40, 12], "attributes": {"text": "word"}},
                    {
                        "id": 2, "image_id": 7, "category_id": 1, "iscrowd": 1, "bbox": [10, 52, 40, 20],
                        "segmentation": [np.ravel(CURVED).tolist()],
                    },
                ],
            }
        ),
    ),
    "cocotext": (
        "cocotext.v2.json",
        dump(
            {
                "cats": {},
                "imgs": {"7": {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80, "set": "train"}},
                "imgToAnns": {"7": [1, 2]},
                "anns": {
                    "1": {
                        "id": 1, "image_id": 7, "bbox": [10, 20, 40, 12], "mask": np.ravel(QUAD).tolist(),
                        "utf8_string": "word", "legibility": "legible", "language": "english", "class": "machine printed",
                    },
                    "2": {
                        "id": 2, "image_id": 7, "bbox": [10, 52, 40, 20], "mask": np.ravel(CURVED).tolist(),
                        "legibility": "illegible", "language": "na", "class": "handwritten",
                    },
                },
            }
        ),
    ),
    "cvat": (
        "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task/></meta>'
        '<image id="0" name="a.jpg" width="100" height="80">'
        '<box label="text" occluded="0" xtl="10.00" ytl="20.00" xbr="50.00" ybr="32.00" z_order="0">'
        '<attribute name="text">word</attribute></box><polygon label="ignore" occluded="0" points="'
        + ";".join(f"{x:.2f},{y:.2f}" for x, y in CURVED)
        + '" z_order="0"></polygon></image></annotations>',
    ),
    "doctr": (
        "labels.json",
        dump({"a.jpg": {"img_dimensions": [80, 100], "typed_words": [{"value": "word", "geometry": [10, 20, 50, 32]}]}}),
    ),
    "label-studio": (
        "project-1-at-2026-01-01.json",
        dump(
            [
                {
                    "id": 1,
                    "data": {"ocr": "/data/upload/1/3fa85f64-a.jpg"},
                    "annotations": [
                        {
                            "was_cancelled": False,
                            "result": [
                                studio_region("r", "rectangle", x=10, y=25, width=40, height=15, rotation=0),
                                studio_region("r", "labels", x=10, y=25, width=40, height=15, rotation=0, labels=["Text"]),
                                studio_region("r", "textarea", x=10, y=25, width=40, height=15, rotation=0, text=["word"]),
                                studio_region(
                                    "p", "polygonlabels", points=[[x, y / 0.8] for x, y in CURVED], polygonlabels=["Ignore"]
                                ),
                            ],
                        }
                    ],
                }
            ]
        ),
    ),
    "labelme": (
        "a.json",
        dump(
            {
                "version": "5.5.0", "flags": {}, "imagePath": "a.jpg", "imageData": None, "imageHeight": 80,
                "imageWidth": 100,
                "shapes": [
                    {"label": "word", "points": [[50, 32], [10, 20]], "group_id": None, "description": "word",
                     "shape_type": "rectangle", "flags": {}},
                    {"label": "###", "points": CURVED, "group_id": None, "shape_type": "polygon", "flags": {}},
                ],
            }
        ),
    ),
    "paddleocr": (
        "Label.txt",
        "data/a.jpg\t"
        + dump(
            [
                {"transcription": "word", "points": QUAD, "difficult": False},
                {"transcription": "###", "points": CURVED, "difficult": False},
            ]
        )
        + "\n",
    ),
    "page-xml": (
        "a.xml",
        xml_page(("10,20 50,20 50,32 10,32", "word"), (" ".join(f"{x},{y}" for x, y in CURVED), "###")),
    ),
    "via": (
        "via_project.json",
        dump(
            {
                "_via_settings": {},
                "_via_img_metadata": {
                    "a.jpg123": {
                        "filename": "a.jpg", "size": 123, "file_attributes": {},
                        "regions": [
                            {"shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 40, "height": 12},
                             "region_attributes": {"text": "word"}},
                            {"shape_attributes": {"name": "polygon", "all_points_x": [x for x, _ in CURVED],
                             "all_points_y": [y for _, y in CURVED]}, "region_attributes": {"text": "###"}},
                        ],
                    }
                },
            }
        ),
    ),
}  # fmt: skip


def write_image(path, name="a.jpg"):
    cv2.imwrite(str(path / name), np.full((80, 100, 3), 200, np.uint8))


@pytest.fixture
def tool_folder(tmp_path):
    """A function that writes a format's label file beside its image, after changing its text."""

    def write(name, change=lambda text: text):
        file, text = FILES[name]
        write_image(tmp_path)
        (tmp_path / file).write_text(change(text), encoding="utf-8")
        return tmp_path

    return write


def read(path, name, **settings):
    return read_dataset(DatasetSettings(path=str(path), format=name, **settings))


def test_every_tool_has_a_file_here():
    assert set(FILES) == set(TOOLS)
    assert set(TOOLS) <= set(WRITTEN_FORMATS) <= set(FORMATS)


@pytest.mark.parametrize("name", TOOLS)
def test_a_file_of_the_tool_is_read(tool_folder, name):
    folder = tool_folder(name)

    reading = read(folder, name)

    assert reading.problems == ()
    (scene,) = reading.scenes
    assert (scene.name, scene.image_path) == ("a", str(folder / "a.jpg"))
    word, *others = scene.words
    assert (word.text, word.dont_care) == ("word", False)
    np.testing.assert_allclose(word.polygon_xy, QUAD, atol=1e-4)
    assert str(folder / FILES[name][0]) + ":" in word.source
    if name != "doctr":  # which knows no don't care
        (ignored,) = others
        assert ignored.dont_care
        np.testing.assert_allclose(ignored.polygon_xy, CURVED, atol=1e-4)


@pytest.mark.parametrize("name", TOOLS)
def test_a_folder_without_a_format_is_told_which_it_looks_like(tool_folder, name):
    folder = tool_folder(name)

    with pytest.raises(ValueError, match=rf"looks like {name} \(.*\): add --format {name}, or format: {name} in"):
        read(folder, None)


def test_the_format_of_label_files_in_a_folder_below_is_proposed_with_it(tmp_path):
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "img_1.txt").write_text("1,1,9,1,9,9,1,9,Latin,word\n2,2,9,2,9,9,2,9,None,###\n")

    with pytest.raises(ValueError, match=r"looks like icdar2017 .*--format icdar2017 and --labels gt"):
        read(tmp_path, None)


@pytest.mark.parametrize("name", TOOLS)
def test_a_damaged_file_is_an_error_that_names_its_line_or_entry(tool_folder, name):
    for cut in (0.3, 0.6, 0.9):
        folder = tool_folder(name, lambda text, cut=cut: text[: int(len(text) * cut)])

        errors = read(folder, name).errors

        assert errors
        assert all(re.search(rf"{re.escape(FILES[name][0])}:\S", error.where) for error in errors)
        assert all(error.remedy for error in errors)


def damaged(value):
    """The JSON value with one part after the other replaced by something of another kind."""
    yield from (None, "wide", [], {}, -1, True)
    if isinstance(value, dict | list):
        for key in list(value if isinstance(value, dict) else range(len(value))):
            for part in damaged(value[key]):
                copy = value.copy()
                copy[key] = part
                yield copy


@pytest.mark.parametrize("name", [name for name in TOOLS if FILES[name][0].endswith(".json")])
def test_whatever_is_wrong_in_a_file_is_a_problem_with_location_and_remedy(tool_folder, name):
    folder = tool_folder(name)
    file, text = FILES[name]
    num_errors = 0

    for content in damaged(json.loads(text)):
        (folder / file).write_text(dump(content))
        errors = read(folder / file, name).errors
        num_errors += bool(errors)
        assert all(str(error).startswith(str(folder)) and error.remedy for error in errors)

    assert num_errors > 40


@pytest.mark.parametrize("name", ["cvat", "page-xml"])
def test_every_missing_attribute_or_damaged_number_of_xml_is_a_problem_with_location_and_remedy(tool_folder, name):
    folder = tool_folder(name)
    file, text = FILES[name]
    num_errors = 0

    for match in re.finditer(r' [\w]+="[^"]*"', text[22:]):
        for new in ("", match[0].partition("=")[0] + '="wide"'):
            (folder / file).write_text(text[: 22 + match.start()] + new + text[22 + match.end() :])
            errors = read(folder / file, name).errors
            num_errors += bool(errors)
            assert all(str(error).startswith(str(folder)) and error.remedy for error in errors)

    assert num_errors > 5


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("coco", lambda text: text.replace('"image_id": 7', '"image_id": 8', 1), "annotation 1.*lacks .image 8"),
        ("coco", lambda text: text.replace('"bbox": [10, 20, 40, 12], ', ""), 'image 7, annotation 1: .*lacks "bbox"'),
        ("coco", lambda text: text.replace("[10, 20, 40, 12]", "[10, 20, 0, 12]"), "annotation 1: word has no area"),
        ("cocotext", lambda text: text.replace('"utf8_string": "word"', '"utf8_string": true'), "text is 'True'"),
        ("cvat", lambda text: text.replace('xtl="10.00" ', ""), 'image 0, box 1: .*lacks "xtl"'),
        ("cvat", lambda text: text.replace("<image", '<track id="0"/><image'), "export the task as CVAT for images"),
        ("doctr", lambda text: text.replace("typed_words", "boxes"), 'image a.jpg: .*lacks "typed_words"'),
        (
            "label-studio",
            lambda text: text.replace('"original_width": 100, ', ""),
            "task 1, region r: lacks original_width",
        ),
        ("label-studio", lambda text: dump([{"id": 5, "image": "a.jpg", "bbox": []}]), "task 5: is JSON-MIN"),
        ("label-studio", lambda text: text.replace("a.jpg", "a.pdf"), "task 1: its data holds no path of an image"),
        ("labelme", lambda text: text.replace('"points"', '"corners"', 1), 'a.json:shape 1: .*lacks "points"'),
        ("labelme", lambda text: text.replace("[50, 32], [10, 20]", "[50, 32], [50, 32]"), "shape 1: word has no area"),
        ("paddleocr", lambda text: text.replace("\t", " "), "Label.txt:1: is no path, a tab and a list"),
        ("paddleocr", lambda text: text + text, "Label.txt:2: second entry of the image"),
        ("page-xml", lambda text: text.replace("50,32 ", "50, "), "Word w1: cannot be read as a label"),
        ("page-xml", lambda text: text.replace('Word id="w1"><Coords', 'Word id="w1"><Area'), "not XML|lacks Coords"),
        ("via", lambda text: text.replace('"width": 40', '"width": 0'), "region 1: word has no area"),
        ("via", lambda text: text.replace('"regions"', '"areas"'), 'image a.jpg123: .*lacks "regions"'),
    ],
)
def test_what_is_wrong_is_said_where_it_is(tool_folder, name, change, message):
    folder = tool_folder(name, change)

    reading = read(folder, name)

    assert re.search(message, "\n".join(map(str, reading.errors)), re.DOTALL)


def test_shapes_that_are_no_words_are_counted_not_errors(tool_folder):
    circle = {"label": "x", "points": [[1, 1], [5, 5]], "shape_type": "circle", "flags": {}}

    folder = tool_folder(
        "labelme", lambda text: text.replace('"shapes": [', f'"shapes": [{dump(circle)}, {dump(circle)}, ')
    )
    reading = read(folder, "labelme")

    (remark,) = reading.problems
    assert not remark.fatal
    assert "a circle is no word (2 times, here first)" in str(remark)
    assert len(reading.good_scenes[0].words) == 2


def test_tasks_without_an_annotation_are_not_images_without_text(tool_folder):
    folder = tool_folder("label-studio", lambda text: text.replace('"was_cancelled": false', '"was_cancelled": true'))

    reading = read(folder, "label-studio")

    assert reading.scenes == ()
    assert "a task without an annotation" in str(reading.problems[0])


def test_images_without_an_entry_are_remarked_on(tool_folder):
    folder = tool_folder("coco")
    write_image(folder, "b.jpg")

    (remark,) = read(folder, "coco").problems

    assert "1 images have no entry and are not used: b.jpg" in str(remark)


def test_a_turned_rectangle_of_label_studio_turns_around_its_top_left_corner(tool_folder):
    folder = tool_folder("label-studio", lambda text: text.replace('"rotation": 0', '"rotation": 90'))

    word = read(folder, "label-studio").scenes[0].words[0]

    np.testing.assert_allclose(word.polygon_xy, [[10, 20], [10, 60], [-2, 60], [-2, 20]], atol=1e-4)


def test_a_turned_box_of_cvat_turns_around_its_centre(tool_folder):
    folder = tool_folder("cvat", lambda text: text.replace('z_order="0"><attr', 'rotation="90.0" z_order="0"><attr'))

    word = read(folder, "cvat").scenes[0].words[0]

    np.testing.assert_allclose(word.polygon_xy, [[36, 6], [36, 46], [24, 46], [24, 6]], atol=1e-4)


@pytest.mark.parametrize(("split", "names"), [("train", ["a"]), ("validation", ["b"]), ("all", ["a", "b"])])
def test_coco_text_has_its_split_in_the_file(tool_folder, split, names):
    second = '{"8": {"id": 8, "file_name": "b.jpg", "set": "val"}, '
    folder = tool_folder("cocotext", lambda text: text.replace('"imgs": {', '"imgs": ' + second))
    write_image(folder, "b.jpg")

    reading = read(folder, "cocotext", split=split)

    assert sorted(scene.name for scene in reading.scenes) == names


def test_several_label_files_of_one_file_formats_have_to_be_chosen_from(tool_folder):
    folder = tool_folder("coco")
    (folder / "instances_val.json").write_text(FILES["coco"][1])

    with pytest.raises(ValueError, match=r"holds 2 label files \(annotations.json, instances_val.json\); give one"):
        read(folder, "coco")
    assert len(read(folder, "coco", labels="instances_val.json").scenes) == 1
    assert len(read(folder / "instances_val.json", "coco").scenes) == 1


def test_images_are_found_in_the_folder_that_is_named_and_in_images_beside_the_file(tool_folder):
    folder = tool_folder("doctr")
    (folder / "images").mkdir()
    (folder / "a.jpg").rename(folder / "images" / "a.jpg")

    assert read(folder, "doctr").scenes[0].image_path == str(folder / "images" / "a.jpg")
    assert read(folder, "doctr", images="elsewhere").errors[0].where == str(folder / "elsewhere" / "a.jpg")


@pytest.fixture
def scenes(tmp_path):
    """Two scenes with a quad, a polygon, characters, a don't-care word and fractions of pixels, and one without words."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for name in ("img_1", "img_2", "img_3"):
        write_image(folder / "images", f"{name}.jpg")
    quad, curved = np.array(QUAD, np.float32), np.array(CURVED, np.float32)
    halves = np.array([[[10, 20], [30, 20], [30, 32], [10, 32]], [[30, 20], [50, 20], [50, 32], [30, 32]]], np.float32)
    words = (
        Word(quad, 'it\'s "so", 5,5', "Latin", character_quads_xy=halves),
        Word(curved, "ünïcödé 字", "Chinese"),
        Word(quad + np.float32(40.25), None, dont_care=True),
        Word(np.array([[60, 10], [90, 20], [88, 30], [58, 20]], np.float32), "slanted"),
    )
    found = [
        Scene(str(folder / "images/img_1.jpg"), words, "img_1"),
        Scene(str(folder / "images/img_2.jpg"), words[1:], "img_2"),
        Scene(str(folder / "images/img_3.jpg"), (), "img_3"),
    ]
    write_scenes(folder / "scenes.jsonl", found)
    return folder


@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_what_is_written_is_read_back_but_for_what_was_counted_as_lost(scenes, tmp_path, name):
    given = read(scenes / "scenes.jsonl", "jsonl").scenes
    official = {"images": str(scenes / "images"), "labels": "."} if FORMATS[name].layout is not None else {}

    done = convert_labels(DatasetSettings(path=str(scenes / "scenes.jsonl")), tmp_path / "out", to=name)
    reading = read(tmp_path / "out", name, **official)

    assert reading.problems == ()
    assert (done.scenes, done.words) == (3, 7)
    lost, writer = done.lost, FORMATS[name].writer
    assert lost.get("polygons, written as quads", 0) == (0 if writer.exact or writer.polygons else 2)
    assert lost.get("slanted quads, written as upright boxes", 0) == (0 if writer.exact or writer.slanted else 2)
    for before, after in zip(given, reading.scenes, strict=True):
        assert (after.name, after.image_path) == (before.name, before.image_path) or FORMATS[name].layout is None
        assert len(after.words) == len(before.words)
        for old, new in zip(before.words, after.words, strict=True):
            assert (new.text, new.dont_care) == (old.text, old.dont_care)
            if len(old.polygon_xy) == len(new.polygon_xy) and "slanted quads, written as upright boxes" not in lost:
                np.testing.assert_allclose(new.polygon_xy, old.polygon_xy, atol=1e-4 if writer.fractions else 0.5)
            if writer.exact or writer.script:
                assert new.script == old.script
            if writer.exact or writer.characters:
                assert (new.character_quads_xy is None) == (old.character_quads_xy is None)


def test_losses_are_counted_by_kind(scenes, tmp_path):
    done = convert_labels(DatasetSettings(path=str(scenes)), tmp_path / "out", to="doctr")

    assert done.lost == {
        "polygons, written as quads": 2,
        "don't-care marks; other programs take these for words": 2,
        "words' scripts": 3,
        "words' character boxes": 1,
    }


def test_converting_refuses_labels_that_are_there_and_datasets_with_errors(scenes, tmp_path):
    settings = DatasetSettings(path=str(scenes))
    convert_labels(settings, tmp_path / "out", to="coco")

    with pytest.raises(ValueError, match=r"annotations\.json: already exists"):
        convert_labels(settings, tmp_path / "out", to="coco")
    (scenes / "images/img_2.jpg").unlink()
    with pytest.raises(ValueError, match="1 errors; fix them, or add --skip-errors"):
        convert_labels(settings, tmp_path / "second", to="coco")
    assert convert_labels(settings, tmp_path / "second", to="coco", skip_errors=True).scenes == 2


@pytest.mark.parametrize("name", ["jsonl", *sorted(set(TOOLS) - {"cocotext"})])
def test_a_word_that_nobody_transcribed_stays_apart_from_one_marked_dont_care(tmp_path, name):
    write_image(tmp_path)
    words = (Word(np.float32(QUAD), "", dont_care=True, untranscribed=True), Word(np.float32(CURVED), dont_care=True))
    write_scenes(tmp_path / "from.jsonl", [Scene(str(tmp_path / "a.jpg"), words, "a")])

    convert_labels(DatasetSettings(path=str(tmp_path / "from.jsonl")), tmp_path / "to", to=name)

    (scene,) = read(tmp_path / "to", name, images="..").scenes
    assert [word.untranscribed for word in scene.words] == [True, False]
    assert all(word.dont_care for word in scene.words)
