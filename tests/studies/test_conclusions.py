import math
from dataclasses import replace

import pytest

from craft.studies.collect import METRICS, Row, Table, collect
from craft.studies.conclusions import draw_conclusions, standing
from craft.studies.statistics import estimate, p_value, paired_difference

REFERENCE = {seed: value for seed, value in enumerate((0.50, 0.52, 0.48, 0.51, 0.49))}


def row(variant, values, *, comparisons=1):
    measured = {metric: (values if metric == "hmean" else {}) for metric in METRICS}
    estimates = {metric: estimate(list(of_seeds.values())) for metric, of_seeds in measured.items()}
    if variant == "hardest-3":
        return Row(variant, measured, estimates, None, (math.nan, math.nan), math.nan)
    difference = paired_difference(values, REFERENCE)
    p = min(1.0, comparisons * p_value(difference))
    return Row(variant, measured, estimates, difference, (difference.low, difference.high), p)


def shifted(by, noise):
    return {seed: value + by + noise * (-1) ** seed for seed, value in REFERENCE.items()}


@pytest.mark.parametrize(
    ("values", "comparisons", "expected"),
    [
        (shifted(0.05, 0.005), 7, "better"),
        (shifted(-0.05, 0.005), 7, "worse"),
        (shifted(0.001, 0.02), 7, "same"),
        (shifted(0.02, 0.012), 7, "hint"),
        (shifted(0.02, 0.012), 1, "better"),
        ({0: 0.9}, 7, "unknown"),
    ],
)
def test_where_a_variant_stands(values, comparisons, expected):
    assert standing(row("none", values, comparisons=comparisons)) == expected


def test_the_reference_is_rated_as_the_reference():
    assert standing(row("hardest-3", REFERENCE)) == "reference"


def conclusions_for(finished_study, values):
    """The conclusions if the variant none had these H-means."""
    results = collect(finished_study)
    rows = (row("hardest-3", REFERENCE), row("none", values))
    tables = tuple(Table(table.split, table.policy, rows, table.thresholds) for table in results.tables)
    return draw_conclusions(replace(results, tables=tables))


def test_noise_is_called_noise_and_the_detectable_difference_is_stated(finished_study):
    sentences = conclusions_for(finished_study, shifted(0.001, 0.02))

    # Differences of +0.021 and -0.019 in turn: SD 0.02191 over 5 seeds, standard error 0.9798 points. The quantiles of t
    # with 4 degrees of freedom are 2.7764 (0.975) and 0.9410 (0.8): (2.7764 + 0.9410) * 0.9798 = 3.6 points.
    assert sentences[0] == (
        "On tiny, with the same thresholds for every run: no difference from hardest-3 beyond seed noise (a true "
        "difference of 3.6 points would be detected with 80 % probability)."
    )
    assert sentences[1] == "On tiny, with each variant's own thresholds: the conclusions are the same."


def test_two_seeds_are_said_to_be_too_few(finished_study):
    sentences = conclusions_for(finished_study, {0: 0.55, 1: 0.47})

    assert "hardest-3 has too few seeds in common with the others for a comparison" in sentences[0]


def test_a_difference_beyond_noise_is_stated_with_its_interval(finished_study):
    sentences = conclusions_for(finished_study, shifted(-0.05, 0.005))

    assert "none is worse than hardest-3 by 4.9 points of H-mean (interval 4.2 to 5.6, p < 0.001)" in sentences[0]


def test_a_network_that_finds_nothing_is_not_compared(finished_study):
    results = collect(finished_study)

    first = draw_conclusions(results)[0]

    assert "no variant finds text yet" in first
    assert "beyond seed noise" not in " ".join(draw_conclusions(results)[:2])


def test_the_conclusions_end_with_their_scope(finished_study):
    assert draw_conclusions(collect(finished_study))[-1] == (
        "This holds for what was run (width 0.0625, 6 steps of 2 crops of 64 px, 2 seeds) and says nothing about other "
        "sizes, budgets or scenes."
    )
