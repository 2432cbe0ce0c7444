import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from craft.cli.command import main
from craft.config import DatasetSettings
from craft.datasets.check import HEIGHT_EDGES, check_dataset, format_report, report_on
from craft.datasets.labels import DatasetReading
from craft.errors import Problem
from craft.scene import Scene, Word

REAL = os.environ.get("CRAFT_REAL_DATA")


def quad(width, height):
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def scene(name, *words):
    return Scene(f"{name}.jpg", words, name)


def report(*scenes, problems=()):
    return report_on(DatasetReading(scenes, tuple(problems)), title="folder", format="icdar2017")


def test_counts_words_characters_and_scripts():
    result = report(
        scene("a", Word(quad(30, 10), text="a b", script="Latin"), Word(quad(30, 10), dont_care=True)),
        scene(
            "b", Word(quad(30, 20), text="e\u0301", script="Latin"), Word(quad(9, 200), text="日本", script="Japanese")
        ),
        scene("c"),
        scene("d", Word(quad(30, 10), text="hidden", script="Latin", dont_care=True)),
    )

    assert (result.num_scenes, result.num_empty_scenes, result.num_unreadable_scenes) == (4, 1, 1)
    assert (result.num_words, result.num_readable, result.num_dont_care) == (5, 3, 2)
    assert result.num_characters == 5  # a, b, e with its accent, two ideographs
    assert result.scripts == {"Latin": 2, "Japanese": 1}
    assert result.median_height == 20
    assert result.height_counts == tuple(
        {10: 1, 20: 1, 200: 1}.get(next((height for height in (10, 20, 200) if low <= height < high), -1), 0)
        for low, high in zip(HEIGHT_EDGES, [*HEIGHT_EDGES[1:], 1e9], strict=True)
    )


def test_a_polygons_height_is_that_of_its_quads():
    arch = np.array([[0, 0], [10, 0], [20, 0], [20, 8], [10, 8], [0, 8]], np.float32)

    result = report(scene("a", Word(arch, text="arch")))

    assert result.median_height == 8
    assert result.num_polygons == 1


def test_an_empty_dataset_is_reported_without_a_histogram():
    text = format_report(report())

    assert "height" not in text
    assert text.endswith("0 errors, 0 remarks")


def test_every_problem_is_printed_before_the_counts():
    problems = [
        Problem("is wrong", "fix it", where="gt.txt:7"),
        Problem("is odd", "look at it", where="folder", fatal=False),
    ]

    result = report(scene("a", Word(quad(9, 9), text="a")), problems=problems)
    lines = format_report(result).splitlines()

    assert lines[:2] == ["error: gt.txt:7: is wrong; fix it", "remark: folder: is odd; look at it"]
    assert lines[-1] == "1 error, 1 remark"
    assert result.has_errors
    assert not report(problems=problems[1:]).has_errors


def make_faulty_dataset(folder):
    """One fault a scene; returns the settings and the expected start of each fault's message."""
    images, labels = folder / "ch8_training_images_1", folder / "ch8_training_localization_transcription_gt_v2"
    images.mkdir()
    labels.mkdir()
    square = "0,0,20,0,20,20,0,20"
    contents = {
        1: f"\ufeff{square},Latin,mark\r\n\r\n{square},Latin,a,b\r\n",  # nothing wrong with this one
        2: f"{square},Latin,good\n{square}\n",
        3: f"{square},Latin,good\n0,0,x,0,20,20,0,20,Latin,text\n",
        4: "5,5,9,5,12,5,20,5,Latin,flat\n",
        5: "0,0,20,20,20,0,0,20,Latin,bow\n",
        6: f"{square},Latin,image broken\n",
        7: f"{square},Latin,image missing\n",
        9: f"{square},Latin,Stra\udcdfe\n",
    }
    for number, content in contents.items():
        (labels / f"gt_img_{number}.txt").write_bytes(content.encode("utf-8", "surrogateescape"))
    for number in (1, 2, 3, 4, 5, 8, 9):
        Image.new("RGB", (64, 48)).save(images / f"img_{number}.jpg")
    (images / "img_6.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    expected = {
        f"{images / 'img_8.jpg'}: image without a label",
        f"{labels / 'gt_img_7.txt'}: label without an image",
        f"{labels / 'gt_img_2.txt'}:2: 8 fields",
        f"{labels / 'gt_img_3.txt'}:2: coordinate 3",
        f"{labels / 'gt_img_4.txt'}:1: word has no area",
        f"{labels / 'gt_img_5.txt'}:1: word's sides cross",
        f"{labels / 'gt_img_9.txt'}:1: label file is not UTF-8 (byte 0xdf)",
        f"{images / 'img_6.jpg'}: cannot be read as an image",
    }
    return DatasetSettings(path=str(folder)), expected


def test_every_fault_is_named_by_file_and_line(tmp_path):
    settings, expected = make_faulty_dataset(tmp_path)

    result = check_dataset(settings)

    messages = [str(problem) for problem in result.problems]
    assert len(messages) == len(expected)
    for start in expected:
        assert any(message.startswith(start) for message in messages), start
    assert result.num_bad_scenes == 8
    assert result.num_words == 5
    assert result.has_errors


def write_quads(folder, *lines):
    images, labels = folder / "ch4_training_images", folder / "ch4_training_localization_transcription_gt"
    for made in (images, labels):
        made.mkdir(parents=True)
    Image.new("RGB", (200, 200)).save(images / "img_1.jpg")
    (labels / "gt_img_1.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return check_dataset(DatasetSettings(path=str(folder)))


@pytest.mark.parametrize("lines", [["0,0,60,0,60,20,0,20,###", "0,50,60,50,60,70,0,70,"], []])
def test_a_dataset_without_a_readable_word_is_remarked(tmp_path, lines):
    (problem,) = write_quads(tmp_path, *lines).problems

    assert not problem.fatal
    assert "no word can be read" in str(problem)
    assert problem.where == str(tmp_path)


def test_quads_that_start_at_the_wrong_corner_are_remarked(tmp_path):
    turned = write_quads(tmp_path / "turned", "80,0,0,0,0,20,80,20,MARKET", "80,50,0,50,0,70,80,70,STATION")
    (problem,) = turned.problems

    assert "2 of 2 words are read along their short side" in problem.what
    assert problem.where.endswith("gt_img_1.txt:1")


@pytest.mark.parametrize(
    "line",
    [
        "0,0,80,0,80,20,0,20,MARKET",  # upright
        "30,0,30,80,10,80,10,0,MARKET",  # turned by a quarter, read downwards
        "0,0,20,0,20,80,0,80,MARKET",  # letters on top of each other
        "80,20,0,20,0,0,80,0,MARKET",  # upside down
    ],
)
def test_text_in_any_direction_is_not_remarked(tmp_path, line):
    assert write_quads(tmp_path, line).problems == ()


def truncated_images(folder):
    """One file of each kind without its last part; bytes that come after the end of a JPEG do no harm."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    for ending in ("jpg", "png", "gif", "bmp", "tif", "webp"):
        path = folder / f"img_{ending}.{ending}"
        Image.fromarray(pixels).save(path)
        path.write_bytes(path.read_bytes()[:-300])
    Image.fromarray(pixels).save(folder / "img_more.jpg")
    for name, more in (("img_more", b"more after the end"), ("img_padded", bytes(4096))):
        (folder / f"{name}.jpg").write_bytes((folder / "img_more.jpg").read_bytes() + more)


def test_truncated_images_are_seen_without_decoding_the_others(tmp_path):
    images, labels = tmp_path / "ch4_training_images", tmp_path / "ch4_training_localization_transcription_gt"
    images.mkdir()
    labels.mkdir()
    truncated_images(images)
    for image in images.iterdir():
        (labels / f"gt_{image.stem}.txt").write_text("0,0,60,0,60,20,0,20,text\n", encoding="utf-8")

    problems = check_dataset(DatasetSettings(path=str(tmp_path))).problems

    bad = {Path(problem.where).stem for problem in problems}
    assert bad == {"img_jpg", "img_png", "img_gif", "img_bmp", "img_tif", "img_webp"}


def test_a_pipe_among_the_images_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "img.jpg")
    (tmp_path / "a.jsonl").write_text('{"image": "img.jpg", "words": []}\n', encoding="utf-8")

    (problem,) = check_dataset(DatasetSettings(path=str(tmp_path / "a.jsonl")), decode=True).problems[-1:]

    assert "is a pipe" in str(problem)
    assert problem.where == str(tmp_path / "img.jpg")


def test_the_command_says_what_it_looked_at(tmp_path, capsys):
    write_quads(tmp_path, "0,0,60,0,60,20,0,20,text")

    assert main(["check", str(tmp_path)]) == 0
    assert "1 scene of the train split read, their images' headers and file ends checked" in capsys.readouterr().err


def test_a_folder_of_datasets_proposes_them(tmp_path):
    write_quads(tmp_path / "icdar2015", "0,0,60,0,60,20,0,20,text")

    with pytest.raises(ValueError, match=r"holds datasets rather than being one; give .*/icdar2015$"):
        check_dataset(DatasetSettings(path=str(tmp_path)))


@pytest.mark.skipif(REAL is None, reason="CRAFT_REAL_DATA names no folder of real scenes")
def test_real_icdar2015_training_scenes_have_their_known_counts():
    result = check_dataset(DatasetSettings(path=str(Path(str(REAL)) / "icdar2015")))

    assert result.problems == ()
    assert (result.num_scenes, result.num_words, result.num_dont_care) == (1000, 11886, 7418)
    assert (result.num_characters, result.num_unreadable_scenes) == (23798, 21)
    assert result.median_height == pytest.approx(23.6, abs=0.1)
