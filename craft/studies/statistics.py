"""Means over seeds with Student's interval, paired differences, and the difference that a study can detect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95  # of every interval
POWER = 0.8  # probability with which a detectable difference is detected


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its uncertainty.

    Attributes:
        mean: NaN without values.
        spread: standard deviation over seeds (n - 1); NaN of fewer than two values.
        low: lower end of the confidence interval of the mean; NaN of fewer than two values.
        high: upper end.
        num_seeds: number of values.
    """

    mean: float
    spread: float
    low: float
    high: float
    num_seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 is outside the interval; False where there is none."""
        return self.low > 0 or self.high < 0


def estimate(values: Sequence[float], *, num_comparisons: int = 1) -> Estimate:
    """Compute the mean of one value per seed with Student's 95 % interval.

    Args:
        num_comparisons: intervals that are read together; each is widened so that all hold at once (Bonferroni).

    Source: Student, The probable error of a mean, Biometrika 1908; Dunn, Multiple comparisons among means, JASA 1961.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Estimate(mean, math.nan, math.nan, math.nan, 1)
    spread = float(numbers.std(ddof=1))
    outside = (1 - CONFIDENCE) / max(1, num_comparisons)
    reach = student_quantile(1 - outside / 2, len(numbers) - 1) * spread / math.sqrt(len(numbers))
    return Estimate(mean, spread, mean - reach, mean + reach, len(numbers))


def paired_difference(values: dict[int, float], reference: dict[int, float], *, num_comparisons: int = 1) -> Estimate:
    """Estimate the mean of values minus the reference's, both by seed, over the seeds that both have."""
    shared = sorted(values.keys() & reference.keys())
    return estimate([values[seed] - reference[seed] for seed in shared], num_comparisons=num_comparisons)


def detectable_difference(difference: Estimate) -> float:
    """Compute the true difference whose interval would leave out 0 with 80 % probability, given the spread over seeds.

    A true difference of half the interval's width would be detected with 50 % probability only. For one comparison of n
    seeds this is (t[0.975, n - 1] + t[0.8, n - 1]) * spread / sqrt(n), with the t distribution's quantiles. NaN of
    fewer than two seeds.

    Source: Cohen, Statistical power analysis for the behavioral sciences, 1988, with the central t distribution.
    """
    if difference.num_seeds < 2:
        return math.nan
    error = difference.spread / math.sqrt(difference.num_seeds)
    return (difference.high - difference.low) / 2 + student_quantile(POWER, difference.num_seeds - 1) * error


def student_quantile(probability: float, degrees: int) -> float:
    """Compute a quantile of the t distribution, to about ten digits.

    Args:
        probability: at least 0.5, below 1.
        degrees: degrees of freedom, >= 1.
    """
    if not 0.5 <= probability < 1 or degrees < 1:
        raise ValueError(f"probability {probability} with {degrees} degrees of freedom; wanted 0.5 to 1, and 1 or more")
    low, high = 0.0, 1.0
    while _student_below(high, degrees) < probability:
        high *= 2
    for _ in range(100):
        middle = 0.5 * (low + high)
        if _student_below(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _student_below(value: float, degrees: int) -> float:
    """Probability that t with whole degrees of freedom is below a value >= 0; Abramowitz and Stegun 26.7.3, 26.7.4."""
    angle = math.atan(value / math.sqrt(degrees))
    cosine, term, total = math.cos(angle), 1.0, 0.0
    if degrees % 2:
        if degrees > 1:
            term = total = cosine
            for index in range(2, degrees - 1, 2):
                term *= cosine * cosine * index / (index + 1)
                total += term
        between = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        total = term
        for index in range(1, degrees - 1, 2):
            term *= cosine * cosine * index / (index + 1)
            total += term
        between = math.sin(angle) * total
    return 0.5 * (1 + between)
