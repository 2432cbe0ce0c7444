"""Random changes to a crop's pixels that move nothing: colour, blur, noise, JPEG, grey. No torch."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.config import AugmentSettings


def change_colours(image: NDArray[np.uint8], seed: int, settings: AugmentSettings) -> NDArray[np.uint8]:
    """Change colour, grey, blur, noise and JPEG quality, each with its own probability.

    Args:
        image: (H, W, 3) uint8, RGB. Not changed.
        seed: >= 0; the same seed gives the same changes, whatever was done before.
        settings: the probabilities.

    Returns:
        (H, W, 3) uint8, RGB; `image` itself where nothing was to change.
    """
    generator = np.random.default_rng(seed)
    chances = generator.random(len(_KINDS))
    # albumentations' Compose hands one seed to all its parts, which then decide and draw alike: each gets its own here.
    seeds = generator.integers(2**32, size=len(_KINDS))
    for kind, chance, own_seed in zip(_KINDS, chances, seeds, strict=True):
        if chance < getattr(settings, kind):
            transform = _transforms()[kind]
            transform.set_random_seed(int(own_seed))
            image = transform(image=image)["image"]
    return image


def load_transforms(settings: AugmentSettings) -> None:
    """Import albumentations, which takes seconds, where `settings` will need it: before loader processes start.

    Args:
        settings: the probabilities.
    """
    if any(getattr(settings, kind) > 0 for kind in _KINDS):
        _transforms()


_KINDS = ("colour", "grey", "blur", "noise", "jpeg")  # in the order in which a camera would


@cache
def _transforms() -> dict[str, Any]:
    # Without this albumentations asks the network for a newer version of itself when imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return {
        "colour": albumentations.ColorJitter(
            brightness=(0.6, 1.4), contrast=(0.6, 1.4), saturation=(0.5, 1.5), hue=(-0.08, 0.08), p=1
        ),
        "grey": albumentations.ToGray(p=1),
        "blur": albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=1),
        "noise": albumentations.GaussNoise(std_range=(0.01, 0.06), p=1),
        "jpeg": albumentations.ImageCompression(quality_range=(30, 90), p=1),
    }
