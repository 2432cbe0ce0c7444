"""Means over seeds with Student's interval, paired differences, and which of many differences stand out. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and how far seeds alone move it.

    Attributes:
        mean: of the values; NaN of none.
        spread: standard deviation over seeds (n - 1); NaN of fewer than two.
        low: lower end of the interval of the mean; NaN of fewer than two.
        high: upper end.
        num_seeds: values.
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


def estimate(values: Sequence[float], *, share: float = 0.95, num_comparisons: int = 1) -> Estimate:
    """The mean of values with Student's interval.

    Args:
        values: one a seed.
        share: of intervals that hold the true mean, 0 to 1.
        num_comparisons: intervals looked at together; each is widened so that all hold at once (Bonferroni).

    Returns:
        The estimate.

    Source: Student, The probable error of a mean, Biometrika 1908; Dunn, Multiple comparisons among means, JASA 1961.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Estimate(mean, math.nan, math.nan, math.nan, 1)
    spread = float(numbers.std(ddof=1))
    outside = (1 - share) / max(1, num_comparisons)
    reach = student_quantile(1 - outside / 2, len(numbers) - 1) * spread / math.sqrt(len(numbers))
    return Estimate(mean, spread, mean - reach, mean + reach, len(numbers))


def paired_difference(
    values: dict[int, float], reference: dict[int, float], *, share: float = 0.95, num_comparisons: int = 1
) -> Estimate:
    """The mean of a variant's values minus the reference's, seed by seed.

    Args:
        values: of the variant, by seed.
        reference: of the reference, by seed.
        share: as in `estimate`.
        num_comparisons: as in `estimate`.

    Returns:
        The estimate over the seeds that both have.
    """
    shared = sorted(values.keys() & reference.keys())
    differences = [values[seed] - reference[seed] for seed in shared]
    return estimate(differences, share=share, num_comparisons=num_comparisons)


def student_quantile(probability: float, degrees: int) -> float:
    """The value that a t-distributed number stays below with a probability.

    Args:
        probability: 0.5 to below 1.
        degrees: degrees of freedom, >= 1.

    Returns:
        The quantile, to about ten digits.
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
