"""Colours: natural ones, contrasting ones, and blending over pixels."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from craft.kernels import njit
from craft.synth.rendered_scene import Image

Colour = NDArray[np.float64]  # (3,) RGB 0 to 255
LUMINANCE = np.array([0.299, 0.587, 0.114])
_VALUES = 1.0 - 0.08  # the darkest is hardly black
_WARM = 0.55  # wood, brick, stone, soil and skin: most dull things are warm
_SHIFTS = (0.0, 4.0, 2.0)  # of hue, for red, green and blue


def natural_colour(generator: Generator, *, vivid: float = 0.2) -> Colour:
    """Choose a natural colour: mostly dull, vivid with probability `vivid`."""
    value, hue = 0.08 + _VALUES * generator.random(), generator.random() * 6
    if generator.random() < vivid:
        saturation = 0.5 + 0.5 * generator.random()
    else:
        saturation = generator.beta(1.2, 4.5)
        if generator.random() < _WARM:
            hue = generator.normal(0.6, 0.35) % 6
    ramp = [min(max(abs((hue + shift) % 6 - 3) - 1, 0.0), 1.0) for shift in _SHIFTS]
    return np.array([255 * value * (1 - saturation * (1 - share)) for share in ramp])


def natural_colours(generator: Generator, count: int, *, vivid: float = 0.2) -> NDArray[np.float64]:
    """Choose `count` colours like those of `natural_colour` at once, (count, 3)."""
    value, hue, bright, warm, share = generator.random((5, count))
    dull = bright >= vivid
    saturation = np.where(dull, generator.beta(1.2, 4.5, count), 0.5 + 0.5 * share)
    hue = np.where(dull & (warm < _WARM), generator.normal(0.6, 0.35, count) % 6, hue * 6)
    ramp = np.clip(np.abs((hue[:, None] + _SHIFTS) % 6 - 3) - 1, 0, 1)
    return 255 * (0.08 + _VALUES * value)[:, None] * (1 - saturation[:, None] * (1 - ramp))


def with_luminance(colour: Colour, target: float) -> Colour:
    """Mix a colour with black or white until its luminance is `target`, 0 to 255."""
    own = float(LUMINANCE @ colour)
    if own >= target:
        return colour * (target / max(own, 1e-6))
    return colour + (255 - colour) * ((target - own) / max(255 - own, 1e-6))


def contrasting_colour(generator: Generator, behind: float, *, low_contrast: float) -> Colour:
    """Choose a colour that differs from the luminance `behind`, with probability `low_contrast` by little."""
    brighter = generator.random() < (255 - behind) / 255
    room = 255 - behind if brighter else behind
    difference = generator.uniform(10, 45) if generator.random() < low_contrast else generator.uniform(60, 240)
    target = behind + min(difference, room) * (1 if brighter else -1)
    return with_luminance(natural_colour(generator, vivid=0.45), target)


def blend_colour(patch: Image, mask: Image, colour: Colour, opacity: float) -> None:
    """Blend a colour over `patch`, (H, W, 3) uint8, in place; `mask` is (H, W) uint8, 255 where it covers fully."""
    red, green, blue = (min(max(round(float(value)), 0), 255) for value in colour)
    _blend_colour(patch, mask, red, green, blue, round(256 * opacity))


def blend_image(patch: Image, mask: Image, above: Image, opacity: float) -> None:
    """Blend an image of the same size over `patch`, in place, like a colour in `blend_colour`."""
    _blend_image(patch, mask, above, round(256 * opacity))


def apply_light(image: Image, light: Image) -> Image:
    """Multiply by `light` / 128, (H, W) uint8, and round halves to even as OpenCV's multiply does."""
    out = np.empty(image.shape, np.uint8)
    factors = cv2.cvtColor(light, cv2.COLOR_GRAY2RGB)
    _apply_light(np.ascontiguousarray(image).reshape(-1), factors.reshape(-1), out.reshape(-1))
    return out


@njit(cache=True, nogil=True)
def _apply_light(levels, factors, out):
    """Flat and in 16 bits throughout, so that the compiler handles 16 levels or more at a time."""
    for index in range(levels.size):
        product = np.uint16(np.uint16(levels[index]) * np.uint16(factors[index]))
        up = np.uint16(63) + np.uint16(np.uint16(product >> np.uint16(7)) & np.uint16(1))  # a half goes to even
        level = np.uint16(np.uint16(product + up) >> np.uint16(7))
        out[index] = np.uint8(min(level, np.uint16(255)))


@njit(cache=True, nogil=True)
def _blend_colour(patch, mask, red, green, blue, opacity):
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            share = (np.int32(mask[row, column]) * opacity + 128) >> 8  # 0 to 255
            if share:
                patch[row, column, 0] = _mixed(patch[row, column, 0], red, share)
                patch[row, column, 1] = _mixed(patch[row, column, 1], green, share)
                patch[row, column, 2] = _mixed(patch[row, column, 2], blue, share)


@njit(cache=True, nogil=True)
def _blend_image(patch, mask, above, opacity):
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            share = (np.int32(mask[row, column]) * opacity + 128) >> 8
            if share:
                for channel in range(3):
                    value = patch[row, column, channel]
                    patch[row, column, channel] = _mixed(value, above[row, column, channel], share)


@njit(cache=True, nogil=True, inline="always")
def _mixed(below, above, share):
    """Weighted mean of two levels, rounded: a division by 255 without dividing."""
    total = np.int32(below) * (255 - share) + np.int32(above) * share + 128
    return np.uint8((total + (total >> 8)) >> 8)


@njit(cache=True, nogil=True)
def ink_contrast(image, mask, top, left, y1, x1, y2, x2):
    """Return the mean luminance of a word's ink minus that of its surroundings; 0 if either is empty.

    `mask` (h, w), ink, starts at row `top` and column `left` of the image; the word's box ends before y2 and x2.
    """
    ink, around, ink_count, around_count = 0.0, 0.0, 0, 0
    for row in range(max(y1, top), min(y2, top + mask.shape[0])):
        for column in range(max(x1, left), min(x2, left + mask.shape[1])):
            share = mask[row - top, column - left]
            if 50 < share < 200:
                continue
            level = 0.299 * image[row, column, 0] + 0.587 * image[row, column, 1] + 0.114 * image[row, column, 2]
            if share >= 200:
                ink += level
                ink_count += 1
            else:
                around += level
                around_count += 1
    if ink_count == 0 or around_count == 0:
        return 0.0
    return ink / ink_count - around / around_count
