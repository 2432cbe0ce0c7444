"""The loss of CRAFT's score maps: squared error of the pixels that mining keeps, per image and per map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from craft.ohem.pixel import POSITIVE_TARGET, Rule, weights_for_rule


@dataclass(frozen=True, slots=True, eq=False)
class PixelLoss:
    """A batch's loss and what it kept; everything on the device.

    Attributes:
        loss: scalar float32: region plus affinity.
        region: scalar float32, mean over the batch.
        affinity: scalar float32, mean over the batch.
        kept_positives: (B, 2) int64, text pixels that count, per image and map.
        kept_negatives: (B, 2) int64, background pixels that count; several tied at the last place are all counted.
        weights: (B, 2, H, W) float32, what each pixel's error counts; detached.
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
) -> PixelLoss:
    """Compare score maps with their targets on the pixels that a mining rule keeps.

    A pixel's error is confidence x (score - target)^2. Per image and map the loss is the mean error of the kept text
    pixels plus the mean error of the kept background pixels (rule "none": one mean over all cared-for pixels), then the
    mean over the batch. A map without text pixels has the background's mean alone; one without cared-for pixels is 0.

    Args:
        scores: (B, 2, H, W) any floating type, the network's region and affinity scores.
        maps: (B, 2, H, W) float32, their targets, 0 to 1.
        confidence: (B, 2, H, W) float32, 0 to 1; 0 is don't care.
        seeds: (B,) int64, a number of each image's own, for rule "random".
        rule: "hardest", "random", "all" or "none".
        ratio: background pixels kept per text pixel, for "hardest" and "random".
        min_negatives: fewest background pixels kept per image and map, for "hardest" and "random".

    Returns:
        The loss and what it kept. Errors and means are float32 whatever the scores are, under autocast too.

    Raises:
        ValueError: shapes differ, or rule or ratio is unknown or out of range.

    Source: CRAFT, Baek et al., CVPR 2019, sections 3.2.2 and 4.2. Mining per image and map is ours.
    """
    if not scores.shape == maps.shape == confidence.shape or scores.ndim != 4 or scores.shape[1] != 2:
        raise ValueError(
            f"scores, maps and confidence must all be (B, 2, H, W), not {tuple(scores.shape)}, {tuple(maps.shape)} and "
            f"{tuple(confidence.shape)}"
        )
    with torch.autocast(scores.device.type, enabled=False):
        care = confidence > 0
        # Where nobody cares, a score that is not finite must not reach the loss or its gradient: 0 x inf is not 0.
        difference = torch.where(care, scores.float() - maps.float(), 0.0)
        error = confidence.float() * difference.square()
        positive = care & (maps > POSITIVE_TARGET)
        with torch.no_grad():
            weights = weights_for_rule(
                rule,
                error.detach().flatten(0, 1),
                positive.flatten(0, 1),
                care.flatten(0, 1),
                torch.stack([2 * seeds, 2 * seeds + 1], dim=1).flatten(),
                ratio=ratio,
                min_negatives=min_negatives,
            ).view(error.shape)
            kept = weights > 0
            kept_positives = (kept & positive).sum(dim=(2, 3))
            kept_negatives = (kept & ~positive).sum(dim=(2, 3))
        per_map = (weights * error).sum(dim=(2, 3)).mean(dim=0)  # (2,)
    return PixelLoss(per_map.sum(), per_map[0], per_map[1], kept_positives, kept_negatives, weights)
