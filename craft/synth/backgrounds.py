"""What is behind the text: photographs of the user's, or drawn walls, grounds, panels and light."""

from __future__ import annotations

import cv2
import numpy as np

from craft.synth.blending import lit, mix_flat
from craft.synth.palette import Colour, natural_colour
from craft.synth.rendered_scene import Picture
from craft.synth.textures import add_texture, texture_patch


def drawn_background(generator: np.random.Generator, size_hw: tuple[int, int]) -> Picture:
    """A scene without text: surfaces at several depths with texture, edges and soft shadows.

    Args:
        generator: source of randomness.
        size_hw: height and width.

    Returns:
        (H, W, 3) uint8.
    """
    image = surface(generator, size_hw, natural_colour(generator))
    if generator.random() < 0.45:
        _ground(generator, image)
    for _ in range(int(generator.integers(0, 8))):
        _thing(generator, image)
    if generator.random() < 0.25:
        image = defocused(image, float(generator.uniform(1.0, 5.0)))
    return image


def defocused(image: Picture, deviation: float) -> Picture:
    """Blur at half the size: four times as fast, and as soft.

    Args:
        image: (H, W, 3) uint8, even sides.
        deviation: of the blur, pixels, about 1 and more.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.5 * deviation)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def surface(generator: np.random.Generator, size_hw: tuple[int, int], colour: Colour) -> Picture:
    """A wall, board or cloth: one colour that changes slowly, and a texture.

    Args:
        generator: source of randomness.
        size_hw: height and width.
        colour: (3,) RGB.

    Returns:
        (H, W, 3) uint8.
    """
    drift = generator.normal(0, 1, (3, 3, 1)) * generator.uniform(0, 22) + generator.normal(0, 4, (3, 3, 3))
    coarse = cv2.resize(np.clip(colour + drift, 0, 255).astype(np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC)
    image = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    strength = float(generator.uniform(0, 1) ** 2 * 0.7)
    if strength > 0.01:
        image = add_texture(image, texture_patch(generator, size_hw, stretch=6.0), strength)
    return image


def light_field(generator: np.random.Generator, image: Picture) -> Picture:
    """Uneven light: brighter here, in shade there, sometimes the hard shadow of something outside the picture.

    Args:
        generator: source of randomness.
        image: (H, W, 3) uint8.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    coarse = np.exp(generator.normal(0, generator.uniform(0.05, 0.35), (4, 4)))
    field = cv2.resize(np.clip(coarse * 128, 30, 255).astype(np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
    if generator.random() < 0.3:
        corners = generator.integers(-30, 94, (int(generator.integers(3, 6)), 2)).astype(np.int32)
        shade = np.full_like(field, 255)
        cv2.fillPoly(shade, [cv2.convexHull(corners)], int(generator.integers(110, 200)))
        shade = cv2.GaussianBlur(shade, (0, 0), float(generator.uniform(0.5, 3)))
        field = cv2.multiply(field, shade, scale=1 / 255)
    wide = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    return lit(image, np.asarray(wide))


def _ground(generator: np.random.Generator, image: Picture) -> None:
    """A second surface below a line across the picture, or beside one: floor, street, next wall."""
    height, width = image.shape[:2]
    level = generator.uniform(0.35, 0.9) * height
    lean = generator.normal(0, 0.06) * height
    corners = np.array([[0, level - lean], [width, level + lean], [width, height], [0, height]])
    if generator.random() < 0.35:  # an upright edge instead
        level, lean = generator.uniform(0.2, 0.8) * width, generator.normal(0, 0.08) * width
        corners = np.array([[level - lean, 0], [width, 0], [width, height], [level + lean, height]])
    _lay(generator, image, corners, shadow=generator.random() < 0.5)


def _thing(generator: np.random.Generator, image: Picture) -> None:
    """A panel, box, pillar, polygon or rounded blob with its own colour, texture and shadow."""
    height, width = image.shape[:2]
    middle = generator.uniform(0, 1, 2) * [width, height]
    half = np.exp(generator.uniform(np.log(0.04), np.log(0.4), 2)) * min(height, width)
    kind = generator.random()
    if kind < 0.6:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        corners = corners * (1 + generator.normal(0, 0.08, (4, 2)))
    elif kind < 0.8:
        angles = np.sort(generator.uniform(0, 2 * np.pi, int(generator.integers(3, 8))))
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * half
    else:
        angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        wobble = 1 + 0.25 * np.sin(angles * int(generator.integers(2, 6)) + generator.uniform(0, 6))
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * half * wobble[:, None]
    turn = np.deg2rad(generator.normal(0, 12))
    turning = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    _lay(generator, image, corners @ turning + middle, shadow=generator.random() < 0.5)


def _lay(generator: np.random.Generator, image: Picture, corners: np.ndarray, *, shadow: bool) -> None:
    """Cover a polygon of the picture with a new surface."""
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)) - 14, 0, [width, height]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 14, 0, [width, height]).astype(int)
    if (high - low).min() < 4:
        return
    patch = image[low[1] : high[1], low[0] : high[0]]
    size_hw = (patch.shape[0], patch.shape[1])
    mask = np.zeros(size_hw, np.uint8)
    cv2.fillPoly(mask, [np.round((corners - low) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if shadow:
        offset = generator.uniform(-8, 8, 2)
        shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]])
        cast = cv2.warpAffine(mask, shift, size_hw[::-1])
        mix_flat(patch, cv2.blur(cast, (9, 9)), np.zeros(3), float(generator.uniform(0.3, 0.7)))
    covered = surface(generator, size_hw, natural_colour(generator))
    cv2.copyTo(covered, mask, patch)
    if generator.random() < 0.3:
        edge = [int(value) for value in natural_colour(generator)]
        points = [np.round((corners - low) * 16).astype(np.int32)]
        line = np.ascontiguousarray(patch)
        cv2.polylines(line, points, True, edge, int(generator.integers(1, 7)), cv2.LINE_AA, 4)
        patch[:] = line
