from dataclasses import replace

import pytest

from craft.studies.collect import METRICS, Row, Table, collect
from craft.studies.conclusions import standing, verdict
from craft.studies.statistics import estimate, paired_difference

REFERENCE = {seed: value for seed, value in enumerate((0.50, 0.52, 0.48, 0.51, 0.49))}


def row(variant, values, *, comparisons=1):
    measured = {metric: (values if metric == "hmean" else {}) for metric in METRICS}
    estimates = {metric: estimate(list(of_seeds.values())) for metric, of_seeds in measured.items()}
    if variant == "hardest-3":
        return Row(variant, measured, estimates, None, None)
    strict = paired_difference(values, REFERENCE, num_comparisons=comparisons)
    return Row(variant, measured, estimates, paired_difference(values, REFERENCE), strict)


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


def test_the_reference_stands_as_itself():
    assert standing(row("hardest-3", REFERENCE)) == "reference"


def told(finished_study, values):
    """The verdict as it would be with these H-means of the variant none."""
    results = collect(finished_study)
    rows = (row("hardest-3", REFERENCE), row("none", values))
    tables = tuple(Table(one.split, one.policy, rows, one.thresholds) for one in results.tables)
    return verdict(replace(results, tables=tables))


def test_noise_is_called_noise_and_what_would_not_have_shown_is_said(finished_study):
    sentences = told(finished_study, shifted(0.001, 0.02))

    assert (
        "no difference from hardest-3 beyond seed noise (differences under about 2.7 points would not" in sentences[0]
    )
    assert sentences[1] == "On tiny, with each run's own thresholds: the same is found."


def test_two_seeds_are_said_to_show_hardly_anything(finished_study):
    sentences = told(finished_study, {0: 0.55, 1: 0.47})

    assert "no difference from hardest-3 beyond seed noise (so few seeds could hardly show any)" in sentences[0]


def test_a_difference_beyond_noise_is_told_with_its_interval(finished_study):
    sentences = told(finished_study, shifted(-0.05, 0.005))

    assert "none is worse than hardest-3 by 4.9 points of H-mean (interval 4.2 to 5.6)" in sentences[0]


def test_a_network_that_finds_nothing_is_not_compared(finished_study):
    results = collect(finished_study)

    first = verdict(results)[0]

    assert "no variant finds text yet" in first
    assert "beyond seed noise" not in " ".join(verdict(results)[:2])


def test_the_verdict_ends_with_what_it_does_not_cover(finished_study):
    assert verdict(collect(finished_study))[-1] == (
        "This holds for what was run - width 0.0625, 6 steps of 2 crops of 64 px, 2 seeds - and says nothing about other "
        "sizes, budgets or scenes."
    )
