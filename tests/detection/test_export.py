"""Runs over many files: what is written, what is reported, and that one bad file stops nothing."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from craft.config import DetectionSettings
from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.detection.export import clip_to_image, detect_paths
from craft.detection.image_search import find_images
from craft.detection.result_formats import icdar_text
from craft.detection.result_names import result_names
from craft.detection.result_table import ResultTable
from craft.evaluation.result_files import read_results
from tests.detection.test_detector import BrightIsText, box_image


def detector(model: nn.Module | None = None) -> Detector:
    settings = DetectionSettings(sizing="scale", magnify=2.0)
    return Detector(model or BrightIsText(), settings, device="cpu", precision="fp32")


def save(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(box_image() if pixels is None else pixels).save(path)
    return path


def test_every_format_holds_the_words(tmp_path):
    image = save(tmp_path / "in" / "img_1.png")

    run = detect_paths(
        detector(),
        [image],
        tmp_path / "out",
        formats=("json", "icdar", "csv"),
        draw=True,
        characters=True,
        progress=False,
    )

    assert (run.num_images, run.num_words, run.failures) == (1, 1, ())
    record = json.loads((tmp_path / "out" / "img_1.json").read_text())
    assert record["image"] == str(image)
    assert (record["height"], record["width"]) == (200, 300)
    assert record["words"][0]["quad"] == [[54.5, 74.5], [185.5, 74.5], [185.5, 125.5], [54.5, 125.5]]
    assert record["words"][0]["score"] == 1.0
    assert len(record["words"][0]["characters"][0]) == 4
    (result,) = read_results(tmp_path / "out", layout="quads")
    assert result.name == "res_img_1.txt"
    np.testing.assert_array_equal(result.polygons_xy[0], [[54, 74], [186, 74], [186, 126], [54, 126]])
    rows = list(csv.DictReader((tmp_path / "out" / "detections.csv").open()))
    assert [(row["word"], row["score"], row["x1"]) for row in rows] == [("1", "1.0000", "54.50")]
    assert Image.open(tmp_path / "out" / "img_1.drawn.jpg").size == (300, 200)
    assert sorted(path.name for path in run.written) == sorted(path.name for path in (tmp_path / "out").iterdir())


def test_bad_files_are_reported_and_the_rest_is_done(tmp_path):
    save(tmp_path / "good_1.png")
    save(tmp_path / "good_2.png")
    (tmp_path / "bad.jpg").write_bytes(b"not an image at all")

    run = detect_paths(detector(), [tmp_path, tmp_path / "missing.png"], tmp_path / "out", progress=False)

    assert (run.num_images, run.num_words) == (2, 2)
    assert sorted(Path(problem.where).name for problem in run.failures) == ["bad.jpg", "missing.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good_1.json", "good_2.json"]


def test_image_without_words_has_an_empty_result_file(tmp_path):
    image = save(tmp_path / "img_7.png", np.zeros((40, 50, 3), np.uint8))

    run = detect_paths(detector(), [image], tmp_path / "out", formats=("icdar", "csv"), progress=False)

    assert (run.num_images, run.num_words) == (1, 0)
    assert (tmp_path / "out" / "res_img_7.txt").read_text() == ""
    assert (tmp_path / "out" / "detections.csv").read_text().count("\n") == 1


def test_nothing_to_do_is_no_error_of_ours(tmp_path):
    run = detect_paths(detector(), [], tmp_path / "out", progress=False)

    assert (run.num_images, run.num_words, run.failures) == (0, 0, ())


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="format 'xml' is unknown; use json, icdar, csv, "):
        detect_paths(detector(), [], tmp_path, formats=("xml",))  # type: ignore[arg-type]


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("taken")

    with pytest.raises(ValueError, match="cannot be created as a folder"):
        detect_paths(detector(), [], tmp_path / "out")


def test_folders_globs_and_files_are_found_once_each(tmp_path):
    for name in ("a/2.png", "a/1.JPG", "a/deep/3.gif", "b/4.png"):
        save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "deep" / "5.PDF").write_bytes(b"%PDF")
    for ending in ("drawn", "maps"):  # of an earlier run into this folder
        save(tmp_path / "a" / f"1.{ending}.jpg")

    found, problems = find_images([tmp_path / "a", str(tmp_path / "**" / "*.png"), tmp_path / "a" / "2.png"])

    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["a/1.JPG", "a/2.png", "a/deep/3.gif", "a/deep/5.PDF", "b/4.png"]
    assert find_images([str(tmp_path / "**" / "*.PDF")])[0] == [tmp_path / "a" / "deep" / "5.PDF"]
    assert [problem.what for problem in problems] == ["1 files of other kinds were passed over: 1 .txt"]
    assert not problems[0].fatal


def test_path_that_stands_for_nothing_is_a_problem(tmp_path):
    (tmp_path / "empty").mkdir()

    (tmp_path / "a.txt").write_text("no image")
    found, problems = find_images([tmp_path / "empty", tmp_path / "*.txt", tmp_path / "*.png"])

    assert found == []
    assert [problem.what for problem in problems] == [
        "holds no images",
        "holds no images",
        "is not a file or folder, and matches nothing",
    ]


def test_brackets_in_a_file_name_are_no_glob(tmp_path):
    image = save(tmp_path / "scan [1].png")

    assert find_images([image]) == ([image], [])


def test_results_of_images_with_one_name_do_not_overwrite_each_other():
    names = result_names([Path("a/1.jpg"), Path("a/1.png"), Path("b/1.png"), Path("b/2.png")])

    assert names == ["1_jpg", "1_png", "1_png_2", "2"]


def test_no_name_is_that_of_another_images_page_or_table_or_differs_in_capitals_alone():
    images = [
        Path(name) for name in ("scan.tif", "scan.p2.png", "scan.labelme.png", "a/IMG.png", "b/img.jpg", "coco.png")
    ]

    names = result_names(images, taken=["coco"])

    assert names == ["scan", "scan_p2_png", "scan_labelme_png", "IMG_png", "img_jpg", "coco_png"]
    assert result_names([Path("scan.p2.png")]) == ["scan.p2"]


def test_a_second_run_keeps_the_rows_of_every_page(tmp_path):
    pages = [Image.fromarray(box_image(box=(60, 80, right, 120))) for right in (120, 140, 180)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    other = save(tmp_path / "other.png")

    for _ in range(2):
        detect_paths(
            detector(), [tmp_path / "scan.tif", other], tmp_path / "out", formats=("csv", "coco"), progress=False
        )

    rows = list(csv.DictReader((tmp_path / "out" / "detections.csv").open()))
    assert [(Path(row["image"]).name, row["page"]) for row in rows] == [
        *(("scan.tif", page) for page in "123"),
        ("other.png", ""),
    ]
    images = json.loads((tmp_path / "out" / "coco.json").read_text())["images"]
    assert [image.get("page") for image in images] == [1, 2, 3, None]


def test_a_table_from_before_there_were_pages_is_continued(tmp_path):
    (tmp_path / "out").mkdir()
    old = "image,word,score,x1,y1,x2,y2,x3,y3,x4,y4\nold.png,1,0.9,1,2,3,4,5,6,7,8\n"
    (tmp_path / "out" / "detections.csv").write_text(old)

    detect_paths(detector(), [save(tmp_path / "a.png")], tmp_path / "out", formats=("csv",), progress=False)

    rows = list(csv.DictReader((tmp_path / "out" / "detections.csv").open()))
    assert [(Path(row["image"]).name, row["page"]) for row in rows] == [("old.png", ""), ("a.png", "")]
    assert [row[name] for row in rows[:1] for name in ("word", "score", "x1", "y4")] == ["1", "0.9", "1", "8"]


def test_corners_are_the_last_columns_of_the_table(tmp_path):
    detect_paths(detector(), [save(tmp_path / "a.png")], tmp_path / "out", formats=("csv",), progress=False)

    header, row = list(csv.reader((tmp_path / "out" / "detections.csv").open()))
    assert header[:3] == ["image", "word", "score"]
    assert header[-8:] == [f"{axis}{corner}" for corner in range(1, 5) for axis in "xy"]
    assert all(float(value) >= 0 for value in row[-8:])


def test_icdar_lines_are_whole_numbers_clockwise():
    quads = np.array([[[10.4, 5.6], [30.2, 5.4], [30.1, 15.5], [10, 15.6]]], np.float32)

    assert icdar_text(Detections(quads, np.ones(1, np.float32))) == "10,6,30,5,30,16,10,16\n"


def test_json_has_polygons_where_they_were_found():
    quad = np.array([[0, 0], [4, 0], [4, 2], [0, 2]], np.float32)
    found = Detections(quad[None], np.array([0.5], np.float32), [np.concatenate([quad, quad[:2]])])

    (word,) = found.to_dict()["words"]

    assert len(word["polygon"]) == 6
    assert "characters" not in word


def test_a_run_reports_each_image(tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "b.png", np.zeros((40, 40, 3), np.uint8))

    run = detect_paths(detector(), [tmp_path / "in"], tmp_path / "out", draw=True, progress=False)

    assert [(one.path.name, one.num_words) for one in run.images] == [("a.png", 1), ("b.png", 0)]
    assert [path.name for path in run.images[0].written] == ["a.json", "a.drawn.jpg"]


def test_a_drawing_never_overwrites_an_image_that_is_searched(tmp_path):
    images = [save(tmp_path / "a.png"), save(tmp_path / "a.drawn.jpg")]
    before = [path.read_bytes() for path in images]

    with pytest.raises(ValueError, match=r"a.drawn.jpg: is an image to search"):
        detect_paths(detector(), images, tmp_path, draw=True, progress=False)

    assert [path.read_bytes() for path in images] == before
    assert detect_paths(detector(), images, tmp_path, progress=False).num_images == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"formats": ("icdar", "icdar2013")}, "formats icdar and icdar2013 have files of one name"),
        ({"crop_lines": True}, "--crop-lines has no effect without --crops"),
        ({"draw_scores": True}, "--draw-scores has no effect without drawings"),
        ({"crops": "in"}, "holds images to search, as the crops would be next time"),
        ({"heat_maps": True, "out": "in"}, r"a.maps.jpg: is an image to search"),
    ],
)
def test_options_that_would_have_no_effect_or_replace_files_are_refused(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    images = [save(Path("in/a.png")), save(Path("in/a.maps.jpg"))]

    with pytest.raises(ValueError, match=said):
        detect_paths(detector(), images, **{"out": "out", "progress": False, **options})


def test_linked_folders_are_searched_once_and_files_of_macos_are_passed_over(tmp_path):
    save(tmp_path / "store" / "a.png")
    (tmp_path / "store" / "._a.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photos").symlink_to(tmp_path / "store")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")

    found, problems = find_images([tmp_path / "in"])

    assert ([path.name for path in found], problems) == (["a.png"], [])


def test_urls_are_named_as_such_and_standard_input_is_read():
    found, problems = find_images(["https://example.org/a.png", "-"])

    assert [problem.what for problem in problems] == ["is a URL, and craft reads files"]
    assert found == [Path("-")]


def test_a_second_run_keeps_the_rows_of_other_images_and_says_what_it_replaces(tmp_path):
    first, second = save(tmp_path / "a" / "x.png"), save(tmp_path / "b" / "y.png")
    formats = ("csv", "icdar")
    detect_paths(detector(), [first], tmp_path / "out", formats=formats, progress=False)

    run = detect_paths(detector(), [second, first], tmp_path / "out", formats=formats, progress=False)

    rows = list(csv.DictReader((tmp_path / "out" / "detections.csv").open()))
    assert [row["image"] for row in rows] == [str(second), str(first)]
    assert [remark.what for remark in run.remarks] == ["results of 1 images from an earlier run were replaced"]


def test_a_disk_that_is_full_ends_a_run_at_its_first_drawing(tmp_path, monkeypatch):
    images = [save(tmp_path / f"{number}.png") for number in range(8)]

    def full(path, content, **_):
        if path.name.endswith(".drawn.jpg"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("craft.images.drawing.write_atomic", full)

    with pytest.raises(OSError, match="No space left on device"):
        detect_paths(detector(), images, tmp_path / "out", draw=True, progress=False)


def test_a_table_that_is_removed_in_the_middle_begins_again_with_its_header(tmp_path):
    table = ResultTable(tmp_path / "detections.csv")
    table.path.unlink()

    table.add("a.png", [["a.png", *("1" for _ in range(10)), ""]])

    assert [row["image"] for row in csv.DictReader(table.path.open())] == ["a.png"]


@pytest.mark.parametrize("name", ["a.png", "caf\udce9.png", "two\r\nlines.png"])
def test_runs_beside_each_other_leave_one_row_for_each_word(tmp_path, name):
    row, other = ["image", *("1" for _ in range(10)), ""], ["other", *("1" for _ in range(10)), ""]
    tables = [ResultTable(tmp_path / "detections.csv") for _ in range(2)]

    for table in tables:
        table.add(name, [[name, *row[1:]]])
    tables[0].add("other", [other])
    for table in tables:
        table.close()

    for _ in range(2):
        rows = list(csv.reader((tmp_path / "detections.csv").open(newline="")))[1:]
        assert sorted(row[0] for row in rows) == sorted([name.encode(errors="backslashreplace").decode(), "other"])
        again = ResultTable(tmp_path / "detections.csv")
        again.add(name, [[name, *row[1:]]])
        again.close()


def test_files_that_another_run_is_writing_are_left_to_it(tmp_path):
    names = ("a.json", "a.drawn.jpg", "a.maps.jpg", "detections.csv", "coco.json")
    half_written = [tmp_path / "out" / f"{name}.partial" for name in names]
    half_written[0].parent.mkdir()
    for path in half_written:
        path.write_bytes(b"of another run")

    run = detect_paths(
        detector(),
        [save(tmp_path / "a.png")],
        tmp_path / "out",
        formats=("json", "csv", "coco"),
        draw=True,
        heat_maps=True,
        progress=False,
    )

    assert (len(run.written), run.failures) == (5, ())
    assert [path.read_bytes() for path in half_written] == [b"of another run"] * 5


def test_results_of_another_image_of_that_name_are_not_replaced(tmp_path):
    detect_paths(detector(), [save(tmp_path / "a" / "x.png")], tmp_path / "out", progress=False)

    with pytest.raises(ValueError, match=r"x.json: holds the words of .*a/x.png; give another folder"):
        detect_paths(detector(), [save(tmp_path / "b" / "x.png")], tmp_path / "out", progress=False)


def test_an_interrupted_run_leaves_the_rows_of_finished_images(tmp_path):
    class Interrupted(BrightIsText):
        def forward(self, images):
            if len(self.shapes) == 2:
                raise KeyboardInterrupt
            return super().forward(images)

    images = [save(tmp_path / f"{number}.png") for number in range(4)]

    with pytest.raises(KeyboardInterrupt):
        detect_paths(detector(Interrupted()), images, tmp_path / "out", formats=("csv",), progress=False)

    rows = list(csv.DictReader((tmp_path / "out" / "detections.csv").open()))
    assert [row["image"] for row in rows] == [str(path) for path in images[:2]]


def test_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path):
    save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "caf\udce9.png")

    run = detect_paths(
        detector(), [tmp_path / "in"], tmp_path / "out", formats=("json", "icdar", "csv"), draw=True, progress=False
    )

    assert (run.num_images, run.failures) == (1, ())
    assert json.loads((tmp_path / "out" / "caf\udce9.json").read_text())["image"].endswith("caf\udce9.png")


def test_every_page_is_searched_and_images_that_are_shrunk_are_named(tmp_path):
    pages = [Image.fromarray(box_image()) for _ in range(3)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    small = Detector(BrightIsText(), DetectionSettings(canvas=96), device="cpu", precision="fp32")

    run = detect_paths(small, [tmp_path / "scan.tif"], tmp_path / "out", progress=False)

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["scan.json", "scan.p2.json", "scan.p3.json"]
    assert json.loads((tmp_path / "out" / "scan.p2.json").read_text())["page"] == 2
    assert {remark.what for remark in run.remarks} == {
        "was shrunk to 32% of its size, at which small text may be missed",
    }


def test_all_formats_crops_and_maps_are_written(tmp_path):
    save(tmp_path / "in" / "a.png")
    formats = ("json", "icdar2019", "csv", "labelme", "coco", "hocr", "alto", "page")

    run = detect_paths(
        detector(),
        [tmp_path / "in"],
        tmp_path / "out",
        formats=formats,
        crops=tmp_path / "crops",
        heat_maps=True,
        progress=False,
    )

    names = [
        "a.alto.xml",
        "a.hocr",
        "a.json",
        "a.labelme.json",
        "a.maps.jpg",
        "a.page.xml",
        "coco.json",
        "detections.csv",
        "res_a.txt",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert Image.open(tmp_path / "crops" / "a_0001.png").size == (131, 51)
    assert run.failures == ()
    assert {path.name for path in run.written} == {*names, "a_0001.png"}


@pytest.mark.parametrize("batch_size", [2, 5])
def test_batches_give_the_words_of_single_images(tmp_path, batch_size):
    for number in range(3):
        save(tmp_path / "in" / f"{number}.png", box_image(box=(60, 80, 120 + 20 * number, 120)))

    for size in (1, batch_size):
        detect_paths(detector(), [tmp_path / "in"], tmp_path / str(size), batch_size=size, progress=False)

    for number in range(3):
        one, many = (json.loads((tmp_path / str(size) / f"{number}.json").read_text()) for size in (1, batch_size))
        assert one == many


def test_a_page_that_is_damaged_is_reported_and_those_before_it_are_kept(tmp_path, monkeypatch):
    from craft.detection import export

    def two_pages(path, **options):
        yield export.Page(box_image(), 1)
        raise ValueError(f"{path}: page 2 is damaged")

    monkeypatch.setattr(export, "read_pages", two_pages)
    run = detect_paths(detector(), [save(tmp_path / "a.png")], tmp_path / "out", progress=False)

    assert (run.num_images, [problem.what for problem in run.failures]) == (1, ["page 2 is damaged"])


def test_no_corner_is_written_outside_of_the_image():
    quad = np.array([[-3, 2], [9, -1], [12, 30], [4, 8]], np.float32)
    found = Detections(quad[None], np.ones(1, np.float32), [quad], [quad[None]])

    clipped = clip_to_image(found, (20, 10))

    for points in (clipped.quads_xy[0], clipped.polygons_xy[0], clipped.character_quads_xy[0][0]):
        np.testing.assert_array_equal(points, [[0, 2], [9, 0], [10, 20], [4, 8]])


def test_a_drawing_too_long_for_jpeg_is_made_smaller(tmp_path):
    long = Detector(BrightIsText(), DetectionSettings(canvas=640), device="cpu", precision="fp32")

    run = detect_paths(
        long,
        [save(tmp_path / "a.png", np.zeros((66_000, 8, 3), np.uint8))],
        tmp_path / "out",
        draw=True,
        progress=False,
    )

    assert run.failures == ()
    assert Image.open(tmp_path / "out" / "a.drawn.jpg").size[1] == 65_500
