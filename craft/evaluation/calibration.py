"""Calibration of scores: a logistic curve from raw scores to the share of words that are right, and how well it holds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Calibration = tuple[float, float]
"""Offset a and slope b > 0 of 1 / (1 + exp(-(a + b * raw score))). It keeps the order of scores."""
_NUM_STEPS = 50
_PRIOR = 1e-3  # ridge on both, so that scores that separate right from wrong give no infinite slope


def fit_calibration(raw_scores: ArrayLike, hits: ArrayLike) -> Calibration:
    """Fit the curve to raw scores (N,) and whether each detection is right (N,), by maximum likelihood.

    Raises ValueError if there are under 20 detections, none or all of them are right, or higher scores are not right
    more often.

    Source: J. Platt, Probabilistic Outputs for Support Vector Machines, 1999, with his targets that keep off 0 and 1.
    """
    scores, right = np.asarray(raw_scores, np.float64), np.asarray(hits, bool)
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    if len(scores) < 20 or not num_right or not num_wrong:
        raise ValueError(
            f"{num_right} right and {num_wrong} wrong detections cannot calibrate scores; give at least 20 of both kinds"
        )
    targets = np.where(right, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))
    inputs = np.stack([np.ones_like(scores), scores], axis=1)
    curve = np.array([np.log((num_right + 1) / (num_wrong + 1)), 0.0])
    for _ in range(_NUM_STEPS):  # Newton; the ridge keeps the matrix regular
        expected = _logistic(inputs @ curve)
        gradient = inputs.T @ (expected - targets) + _PRIOR * curve
        spread = (expected * (1 - expected))[:, None] * inputs
        curve = curve - np.linalg.solve(inputs.T @ spread + _PRIOR * np.eye(2), gradient)
    if not curve[1] > 0:
        raise ValueError(
            f"higher scores are not right more often (slope {curve[1]:.3g}), so scores cannot be calibrated"
        )
    return (round(float(curve[0]), 4), round(float(curve[1]), 4))


def calibrate(raw_scores: NDArray[np.float32], calibration: Calibration | None) -> NDArray[np.float32]:
    """Turn raw scores (N,) into calibrated ones, 0 to 1; None leaves them as they are."""
    if calibration is None:
        return raw_scores
    return _logistic(calibration[0] + calibration[1] * raw_scores.astype(np.float64)).astype(np.float32)


def calibration_error(scores: NDArray[np.floating], hits: NDArray[np.bool_], *, num_bins: int = 10) -> float:
    """Mean distance, over detections, between scores and the share of right detections in bins of equal width."""
    bins = np.minimum((np.clip(scores, 0, 1) * num_bins).astype(int), num_bins - 1)
    gaps = [abs(float((scores[bins == index] - hits[bins == index]).sum())) for index in range(num_bins)]
    return sum(gaps) / max(len(scores), 1)


def format_reliability(scores: NDArray[np.floating], hits: NDArray[np.bool_], *, num_rows: int = 5) -> str:
    """Lay out, for groups of equal size from low to high scores, the mean score and the share that is right."""
    lines = ["score     right     detections"]
    for group in np.array_split(np.argsort(scores, kind="stable"), num_rows):
        if len(group):
            lines.append(f"{scores[group].mean():<10.3f}{hits[group].mean():<10.3f}{len(group)}")
    return "\n".join(lines)


def _logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))
