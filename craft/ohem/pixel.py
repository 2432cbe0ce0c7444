"""Pixel-level OHEM: which pixels of a score map count in the loss, and how much.

To add a rule, write a function like `_hardest`, and name it in `RULES` below and in `OhemRule` of craft/config.py.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from craft.ohem.top_k import count_true, random_keys, top_k_weights

POSITIVE_TARGET = 0.1  # a map pixel whose target is above this is a text pixel


@dataclass(frozen=True, slots=True, eq=False)
class PixelSelection:
    """The pixels that a rule keeps.

    Per map, the weights of the positives sum to 1 and those of the negatives to 1; under rule none, all together do;
    under rule focal, to less.
    """

    weights: Tensor  # (B, H, W) float32, detached, 0 where a pixel is left out
    num_positives: Tensor  # (B,) int64; every rule keeps all cared-for positives
    num_negatives: Tensor  # (B,) int64, negatives kept: k of them, however many tie at the cut-off


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Pixels of B maps that a rule chooses from: `positive` and `negative` are the cared-for ones."""

    error: Tensor
    positive: Tensor
    negative: Tensor
    num_positives: Tensor
    num_negatives: Tensor
    seeds: Tensor
    ratio: float
    min_negatives: int
    gamma: float


def select_pixels(
    rule: str,
    error: Tensor,
    positive: Tensor,
    care: Tensor,
    seeds: Tensor,
    *,
    ratio: float,
    min_negatives: int,
    gamma: float = 1.0,
) -> PixelSelection:
    """Keep every text pixel of a map and the background pixels that a rule chooses, and weight what is kept.

    Raises ValueError for an unknown rule, a wrong shape or dtype, `ratio` or `gamma` not above 0 and finite, or
    `min_negatives` below 0.

    Args:
        error: (B, H, W) float32, >= 0, confidence x squared error; not differentiated here.
        positive: (B, H, W) bool, target above `POSITIVE_TARGET`.
        care: (B, H, W) bool, False for "don't care": neither ranked nor counted.
        seeds: (B,) int64, for random, which depends on a pixel's index and the map's seed alone.
        ratio: background pixels kept per text pixel, rounded up per map; for hardest and random.
        min_negatives: fewest background pixels kept per map, if it has as many; for hardest and random.
        gamma: exponent of the square root of a pixel's error in its weight, > 0; for focal.

    Source: CRAFT, Baek et al., CVPR 2019, section 4.2 (1:3), after OHEM, Shrivastava et al., CVPR 2016. Ranking per
        map, leaving "don't care" pixels out of it, and equal shares for pixels that tie at the cut-off are ours.
    """
    if rule not in RULES:
        raise ValueError(f"unknown OHEM rule {rule!r}; use one of {', '.join(RULES)}")
    _check(error, positive, care, seeds, ratio, min_negatives)
    if not (math.isfinite(gamma) and gamma > 0):
        raise ValueError(f"gamma is {gamma}; give an exponent above 0 and finite")
    positive = positive & care
    negative = care ^ positive
    num_positives, num_negatives = count_true(positive.flatten(1)), count_true(negative.flatten(1))
    return RULES[rule](
        _Candidates(
            error.detach(), positive, negative, num_positives, num_negatives, seeds, ratio, min_negatives, gamma
        )
    )


def _hardest(pixels: _Candidates) -> PixelSelection:
    """Keep the negatives with the largest errors, `ratio` for each positive."""
    # The bits of float32 numbers >= 0, read as integers, sort as the numbers do.
    return _keep_top_negatives(pixels, pixels.error.contiguous().view(torch.int32).flatten(1))


def _random(pixels: _Candidates) -> PixelSelection:
    """Keep as many negatives as `_hardest`, at random."""
    num_pixels = math.prod(pixels.error.shape[1:])
    return _keep_top_negatives(pixels, random_keys(pixels.seeds, num_pixels))


def _all(pixels: _Candidates) -> PixelSelection:
    """Keep every negative: a mean over text plus a mean over background."""
    background = _mean_weight(pixels.num_negatives) * pixels.negative
    weights = torch.where(pixels.positive, _mean_weight(pixels.num_positives), background)
    return PixelSelection(weights, pixels.num_positives, pixels.num_negatives)


def _none(pixels: _Candidates) -> PixelSelection:
    """Keep every negative, without mining: one plain mean over text and background together."""
    weight = _mean_weight(pixels.num_positives + pixels.num_negatives)
    return PixelSelection(weight * (pixels.positive | pixels.negative), pixels.num_positives, pixels.num_negatives)


def _focal(pixels: _Candidates) -> PixelSelection:
    """Keep every pixel as `_all` does, but give it error^(gamma / 2) times the weight, so that easy pixels fade.

    With squared errors, the gradient is that of mean |difference|^(2 + gamma) up to a constant factor.

    Source: Lin et al., Focal loss for dense object detection, ICCV 2017, section 3, carried from cross-entropy.
    """
    kept = _all(pixels)
    return replace(kept, weights=kept.weights * pixels.error.pow(pixels.gamma / 2))


RULES = {"hardest": _hardest, "random": _random, "all": _all, "none": _none, "focal": _focal}


def _keep_top_negatives(pixels: _Candidates, keys: Tensor) -> PixelSelection:
    """Keep every positive, and the ceil(ratio * positives) negatives with the highest keys, (B, H*W) int32."""
    # float64 makes ceil(ratio * positives) exact for any size of map; MPS has no float64.
    wide = torch.float32 if keys.device.type == "mps" else torch.float64
    wanted = torch.ceil(pixels.ratio * pixels.num_positives.to(wide)).clamp(min=pixels.min_negatives)
    num_kept = torch.minimum(wanted, pixels.num_negatives.to(wide)).to(torch.int64)
    weights = top_k_weights(keys, pixels.negative.flatten(1), num_kept).view(pixels.error.shape)
    torch.where(pixels.positive, _mean_weight(pixels.num_positives), weights, out=weights)
    return PixelSelection(weights, pixels.num_positives, num_kept)


def _mean_weight(count: Tensor) -> Tensor:
    """Weight of each of (B,) `count` pixels in their mean, (B, 1, 1)."""
    return (1 / count.clamp(min=1).to(torch.float32))[:, None, None]


def _check(error: Tensor, positive: Tensor, care: Tensor, seeds: Tensor, ratio: float, min_negatives: int) -> None:
    if care.dim() != 3 or not error.shape == positive.shape == care.shape:
        raise ValueError(
            f"error is {tuple(error.shape)}, positive is {tuple(positive.shape)} and care is {tuple(care.shape)}; give all "
            "three as (batch, height, width)"
        )
    if error.dtype != torch.float32 or positive.dtype != torch.bool or care.dtype != torch.bool:
        raise ValueError(
            f"error is {error.dtype}, positive {positive.dtype} and care {care.dtype}; give float32, bool and bool"
        )
    if seeds.shape != care.shape[:1] or seeds.dtype != torch.int64:
        raise ValueError(f"seeds are {tuple(seeds.shape)} {seeds.dtype}; give one int64 per map, ({len(care)},)")
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError(f"ratio is {ratio}; give background pixels per text pixel, above 0 and finite")
    if min_negatives < 0:
        raise ValueError(f"min_negatives is {min_negatives}; give 0 or more map pixels")
