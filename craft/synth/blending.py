"""Laying colours over pixels, and measuring how far ink differs from what is around it."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

from craft.synth.palette import Colour
from craft.synth.rendered_scene import Picture


def mix_flat(patch: Picture, mask: Picture, colour: Colour, opacity: float) -> None:
    """Lay one colour over a picture where a mask says so, in place.

    Args:
        patch: (H, W, 3) uint8, changed; may be a view.
        mask: (H, W) uint8, 255 where the colour covers wholly.
        colour: (3,) RGB 0 to 255.
        opacity: 0 to 1, of the whole.
    """
    red, green, blue = (min(max(round(float(value)), 0), 255) for value in colour)
    _mix_flat(patch, mask, red, green, blue, round(256 * opacity))


def mix_picture(patch: Picture, mask: Picture, picture: Picture, opacity: float) -> None:
    """Lay a picture over another where a mask says so, in place.

    Args:
        patch: (H, W, 3) uint8, changed; may be a view.
        mask: (H, W) uint8, 255 where the picture covers wholly.
        picture: (H, W, 3) uint8.
        opacity: 0 to 1, of the whole.
    """
    _mix_picture(patch, mask, picture, round(256 * opacity))


def toned(picture: Picture, table: Picture) -> Picture:
    """A picture with other levels.

    Args:
        picture: (H, W, 3) uint8.
        table: (256, 3) uint8, the new level for each old one, for each channel.

    Returns:
        (H, W, 3) uint8.
    """
    out = np.empty(picture.shape, np.uint8)
    _toned(np.ascontiguousarray(picture), table, out)
    return out


def lit(picture: Picture, light: Picture) -> Picture:
    """A picture under uneven light.

    Args:
        picture: (H, W, 3) uint8.
        light: (H, W) uint8, 128 where nothing changes.

    Returns:
        (H, W, 3) uint8: picture * light / 128, rounded half to even, as OpenCV's multiply has it.
    """
    out = np.empty(picture.shape, np.uint8)
    factors = cv2.cvtColor(light, cv2.COLOR_GRAY2RGB)
    _lit(np.ascontiguousarray(picture).reshape(-1), factors.reshape(-1), out.reshape(-1))
    return out


@njit(cache=True, nogil=True)
def _toned(picture, table, out):
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            for channel in range(3):
                out[row, column, channel] = table[picture[row, column, channel], channel]


@njit(cache=True, nogil=True)
def _lit(levels, factors, out):
    """Flat and in 16 bits throughout: the compiler then does 16 levels or more at a time."""
    for index in range(levels.size):
        product = np.uint16(np.uint16(levels[index]) * np.uint16(factors[index]))
        up = np.uint16(63) + np.uint16(np.uint16(product >> np.uint16(7)) & np.uint16(1))  # a half goes to even
        level = np.uint16(np.uint16(product + up) >> np.uint16(7))
        out[index] = np.uint8(min(level, np.uint16(255)))


@njit(cache=True, nogil=True)
def _mix_flat(patch, mask, red, green, blue, opacity):
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            share = (np.int32(mask[row, column]) * opacity + 128) >> 8  # 0 to 255
            if share:
                patch[row, column, 0] = _mixed(patch[row, column, 0], red, share)
                patch[row, column, 1] = _mixed(patch[row, column, 1], green, share)
                patch[row, column, 2] = _mixed(patch[row, column, 2], blue, share)


@njit(cache=True, nogil=True)
def _mix_picture(patch, mask, picture, opacity):
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            share = (np.int32(mask[row, column]) * opacity + 128) >> 8
            if share:
                for channel in range(3):
                    value = patch[row, column, channel]
                    patch[row, column, channel] = _mixed(value, picture[row, column, channel], share)


@njit(cache=True, nogil=True, inline="always")
def _mixed(below, above, share):
    """Weighted mean of two levels, rounded: a division by 255 without dividing."""
    total = np.int32(below) * (255 - share) + np.int32(above) * share + 128
    return np.uint8((total + (total >> 8)) >> 8)


@njit(cache=True, nogil=True)
def ink_contrast(image, mask, top, left, y1, x1, y2, x2):
    """Mean luminance of the ink of a word less that of what is around it.

    Args:
        image: (H, W, 3) uint8.
        mask: (h, w) uint8, ink, its first pixel at row `top` and column `left` of the picture.
        top: see above.
        left: see above.
        y1: first row of the word's box, picture pixels.
        x1: first column.
        y2: row after the last.
        x2: column after the last.

    Returns:
        Levels, 0 where there is no ink or nothing around it.
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
