"""Means over seeds and their intervals, paired differences, Holm's correction, and the difference that a study can detect."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # of Student's t: its distribution, and its quantiles

CONFIDENCE = 0.95  # of every interval
POWER = 0.8  # probability with which a detectable difference is detected
_LEAST_SEEDS = 3  # for an interval
_NUM_RESAMPLES = 10_000
_BOOTSTRAP_SEED = 2016


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its uncertainty."""

    mean: float  # NaN without values
    spread: float  # standard deviation over seeds (n - 1); NaN without an interval
    low: float  # lower end of the confidence interval of the mean; NaN without an interval
    high: float  # upper end
    num_seeds: int  # number of values

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 is outside the interval; False where there is none."""
        return self.low > 0 or self.high < 0


def estimate(values: Sequence[float]) -> Estimate:
    """Compute the mean of one value per seed with Student's 95 % interval, which takes three seeds or more.

    The interval of two values is 18 standard errors wide on average, and tells nothing but that.

    Source: Student, The probable error of a mean, Biometrika 1908.
    """
    numbers = np.asarray(values, dtype=np.float64)
    mean = float(numbers.mean()) if len(numbers) else math.nan
    if len(numbers) < _LEAST_SEEDS:
        return Estimate(mean, math.nan, math.nan, math.nan, len(numbers))
    spread = float(numbers.std(ddof=1))
    reach = float(stdtrit(len(numbers) - 1, 1 - (1 - CONFIDENCE) / 2)) * spread / math.sqrt(len(numbers))
    return Estimate(mean, spread, mean - reach, mean + reach, len(numbers))


def paired_difference(values: dict[int, float], reference: dict[int, float]) -> Estimate:
    """Estimate the mean of values minus the reference's, both by seed, over the seeds that both have."""
    return estimate([values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())])


def p_value(difference: Estimate) -> float:
    """Compute the probability, were the true mean 0, of a mean at least as far from it; NaN where there is no interval."""
    if math.isnan(difference.spread):
        return math.nan
    if difference.spread == 0:
        return float(difference.mean == 0)
    degrees = difference.num_seeds - 1
    return 2 * (1 - float(stdtr(degrees, abs(difference.mean) / difference.spread * math.sqrt(degrees + 1))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values that are read together, so that the chance of any false claim stays what it is of one.

    NaN, of a comparison that could not be made, stays NaN and is not counted.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    corrected = list(p_values)
    order = sorted((index for index, value in enumerate(p_values) if not math.isnan(value)), key=corrected.__getitem__)
    least = 0.0
    for rank, index in enumerate(order):
        least = min(1.0, max(least, (len(order) - rank) * p_values[index]))
        corrected[index] = least
    return corrected


def bootstrap_difference(first: NDArray[np.integer], second: NDArray[np.integer]) -> tuple[float, float]:
    """Resample seeds and scenes, both with replacement, and return the 95 % interval of the second's H-mean minus the first's.

    Student's interval holds for these scenes and other seeds; this one for other scenes too. Both are (S, N, 3) matched
    words, counted detections and words, by seed and scene, in the same order.

    Source: Davison and Hinkley, Bootstrap methods and their application, 1997, section 3.8: both levels resampled.
    """
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    num_seeds, num_scenes = first.shape[:2]
    draws = generator.multinomial(num_scenes, np.full(num_scenes, 1 / num_scenes), size=_NUM_RESAMPLES)
    hmeans = []
    for counts in (first, second):
        matched, detections, words = np.moveaxis(np.einsum("rn,snc->rsc", draws.astype(float), counts), -1, 0)
        hmeans.append(2 * matched / np.maximum(detections + words, 1))  # of precision and recall
    seeds = generator.integers(num_seeds, size=(_NUM_RESAMPLES, num_seeds))
    differences = np.take_along_axis(hmeans[1] - hmeans[0], seeds, axis=1).mean(axis=1)
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def detectable_difference(difference: Estimate) -> float:
    """Compute the true difference whose interval would leave out 0 with 80 % probability, given the spread over seeds.

    Of n seeds it is (t[0.975, n - 1] + t[0.8, n - 1]) * spread / sqrt(n), with the t distribution's quantiles; a true
    difference of half the interval's width would be detected with 50 % probability only. NaN where there is no interval.

    Source: Cohen, Statistical power analysis for the behavioral sciences, 1988, with the central t distribution.
    """
    if math.isnan(difference.spread):
        return math.nan
    error = difference.spread / math.sqrt(difference.num_seeds)
    return (difference.high - difference.low) / 2 + float(stdtrit(difference.num_seeds - 1, POWER)) * error
