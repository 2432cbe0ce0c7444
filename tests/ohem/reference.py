"""Pixel-level mining image by image in plain Python, to hold the fast paths against."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kept_negatives(num_positives: int, num_negatives: int, *, ratio: float, min_negatives: int) -> int:
    return min(max(math.ceil(ratio * num_positives), min_negatives), num_negatives)


def hardest_weights(error: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """(B, H, W) float64."""
    images = [
        _one_image(*(plane.flatten().tolist() for plane in planes), ratio=ratio, min_negatives=min_negatives)
        for planes in zip(error, positive, care, strict=True)
    ]
    return torch.tensor(images, dtype=torch.float64).reshape(error.shape)


def _one_image(
    error: list[float], positive: list[bool], care: list[bool], *, ratio: float, min_negatives: int
) -> list[float]:
    positives = [pixel for pixel in range(len(error)) if care[pixel] and positive[pixel]]
    negatives = [pixel for pixel in range(len(error)) if care[pixel] and not positive[pixel]]
    weights = [0.0] * len(error)
    for pixel in positives:
        weights[pixel] = 1 / len(positives)

    kept = kept_negatives(len(positives), len(negatives), ratio=ratio, min_negatives=min_negatives)
    if kept:
        last_error = sorted((error[pixel] for pixel in negatives), reverse=True)[kept - 1]
        harder = [pixel for pixel in negatives if error[pixel] > last_error]
        tied = [pixel for pixel in negatives if error[pixel] == last_error]
        for pixel in harder:
            weights[pixel] = 1 / kept
        for pixel in tied:
            weights[pixel] = (kept - len(harder)) / len(tied) / kept
    return weights


def loss_and_gradient(scores: Tensor, maps: Tensor, confidence: Tensor, weights: Tensor) -> tuple[float, Tensor]:
    """The loss and its gradient by hand, float64, the weights held fixed."""
    difference = scores.double() - maps.double()
    factors = weights.double() * confidence.double() / len(scores)
    return float((factors * difference.square()).sum()), 2 * factors * difference
