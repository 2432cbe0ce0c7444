import math

import pytest

from craft.studies.statistics import detectable_difference, estimate, paired_difference, student_quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 4, 2.7764), (0.975, 9, 2.2622), (0.95, 30, 1.6973), (0.5, 3, 0)],
)
def test_quantiles_equal_those_of_printed_tables(probability, degrees, expected):
    assert student_quantile(probability, degrees) == pytest.approx(expected, abs=6e-5)


def test_an_estimate_of_three_seeds_by_hand():
    mean = estimate([0.4, 0.5, 0.6])

    assert mean.mean == pytest.approx(0.5)
    assert mean.spread == pytest.approx(0.1)
    assert mean.high - mean.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-5)
    assert mean.excludes_zero


def test_one_seed_has_a_mean_and_no_interval():
    mean = estimate([0.4])

    assert mean.mean == 0.4
    assert math.isnan(mean.low)
    assert not mean.excludes_zero


def test_without_seeds_the_mean_is_nan():
    assert math.isnan(estimate([]).mean)
    assert estimate([]).num_seeds == 0


def test_differences_are_taken_seed_by_seed_over_the_seeds_both_have():
    mean = paired_difference({1: 0.5, 2: 0.7, 3: 0.9}, {2: 0.6, 1: 0.4, 4: 0.1})

    assert mean.num_seeds == 2
    assert mean.mean == pytest.approx(0.1)
    assert mean.spread == pytest.approx(0.0, abs=1e-12)


def test_an_interval_for_all_comparisons_is_wider():
    values = [0.01, 0.02, 0.03]

    assert estimate(values, num_comparisons=7).low < estimate(values).low


def test_the_detectable_difference_of_three_seeds_by_hand():
    difference = estimate([0.4, 0.5, 0.6])  # SD 0.1; t with 2 degrees of freedom: 4.3027 (0.975) and 1.0607 (0.8)

    assert detectable_difference(difference) == pytest.approx((4.3027 + 1.0607) * 0.1 / math.sqrt(3), abs=1e-5)


def test_a_difference_is_detected_only_beyond_the_widened_interval_of_all_comparisons():
    difference = estimate([0.4, 0.5, 0.6], num_comparisons=5)  # t with 2 degrees of freedom: 9.9248 (0.995)

    assert detectable_difference(difference) == pytest.approx((9.9248 + 1.0607) * 0.1 / math.sqrt(3), abs=1e-5)


def test_one_seed_has_no_detectable_difference():
    assert math.isnan(detectable_difference(estimate([0.4])))
