"""Result files against scenes: pairing by name, protocols, rounding, remarks and JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from craft.cli.command import main
from craft.evaluation.evaluate import evaluate_files, evaluation_as_dict, write_evaluation
from craft.evaluation.protocols import check_protocol, round_detections, score_scene
from craft.scene import Scene, Word

SQUARE = "0,0,10,0,10,10,0,10"


def scene(name: str, *flags: bool) -> Scene:
    """A scene with one square word of 10 pixels per flag, 20 pixels apart."""
    words = []
    for number, dont_care in enumerate(flags):
        corners = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], np.float32) + np.array([20 * number, 0], np.float32)
        words.append(Word(corners, dont_care=dont_care, source=f"gt_{name}.txt:{number + 1}"))
    return Scene(f"{name}.jpg", tuple(words), name)


@pytest.mark.parametrize(
    ("scene_name", "file_name"),
    [
        ("img_12", "res_img_12.txt"),
        ("img_12", "res_12.txt"),
        ("img_12", "img_12.txt"),
        ("100", "res_img_100.txt"),
        ("tr_img_00001", "res_tr_img_00001.txt"),
        ("holiday photo", "res_holiday photo.txt"),
    ],
)
def test_a_file_belongs_to_the_scene_of_its_name(tmp_path, scene_name, file_name):
    (tmp_path / file_name).write_text(SQUARE)

    evaluation = evaluate_files([scene(scene_name, False)], tmp_path, protocol="icdar2015")

    assert evaluation.scores.hmean == 1.0
    assert evaluation.remarks == ()


def test_a_scene_without_a_file_has_no_detections_and_is_remarked(tmp_path):
    (tmp_path / "res_img_1.txt").write_text(SQUARE)
    (tmp_path / "res_img_7.txt").write_text(SQUARE)

    evaluation = evaluate_files([scene("img_1", False), scene("img_2", False)], tmp_path, protocol="icdar2017")

    assert (evaluation.scores.recall, evaluation.scores.precision) == (0.5, 1.0)
    assert [(remark.where, remark.fatal) for remark in evaluation.remarks] == [
        ("res_img_7.txt", False),
        ("img_2", False),
    ]


def test_files_that_belong_to_no_scene_at_all_are_refused(tmp_path):
    (tmp_path / "photo.txt").write_text(SQUARE)

    with pytest.raises(ValueError, match=r"none of the 1 result files .*res_img_1\.txt"):
        evaluate_files([scene("img_1", False)], tmp_path, protocol="icdar2015")


def test_two_files_or_two_scenes_of_one_name_are_refused(tmp_path):
    (tmp_path / "res_img_1.txt").write_text(SQUARE)
    with pytest.raises(ValueError, match="two scenes are called img_1"):
        evaluate_files([scene("img_1", False), scene("img_1", False)], tmp_path, protocol="icdar2015")

    (tmp_path / "img_1.txt").write_text(SQUARE)
    with pytest.raises(ValueError, match="belong to the same scene"):
        evaluate_files([scene("img_1", False)], tmp_path, protocol="icdar2015")


def test_scores_in_the_files_give_an_average_precision_over_missing_files_too(tmp_path):
    (tmp_path / "res_img_1.txt").write_text(SQUARE + ",0.9")

    evaluation = evaluate_files([scene("img_1", False), scene("img_2", False)], tmp_path, protocol="icdar2015")

    assert evaluation.scores.average_precision == 0.5


def test_the_2013_protocol_reads_boxes_and_counts_splits(tmp_path):
    (tmp_path / "res_img_1.txt").write_text("0 0 4 10\n5 0 10 10\n")

    evaluation = evaluate_files([scene("img_1", False)], tmp_path, protocol="icdar2013")

    assert (evaluation.scores.recall, evaluation.scores.precision) == (0.8, 0.8)


def test_the_polygon_protocol_reads_any_number_of_corners(tmp_path):
    (tmp_path / "res_img_1.txt").write_text("0,0,5,0,10,0,10,10,0,10")

    assert evaluate_files([scene("img_1", False)], tmp_path, protocol="polygons").scores.hmean == 1.0


def test_repaired_polygons_are_counted_and_named_by_their_line(tmp_path):
    (tmp_path / "res_img_1.txt").write_text(f"\n{SQUARE}\n0,0,10,10,10,0,0,10\n")
    bow_tie = Word(np.array([(50, 0), (60, 10), (60, 0), (50, 10)], np.float32), source="gt_img_1.txt:4")
    labelled = Scene("img_1.jpg", (*scene("img_1", False).words, bow_tie), "img_1")

    evaluation = evaluate_files([labelled], tmp_path, protocol="icdar2015")

    assert (evaluation.scores.num_repaired_truth, evaluation.scores.num_repaired_detections) == (1, 1)
    assert evaluation.scores.num_detections == 2
    assert [remark.where for remark in evaluation.remarks] == ["gt_img_1.txt:4", "res_img_1.txt:3"]


def test_detections_are_scored_as_their_rounded_corners():
    quad = np.array([[(0.4, 0.4), (10.4, -0.4), (9.6, 6.4), (0.4, 6.4)]])  # rounded: 60 of 100 pixels

    assert round_detections(quad).tolist() == [[[0, 0], [10, 0], [10, 6], [0, 6]]]
    score = score_scene(scene("img_1", False), quad, [0.9], protocol="icdar2015")
    assert score.matches[0].iou == pytest.approx(0.6)
    assert score.average_precision == 1.0


def test_no_scenes_score_nothing(tmp_path):
    (tmp_path / "res_img_1.txt").write_text("")

    assert evaluate_files([], tmp_path, protocol="icdar2015").scores.num_images == 0


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="icdar2013, icdar2015"):
        check_protocol("icdar2003")


def test_the_evaluation_is_written_with_every_image(tmp_path):
    (tmp_path / "res_img_1.txt").write_text(SQUARE)
    evaluation = evaluate_files([scene("img_1", False, True)], tmp_path, protocol="icdar2015")

    write_evaluation(evaluation, tmp_path / "out" / "scores.json")

    values = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    assert (values["hmean"], values["protocol"]) == (1.0, "icdar2015")
    assert values["images"]["img_1"]["matches"] == [{"truth": [0], "detections": [0], "iou": 1.0}]
    assert values["images"]["img_1"]["num_dont_care"] == 1
    assert "images" not in evaluation_as_dict(evaluation)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scores.json"]


def test_names_that_are_not_utf8_are_written_so_that_they_read_back(tmp_path):
    name = b"img_\xff".decode("utf-8", "surrogateescape")
    (tmp_path / "res_img_1.txt").write_text(SQUARE)
    scenes = [scene("img_1", False), scene(name, False)]

    write_evaluation(evaluate_files(scenes, tmp_path, protocol="icdar2015"), tmp_path / "scores.json")

    assert list(json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["images"]) == ["img_1", name]


def test_evaluation_imports_no_torch():
    code = "import sys; import craft.evaluation.evaluate, craft.evaluation.thresholds; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_compares_two_results_and_breaks_recall_down(tmp_path, capsys):
    truth, folders = tmp_path / "truth", (tmp_path / "good", tmp_path / "poor")
    for folder in (truth, *folders):
        folder.mkdir()
    for number in range(1, 7):
        line = "10,10,60,10,60,30,10,30"
        (truth / f"gt_img_{number}.txt").write_text(f"{line},word\n", encoding="utf-8")
        (folders[0] / f"res_img_{number}.txt").write_text(f"{line}\n", encoding="utf-8")
        (folders[1] / f"res_img_{number}.txt").write_text("70,10,90,10,90,30,70,30\n", encoding="utf-8")
    command = ["evaluate", "--truth", str(truth), "--protocol", "icdar2015", "--breakdown"]

    assert main([*command, "--detections", str(folders[0]), "--against", str(folders[1])]) == 0

    printed = capsys.readouterr().out
    assert "hmean      1.0000 (95 % interval 1.0000 to 1.0000), more than chance" in printed
    assert "16 to 24 px" in printed
    assert "3 to 5 letters" in printed
    assert main([*command[:4], "cleval", "--format", "icdar2015", "--detections", str(folders[0])]) == 0
    assert "24 characters" in capsys.readouterr().out
