"""The loss of score maps against their targets, over the pixels that a rule keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from craft.ohem.pixel import PixelSelection, Rule, select_pixels

Scope = Literal["image", "batch"]

# A map pixel whose target is above this is text.
POSITIVE_TARGET = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class PixelLoss:
    """A loss and what it was made from, all on the device of the scores.

    Attributes:
        loss: () float32, differentiable once: region + affinity.
        region: () float32, the region maps' share.
        affinity: () float32, the affinity maps' share.
        kept_positives: (B, 2) int64, text pixels per image and map, of region and affinity.
        kept_negatives: (B, 2) int64, background pixels kept per image and map.
        weights: (B, 2, H, W) float32, detached, what each pixel's error counts in its own map's loss.
    """

    loss: Tensor
    region: Tensor
    affinity: Tensor
    kept_positives: Tensor
    kept_negatives: Tensor
    weights: Tensor


def pixel_loss(
    scores: Tensor,
    maps: Tensor,
    confidence: Tensor,
    seeds: Tensor,
    *,
    rule: Rule,
    ratio: float,
    min_negatives: int,
    scope: Scope = "image",
) -> PixelLoss:
    """Compare score maps with their targets, with pixel-level hard example mining per image and map.

    A pixel's error is confidence x squared difference. A map's loss is the mean error of the kept text pixels plus the
    mean error of the kept background pixels (rule none: one mean over both), then the mean over the batch. Nothing
    cared for gives 0 with a gradient of 0. The host never waits for the device.

    Args:
        scores: (B, 2, H, W) any floating type, the network's region and affinity maps. Computed with in float32.
        maps: (B, 2, H, W) float32, 0 to 1, the targets.
        confidence: (B, 2, H, W) float32, 0 to 1, 0 where the label is "don't care".
        seeds: (B,) int64, one an image; what rule random starts from.
        rule: "hardest", "random", "all" or "none".
        ratio: background pixels kept per text pixel, for hardest and random.
        min_negatives: fewest background pixels kept per image and map, for hardest and random.
        scope: "image"; or "batch": a map's pixels of all images are ranked and averaged together, as other trainers
            do. A batch is that of one process.

    Returns:
        The loss, its parts, and what was kept.

    Raises:
        ValueError: shapes or types differ from these, the batch is empty, the rule is unknown, or a number is out of range.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2 and 4.2. Each map's own text pixels, ranking per image, keeping
        don't-care pixels out of the ranking, and the shares of ties are ours.
    """
    _check(scores, maps, confidence, seeds)
    num_images = len(scores)
    difference = scores.to(torch.float32, memory_format=torch.contiguous_format) - maps
    with torch.no_grad():
        error = difference.square().mul_(confidence)
        care = confidence > 0
        # An image's two maps get seeds of their own, or rule random would choose the same pixels in both.
        map_seeds = seeds[:, None] * 2 + torch.arange(2, device=seeds.device)  # (B, 2)
        positive = maps > POSITIVE_TARGET
        if scope == "batch":
            kept = _select_together(rule, error, positive, care, map_seeds, ratio, min_negatives)
        else:
            kept = select_pixels(
                rule,
                error.flatten(0, 1),
                positive.flatten(0, 1),
                care.flatten(0, 1),
                map_seeds.flatten(),
                ratio=ratio,
                min_negatives=min_negatives,
            )
        weights = kept.weights.view(scores.shape)
        slope = torch.mul(weights, confidence, out=error).mul_(difference)
    # This sum is the weighted error, but has half its gradient. Doubled, less itself held fixed, it has both right,
    # and going back is one product a pixel instead of the four of a square times two factors.
    half = (slope * difference).sum(dim=(2, 3))  # (B, 2)
    region, affinity = (2 * half - half.detach()).mean(dim=0).unbind()
    return PixelLoss(
        loss=region + affinity,
        region=region,
        affinity=affinity,
        kept_positives=kept.num_positives.view(num_images, 2),
        kept_negatives=kept.num_negatives.view(num_images, 2),
        weights=weights,
    )


def _select_together(
    rule: Rule, error: Tensor, positive: Tensor, care: Tensor, map_seeds: Tensor, ratio: float, min_negatives: int
) -> PixelSelection:
    """Select among all images of a batch; arguments and weights (B, 2, H, W), counts (B, 2) flattened.

    The weights are B times what they are in one long image, because the loss is a mean over B images. Of negatives that
    tie for the last place, an image's count has all.
    """
    num_images, _, height, width = care.shape
    error, positive, care = (
        one.transpose(0, 1).reshape(2, num_images * height, width) for one in (error, positive, care)
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


def _check(scores: Tensor, maps: Tensor, confidence: Tensor, seeds: Tensor) -> None:
    if scores.dim() != 4 or scores.shape[0] == 0 or scores.shape[1] != 2:
        raise ValueError(f"scores are {tuple(scores.shape)}; give (batch, 2, height, width) with a batch of at least 1")
    if maps.shape != scores.shape or confidence.shape != scores.shape:
        raise ValueError(
            f"maps are {tuple(maps.shape)} and confidence {tuple(confidence.shape)}; give both as the scores, "
            f"{tuple(scores.shape)}"
        )
    if not scores.is_floating_point() or maps.dtype != torch.float32 or confidence.dtype != torch.float32:
        raise ValueError(
            f"scores are {scores.dtype}, maps {maps.dtype} and confidence {confidence.dtype}; give scores of a "
            "floating type, maps and confidence float32"
        )
    if seeds.shape != scores.shape[:1] or seeds.dtype != torch.int64:
        raise ValueError(f"seeds are {tuple(seeds.shape)} {seeds.dtype}; give one int64 an image, ({len(scores)},)")
