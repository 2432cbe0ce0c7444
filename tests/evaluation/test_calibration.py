"""Calibration: the curve that made the data is found again, and what cannot be fitted is refused."""

import numpy as np
import pytest

from craft.evaluation.calibration import calibrate, calibration_error, fit_calibration, format_reliability


def test_the_curve_that_made_the_data_is_found():
    generator = np.random.default_rng(0)
    scores = generator.uniform(0.3, 0.9, 20_000)
    hits = generator.random(20_000) < 1 / (1 + np.exp(-(-6 + 10 * scores)))

    offset, slope = fit_calibration(scores, hits)
    fitted = calibrate(scores.astype(np.float32), (offset, slope))

    assert offset == pytest.approx(-6, abs=0.4)
    assert slope == pytest.approx(10, abs=0.6)
    assert calibration_error(fitted, hits) < 0.02 < 0.05 < calibration_error(scores, hits)
    assert hits[np.abs(fitted - 0.5) < 0.05].mean() == pytest.approx(0.5, abs=0.05)


def test_scores_that_separate_right_from_wrong_give_a_finite_slope():
    scores = np.concatenate([np.full(50, 0.2), np.full(50, 0.8)])

    offset, slope = fit_calibration(scores, scores > 0.5)

    assert np.isfinite([offset, slope]).all()
    assert calibrate(np.array([0.8], np.float32), (offset, slope))[0] > 0.9


@pytest.mark.parametrize("hits", [np.ones(40, bool), np.zeros(40, bool), np.arange(40) < 20])
def test_what_cannot_be_fitted_is_refused(hits):
    with pytest.raises(ValueError, match=r"cannot (be )?calibrate"):
        fit_calibration(np.linspace(0.3, 0.9, 40), hits)


def test_no_calibration_leaves_scores_as_they_are_and_every_one_keeps_their_order():
    scores = np.array([0.2, 0.9, 0.5], np.float32)

    assert calibrate(scores, None) is scores
    np.testing.assert_array_equal(np.argsort(calibrate(scores, (-3.0, 8.0))), np.argsort(scores))
    assert calibrate(np.zeros(0, np.float32), (-3.0, 8.0)).shape == (0,)


def test_reliability_is_a_row_for_each_group():
    table = format_reliability(np.array([0.1, 0.9]), np.array([False, True]), num_rows=2)

    assert table.splitlines()[1:] == ["0.100     0.000     1", "0.900     1.000     1"]
