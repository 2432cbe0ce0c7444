"""What a study's folder says, from folders written by hand: thresholds, metrics, intervals, fairness, conclusions."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from craft.config import dump_config, validate_config
from craft.studies.collect import collect, fairness, steps_to_reach
from craft.studies.conclusions import draw_conclusions
from craft.studies.facts import fairness_words
from craft.studies.scores import DETECTION, GridScores, write_scores
from craft.studies.statistics import p_value

# Matched words of 100, and detections, at the study's two thresholds.
GOOD_CHOICE, BAD_CHOICE = [(80, 100), (10, 100)], [(10, 100), (80, 100)]


def grid_scores(pairs, *, words=100, detections=()):
    counts = np.array([[(matched, found, words)] for matched, found in pairs], np.int32)
    return GridScores(counts, np.array(list(detections), dtype=DETECTION))


class Folder:
    """A study's folder whose runs are written one by one."""

    def __init__(self, path, variants, *, seeds=(1, 2, 3), reference="hardest-3"):
        path.mkdir()
        self.path, self.variants = path, variants
        one = {"path": "somewhere", "format": "icdar2017"}
        study = {
            **{"name": "s", "title": "t", "base": "b.yaml", "reference": reference, "seeds": list(seeds)},
            **{"variants": variants, "budget": {"steps": 4}, "thresholds": {"text": [0.5, 0.7], "low": [0.4]}},
            "splits": {"real": {"choose": [one], "report": [one], "without_text": [one]}},
        }
        study["thresholds"]["link"] = [0.4]
        (path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")

    def write_run(
        self, variant, seed, report, *, choose=GOOD_CHOICE, weights="w", batches=("a", "b"), words=None, ranked=()
    ):
        folder = self.path / "runs" / variant / f"seed_{seed}"
        folder.mkdir(parents=True)
        values = {"data": {"train": ["somewhere"]}, **self.variants[variant]}
        (folder / "config.yaml").write_text(dump_config(validate_config(values, where="test")), encoding="utf-8")
        record = {"steps": 4, "batch_size": 2, "peak_mebibytes": 1, "memory_of": "process"}
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
        (folder / "probe.json").write_text("{}", encoding="utf-8")
        seen = zip((1, 4), batches, words or batches, strict=True)
        lines = [
            {"kind": "start", "step": 0, "weights": weights},
            *({"kind": "batch", "step": step, "digest": digest, "words": word} for step, digest, word in seen),
            *({"kind": "train", "step": step, "images_per_second": rate} for step, rate in ((1, 1), (2, 4), (3, 4))),
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        scores = {"real/choose": grid_scores(choose), "real/report": grid_scores(report, detections=ranked)}
        textless = np.array([[(0, 0, 0), (0, 0, 0), (0, 6, 0)], [(0, 1, 0)] * 3], np.int32)
        scores["real/without_text"] = GridScores(textless, np.array([], dtype=DETECTION))
        write_scores(folder / "scores.npz", scores)


HARDEST = {"ohem": {"rule": "hardest", "ratio": 3}}
TWO = {"hardest-3": HARDEST, "none": {"ohem": {"rule": "none"}}}


def test_thresholds_come_from_the_scenes_for_choosing_and_scores_from_those_reported(tmp_path):
    folder = Folder(tmp_path / "study", TWO)
    for variant in TWO:
        for seed in (1, 2, 3):
            folder.write_run(variant, seed, [(50, 100), (99, 100)])

    row = collect(folder.path).table("real", "shared").rows[0]

    # The first thresholds are best where they are chosen, though the second would be best where scores are reported.
    assert row.estimates["hmean"].mean == pytest.approx(0.5)
    assert collect(folder.path).table("real", "own").rows[0].estimates["hmean"].mean == pytest.approx(0.5)
    assert row.estimates["clean_scenes"].mean == pytest.approx(2 / 3)
    assert row.estimates["false_words"].mean == pytest.approx(2)


def test_recall_counts_words_and_precision_detections():
    precision, recall, hmean = grid_scores([(30, 60)], words=40).totals()

    assert (precision[0], recall[0], hmean[0]) == (0.5, 0.75, pytest.approx(0.6))


def test_shared_thresholds_are_best_on_average_over_variants_not_for_the_luckiest(tmp_path):
    variants = {name: HARDEST for name in ("hardest-3", "second", "third")}
    folder = Folder(tmp_path / "study", variants, seeds=(1, 2))
    for seed in (1, 2):
        folder.write_run("hardest-3", seed, GOOD_CHOICE, choose=[(60, 100), (50, 100)])
        folder.write_run("second", seed, GOOD_CHOICE, choose=[(60, 100), (50, 100)])
        folder.write_run("third", seed, GOOD_CHOICE, choose=[(10, 100), (90, 100)])  # the highest of all, at the second

    chosen = collect(folder.path).table("real", "shared").thresholds

    # Means: (60 + 60 + 10) / 3 and (50 + 50 + 90) / 3.
    assert {thresholds.text_threshold for thresholds in chosen.values()} == {0.7}


def test_a_variant_with_one_outlier_does_not_choose_for_all(tmp_path):
    variants = {name: HARDEST for name in ("hardest-3", "second", "third")}
    folder = Folder(tmp_path / "study", variants, seeds=(1, 2))
    for seed in (1, 2):
        folder.write_run("hardest-3", seed, GOOD_CHOICE, choose=[(70, 100), (50, 100)])
        folder.write_run("second", seed, GOOD_CHOICE, choose=[(70, 100), (50, 100)])
        folder.write_run("third", seed, GOOD_CHOICE, choose=[(60, 100), (75, 100)])

    chosen = collect(folder.path).table("real", "shared").thresholds

    assert {thresholds.text_threshold for thresholds in chosen.values()} == {0.5}  # 200 / 3 against 175 / 3


def test_own_thresholds_are_best_on_average_over_the_runs_of_a_variant(tmp_path):
    folder = Folder(tmp_path / "study", TWO)
    for seed, choose in ((1, [(60, 100), (50, 100)]), (2, [(60, 100), (50, 100)]), (3, [(10, 100), (65, 100)])):
        folder.write_run("hardest-3", seed, GOOD_CHOICE, choose=choose)
        folder.write_run("none", seed, GOOD_CHOICE, choose=GOOD_CHOICE)

    chosen = collect(folder.path).table("real", "own").thresholds

    # Means: 130 / 3 and 165 / 3 for hardest-3, where two of three runs alone would choose 0.5.
    assert {(run.variant, at.text_threshold) for run, at in chosen.items()} == {("hardest-3", 0.7), ("none", 0.5)}


def test_p_values_count_every_comparison_of_the_table_and_differences_point_from_the_reference(tmp_path):
    variants = {name: HARDEST for name in ("hardest-3", "second", "third", "fourth")}
    folder = Folder(tmp_path / "study", variants)
    for seed in (1, 2, 3):
        for number, variant in enumerate(variants):
            folder.write_run(variant, seed, [(40 + 10 * number + seed * (number > 0), 100), (0, 100)])

    rows = collect(folder.path).table("real", "shared").rows

    assert rows[0].difference is None
    assert math.isnan(rows[0].p_value)
    assert rows[1].difference.mean == pytest.approx(0.12)  # better than the reference
    # t = 12, 22 and 32 points over an error of 1 / sqrt(3): p = 0.00230, 0.00069 and 0.00032 with 2 degrees of freedom.
    # Holm: three times the least, twice the next, and the largest itself, 0.00230.
    plain = [p_value(row.difference) for row in rows[1:]]
    assert [row.p_value for row in rows[1:]] == pytest.approx([plain[0], 2 * plain[1], 3 * plain[2]])
    assert plain[0] == pytest.approx(0.0023, abs=5e-5)


def test_rankings_take_detections_of_the_lowest_text_threshold_at_the_chosen_levels(tmp_path):
    folder = Folder(tmp_path / "study", TWO, seeds=(1,))
    ranked = [(0, 0, 0.9, True), (0, 0, 0.6, False), (0, 0, 0.5, True), (1, 0, 0.9, True)]
    folder.write_run("hardest-3", 1, [(1, 2)] * 2, choose=BAD_CHOICE, ranked=ranked)  # the second thresholds are chosen

    (row,) = collect(folder.path).table("real", "own").rows

    assert row.values["average_precision"][1] == pytest.approx((1 + 2 / 3) / 100)  # of 100 words
    assert row.values["precision_at_recall"][1] == 0  # 40 words are never reached
    assert row.values["calibration_error"][1] == pytest.approx(0.1)  # at the chosen thresholds: 0.9 and always right


def test_time_per_step_leaves_the_first_line_of_the_log_out(tmp_path):
    folder = Folder(tmp_path / "study", TWO, seeds=(1,))
    folder.write_run("hardest-3", 1, GOOD_CHOICE)
    (result,) = collect(folder.path).runs

    assert result.seconds_per_step == 0.5  # two crops at four a second
    assert replace(result, train=[{"images_per_second": 1}, {"images_per_second": 8}]).seconds_per_step == 0.25


def test_a_level_is_reached_by_an_hmean_equal_to_it(tmp_path):
    folder = Folder(tmp_path / "study", TWO, seeds=(1,))
    folder.write_run("hardest-3", 1, GOOD_CHOICE)
    (result,) = collect(folder.path).runs

    assert steps_to_reach(replace(result, validation=[{"step": 5, "hmean": 0.25}]), 0.25) == 5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (True, True, True)),
        ({"weights": "other"}, (False, True, True)),
        ({"batches": ("x", "b")}, (True, False, True)),
        ({"batches": ("a", "x")}, (True, True, False)),
    ],
)
def test_weights_first_and_last_batch_have_to_be_the_same_for_a_fair_comparison(tmp_path, change, expected):
    folder = Folder(tmp_path / "study", TWO, seeds=(1,))
    folder.write_run("hardest-3", 1, GOOD_CHOICE, words=("v", "w"))
    folder.write_run("none", 1, GOOD_CHOICE, words=("v", "w"), **change)

    checks = fairness(collect(folder.path))

    assert tuple(checks[1].values()) == expected


def test_runs_without_logged_weights_are_not_called_fair(tmp_path):
    folder = Folder(tmp_path / "study", TWO, seeds=(1,))
    for variant in TWO:
        folder.write_run(variant, 1, GOOD_CHOICE, weights="")

    assert fairness(collect(folder.path))[1]["weights"] is False


def test_characters_do_not_count_where_variants_differ_in_their_source(tmp_path):
    variants = {"hardest-3": {}, "taught": {"data": {"train": ["somewhere"], "characters": {"source": "teacher"}}}}
    folder = Folder(tmp_path / "study", variants, seeds=(1,))
    folder.write_run("hardest-3", 1, GOOD_CHOICE, batches=("a", "b"), words=("v", "w"))
    folder.write_run("taught", 1, GOOD_CHOICE, batches=("c", "d"), words=("v", "w"))

    assert all(fairness(collect(folder.path))[1].values())


def test_batches_do_not_count_where_variants_differ_in_their_data(tmp_path):
    variants = {"one": {"data": {"train": ["a"]}}, "other": {"data": {"train": ["b"]}}}
    folder = Folder(tmp_path / "study", variants, seeds=(1, 2), reference="one")
    for seed, weights in ((1, "v"), (2, "w")):
        folder.write_run("one", seed, GOOD_CHOICE, batches=("a", "b"))
        folder.write_run("other", seed, GOOD_CHOICE, batches=("c", "d"), weights=weights)

    results = collect(folder.path)

    assert [all(checks.values()) for checks in fairness(results).values()] == [False, True]
    assert fairness_words(results) == "NOT shown for seeds 1: see the digests"
    alike = replace(results, runs=[result for result in results.runs if result.run.seed == 2])
    assert fairness_words(alike).startswith("variants differ in their training data")


@pytest.mark.parametrize(("random_score", "said"), [(30, "hardest are better than random"), (90, "worse than random")])
def test_the_hardest_are_compared_with_as_many_random_pixels(tmp_path, random_score, said):
    variants = {
        **{"hardest-3": HARDEST, "random-9": {"ohem": {"rule": "random", "ratio": 9}}},
        "random-3": {"ohem": {"rule": "random", "ratio": 3}},
    }
    folder = Folder(tmp_path / "study", variants)
    for seed in (1, 2, 3):
        folder.write_run("hardest-3", seed, [(60 + seed, 100), (0, 100)])
        folder.write_run("random-9", seed, [(60 + seed, 100), (0, 100)])
        folder.write_run("random-3", seed, [(random_score + seed, 100), (0, 100)])

    sentences = draw_conclusions(collect(folder.path))

    assert any(
        said.replace("random", "").strip() in sentence and "random ones by" in sentence for sentence in sentences
    )


def test_one_seed_is_said_to_be_no_result(tmp_path):
    folder = Folder(tmp_path / "study", TWO)
    for variant in TWO:
        folder.write_run(variant, 1, GOOD_CHOICE)

    sentences = draw_conclusions(collect(folder.path))

    assert sentences[0].startswith("Incomplete: 4 of 6 runs")
    assert sentences[-1].startswith("One seed is not a result")
