"""The loss of score maps against their targets, over the pixels that an OHEM rule keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from craft.ohem.pixel import POSITIVE_TARGET, PixelSelection, select_pixels


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
) -> PixelLoss:
    """Compare score maps with their targets, with pixel-level hard example mining per image and map.

    The error of a pixel is confidence x squared difference. The loss of a map is the mean error of the kept text pixels
    plus the mean error of the kept background pixels (rule none: one mean over both), averaged over the batch. A map
    with nothing cared for gives 0 with a gradient of 0. The host never waits for the device.

    Args:
        scores: (B, 2, H, W) any floating dtype, region and affinity score maps; computed with in float32.
        maps: (B, 2, H, W) float32, 0 to 1, the targets.
        confidence: (B, 2, H, W) float32, 0 to 1; 0 is "don't care".
        seeds: (B,) int64, one per image, for rule random.
        rule: as in `select_pixels`, like `ratio` and `min_negatives`, which are per image and map.
        scope: "image", or "batch" to rank and average a map over all images of this process's batch.

    Raises ValueError for wrong shape or dtype, an empty batch, an unknown rule or scope, or a number out of range.

    Source: CRAFT, Baek et al., CVPR 2019, sections 3.2 and 4.2. Counting each map's own text pixels is ours.
    """
    _check(scores, maps, confidence, seeds, scope)
    select = _select_per_image if scope == "image" else _select_over_batch
    difference = scores.to(torch.float32, memory_format=torch.contiguous_format) - maps
    with torch.no_grad():
        error = difference.square().mul_(confidence)
        # Each map of an image has a seed of its own, or rule random would choose the same pixels in both.
        map_seeds = seeds[:, None] * 2 + torch.arange(2, device=seeds.device)  # (B, 2)
        kept = select(rule, error, maps > POSITIVE_TARGET, confidence > 0, map_seeds, ratio, min_negatives)
        weights = kept.weights.view(scores.shape)
        slope = torch.mul(weights, confidence, out=error).mul_(difference)
    # This sum is the weighted error with half its gradient. Doubled, less itself held fixed, both are right, and the
    # backward pass is one product per pixel instead of the four of a square times two factors.
    half = (slope * difference).sum(dim=(2, 3))  # (B, 2)
    region, affinity = (2 * half - half.detach()).mean(dim=0).unbind()
    return PixelLoss(
        loss=region + affinity,
        region=region,
        affinity=affinity,
        kept_positives=kept.num_positives.view(-1, 2),
        kept_negatives=kept.num_negatives.view(-1, 2),
        weights=weights,
    )


def _select_per_image(
    rule: str, error: Tensor, positive: Tensor, care: Tensor, map_seeds: Tensor, ratio: float, min_negatives: int
) -> PixelSelection:
    """Rank each of the (B, 2, H, W) maps by itself; the selection has its B * 2 maps in a row."""
    flat = (tensor.flatten(0, 1) for tensor in (error, positive, care, map_seeds))
    return select_pixels(rule, *flat, ratio=ratio, min_negatives=min_negatives)


def _select_over_batch(
    rule: str, error: Tensor, positive: Tensor, care: Tensor, map_seeds: Tensor, ratio: float, min_negatives: int
) -> PixelSelection:
    """Rank the images of a batch as one long image; an image's negatives include every one that ties at the cut-off."""
    num_images, _, height, width = care.shape
    error, positive, care = (
        tensor.transpose(0, 1).reshape(2, num_images * height, width) for tensor in (error, positive, care)
    )
    together = select_pixels(
        rule, error, positive, care, map_seeds.sum(dim=0), ratio=ratio, min_negatives=min_negatives * num_images
    )
    by_image = (2, num_images, height, width)
    weights = (together.weights * num_images).view(by_image).transpose(0, 1).contiguous()
    positive = (positive & care).view(by_image).transpose(0, 1)
    num_positives = positive.sum(dim=(2, 3))
    num_negatives = ((weights > 0) & ~positive).sum(dim=(2, 3))
    return PixelSelection(weights.flatten(0, 1), num_positives.flatten(), num_negatives.flatten())


def _check(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor, scope: str) -> None:
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
