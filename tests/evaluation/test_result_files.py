"""Result files of any detector, and each way in which they can be wrong."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from craft.evaluation.result_files import parse_line, read_results

QUAD = [[0, 1], [10, 1], [10, 9], [0, 9]]


@pytest.mark.parametrize(
    ("line", "score"),
    [
        ("0,1,10,1,10,9,0,9", None),
        (" 0 , 1, 10,1,10,9,0, 9 ", None),
        ("0 1 10 1 10 9 0 9", None),
        ("0.0,1.0,10.0,1,10,9,0,9e0", None),
        ("0,1,10,1,10,9,0,9,0.75", 0.75),
        ("0,1,10,1,10,9,0,9,0.75,a, text", 0.75),
        ("0,1,10,1,10,9,0,9,a,0.75", None),
        ("0,1,10,1,10,9,0,9,", None),
    ],
)
def test_a_quad_is_read_in_every_usual_form(line, score):
    polygon, found = parse_line(line, layout="quads")

    assert polygon.tolist() == QUAD
    assert found == score


@pytest.mark.parametrize("line", ["0,1,10,9", "0 1 10 9", "0,1,10,1,10,9,0,9"])
def test_a_box_is_two_opposite_corners_or_a_quad(line):
    polygon, score = parse_line(line, layout="boxes")

    assert polygon.tolist() == QUAD
    assert score is None


def test_a_box_may_have_a_score():
    assert parse_line("0,1,10,9,0.5", layout="boxes")[1] == 0.5


def test_a_polygon_has_any_number_of_corners_and_perhaps_a_score():
    polygon, score = parse_line("0,0,5,-2,10,0,10,10,0,10,0.5", layout="polygons")

    assert polygon.shape == (5, 2)
    assert score == 0.5


@pytest.mark.parametrize(
    ("line", "layout"),
    [
        ("0,1,10,9", "quads"),
        ("0,1,10,1,10,9,0", "quads"),
        ("0,1,10,1,10,9,0,nan", "quads"),
        ("0,1,10,1,10,9,0,1e999", "quads"),
        ("a,b", "quads"),
        ("0,1,10", "boxes"),
        ("0,1,10,1,10,9", "boxes"),
        ("0,1,10,1", "polygons"),
    ],
)
def test_other_lines_are_refused(line, layout):
    with pytest.raises(ValueError, match="wanted"):
        parse_line(line, layout=layout)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    (tmp_path / "res_img_10.txt").write_bytes(b"\xef\xbb\xbf0,1,10,1,10,9,0,9\r\n\r\n1,1,11,1,11,9,1,9\r\n")
    (tmp_path / "res_img_9.txt").write_text("")
    (tmp_path / "res_img_9.json").write_text("{}")

    files = read_results(tmp_path, layout="quads")

    assert [file.name for file in files] == ["res_img_9.txt", "res_img_10.txt"]
    assert files[0].polygons_xy == []
    assert files[1].lines == (1, 3)
    np.testing.assert_array_equal(files[1].polygons_xy[0], QUAD)
    assert files[1].scores is None


def test_a_zip_is_read_like_a_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "submit.zip", "w") as archive:
        archive.writestr("results/res_img_1.txt", "0,1,10,1,10,9,0,9,0.5")
        archive.writestr("__MACOSX/._res_img_1.txt", "x")

    (file,) = read_results(tmp_path / "submit.zip", layout="quads")

    assert (file.name, file.scores.tolist()) == ("res_img_1.txt", [0.5])


def test_scores_are_read_only_where_every_line_has_one(tmp_path):
    (tmp_path / "res_1.txt").write_text("0,1,10,1,10,9,0,9,2024\n0,1,10,1,10,9,0,9,Open")

    (file,) = read_results(tmp_path, layout="quads")

    assert file.scores is None
    assert len(file.polygons_xy) == 2


def test_every_bad_line_is_named_by_file_and_line(tmp_path):
    (tmp_path / "res_1.txt").write_text("0,1,10,1,10,9,0,9\n1,2,3\n")
    (tmp_path / "res_2.txt").write_bytes(b"0,1,10,1,10,9,0,9,\xff\xfe")

    with pytest.raises(ValueError, match=r"res_1\.txt:2: found '1,2,3'") as error:
        read_results(tmp_path, layout="quads")

    assert "res_2.txt: is not UTF-8" in str(error.value)


def test_a_path_without_result_files_is_refused(tmp_path):
    (tmp_path / "not.zip").write_text("no zip")

    with pytest.raises(ValueError, match=r"holds no \.txt or \.json file"):
        read_results(tmp_path, layout="quads")
    with pytest.raises(ValueError, match="does not exist"):
        read_results(tmp_path / "missing", layout="quads")
    with pytest.raises(ValueError, match="neither a folder nor a readable zip"):
        read_results(tmp_path / "not.zip", layout="quads")


def test_a_zip_with_one_name_in_two_folders_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "submit.zip", "w") as archive:
        archive.writestr("a/res_1.txt", "")
        archive.writestr("b/res_1.txt", "")

    with pytest.raises(ValueError, match=r"holds res_1\.txt twice"):
        read_results(tmp_path / "submit.zip", layout="quads")


def test_results_of_detection_in_json_are_read_where_there_is_no_text_file(tmp_path):
    word = {"quad": [[1, 2], [9.5, 2], [9.5, 6], [1, 6]], "score": 0.75}
    (tmp_path / "img_1.json").write_text(json.dumps({"image": "img_1.png", "height": 9, "width": 9, "words": [word]}))

    (file,) = read_results(tmp_path, layout="quads")

    np.testing.assert_array_equal(file.polygons_xy[0], word["quad"])
    assert (file.name, file.scores.tolist()) == ("img_1.json", [0.75])
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match=r"other.json: is not a result file of craft detect"):
        read_results(tmp_path, layout="quads")


COCO = [
    {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5},
    {"image_id": 7, "bbox": [0, 0, 5, 5], "segmentation": [[0, 0, 5, 1, 5, 6, 0, 5]], "score": 0.25},
    {"image_id": "img_8", "bbox": [0, 0, 5, 5], "segmentation": [[0, 0, 5, 1, 9, 9, 5, 6, 0, 5]], "score": 1},
]


def test_coco_results_are_read_by_image_with_their_outlines_where_these_fit(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(COCO), encoding="utf-8")

    seventh, eighth = read_results(path, layout="quads")
    polygons = read_results(path, layout="polygons")[1].polygons_xy

    assert (seventh.name, eighth.name) == ("7.txt", "img_8.txt")
    assert seventh.polygons_xy[0].tolist() == [[10, 20], [40, 20], [40, 60], [10, 60]]
    assert seventh.polygons_xy[1].tolist() == [[0, 0], [5, 1], [5, 6], [0, 5]]
    assert eighth.polygons_xy[0].tolist() == [[0, 0], [5, 0], [5, 5], [0, 5]]  # its outline has five corners
    assert len(polygons[0]) == 5
    assert seventh.scores.tolist() == [0.5, 0.25]


def test_images_of_a_coco_file_name_the_scenes_and_may_be_empty(tmp_path):
    path = tmp_path / "results.json"
    images = [{"id": 7, "file_name": "a/photo.jpg"}, {"id": 8, "file_name": "empty.jpg"}]
    path.write_text(json.dumps({"images": images, "annotations": COCO[:2]}), encoding="utf-8")

    empty, photo = read_results(path, layout="quads")

    assert (photo.name, len(photo.polygons_xy)) == ("photo.txt", 2)
    assert (empty.name, len(empty.polygons_xy)) == ("empty.txt", 0)


@pytest.mark.parametrize(
    "text", ["[{}]", '{"a": 1}', "[3]", "not JSON", '[{"image_id": 1, "bbox": [1, 2]}]', "[]",
             '[{"image_id": 1, "bbox": [0, 0, 1, NaN]}]', '[{"image_id": 1, "bbox": [0, 0, 1, 1], "score": "x"}]'],
)  # fmt: skip
def test_a_file_that_holds_no_coco_results_is_named(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=r"results\.json: .*image_id, bbox"):
        read_results(path, layout="quads")


@pytest.mark.parametrize(
    "error", [NotImplementedError("compression"), EOFError(), IndexError("range"), RuntimeError("encrypted")]
)
def test_a_zip_whose_entries_cannot_be_read_is_named(tmp_path, monkeypatch, error):
    path = tmp_path / "results.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("res_img_1.txt", "0,0,9,0,9,9,0,9")

    def refuse(*_arguments, **_names):
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "read", refuse)

    with pytest.raises(ValueError, match=r"results\.zip: is neither a folder nor a readable zip"):
        read_results(path, layout="quads")
