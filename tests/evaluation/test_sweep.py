"""Sweeps over decoding thresholds and over the scores in result files."""

from __future__ import annotations

import numpy as np
import pytest

from craft.evaluation.sweep import (
    Thresholds,
    format_sweep,
    sweep_as_dict,
    sweep_scores,
    sweep_thresholds,
    threshold_grid,
)
from craft.scene import Detections, Scene, Word

SQUARE = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], np.float32)
SCENES = [Scene(f"img_{n}.jpg", (Word(SQUARE),), f"img_{n}") for n in (1, 2)]


def decode(scene, grid):
    """Finds the word below a text threshold of 0.6, and something beside it below a low text of 0.3."""
    found = []
    for thresholds in grid:
        quads = [SQUARE] if thresholds.text_threshold < 0.6 else []
        quads += [SQUARE + 50] if thresholds.low_text < 0.3 else []
        found.append(Detections(np.array(quads, np.float32).reshape(-1, 4, 2), np.full(len(quads), 0.5, np.float32)))
    return found


def test_the_grid_leaves_out_a_low_text_above_the_text_threshold():
    grid = threshold_grid([0.5, 0.7], [0.4, 0.6], [0.4])

    assert grid == [Thresholds(0.5, 0.4, 0.4), Thresholds(0.7, 0.4, 0.4), Thresholds(0.7, 0.6, 0.4)]


def test_a_grid_out_of_range_or_without_a_combination_is_refused():
    with pytest.raises(ValueError, match=r"threshold 7 "):
        threshold_grid([7], [0.4], [0.4])
    with pytest.raises(ValueError, match="none of 1 combinations"):
        threshold_grid([0.3], [0.4], [0.4])


def test_the_best_thresholds_have_the_highest_h_mean_and_name_their_split():
    grid = threshold_grid([0.5, 0.7], [0.2, 0.4], [0.4])

    sweep = sweep_thresholds(SCENES, decode, grid=grid, split="scenes 1 to 2", protocol="icdar2015")

    assert sweep.best.setting == Thresholds(0.5, 0.4, 0.4)
    assert [round(row.scores.hmean, 3) for row in sweep.rows] == [0.667, 1.0, 0.0, 0.0]
    text = format_sweep(sweep, num_rows=1)
    assert text.splitlines()[0].startswith("thresholds chosen on scenes 1 to 2 (2 images, 2 words)")
    assert "and 3 more settings" in text
    values = sweep_as_dict(sweep)
    assert (values["chosen_on"], values["best"]["low_text"], len(values["rows"])) == ("scenes 1 to 2", 0.4, 4)


def test_of_equal_settings_the_first_is_best():
    grid = threshold_grid([0.4, 0.5], [0.4], [0.4])

    sweep = sweep_thresholds(SCENES, decode, grid=grid, split="validation", protocol="icdar2015")

    assert sweep.best is sweep.rows[0]


def test_each_scene_is_decoded_once():
    asked = []

    def counted(scene, grid):
        asked.append(scene.name)
        return decode(scene, grid)

    grid = threshold_grid([0.5, 0.7], [0.4], [0.4])
    sweep_thresholds(SCENES, counted, grid=grid, split="validation", protocol="icdar2015")

    assert asked == ["img_1", "img_2"]


def test_an_empty_or_nameless_split_and_an_empty_grid_are_refused():
    grid = [Thresholds(0.7, 0.4, 0.4)]
    with pytest.raises(ValueError, match="validation has no scenes"):
        sweep_thresholds([], decode, grid=grid, split="validation", protocol="icdar2015")
    with pytest.raises(ValueError, match="no name"):
        sweep_thresholds(SCENES, decode, grid=grid, split=" ", protocol="icdar2015")
    with pytest.raises(ValueError, match="no thresholds"):
        sweep_thresholds(SCENES, decode, grid=[], split="validation", protocol="icdar2015")


def test_the_scores_of_result_files_are_swept(tmp_path):
    for number in (1, 2):
        (tmp_path / f"res_img_{number}.txt").write_text("0,0,10,0,10,10,0,10,0.8\n50,0,60,0,60,10,50,10,0.2\n")

    sweep = sweep_scores(SCENES, tmp_path, split="scenes 1 to 2", protocol="icdar2015")

    assert [row.setting.least_score for row in sweep.rows] == [0.2, 0.8]
    assert [row.scores.precision for row in sweep.rows] == [0.5, 1.0]
    assert sweep.best.setting.least_score == 0.8


def test_result_files_without_scores_cannot_be_swept(tmp_path):
    (tmp_path / "res_img_1.txt").write_text("0,0,10,0,10,10,0,10\n")

    with pytest.raises(ValueError, match="holds no scores"):
        sweep_scores(SCENES, tmp_path, split="validation", protocol="icdar2015")
