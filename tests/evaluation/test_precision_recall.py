"""Average precision of ranked detections, and where `craft evaluate` shows it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from craft.cli.command import main
from craft.evaluation.image_score import average_precision
from craft.evaluation.iou import evaluate_image
from craft.evaluation.summary import summarise


def image(found: int, missed: int, wrong: int, scores=None):
    """An image with that many words found, words missed and detections of nothing."""
    words = [[(20 * n, 0), (20 * n + 9, 0), (20 * n + 9, 9), (20 * n, 9)] for n in range(found + missed)]
    detections = words[:found] + [[(20 * n, 50), (20 * n + 9, 50), (20 * n + 9, 59)] for n in range(wrong)]
    return evaluate_image(words, [False] * len(words), detections, scores)


def test_average_precision_is_the_mean_precision_at_the_ranks_of_the_words():
    scores = np.array([0.6, 0.9, 0.7, 0.8])
    hits = np.array([True, True, True, False])  # by falling score: hit, miss, hit, hit

    assert average_precision(scores, hits, 4) == pytest.approx((1 / 1 + 2 / 3 + 3 / 4 + 0) / 4)
    assert average_precision(scores[:0], hits[:0], 4) == 0


def test_average_precision_ranks_the_detections_of_all_images_together():
    first, second = image(1, 0, 1, [0.9, 0.3]), image(1, 0, 1, [0.5, 0.7])  # ranks: hit, miss, hit, miss

    assert summarise([first, second]).average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_average_precision_is_none_where_an_image_has_no_scores():
    assert summarise([image(1, 0, 0, [0.9]), image(1, 0, 0)]).average_precision is None
    assert summarise([image(1, 0, 0, [0.9]), image(0, 1, 0, [])]).average_precision == 0.5


@pytest.fixture
def folders(tmp_path):
    """Labels of two images with four words, and detections with scores: by falling score right, wrong, right, right."""
    truth, found = tmp_path / "truth", tmp_path / "found"
    truth.mkdir()
    found.mkdir()
    boxes = [f"{20 * n},0,{20 * n + 9},0,{20 * n + 9},9,{20 * n},9" for n in range(3)]
    (truth / "gt_img_1.txt").write_text(f"{boxes[0]},a\n{boxes[1]},b\n", encoding="utf-8")
    (truth / "gt_img_2.txt").write_text(f"{boxes[0]},c\n{boxes[1]},d\n", encoding="utf-8")
    (found / "res_img_1.txt").write_text(f"{boxes[0]},0.9\n{boxes[2]},0.8\n{boxes[1]},0.7\n", encoding="utf-8")
    (found / "res_img_2.txt").write_text(f"{boxes[0]},0.6\n", encoding="utf-8")
    return ["evaluate", "--truth", str(truth), "--detections", str(found), "--protocol", "icdar2015"]


def test_the_verb_prints_average_precision_if_detections_have_scores(folders, capsys):
    assert main(folders) == 0
    assert "average precision 0.6042" in capsys.readouterr().out  # (1 / 1 + 2 / 3 + 3 / 4 + 0) / 4

    assert main([*folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 4)


def test_the_verb_prints_no_average_precision_without_scores(folders, tmp_path, capsys):
    (tmp_path / "found" / "res_img_2.txt").write_text("0,0,9,0,9,9,0,9\n", encoding="utf-8")

    assert main(folders) == 0
    assert "average precision" not in capsys.readouterr().out

    assert main([*folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["average_precision"] is None
