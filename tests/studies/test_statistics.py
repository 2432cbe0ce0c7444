import math

import pytest

from craft.studies.statistics import estimate, paired_difference, student_quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 4, 2.7764), (0.975, 9, 2.2622), (0.95, 30, 1.6973), (0.5, 3, 0)],
)
def test_quantiles_are_those_of_printed_tables(probability, degrees, expected):
    assert student_quantile(probability, degrees) == pytest.approx(expected, abs=6e-5)


def test_an_estimate_of_three_seeds_by_hand():
    one = estimate([0.4, 0.5, 0.6])

    assert one.mean == pytest.approx(0.5)
    assert one.spread == pytest.approx(0.1)
    assert one.high - one.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-5)
    assert one.excludes_zero


def test_one_seed_has_a_mean_and_no_interval():
    one = estimate([0.4])

    assert one.mean == 0.4
    assert math.isnan(one.low)
    assert not one.excludes_zero


def test_no_seed_is_normal():
    assert math.isnan(estimate([]).mean)
    assert estimate([]).num_seeds == 0


def test_differences_are_taken_seed_by_seed_over_the_seeds_both_have():
    one = paired_difference({1: 0.5, 2: 0.7, 3: 0.9}, {2: 0.6, 1: 0.4, 4: 0.1})

    assert one.num_seeds == 2
    assert one.mean == pytest.approx(0.1)
    assert one.spread == pytest.approx(0.0, abs=1e-12)


def test_counting_all_comparisons_widens_the_interval():
    values = [0.01, 0.02, 0.03]

    assert estimate(values, num_comparisons=7).low < estimate(values).low
