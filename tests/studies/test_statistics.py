import math

import numpy as np
import pytest

from craft.studies.statistics import (
    bootstrap_difference,
    detectable_difference,
    estimate,
    holm,
    p_value,
    paired_difference,
)


def test_an_estimate_of_three_seeds_by_hand():
    mean = estimate([0.4, 0.5, 0.6])

    assert mean.mean == pytest.approx(0.5)
    assert mean.spread == pytest.approx(0.1)
    assert mean.high - mean.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-5)
    assert mean.excludes_zero


@pytest.mark.parametrize("values", [[0.4], [0.3, 0.5]])
def test_one_seed_or_two_have_a_mean_and_no_interval(values):
    mean = estimate(values)

    assert mean.mean == pytest.approx(0.4)
    assert mean.num_seeds == len(values)
    assert all(math.isnan(value) for value in (mean.spread, mean.low, mean.high, p_value(mean)))
    assert not mean.excludes_zero


def test_without_seeds_the_mean_is_nan():
    assert math.isnan(estimate([]).mean)
    assert estimate([]).num_seeds == 0


def test_differences_are_taken_seed_by_seed_over_the_seeds_both_have():
    mean = paired_difference({1: 0.5, 2: 0.7, 3: 0.9, 5: 0.2}, {2: 0.6, 1: 0.4, 4: 0.1, 5: 0.1})

    assert mean.num_seeds == 3
    assert mean.mean == pytest.approx(0.1)
    assert mean.spread == pytest.approx(0.0, abs=1e-12)


def test_a_p_value_by_hand():
    # t = 0.5 / (0.1 / sqrt(3)) = 8.6603; with 2 degrees of freedom p = 1 - t / sqrt(2 + t^2).
    t = 0.5 / (0.1 / math.sqrt(3))

    assert p_value(estimate([0.4, 0.5, 0.6])) == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert p_value(estimate([-0.4, -0.5, -0.6])) == pytest.approx(p_value(estimate([0.4, 0.5, 0.6])))
    assert p_value(estimate([-1.0, 0.0, 1.0])) == pytest.approx(1)


def test_an_interval_ends_at_0_where_the_p_value_is_5_percent():
    spread = 0.1
    mean = 4.302652729911275 * spread / math.sqrt(3)
    difference = estimate([mean - spread, mean, mean + spread])

    assert difference.low == pytest.approx(0, abs=1e-9)
    assert p_value(difference) == pytest.approx(0.05)


def test_differences_without_spread_are_certain_or_none():
    assert p_value(estimate([0.1, 0.1, 0.1])) == 0
    assert p_value(estimate([0.0, 0.0, 0.0])) == 1


def test_holm_multiplies_the_least_by_all_the_next_by_one_fewer_and_never_falls():
    # 4 x 0.01, 3 x 0.02, 2 x 0.03 = 0.06 and 1 x 0.04, raised to 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_holm_does_not_count_comparisons_that_could_not_be_made():
    corrected = holm([math.nan, 0.02, 0.03])

    assert math.isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.04, 0.04])


def counts(found, *, detections=10, words=10):
    """(S, N, 3) of matched words by seed and scene."""
    found = np.array(found, dtype=np.int32)
    return np.stack([found, np.full_like(found, detections), np.full_like(found, words)], axis=-1)


def test_the_bootstrap_of_a_difference_that_is_the_same_everywhere_has_no_width():
    low, high = bootstrap_difference(counts([[4] * 6] * 3), counts([[5] * 6] * 3))

    assert (low, high) == pytest.approx((0.1, 0.1))


def test_the_bootstrap_resamples_seeds():
    low, high = bootstrap_difference(counts([[5] * 6] * 4), counts([[5] * 6, [6] * 6, [7] * 6, [8] * 6]))

    # The mean of 4 draws of 0, 0.1, 0.2 and 0.3 has the deviation 0.1118 / 2; 1.96 of them either side of 0.15.
    assert (low, high) == pytest.approx((0.15 - 1.96 * 0.0559, 0.15 + 1.96 * 0.0559), abs=0.012)


def test_the_bootstrap_resamples_scenes_the_same_for_both_variants():
    easy_and_hard = [[9] * 8 + [1] * 8] * 3
    low, high = bootstrap_difference(counts(easy_and_hard), counts(easy_and_hard))
    assert (low, high) == (0, 0)

    low, high = bootstrap_difference(counts([[5] * 16] * 3), counts([[6] * 8 + [4] * 8] * 3))
    # The mean of 16 draws of +0.1 and -0.1 has the deviation 0.025.
    assert (low, high) == pytest.approx((-0.05, 0.05), abs=0.014)


def test_the_detectable_difference_of_three_seeds_by_hand():
    difference = estimate([0.4, 0.5, 0.6])  # SD 0.1; t with 2 degrees of freedom: 4.3027 (0.975) and 1.0607 (0.8)

    assert detectable_difference(difference) == pytest.approx((4.3027 + 1.0607) * 0.1 / math.sqrt(3), abs=1e-5)


def test_one_seed_has_no_detectable_difference():
    assert math.isnan(detectable_difference(estimate([0.4])))
