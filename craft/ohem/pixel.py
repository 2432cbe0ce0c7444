"""Which pixels count in the loss and how much: pixel-level online hard example mining and the rules beside it.

Nothing here makes the host wait for the device, whatever the maps hold.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Rule = Literal["hardest", "random", "all", "none"]

RULES: tuple[Rule, ...] = ("hardest", "random", "all", "none")
POSITIVE_TARGET = 0.1
_BITS = 31  # of a float32 that is not negative, whose bits, read as a whole number, order it


def pixel_weights(error: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """Weight every text pixel and the hardest `ratio` background pixels per text pixel.

    Args:
        error: (B, H, W) float32, >= 0, confidence x squared error per map pixel. Not differentiated here.
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".
        ratio: background pixels kept per text pixel, > 0 and finite.
        min_negatives: fewest background pixels kept per image, in map pixels, where there are as many.

    Returns:
        (B, H, W) float32, detached, 0 outside `care`; per image the kept positives sum to 1 and the kept negatives to 1.
        Background pixels tied at the last error kept share the remaining weight equally.

    Raises:
        ValueError: shapes differ, or `ratio` is not positive.

    Source: CRAFT, Baek et al., CVPR 2019, section 4.2 (1:3). Ranking per image, and leaving ignored pixels out of the
        ranking, are ours.
    """
    _check(error, positive, care, ratio=ratio, min_negatives=min_negatives)
    kept = _largest_shares(error.detach(), *_background_count(positive, care, ratio, min_negatives))
    return _normalised(positive & care) + _normalised(kept)


def random_weights(seeds: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """Weight every text pixel and as many background pixels as `pixel_weights` would, but at random.

    Args:
        seeds: (B,) int64, one number an image; the same number, map and pixel always draw the same lot, on every device.
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".
        ratio: background pixels kept per text pixel, > 0 and finite.
        min_negatives: fewest background pixels kept per image, in map pixels, where there are as many.

    Returns:
        (B, H, W) float32; per image the kept positives sum to 1 and the kept negatives to 1.

    Raises:
        ValueError: shapes differ, or `ratio` is not positive.
    """
    _check(positive, positive, care, ratio=ratio, min_negatives=min_negatives)
    lots = _lots(seeds, positive.shape)
    kept = _largest_shares(lots, *_background_count(positive, care, ratio, min_negatives))
    return _normalised(positive & care) + _normalised(kept)


def all_weights(positive: Tensor, care: Tensor) -> Tensor:
    """Weight every cared-for pixel: the text pixels of an image sum to 1, its background pixels to 1.

    Args:
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".

    Returns:
        (B, H, W) float32.
    """
    return _normalised(positive & care) + _normalised(~positive & care)


def plain_weights(care: Tensor) -> Tensor:
    """Weight every cared-for pixel alike, so that those of an image sum to 1.

    Args:
        care: (B, H, W) bool, False where the label is "don't care".

    Returns:
        (B, H, W) float32.
    """
    return _normalised(care)


def weights_for_rule(
    rule: Rule, error: Tensor, positive: Tensor, care: Tensor, seeds: Tensor, *, ratio: float, min_negatives: int
) -> Tensor:
    """Weight pixels by one of the rules.

    Args:
        rule: "hardest" (`pixel_weights`), "random" (`random_weights`), "all" (`all_weights`), "none" (`plain_weights`).
        error: (B, H, W) float32, >= 0; only "hardest" looks at it.
        positive: (B, H, W) bool, target score above 0.1.
        care: (B, H, W) bool, False where the label is "don't care".
        seeds: (B,) int64; only "random" looks at it.
        ratio: background pixels kept per text pixel, for "hardest" and "random".
        min_negatives: fewest background pixels kept per image, for "hardest" and "random".

    Returns:
        (B, H, W) float32, detached.

    Raises:
        ValueError: the rule is unknown, shapes differ, or `ratio` is not positive.
    """
    if rule == "hardest":
        return pixel_weights(error, positive, care, ratio=ratio, min_negatives=min_negatives)
    if rule == "random":
        return random_weights(seeds, positive, care, ratio=ratio, min_negatives=min_negatives)
    if rule == "all":
        return all_weights(positive, care)
    if rule == "none":
        return plain_weights(care)
    raise ValueError(f"OHEM rule {rule!r} is unknown; use one of {', '.join(RULES)}")


def _check(values: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> None:
    if not (values.shape == positive.shape == care.shape and care.ndim == 3):
        raise ValueError(
            f"error, positive and care must all be (B, H, W), not {tuple(values.shape)}, {tuple(positive.shape)} and "
            f"{tuple(care.shape)}"
        )
    if not (ratio > 0 and math.isfinite(ratio)):
        raise ValueError(f"ratio must be positive and finite, not {ratio}")
    if min_negatives < 0:
        raise ValueError(f"min_negatives must not be negative, not {min_negatives}")


def _background_count(positive: Tensor, care: Tensor, ratio: float, min_negatives: int) -> tuple[Tensor, Tensor]:
    """The cared-for background (B, H, W) bool, and how many of its pixels are kept, (B,) int64."""
    background = care & ~positive
    wanted = torch.ceil((positive & care).sum(dim=(1, 2)).double() * ratio)
    most = background.sum(dim=(1, 2))
    # Held to what there is before it becomes a whole number: a huge ratio must not overflow.
    count = torch.minimum(wanted.clamp(min=min_negatives), most.double()).long()
    return background, count


def _largest_shares(order: Tensor, among: Tensor, count: Tensor) -> Tensor:
    """Share with which each pixel belongs to the `count` largest of its image.

    Args:
        order: (B, H, W) float32 >= 0, or int32 >= 0: what pixels are ranked by.
        among: (B, H, W) bool, the pixels that take part.
        count: (B,) int64, at most the number that take part.

    Returns:
        (B, H, W) float32: 1 above the count-th largest value, 0 below; those tied at it share what is left equally.
    """
    bits = order.view(torch.int32).masked_fill(~among, -1).flatten(1)  # (B, H*W)
    threshold = _threshold(bits, count)[:, None]
    above, tied = bits > threshold, bits == threshold
    left = (count - above.sum(dim=1)).float() / tied.sum(dim=1).clamp(min=1)
    return (above.float() + tied.float() * left[:, None]).view(order.shape)


def _threshold(bits: Tensor, count: Tensor) -> Tensor:
    """The count-th largest of each row's values, found bit by bit from the highest; above all of them for a count of 0.

    Args:
        bits: (B, N) int32; negative values do not take part.
        count: (B,) int64, at most the number that take part.

    Returns:
        (B,) int32.
    """
    threshold = torch.zeros(len(bits), dtype=torch.int32, device=bits.device)
    for bit in reversed(range(_BITS)):
        raised = threshold | (1 << bit)
        reached = (bits >= raised[:, None]).sum(dim=1) >= count
        threshold = torch.where(reached, raised, threshold)
    return threshold


def _normalised(weights: Tensor) -> Tensor:
    """Scale (B, H, W) weights, bool or float, so that those of an image sum to 1; all 0 stays 0."""
    weights = weights.float()
    total = weights.sum(dim=(1, 2), keepdim=True)
    return weights / total.clamp(min=torch.finfo(torch.float32).tiny)


def _lots(seeds: Tensor, shape: torch.Size) -> Tensor:
    """A whole number from 0 to 2^31 - 1 for each pixel of each image, (B, H, W) int32, from seed and pixel alone."""
    pixels = torch.arange(shape[1] * shape[2], device=seeds.device)
    own = _mix((seeds & 0xFFFFFFFF) ^ _mix(seeds >> 32 & 0xFFFFFFFF))
    lots = _mix(_mix(pixels)[None] ^ own[:, None]) >> 1
    return lots.int().view(shape)


def _mix(values: Tensor) -> Tensor:
    """Scramble int64 values from 0 to 2^32 - 1, one to one. Source: the finaliser of MurmurHash3, A. Appleby."""
    mask = 0xFFFFFFFF
    values = (values ^ (values >> 16)) * 0x85EBCA6B & mask
    values = (values ^ (values >> 13)) * 0xC2B2AE35 & mask
    return values ^ (values >> 16)
