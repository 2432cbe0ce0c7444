"""Paint: how an outline becomes print, metal or light on what is behind it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from craft.synth.colours import (
    LUMINANCE,
    Colour,
    blend_colour,
    blend_image,
    contrasting_colour,
    natural_colour,
    with_luminance,
)
from craft.synth.outlines import Outline, coverage
from craft.synth.placement import pixel_window
from craft.synth.presets import StyleSettings
from craft.synth.rendered_scene import Image
from craft.synth.textures import add_texture, texture_patch


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """How one block is painted. Lengths are shares of the letters' height."""

    colour: Colour  # of the fill
    second: Colour | None = None  # colour at the other end of a gradient
    edge: Colour | None = None
    edge_width: float = 0.06
    shadow_xy: tuple[float, float] | None = None  # how far a shadow falls
    glow: bool = False  # whether the fill shines on what is around it
    emboss: float = 0.0  # strength of relief; below 0 carved
    texture: float = 0.0  # strength of texture inside
    wear: float = 0.0  # share of the paint that is rubbed off
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """Where paint went: (H, W) uint8, 255 where the letters are, its first pixel at row `top` and column `left`."""

    mask: Image
    top: int
    left: int


def choose_style(generator: Generator, settings: StyleSettings, behind: Colour) -> Style:
    """Choose a style for a block of text or a hard negative that contrasts with the mean colour behind it."""
    level = float(LUMINANCE @ behind)
    colour = contrasting_colour(generator, level, low_contrast=settings.low_contrast)
    own = float(LUMINANCE @ colour)

    def chance(share: float) -> bool:
        return bool(generator.random() < share)

    away = 1 if own > level else -1
    second = with_luminance(natural_colour(generator, vivid=0.5), min(max(own + 40 * away, 5.0), 250.0))
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


def effect_contrast(style: Style, behind: Colour) -> float:
    """Return the contrast in levels that edge and relief alone give letters over the mean colour behind them."""
    edge = 0.0 if style.edge is None else 0.7 * abs(float(LUMINANCE @ (style.edge - behind)))
    return max(edge, 40 * abs(style.emboss))


def paint(generator: Generator, image: Image, outline: Outline, style: Style, *, height: float) -> Painted:
    """Paint an outline over an image, in place, and return where the ink is, without edge, shadow and glow."""
    spread = (style.glow or style.shadow_xy is not None or style.edge is not None) * 0.35 * height
    rows, columns = pixel_window(outline.points_xy, margin=2 + spread, size_hw=image.shape[:2])
    patch = image[rows, columns]
    if patch.size == 0:
        return Painted(np.zeros(patch.shape[:2], np.uint8), rows.start, columns.start)
    mask = coverage(outline.points_xy - [columns.start, rows.start], outline.contour_ends, size_hw=patch.shape[:2])
    if style.wear:
        mask = _worn(generator, mask, style.wear)
    if style.shadow_xy is not None:
        shift = np.array([[1, 0, style.shadow_xy[0] * height], [0, 1, style.shadow_xy[1] * height]])
        cast = cv2.warpAffine(mask, shift, (mask.shape[1], mask.shape[0]))
        cast = cv2.GaussianBlur(cast, (0, 0), max(0.04 * height, 0.4))
        blend_colour(patch, cast, np.zeros(3), 0.6)
    if style.glow:
        halo = cv2.GaussianBlur(mask, (0, 0), max(0.15 * height, 0.6))
        blend_colour(patch, cv2.addWeighted(halo, 2.0, halo, 0.0, 0.0), style.colour, 0.6)
    if style.edge is not None:
        width = 2 * max(round(style.edge_width * height), 1) + 1
        grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
        blend_colour(patch, grown, style.edge, style.opacity)
    if style.second is None and not style.texture and not style.emboss:
        blend_colour(patch, mask, style.colour, style.opacity)
    else:
        blend_image(patch, mask, _fill(generator, mask, style, height), style.opacity)
    return Painted(mask, rows.start, columns.start)


def _fill(generator: Generator, mask: Image, style: Style, height: float) -> Image:
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


def _worn(generator: Generator, mask: Image, share: float) -> Image:
    noise = texture_patch(generator, (mask.shape[0], mask.shape[1]))
    threshold = 128 - 42 * (1.3 - 2.2 * share)
    kept = np.clip((noise.astype(np.float32) - threshold) * 8, 0, 255).astype(np.uint8)
    return cv2.multiply(mask, kept, scale=1 / 255)
