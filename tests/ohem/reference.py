"""Pixel-level OHEM image by image in plain Python, to check the fast paths against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_BITS_31, _BITS_64 = (1 << 31) - 1, (1 << 64) - 1


def kept_negatives(num_positives: int, num_negatives: int, *, ratio: float, min_negatives: int) -> int:
    return min(max(math.ceil(ratio * num_positives), min_negatives), num_negatives)


def hardest_weights(error: Tensor, positive: Tensor, care: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """(B, H, W) float64."""
    return _image_by_image(
        lambda image, text, background: _kept_weights(
            error[image].flatten().tolist(), text, background, ratio=ratio, min_negatives=min_negatives
        ),
        positive,
        care,
    )


def random_weights(positive: Tensor, care: Tensor, seeds: Sequence[int], *, ratio: float, min_negatives: int) -> Tensor:
    """(B, H, W) float64."""
    return _image_by_image(
        lambda image, text, background: _kept_weights(
            random_keys(seeds[image], care[image].numel()),
            text,
            background,
            ratio=ratio,
            min_negatives=min_negatives,
        ),
        positive,
        care,
    )


def all_weights(positive: Tensor, care: Tensor) -> Tensor:
    """(B, H, W) float64."""
    return _image_by_image(
        lambda _, text, background: {**_equal_shares(text), **_equal_shares(background)}, positive, care
    )


def plain_weights(care: Tensor) -> Tensor:
    """(B, H, W) float64."""
    return _image_by_image(lambda _, text, background: _equal_shares(text + background), care, care)


def random_keys(seed: int, num_pixels: int) -> list[int]:
    """The keys of rule random in Python integers, which never overflow."""
    mixed = seed * 0x9E3779B97F4A7C15 & _BITS_64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _BITS_64
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _BITS_64
    mixed ^= mixed >> 31
    first, second = mixed & _BITS_31, mixed >> 31 & _BITS_31
    keys = []
    for pixel in range(num_pixels):
        key = pixel ^ first
        key = ((key ^ key >> 16) * 0x85EBCA6B & _BITS_31) ^ second
        key = ((key ^ key >> 13) * 0xC2B2AE35 & _BITS_31) ^ first
        keys.append(key ^ key >> 16)
    return keys


def loss_and_gradient(scores: Tensor, maps: Tensor, confidence: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The two maps' losses, (2,), and the gradient of their sum, by autograd in float64 with the weights held fixed."""
    scores = scores.detach().double().requires_grad_()
    error = confidence.double() * (scores - maps.double()).square()
    losses = (weights.double() * error).sum(dim=(2, 3)).mean(dim=0)
    losses.sum().backward()
    assert scores.grad is not None
    return losses.detach(), scores.grad


def mean_errors(scores: Tensor, maps: Tensor, confidence: Tensor, *, ratio: float, min_negatives: int) -> Tensor:
    """The two maps' losses under rule hardest, (2,), from the definition's means and no weights, differentiable."""
    losses = []
    for map_index in range(2):
        total = scores.new_zeros(())
        for image in range(len(scores)):
            target, trust = maps[image, map_index].flatten(), confidence[image, map_index].flatten()
            error = trust * (scores[image, map_index].flatten() - target) ** 2
            text = [error[pixel] for pixel in range(len(error)) if trust[pixel] > 0 and target[pixel] > 0.1]
            background = [error[pixel] for pixel in range(len(error)) if trust[pixel] > 0 and not target[pixel] > 0.1]
            kept = kept_negatives(len(text), len(background), ratio=ratio, min_negatives=min_negatives)
            for chosen in (text, sorted(background, key=lambda value: float(value.detach()), reverse=True)[:kept]):
                total = total + (torch.stack(chosen).mean() if chosen else 0)
        losses.append(total / len(scores))
    return torch.stack(losses)


def _image_by_image(
    weigh: Callable[[int, list[int], list[int]], dict[int, float]], positive: Tensor, care: Tensor
) -> Tensor:
    """Weights from a function of an image's index and its cared-for text and background pixels."""
    images = []
    for image in range(len(care)):
        is_text, cared = positive[image].flatten().tolist(), care[image].flatten().tolist()
        text = [pixel for pixel in range(len(cared)) if cared[pixel] and is_text[pixel]]
        background = [pixel for pixel in range(len(cared)) if cared[pixel] and not is_text[pixel]]
        weights = weigh(image, text, background)
        images.append([weights.get(pixel, 0.0) for pixel in range(len(cared))])
    return torch.tensor(images, dtype=torch.float64).reshape(care.shape)


def _kept_weights(
    ranks: Sequence[float], text: list[int], background: list[int], *, ratio: float, min_negatives: int
) -> dict[int, float]:
    weights = _equal_shares(text)
    kept = kept_negatives(len(text), len(background), ratio=ratio, min_negatives=min_negatives)
    if kept:
        last = sorted((ranks[pixel] for pixel in background), reverse=True)[kept - 1]
        harder = [pixel for pixel in background if ranks[pixel] > last]
        tied = [pixel for pixel in background if ranks[pixel] == last]
        weights |= dict.fromkeys(harder, 1 / kept)
        weights |= dict.fromkeys(tied, (kept - len(harder)) / len(tied) / kept)
    return weights


def _equal_shares(pixels: list[int]) -> dict[int, float]:
    return dict.fromkeys(pixels, 1 / max(len(pixels), 1))
