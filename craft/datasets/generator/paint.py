"""Colours and effects: how an outline becomes paint, print, metal or light on what is behind it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from craft.datasets.generator.fonts import Outline
from craft.datasets.generator.placing import pixel_window
from craft.datasets.generator.raster import coverage
from craft.datasets.generator.rendered import Picture
from craft.datasets.generator.settings import StyleSettings
from craft.datasets.generator.textures import add_texture, texture_patch

Colour = NDArray[np.float64]
LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """How one block is painted. Lengths are shares of the letters' height.

    Attributes:
        colour: (3,) fill, RGB 0 to 255.
        second: (3,) colour at the other end of a gradient, or None.
        edge: (3,) colour of an edge, or None.
        edge_width: its width.
        shadow_xy: how far a shadow falls, or None.
        glow: whether the fill shines on what is around it.
        emboss: strength of relief; below 0 carved.
        texture: strength of texture inside.
        wear: share of the paint that is rubbed off.
        opacity: 0 to 1.
    """

    colour: Colour
    second: Colour | None = None
    edge: Colour | None = None
    edge_width: float = 0.06
    shadow_xy: tuple[float, float] | None = None
    glow: bool = False
    emboss: float = 0.0
    texture: float = 0.0
    wear: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """Where paint went.

    Attributes:
        rows: rows of the picture that the mask covers.
        columns: columns of the picture that the mask covers.
        mask: (H, W) uint8 over that window, 255 where the letters are.
    """

    rows: slice
    columns: slice
    mask: Picture


def natural_colour(generator: np.random.Generator, *, vivid: float = 0.2) -> Colour:
    """A colour as things have them: mostly dull, now and then vivid.

    Args:
        generator: source of randomness.
        vivid: share of vivid ones.

    Returns:
        (3,) float64, RGB 0 to 255.
    """
    saturation = generator.uniform(0.5, 1.0) if generator.random() < vivid else generator.beta(1.2, 4.5)
    value, hue = generator.uniform(0.08, 1.0), generator.random() * 6
    ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return 255 * value * (1 - saturation * (1 - ramp))


def with_luminance(colour: Colour, target: float) -> Colour:
    """The colour mixed with black or white until its luminance is the one wanted.

    Args:
        colour: (3,) RGB 0 to 255.
        target: luminance, 0 to 255.

    Returns:
        (3,) RGB.
    """
    own = float(LUMINANCE @ colour)
    if own >= target:
        return colour * (target / max(own, 1e-6))
    return colour + (255 - colour) * ((target - own) / max(255 - own, 1e-6))


def contrasting_colour(generator: np.random.Generator, behind: float, *, low_contrast: float) -> Colour:
    """A colour that can be told from what is behind it, sometimes only just.

    Args:
        generator: source of randomness.
        behind: luminance behind, 0 to 255.
        low_contrast: probability of a small difference.

    Returns:
        (3,) RGB.
    """
    brighter = generator.random() < (255 - behind) / 255
    room = 255 - behind if brighter else behind
    difference = generator.uniform(10, 45) if generator.random() < low_contrast else generator.uniform(60, 240)
    target = behind + min(difference, room) * (1 if brighter else -1)
    return with_luminance(natural_colour(generator, vivid=0.45), target)


def choose_style(generator: np.random.Generator, settings: StyleSettings, behind: Colour) -> Style:
    """A style for a block of text or a hard negative.

    Args:
        generator: source of randomness.
        settings: how often each effect comes.
        behind: (3,) mean colour behind the block.

    Returns:
        The style.
    """
    level = float(LUMINANCE @ behind)
    colour = contrasting_colour(generator, level, low_contrast=settings.low_contrast)
    own = float(LUMINANCE @ colour)

    def chance(share: float) -> bool:
        return bool(generator.random() < share)

    away = 1 if own > level else -1
    second = with_luminance(natural_colour(generator, vivid=0.5), float(np.clip(own + 40 * away, 5, 250)))
    edge = with_luminance(natural_colour(generator), 25.0 if own > 128 else 235.0)
    shadow = generator.uniform(-0.14, 0.14, 2)
    return Style(
        colour,
        second=second if chance(settings.gradient) else None,
        edge=edge if chance(settings.outline) else None,
        edge_width=float(generator.uniform(0.04, 0.12)),
        shadow_xy=(float(shadow[0]), float(shadow[1])) if chance(settings.shadow) else None,
        glow=own > level and chance(settings.glow),
        emboss=float(generator.uniform(0.5, 1.2)) * (1 if chance(0.5) else -1) if chance(settings.emboss) else 0.0,
        texture=float(generator.uniform(0.1, 0.8)) if chance(settings.texture) else 0.0,
        wear=float(generator.uniform(0.1, 0.4)) if chance(settings.wear) else 0.0,
        opacity=float(generator.uniform(0.75, 1.0)) if chance(0.4) else 1.0,
    )


def paint(generator: np.random.Generator, image: Picture, outline: Outline, style: Style, *, height: float) -> Painted:
    """Paint an outline into a picture, in place.

    Args:
        generator: source of randomness.
        image: (H, W, 3) uint8, changed.
        outline: contours in image pixels.
        style: how.
        height: height of the letters, image pixels.

    Returns:
        Where the ink is, without edge, shadow and glow.
    """
    spread = (style.glow or style.shadow_xy is not None or style.edge is not None) * 0.35 * height
    rows, columns = pixel_window(outline.points_xy, margin=2 + spread, size_hw=image.shape[:2])
    patch = image[rows, columns]
    if patch.size == 0:
        return Painted(rows, columns, np.zeros(patch.shape[:2], np.uint8))
    mask = coverage(outline.points_xy - [columns.start, rows.start], outline.contour_ends, size_hw=patch.shape[:2])
    if style.wear:
        mask = _worn(generator, mask, style.wear)
    if style.shadow_xy is not None:
        shift = np.array([[1, 0, style.shadow_xy[0] * height], [0, 1, style.shadow_xy[1] * height]])
        cast = cv2.warpAffine(mask, shift, (mask.shape[1], mask.shape[0]))
        cast = cv2.GaussianBlur(cast, (0, 0), max(0.04 * height, 0.4))
        mix_flat(patch, cast, np.zeros(3), 0.6)
    if style.glow:
        halo = cv2.GaussianBlur(mask, (0, 0), max(0.15 * height, 0.6))
        mix_flat(patch, cv2.addWeighted(halo, 2.0, halo, 0.0, 0.0), style.colour, 0.6)
    if style.edge is not None:
        width = 2 * max(round(style.edge_width * height), 1) + 1
        grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
        mix_flat(patch, grown, style.edge, style.opacity)
    if style.second is None and not style.texture and not style.emboss:
        mix_flat(patch, mask, style.colour, style.opacity)
    else:
        mix_picture(patch, mask, _fill(generator, mask, style, height), style.opacity)
    return Painted(rows, columns, mask)


def _fill(generator: np.random.Generator, mask: Picture, style: Style, height: float) -> Picture:
    """The colours inside the letters."""
    size_hw = (mask.shape[0], mask.shape[1])
    second = style.colour if style.second is None else style.second
    ends = np.stack([style.colour, second])
    corners = ends[[[0, 0], [1, 1]]] if generator.random() < 0.6 else ends[[[0, 1], [0, 1]]]
    filled = cv2.resize(corners.astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    if style.texture:
        filled = add_texture(filled, texture_patch(generator, size_hw, stretch=3.0), style.texture)
    if style.emboss:
        soft = cv2.GaussianBlur(mask, (0, 0), max(0.05 * height, 0.7)).astype(np.float32)
        slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) + cv2.Sobel(soft, cv2.CV_32F, 0, 1)
        relief = np.clip(slope * (0.35 * style.emboss), -110, 110)[..., None]
        filled = np.clip(filled + relief, 0, 255).astype(np.uint8)
    return filled


def _worn(generator: np.random.Generator, mask: Picture, share: float) -> Picture:
    noise = texture_patch(generator, (mask.shape[0], mask.shape[1]))
    threshold = 128 - 42 * (1.3 - 2.2 * share)
    kept = np.clip((noise.astype(np.float32) - threshold) * 8, 0, 255).astype(np.uint8)
    return cv2.multiply(mask, kept, scale=1 / 255)


def mix_flat(patch: Picture, mask: Picture, colour: Colour, opacity: float) -> None:
    """Lay one colour over a picture where a mask says so, in place.

    Args:
        patch: (H, W, 3) uint8, changed; may be a view.
        mask: (H, W) uint8, 255 where the colour covers wholly.
        colour: (3,) RGB 0 to 255.
        opacity: 0 to 1, of the whole.
    """
    red, green, blue = (int(np.clip(round(float(value)), 0, 255)) for value in colour)
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


@njit(cache=True, nogil=True)
def _mix_flat(patch, mask, red, green, blue, opacity):  # type: ignore[no-untyped-def]
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            share = (np.int32(mask[row, column]) * opacity + 128) >> 8  # 0 to 255
            if share:
                patch[row, column, 0] = _mixed(patch[row, column, 0], red, share)
                patch[row, column, 1] = _mixed(patch[row, column, 1], green, share)
                patch[row, column, 2] = _mixed(patch[row, column, 2], blue, share)


@njit(cache=True, nogil=True)
def _mix_picture(patch, mask, picture, opacity):  # type: ignore[no-untyped-def]
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            share = (np.int32(mask[row, column]) * opacity + 128) >> 8
            if share:
                for channel in range(3):
                    value = patch[row, column, channel]
                    patch[row, column, channel] = _mixed(value, picture[row, column, channel], share)


@njit(cache=True, nogil=True, inline="always")
def _mixed(below, above, share):  # type: ignore[no-untyped-def]
    """Weighted mean of two levels, rounded: a division by 255 without dividing."""
    total = np.int32(below) * (255 - share) + np.int32(above) * share + 128
    return np.uint8((total + (total >> 8)) >> 8)


@njit(cache=True, nogil=True)
def ink_contrast(image, mask, top, left, y1, x1, y2, x2):  # type: ignore[no-untyped-def]
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
