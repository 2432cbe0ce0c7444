"""Random changes to a crop's pixels that move nothing: colour, grey, blur, noise, JPEG. No torch.

albumentations greys, blurs and compresses, for which it calls OpenCV at OpenCV's own cost. Colour and noise are ours:
its four changes of colour take a pass each, hue through HSV, where one 3 x 4 matrix does all four, and its noise draws
1.8 million normal numbers for a crop where ours adds a stretch of numbers drawn once. A crop of 768 x 768 pixels is
changed some 20 times as fast in colour and 15 times as fast in noise (`benchmarks/loader.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.config import AugmentSettings
from craft.scene import Change, Kind

BRIGHTNESS = (0.6, 1.4)
CONTRAST = (0.6, 1.4)
SATURATION = (0.5, 1.5)
HUE = (-0.08, 0.08)  # turns of the circle of colours
NOISE_DEVIATION = (0.01 * 255, 0.06 * 255)  # levels

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_TO_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

_KINDS: tuple[Kind, ...] = ("colour", "grey", "blur", "noise", "jpeg")  # in the order in which a camera would
_LIBRARY_KINDS = ("grey", "blur", "jpeg")


def change_colours(image: NDArray[np.uint8], seed: int, settings: AugmentSettings) -> NDArray[np.uint8]:
    """Change colour, grey, blur, noise and JPEG quality, each with its own probability.

    Args:
        image: (H, W, 3) uint8, RGB. Not changed.
        seed: >= 0; the same seed gives the same changes, whatever was done before.
        settings: the probabilities.

    Returns:
        (H, W, 3) uint8, RGB; `image` itself where nothing was to change.
    """
    return apply_changes(image, draw_changes(seed, settings))


def draw_changes(seed: int, settings: AugmentSettings) -> tuple[Change, ...]:
    """Decide what happens to a crop's pixels, each kind with its own probability.

    Args:
        seed: >= 0; the same seed gives the same changes, whatever was done before.
        settings: the probabilities.

    Returns:
        The changes, in the order in which they are to be applied.
    """
    generator = np.random.default_rng(seed)
    chances = generator.random(len(_KINDS))
    # albumentations' Compose hands one seed to all its parts, which then decide and draw alike: each gets its own here.
    seeds = generator.integers(2**32, size=len(_KINDS))
    return tuple(
        Change(kind, int(own_seed))
        for kind, chance, own_seed in zip(_KINDS, chances, seeds, strict=True)
        if chance < getattr(settings, kind)
    )


def apply_changes(image: NDArray[np.uint8], changes: Sequence[Change]) -> NDArray[np.uint8]:
    """Change pixels, on the CPU.

    Args:
        image: (H, W, 3) uint8, RGB. Not changed.
        changes: from `draw_changes`.

    Returns:
        (H, W, 3) uint8, RGB; `image` itself where there is no change.
    """
    for change in changes:
        image = _change(image, change)
    return image


def load_transforms(settings: AugmentSettings) -> None:
    """Import and compile what `settings` will need, which takes seconds, before loader processes start.

    They are forked, and take over what this process has; else each would do it again.

    Args:
        settings: the probabilities.
    """
    if any(getattr(settings, kind) > 0 for kind in _LIBRARY_KINDS):
        _transforms()
    if settings.noise > 0:
        _change(np.zeros((1, 1, 3), dtype=np.uint8), Change("noise", 0))


def jitter_colours(
    image: NDArray[np.uint8], *, brightness: float, contrast: float, saturation: float, hue: float
) -> NDArray[np.uint8]:
    """Change brightness, then contrast, saturation and hue, and round once, at the end.

    Args:
        image: (H, W, 3) uint8, RGB. Not changed.
        brightness: > 0, factor of all levels.
        contrast: > 0, factor of the distance from the picture's mean luma.
        saturation: > 0, factor of the distance from each pixel's luma.
        hue: turns around the axis of greys, red towards yellow; luma stays.

    Returns:
        (H, W, 3) uint8, RGB.

    Source: the first three as in torchvision's ColorJitter, without its clipping in between. It turns hue in HSV; here
        it is a rotation of the plane of chroma (YIQ), which is linear, so that all four are one matrix.
    """
    matrix, shift = jitter_matrix(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    column = np.full((3, 1), shift * float(LUMA @ cv2.mean(image)[:3]))
    return np.asarray(cv2.transform(image, np.hstack([matrix, column])), dtype=np.uint8)


def jitter_matrix(
    *, brightness: float, contrast: float, saturation: float, hue: float
) -> tuple[NDArray[np.float64], float]:
    """The one linear change that four changes of colour are.

    Args:
        brightness: > 0, as `jitter_colours` takes it, and so the others.
        contrast: > 0.
        saturation: > 0.
        hue: turns.

    Returns:
        Matrix (3, 3) from RGB to RGB, and what is then added to all three: this number times the mean luma of the picture
        before.
    """
    colour = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), LUMA)
    cosine, sine = np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)
    turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    colour = np.linalg.solve(_TO_YIQ, turn @ _TO_YIQ) @ colour
    # Greys go to themselves under saturation and hue, so the shift of contrast passes through them.
    return contrast * brightness * colour, (1 - contrast) * brightness


def drawn_jitter(seed: int) -> dict[str, float]:
    """Draw how far a change of kind "colour" goes.

    Args:
        seed: the change's.

    Returns:
        brightness, contrast, saturation and hue, as `jitter_colours` takes them.
    """
    generator = np.random.default_rng(seed)
    bounds = {"brightness": BRIGHTNESS, "contrast": CONTRAST, "saturation": SATURATION, "hue": HUE}
    return {name: float(generator.uniform(*ends)) for name, ends in bounds.items()}


def drawn_blur(seed: int) -> NDArray[np.float64]:
    """Draw the kernel of a change of kind "blur".

    Args:
        seed: the change's.

    Returns:
        (K,) float64, K odd, sum 1: weights along rows and along columns, the picture mirrored around its border pixels.
    """
    transform = _transforms()["blur"]
    transform.set_random_seed(seed)
    transform(image=np.zeros((1, 1, 3), dtype=np.uint8))  # draws what it applies
    return np.asarray(transform.params["kernel"], dtype=np.float64)


def drawn_noise(seed: int, size: int) -> tuple[NDArray[np.int64], int]:
    """Draw where a change of kind "noise" takes its numbers from, and how strong it is.

    Args:
        seed: the change's.
        size: values that get noise.

    Returns:
        Starts in the pool of numbers, and factor, as in `noise.draw_places`.
    """
    from craft.datasets.noise import draw_places

    generator = np.random.default_rng(seed)
    deviation = float(generator.uniform(*NOISE_DEVIATION))
    return draw_places(generator, size, deviation=deviation)


def _change(image: NDArray[np.uint8], change: Change) -> NDArray[np.uint8]:
    if change.kind in _LIBRARY_KINDS:
        transform = _transforms()[change.kind]
        transform.set_random_seed(change.seed)
        return transform(image=image)["image"]
    if change.kind == "colour":
        return jitter_colours(image, **drawn_jitter(change.seed))
    from craft.datasets.noise import add_noise_from

    return add_noise_from(image, *drawn_noise(change.seed, image.size))


@cache
def _transforms() -> dict[str, Any]:
    # Without this albumentations asks the network for a newer version of itself when imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return {
        "grey": albumentations.ToGray(p=1),
        "blur": albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.5), p=1),
        "jpeg": albumentations.ImageCompression(quality_range=(30, 90), p=1),
    }
