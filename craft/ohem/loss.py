"""The loss of score maps against their targets, over the pixels that an OHEM rule keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from craft.ohem.pixel import POSITIVE_TARGET, PixelSelection, select_pixels

_SHARPNESS = 8.0  # of the sigmoid that makes a score a probability of text, for dice_bce
_Select = Callable[[Tensor], PixelSelection]


@dataclass(frozen=True, slots=True, eq=False)
class PixelLoss:
    """A loss and what it was made from."""

    loss: Tensor  # () float32, differentiable once: region + affinity
    region: Tensor  # () float32, loss of the region maps
    affinity: Tensor  # () float32, loss of the affinity maps
    kept_positives: Tensor  # (B, 2) int64, text pixels per image and map
    kept_negatives: Tensor  # (B, 2) int64, background pixels kept per image and map
    weights: Tensor  # (B, 2, H, W) float32, detached, weight of each pixel's error in the loss of its map


def pixel_loss(
    scores: Tensor,
    maps: Tensor,
    confidence: Tensor,
    seeds: Tensor,
    *,
    rule: str,
    ratio: float,
    min_negatives: int,
    scope: str = "image",
    gamma: float = 1.0,
    loss: str = "mse",
) -> PixelLoss:
    """Compare score maps with their targets, with pixel-level hard example mining per image and map.

    The error of a pixel is confidence x squared difference. Loss dice_bce takes confidence x cross-entropy instead, less
    the target's own entropy, and adds the Dice loss of the map over all cared-for pixels; the probability of text is
    sigmoid(8 (score - 0.5)), so that thresholds on scores keep their meaning. The loss of a map is the mean error of the
    kept text pixels plus the mean error of the kept background pixels (rule none: one mean over both), averaged over the
    batch. A map with nothing cared for gives 0 with a gradient of 0. The host never waits for the device.

    Args:
        scores: (B, 2, H, W) any floating dtype, region and affinity score maps; computed with in float32.
        maps: (B, 2, H, W) float32, 0 to 1, the targets.
        confidence: (B, 2, H, W) float32, 0 to 1; 0 is "don't care".
        seeds: (B,) int64, one per image, for rule random.
        rule: as in `select_pixels`, like `gamma`, and like `ratio` and `min_negatives`, which are per image and map.
        scope: "image", or "batch" to rank and average a map over all images of this process's batch.
        loss: "mse" or "dice_bce".

    Raises ValueError for wrong shape or dtype, an empty batch, an unknown rule, scope or loss, or a number out of range.

    Source: CRAFT, Baek et al., CVPR 2019, sections 3.2 and 4.2. Counting each map's own text pixels is ours. Dice with
        squares: Milletari et al., V-Net, 3DV 2016; beside mined cross-entropy: DB, Liao et al., AAAI 2020, section 3.5.
    """
    _check(scores, maps, confidence, seeds, scope, loss)
    # Each map of an image has a seed of its own, or rule random would choose the same pixels in both.
    map_seeds = seeds[:, None] * 2 + torch.arange(2, device=seeds.device)  # (B, 2)
    over_batch = scope == "batch"
    pixels = maps > POSITIVE_TARGET, confidence > 0, map_seeds

    def select(error: Tensor) -> PixelSelection:
        settings = {"ratio": ratio, "min_negatives": min_negatives, "gamma": gamma}
        return (_select_over_batch if over_batch else _select_per_image)(rule, error, *pixels, settings)

    scores = scores.to(torch.float32, memory_format=torch.contiguous_format)
    by_map, kept = (_squared_error if loss == "mse" else _dice_bce)(scores, maps, confidence, select)
    region, affinity = by_map.mean(dim=0).unbind()
    return PixelLoss(
        loss=region + affinity,
        region=region,
        affinity=affinity,
        kept_positives=kept.num_positives.view(-1, 2),
        kept_negatives=kept.num_negatives.view(-1, 2),
        weights=kept.weights.view(scores.shape),
    )


def _squared_error(scores: Tensor, maps: Tensor, confidence: Tensor, select: _Select) -> tuple[Tensor, PixelSelection]:
    """The loss (B, 2) of each map by its weighted squared errors, and what was selected for it."""
    difference = scores - maps
    with torch.no_grad():
        error = difference.square().mul_(confidence)
        kept = select(error)
        slope = torch.mul(kept.weights.view(scores.shape), confidence, out=error).mul_(difference)
    # This sum is the weighted error with half its gradient. Doubled, less itself held fixed, both are right, and the
    # backward pass is one product per pixel instead of the four of a square times two factors.
    half = (slope * difference).sum(dim=(2, 3))
    return 2 * half - half.detach(), kept


def _dice_bce(scores: Tensor, maps: Tensor, confidence: Tensor, select: _Select) -> tuple[Tensor, PixelSelection]:
    """The loss (B, 2) of each map by the cross-entropy of what is selected, and its Dice loss over all of it."""
    logits = _SHARPNESS * (scores - 0.5)
    entropy = -torch.xlogy(maps, maps) - torch.xlogy(1 - maps, 1 - maps)
    excess = binary_cross_entropy_with_logits(logits, maps, reduction="none") - entropy
    error = excess.clamp(min=0) * confidence
    kept = select(error.detach())
    text = logits.sigmoid()
    # One pixel of text in both, found, is added to each map, so that maps without text have a Dice loss and a slope.
    shared = (confidence * text * maps).sum(dim=(2, 3))
    both = (confidence * (text.square() + maps.square())).sum(dim=(2, 3))
    return (kept.weights.view(scores.shape) * error).sum(dim=(2, 3)) + 1 - (2 * shared + 1) / (both + 1), kept


def _select_per_image(
    rule: str, error: Tensor, positive: Tensor, care: Tensor, map_seeds: Tensor, settings: dict[str, Any]
) -> PixelSelection:
    """Rank each of the (B, 2, H, W) maps by itself; the selection has its B * 2 maps in a row."""
    flat = (tensor.flatten(0, 1) for tensor in (error, positive, care, map_seeds))
    return select_pixels(rule, *flat, **settings)


def _select_over_batch(
    rule: str, error: Tensor, positive: Tensor, care: Tensor, map_seeds: Tensor, settings: dict[str, Any]
) -> PixelSelection:
    """Rank the images of a batch as one long image; an image's negatives include every one that ties at the cut-off."""
    num_images, _, height, width = care.shape
    error, positive, care = (
        tensor.transpose(0, 1).reshape(2, num_images * height, width) for tensor in (error, positive, care)
    )
    settings = settings | {"min_negatives": settings["min_negatives"] * num_images}
    together = select_pixels(rule, error, positive, care, map_seeds.sum(dim=0), **settings)
    by_image = (2, num_images, height, width)
    weights = (together.weights * num_images).view(by_image).transpose(0, 1).contiguous()
    positive = (positive & care).view(by_image).transpose(0, 1)
    num_positives = positive.sum(dim=(2, 3))
    num_negatives = ((weights > 0) & ~positive).sum(dim=(2, 3))
    return PixelSelection(weights.flatten(0, 1), num_positives.flatten(), num_negatives.flatten())


def _check(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor, scope: str, loss: str) -> None:
    if scores.dim() != 4 or scores.shape[0] == 0 or scores.shape[1] != 2:
        raise ValueError(f"scores are {tuple(scores.shape)}; give (batch, 2, height, width) with a batch of at least 1")
    if maps.shape != scores.shape or confidence.shape != scores.shape:
        raise ValueError(
            f"maps are {tuple(maps.shape)} and confidence {tuple(confidence.shape)}; give both the shape of the scores, "
            f"{tuple(scores.shape)}"
        )
    if not scores.is_floating_point() or maps.dtype != torch.float32 or confidence.dtype != torch.float32:
        raise ValueError(
            f"scores are {scores.dtype}, maps {maps.dtype} and confidence {confidence.dtype}; give floating-point scores, "
            "and maps and confidence as float32"
        )
    if seeds.shape != scores.shape[:1] or seeds.dtype != torch.int64:
        raise ValueError(f"seeds are {tuple(seeds.shape)} {seeds.dtype}; give one int64 per image, ({len(scores)},)")
    if scope not in ("image", "batch"):
        raise ValueError(f"unknown OHEM scope {scope!r}; use image or batch")
    if loss not in ("mse", "dice_bce"):
        raise ValueError(f"unknown loss {loss!r}; use mse or dice_bce")
