"""Random changes to a crop's pixels that move nothing: colour, grey, blur, noise, JPEG. No torch.

albumentations greys, blurs and compresses, at OpenCV's own cost. Colour and noise are ours, 20 and 15 times as fast as
its own on a 768 x 768 crop (`benchmarks/speed/loader.py`): one 3 x 4 matrix instead of four passes, and numbers drawn once
instead of 1.8 million normal numbers per crop.
"""

import os
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.config import AugmentSettings
from craft.kernels import njit

BRIGHTNESS = (0.6, 1.4)
CONTRAST = (0.6, 1.4)
SATURATION = (0.5, 1.5)
HUE = (-0.08, 0.08)  # turns of the circle of colours
NOISE_DEVIATION = (0.01 * 255, 0.06 * 255)  # levels

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

_KINDS = ("colour", "grey", "blur", "noise", "jpeg")  # in the order in which a camera would
_LIBRARY_KINDS = ("grey", "blur", "jpeg")
POOL_SIZE = 1 << 16  # numbers kept, few enough for the processor's cache
STRETCH = 4096  # neighbouring values that take their noise from one position
_UNIT = 28  # standard deviation of the numbers kept: 4.5 deviations fill 8 bits
_SHIFT = 8


def change_colours(image: NDArray[np.uint8], seed: int, settings: AugmentSettings) -> NDArray[np.uint8]:
    """Change colour, grey, blur, noise and JPEG quality of an image, each with its own probability, by a seed >= 0.

    Where nothing changes, `image` itself is returned.
    """
    generator = np.random.default_rng(seed)
    chances = generator.random(len(_KINDS))
    # albumentations' Compose hands one seed to all its parts, which then decide and draw alike: each gets its own here.
    seeds = generator.integers(2**32, size=len(_KINDS))
    for kind, chance, own_seed in zip(_KINDS, chances, seeds, strict=True):
        if chance < getattr(settings, kind):
            image = _change(image, kind, int(own_seed))
    return image


def load_transforms(settings: AugmentSettings) -> None:
    """Import and compile what `settings` will need, which takes seconds, before loader processes are forked."""
    if any(getattr(settings, kind) > 0 for kind in _LIBRARY_KINDS):
        _transforms()
    if settings.noise > 0:
        _change(np.zeros((1, 1, 3), dtype=np.uint8), "noise", 0)


def jitter_colours(
    image: NDArray[np.uint8], *, brightness: float, contrast: float, saturation: float, hue: float
) -> NDArray[np.uint8]:
    """Change brightness, then contrast, saturation and hue, and round once, at the end.

    The first three are factors > 0: of all levels, of the distance from the image's mean luma, and of that from each
    pixel's luma. Hue is in turns around the axis of greys, red towards yellow; luma stays.

    Source: the first three as in torchvision's ColorJitter, without its clipping in between. It turns hue in HSV; here
        it is a rotation of the plane of chroma (YIQ), which is linear, so that all four are one matrix.
    """
    colour = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _LUMA)
    cosine, sine = np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)
    turn = np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
    colour = np.linalg.solve(_TO_YIQ, turn @ _TO_YIQ) @ colour
    # Greys go to themselves under saturation and hue, so the shift of contrast passes through them.
    shift = np.full((3, 1), (1 - contrast) * brightness * float(_LUMA @ cv2.mean(image)[:3]))
    return np.asarray(cv2.transform(image, np.hstack([contrast * brightness * colour, shift])), dtype=np.uint8)


def _change(image: NDArray[np.uint8], kind: str, seed: int) -> NDArray[np.uint8]:
    if kind in _LIBRARY_KINDS:
        transform = _transforms()[kind]
        transform.set_random_seed(seed)
        return transform(image=image)["image"]
    generator = np.random.default_rng(seed)
    if kind == "colour":
        brightness, contrast, saturation, hue = (
            float(generator.uniform(*bounds)) for bounds in (BRIGHTNESS, CONTRAST, SATURATION, HUE)
        )
        return jitter_colours(image, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    return add_noise(image, generator, deviation=float(generator.uniform(*NOISE_DEVIATION)))


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


def add_noise(image: NDArray[np.uint8], generator: np.random.Generator, *, deviation: float) -> NDArray[np.uint8]:
    """Add normal noise of a standard deviation from 0 to 28 levels to every value of an image, rounded and clipped.

    Stretches of values begin at random in one pool of numbers, and may share some.
    """
    flat = np.ascontiguousarray(image).reshape(-1)
    noisy = np.empty_like(flat)
    starts = generator.integers(POOL_SIZE - STRETCH, size=-(-len(flat) // STRETCH))
    _add(flat, noise_pool(), starts, np.int16(round(deviation / _UNIT * 2**_SHIFT)), noisy)
    return noisy.reshape(image.shape)


@cache
def noise_pool() -> NDArray[np.int8]:
    """(POOL_SIZE,) int8: normal numbers of standard deviation 28, the same in every process."""
    numbers = np.random.default_rng(0).normal(scale=_UNIT, size=POOL_SIZE)
    return np.clip(np.rint(numbers), -127, 127).astype(np.int8)


@njit(cache=True, nogil=True)
def _add(values, pool, starts, factor, out):
    """Fill in values plus the pool's numbers times the factor, in 8 bits."""
    for stretch in range(len(starts)):
        first = stretch * STRETCH
        part = values[first : first + STRETCH]
        added, noisy = pool[starts[stretch] : starts[stretch] + STRETCH], out[first : first + STRETCH]
        for index in range(len(part)):
            step = np.int16(np.int16(np.int16(added[index]) * factor) + np.int16(1 << (_SHIFT - 1))) >> np.int16(_SHIFT)
            value = np.int16(np.int16(part[index]) + np.int16(step))
            noisy[index] = np.uint8(min(max(value, np.int16(0)), np.int16(255)))
