"""Grids of decoding thresholds, the choice of the best, and thresholds on the scores in result files."""

from __future__ import annotations

import numpy as np
import pytest

from craft.evaluation.protocols import score_scene
from craft.evaluation.thresholds import (
    Thresholds,
    choose_best,
    format_search,
    search_as_dict,
    search_scores,
    threshold_grid,
)
from craft.scene import Scene, Word

SQUARE = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], np.float32)
SCENES = [Scene(f"img_{n}.jpg", (Word(SQUARE),), f"img_{n}") for n in (1, 2)]


def columns_of(grid):
    """Scores of detections that have the word below a text threshold of 0.6, and another box below a low text of 0.3."""
    columns = []
    for thresholds in grid:
        quads = [SQUARE] if thresholds.text_threshold < 0.6 else []
        quads += [SQUARE + 50] if thresholds.low_text < 0.3 else []
        columns.append([score_scene(scene, quads, [0.5] * len(quads), protocol="icdar2015") for scene in SCENES])
    return columns


def test_the_grid_leaves_out_a_low_text_above_the_text_threshold():
    grid = threshold_grid([0.5, 0.7], [0.5, 0.6], [0.4])

    assert grid == [Thresholds(0.5, 0.5, 0.4), Thresholds(0.7, 0.5, 0.4), Thresholds(0.7, 0.6, 0.4)]


def test_a_grid_out_of_range_or_without_a_combination_is_refused():
    with pytest.raises(ValueError, match=r"threshold 7 "):
        threshold_grid([7], [0.4], [0.4])
    with pytest.raises(ValueError, match="none of 1 combinations"):
        threshold_grid([0.3], [0.4], [0.4])


def test_the_best_thresholds_have_the_highest_h_mean_and_name_their_split():
    grid = threshold_grid([0.5, 0.7], [0.2, 0.4], [0.4])

    search = choose_best(grid, columns_of(grid), "scenes 1 to 2", "icdar2015")

    assert search.best.thresholds == Thresholds(0.5, 0.4, 0.4)
    assert [round(row.scores.hmean, 3) for row in search.rows] == [0.667, 1.0, 0.0, 0.0]
    text = format_search(search, num_rows=1)
    assert text.splitlines()[0].startswith("thresholds chosen on scenes 1 to 2 (2 images, 2 words)")
    assert "and 3 more combinations" in text
    values = search_as_dict(search)
    assert (values["chosen_on"], values["best"]["low_text"], len(values["rows"])) == ("scenes 1 to 2", 0.4, 4)


def test_of_equal_combinations_the_first_is_best():
    grid = threshold_grid([0.4, 0.5], [0.4], [0.4])

    search = choose_best(grid, columns_of(grid), "validation", "icdar2015")

    assert search.best is search.rows[0]


def test_an_empty_or_nameless_split_is_refused():
    grid = [Thresholds(0.7, 0.4, 0.4)]
    with pytest.raises(ValueError, match="validation has no scenes"):
        choose_best(grid, [[]], "validation", "icdar2015")
    with pytest.raises(ValueError, match="no name"):
        choose_best(grid, columns_of(grid), " ", "icdar2015")


def test_the_scores_of_result_files_are_searched(tmp_path):
    for number in (1, 2):
        (tmp_path / f"res_img_{number}.txt").write_text("0,0,10,0,10,10,0,10,0.8\n50,0,60,0,60,10,50,10,0.2\n")

    search = search_scores(SCENES, tmp_path, split="scenes 1 to 2", protocol="icdar2015")

    assert [row.thresholds.least_score for row in search.rows] == [0.2, 0.8]
    assert [row.scores.precision for row in search.rows] == [0.5, 1.0]
    assert search.best.thresholds.least_score == 0.8


def test_result_files_without_scores_cannot_be_searched(tmp_path):
    (tmp_path / "res_img_1.txt").write_text("0,0,10,0,10,10,0,10\n")

    with pytest.raises(ValueError, match="holds no scores"):
        search_scores(SCENES, tmp_path, split="validation", protocol="icdar2015")
