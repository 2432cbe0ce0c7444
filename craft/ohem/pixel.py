"""Pixel-level hard example mining: which pixels of a score map count in the loss, and how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from craft.ohem.top_k import MAGNITUDE, count_true, share_among_highest

Rule = Literal["hardest", "random", "all", "none"]


@dataclass(frozen=True, slots=True, eq=False)
class PixelSelection:
    """What a rule keeps.

    Attributes:
        weights: (B, H, W) float32, detached, 0 outside `care`. Rule none: a map's weights sum to 1. Other rules: the
            kept positives sum to 1 and the kept negatives to 1.
        num_positives: (B,) int64, cared-for positives; every rule keeps them all.
        num_negatives: (B,) int64, negatives kept. Pixels that tie for the last place count as that place.
    """

    weights: Tensor
    num_positives: Tensor
    num_negatives: Tensor


def pixel_weights(error: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """Weight every text pixel and the hardest `ratio` background pixels per text pixel.

    Background pixels that tie at the last error kept share what is left for it equally, so that the result does not
    depend on how one sorts.

    Args:
        error: (B, H, W) float32, >= 0, confidence x squared error per map pixel. Not differentiated here.
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".
        ratio: background pixels kept per text pixel, > 0 and finite.
        min_negatives: fewest background pixels kept per image, in map pixels, where there are as many; >= 0.

    Returns:
        (B, H, W) float32, detached, 0 outside `care`; per image the kept positives sum to 1 and the kept negatives to 1.

    Raises:
        ValueError: shapes or types differ from these, or `ratio` or `min_negatives` is out of range.

    Source: CRAFT, Baek et al., CVPR 2019, section 4.2 (1:3). Ranking per image, and leaving ignored
        pixels out of the ranking, are ours.
    """
    return _hardest(error, positive, care, ratio=ratio, min_negatives=min_negatives).weights


def random_weights(positive: Tensor, care: Tensor, seeds: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """Weight every text pixel and as many background pixels as `pixel_weights` would keep, at random.

    Which ones follows from a pixel's place in its map and the map's seed alone: not from device, rank or batch.

    Args:
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".
        seeds: (B,) int64, one a map.
        ratio: background pixels kept per text pixel, > 0 and finite.
        min_negatives: fewest background pixels kept per image, in map pixels, where there are as many; >= 0.

    Returns:
        (B, H, W) float32, 0 outside `care`; per image the kept positives sum to 1 and the kept negatives to 1.

    Raises:
        ValueError: shapes or types differ from these, or `ratio` or `min_negatives` is out of range.
    """
    return _random(positive, care, seeds, ratio=ratio, min_negatives=min_negatives).weights


def all_weights(positive: Tensor, care: Tensor) -> Tensor:
    """Weight every cared-for pixel: text pixels equally among themselves, background pixels likewise.

    Args:
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".

    Returns:
        (B, H, W) float32, 0 outside `care`; per image the positives sum to 1 and the negatives to 1.

    Raises:
        ValueError: shapes or types differ from these.
    """
    return _all(positive, care).weights


def plain_weights(care: Tensor) -> Tensor:
    """Weight every cared-for pixel of an image equally, text or not.

    Args:
        care: (B, H, W) bool, False where the label is "don't care".

    Returns:
        (B, H, W) float32, 0 outside `care`; an image sums to 1, or to 0 where nothing is cared for.

    Raises:
        ValueError: the shape or type differs from this.
    """
    return _plain(torch.zeros_like(care), care).weights


def weights_for_rule(
    rule: Rule, error: Tensor, positive: Tensor, care: Tensor, seeds: Tensor, *, ratio: float, min_negatives: int
) -> Tensor:
    """Weight pixels by a rule's name.

    Args:
        rule: "hardest" (`pixel_weights`), "random" (`random_weights`), "all" (`all_weights`), "none" (`plain_weights`).
        error: (B, H, W) float32, >= 0, confidence x squared error per map pixel.
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".
        seeds: (B,) int64, one a map; for random only.
        ratio: background pixels kept per text pixel; for hardest and random only.
        min_negatives: fewest background pixels kept per image; for hardest and random only.

    Returns:
        (B, H, W) float32, detached, 0 outside `care`.

    Raises:
        ValueError: the rule is unknown, shapes or types differ from these, or a number is out of range.
    """
    return select_pixels(rule, error, positive, care, seeds, ratio=ratio, min_negatives=min_negatives).weights


def select_pixels(
    rule: Rule, error: Tensor, positive: Tensor, care: Tensor, seeds: Tensor, *, ratio: float, min_negatives: int
) -> PixelSelection:
    """Do what `weights_for_rule` does, and say how many pixels were kept.

    Args:
        rule: "hardest", "random", "all" or "none".
        error: (B, H, W) float32, >= 0.
        positive: (B, H, W) bool.
        care: (B, H, W) bool.
        seeds: (B,) int64.
        ratio: background pixels kept per text pixel.
        min_negatives: fewest background pixels kept per image.

    Returns:
        Weights and counts.

    Raises:
        ValueError: the rule is unknown, shapes or types differ from these, or a number is out of range.
    """
    if rule == "hardest":
        return _hardest(error, positive, care, ratio=ratio, min_negatives=min_negatives)
    if rule == "random":
        return _random(positive, care, seeds, ratio=ratio, min_negatives=min_negatives)
    if rule == "all":
        return _all(positive, care)
    if rule == "none":
        return _plain(positive, care)
    raise ValueError(f"OHEM rule {rule!r} is unknown; use one of {', '.join(get_args(Rule))}")


def _hardest(error: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> PixelSelection:
    if error.shape != care.shape or error.dtype != torch.float32:
        raise ValueError(
            f"error is {tuple(error.shape)} {error.dtype}; give float32 of the shape of care, {tuple(care.shape)}"
        )
    # The bits of float32 numbers >= 0, read as integers, are in the order of the numbers.
    keys = error.detach().contiguous().view(torch.int32).flatten(1)  # (B, H*W)
    return _highest(keys, positive, care, ratio=ratio, min_negatives=min_negatives)


def _random(positive: Tensor, care: Tensor, seeds: Tensor, *, ratio: float, min_negatives: int) -> PixelSelection:
    if seeds.shape != care.shape[:1] or seeds.dtype != torch.int64:
        raise ValueError(f"seeds are {tuple(seeds.shape)} {seeds.dtype}; give one int64 a map, ({care.shape[0]},)")
    keys = shuffled_order(seeds, care[0].numel() if len(care) else 0)
    return _highest(keys, positive, care, ratio=ratio, min_negatives=min_negatives)


def _highest(keys: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> PixelSelection:
    """Keep every positive and the negatives with the highest keys, (B, H*W) int32."""
    _check_numbers(ratio, min_negatives)
    positive, negative = _split(positive, care)
    num_positives, num_negatives = _count(positive), _count(negative)
    # ceil(ratio * positives) is exact to any size a map can have; MPS has no float64 and does with float32.
    wide = torch.float32 if care.device.type == "mps" else torch.float64
    wanted = torch.ceil(ratio * num_positives.to(wide)).clamp(min=min_negatives)
    num_kept = torch.minimum(wanted, num_negatives.to(wide)).to(torch.int64)
    weights = share_among_highest(keys, negative.flatten(1), num_kept).view(care.shape)
    torch.where(positive, _per_pixel(num_positives), weights, out=weights)
    return PixelSelection(weights, num_positives, num_kept)


def _all(positive: Tensor, care: Tensor) -> PixelSelection:
    positive, negative = _split(positive, care)
    num_positives, num_negatives = _count(positive), _count(negative)
    weights = torch.where(positive, _per_pixel(num_positives), _per_pixel(num_negatives) * negative)
    return PixelSelection(weights, num_positives, num_negatives)


def _plain(positive: Tensor, care: Tensor) -> PixelSelection:
    positive, negative = _split(positive, care)
    num_positives, num_negatives = _count(positive), _count(negative)
    return PixelSelection(_per_pixel(num_positives + num_negatives) * care, num_positives, num_negatives)


def _split(positive: Tensor, care: Tensor) -> tuple[Tensor, Tensor]:
    """Cared-for positives and cared-for negatives."""
    if positive.shape != care.shape or care.dim() != 3:
        raise ValueError(
            f"positive is {tuple(positive.shape)} and care {tuple(care.shape)}; give both as (batch, height, width)"
        )
    if positive.dtype != torch.bool or care.dtype != torch.bool:
        raise ValueError(f"positive is {positive.dtype} and care {care.dtype}; give both as bool")
    positive = positive & care
    return positive, care ^ positive


def _count(mask: Tensor) -> Tensor:
    return count_true(mask.flatten(1))


def _per_pixel(count: Tensor) -> Tensor:
    return (1 / count.clamp(min=1).to(torch.float32))[:, None, None]


def _check_numbers(ratio: float, min_negatives: int) -> None:
    if not (math.isfinite(ratio) and ratio > 0):
        raise ValueError(f"ratio is {ratio}; give background pixels per text pixel, above 0 and finite")
    if min_negatives < 0:
        raise ValueError(f"min_negatives is {min_negatives}; give 0 or more map pixels")


def shuffled_order(seeds: Tensor, num_pixels: int) -> Tensor:
    """Give every pixel of a map another number at random, by arithmetic on its index and the map's seed.

    Args:
        seeds: (B,) int64.
        num_pixels: pixels of a map, at most 2^31.

    Returns:
        (B, num_pixels) int32, >= 0, no two in a row the same.

    Source: the finalizers of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) for the seeds and of MurmurHash3
        (Appleby) for the pixels, the latter cut to 31 bits, where each of its steps remains one-to-one.
    """
    mixed = seeds * -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number; products wrap on every device
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    mixed = mixed ^ ((mixed >> 31) & 0x1FFFFFFFF)
    first = (mixed & MAGNITUDE).to(torch.int32)[:, None]
    second = ((mixed >> 31) & MAGNITUDE).to(torch.int32)[:, None]

    keys = torch.arange(num_pixels, dtype=torch.int32, device=seeds.device) ^ first
    for shift, factor, mask in ((16, -2048144789, second), (13, -1028477387, first)):
        keys = ((keys ^ (keys >> shift)) * factor & MAGNITUDE) ^ mask
    return keys ^ (keys >> 16)
