"""Backgrounds: rendered surfaces and the user's photographs, and uneven light."""

import warnings
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset
from craft.errors import Problem
from craft.geometry import visible_shares
from craft.images.files import files_below, images_among
from craft.images.reader import IMAGE_ENDINGS, read_image
from craft.synth.colours import Colour, apply_light, blend_colour, natural_colour
from craft.synth.placement import rotation
from craft.synth.rendered_scene import Image
from craft.synth.textures import add_texture, texture_patch

_Entry = tuple[str, tuple[NDArray[np.float32], ...]]  # a photograph's path and the polygons of its words


def photograph_background(
    generator: Generator, folder: str, size_hw: tuple[int, int], *, labelled: bool
) -> tuple[Image, list[NDArray[np.float32]]]:
    """Crop a random photograph of a folder or labelled dataset, with its words' polygons; ValueError if it has none."""
    entries = _entries(folder, labelled)
    image, polygons = _first_readable(entries, int(generator.integers(len(entries))))
    least = max(size_hw[0] / image.shape[0], size_hw[1] / image.shape[1])
    scale = least * float(np.exp(generator.uniform(0, np.log(2.0))))
    crop = np.ceil(np.array(size_hw) / scale).astype(int)
    crop = np.minimum(crop, image.shape[:2])
    top, left = (int(generator.integers(side - part + 1)) for side, part in zip(image.shape[:2], crop, strict=True))
    patch = np.ascontiguousarray(image[top : top + crop[0], left : left + crop[1]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    factor = np.array([size_hw[1] / crop[1], size_hw[0] / crop[0]])
    moved = [((polygon - [left, top]) * factor).astype(np.float32) for polygon in polygons]
    shares = visible_shares(list(moved), size_hw=size_hw)
    resized = cv2.resize(patch, size_hw[::-1], interpolation=how)
    return resized, [polygon for polygon, share in zip(moved, shares, strict=True) if share > 0]


def _first_readable(entries: tuple[_Entry, ...], first: int) -> tuple[Image, tuple[NDArray[np.float32], ...]]:
    """The photograph at `first`, or the next one that can be read; each that cannot is named once."""
    for number in range(len(entries)):
        path, polygons = entries[(first + number) % len(entries)]
        try:
            return read_image(path), polygons
        except Problem as problem:
            warnings.warn(f"no background: {problem}", stacklevel=2)
            last = problem
    raise last


@cache
def _entries(folder: str, labelled: bool) -> tuple[_Entry, ...]:
    if labelled:
        scenes = read_dataset(DatasetSettings(path=folder, split="all")).good_scenes
        entries = tuple((scene.image_path, tuple(word.polygon_xy for word in scene.words)) for scene in scenes)
    else:
        entries = tuple((str(path), ()) for path in images_among(files_below(Path(folder))))
    if not entries:
        raise ValueError(f"{folder}: no images here; name a folder with {', '.join(sorted(IMAGE_ENDINGS))} files")
    return entries


def surface_background(generator: Generator, size_hw: tuple[int, int]) -> Image:
    """Render a background without text: surfaces at several depths with texture, edges and soft shadows."""
    image = _surface(generator, size_hw, natural_colour(generator))
    if generator.random() < 0.45:
        _add_ground(generator, image)
    for _ in range(int(generator.integers(0, 8))):
        _add_object(generator, image)
    if generator.random() < 0.25:
        image = defocus(image, float(generator.uniform(1.0, 5.0)))
    return image


def defocus(image: Image, deviation: float) -> Image:
    """Blur at half size, four times as fast; sides must be even, the deviation at least about 1 pixel."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.5 * deviation)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _surface(generator: Generator, size_hw: tuple[int, int], colour: Colour) -> Image:
    """Render a wall, board or cloth: one colour that changes slowly, and a texture."""
    drift = generator.normal(0, 1, (3, 3, 1)) * generator.uniform(0, 22) + generator.normal(0, 4, (3, 3, 3))
    coarse = cv2.resize(np.clip(colour + drift, 0, 255).astype(np.uint8), (32, 32), interpolation=cv2.INTER_CUBIC)
    image = cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    strength = float(generator.uniform(0, 1) ** 2 * 0.7)
    if strength > 0.01:
        image = add_texture(image, texture_patch(generator, size_hw, stretch=6.0), strength)
    return image


def light_unevenly(generator: Generator, image: Image) -> Image:
    """Light an image unevenly, sometimes with the hard shadow of something outside it."""
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
    return apply_light(image, np.asarray(wide))


def _add_ground(generator: Generator, image: Image) -> None:
    """A second surface below a line across the image, or beside one: floor, street, next wall."""
    height, width = image.shape[:2]
    level = generator.uniform(0.35, 0.9) * height
    lean = generator.normal(0, 0.06) * height
    corners = np.array([[0, level - lean], [width, level + lean], [width, height], [0, height]])
    if generator.random() < 0.35:  # an upright edge instead
        level, lean = generator.uniform(0.2, 0.8) * width, generator.normal(0, 0.08) * width
        corners = np.array([[level - lean, 0], [width, 0], [width, height], [level + lean, height]])
    _cover(generator, image, corners)


def _add_object(generator: Generator, image: Image) -> None:
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
    turning = rotation(np.deg2rad(generator.normal(0, 12)))
    _cover(generator, image, corners @ turning + middle)


def _cover(generator: Generator, image: Image, corners: np.ndarray) -> None:
    """Cover a polygon of the image with a new surface, with a shadow or an edge at times."""
    shadow = generator.random() < 0.5
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(axis=0)) - 14, 0, [width, height]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 14, 0, [width, height]).astype(int)
    if (high - low).min() < 4:
        return
    patch = image[low[1] : high[1], low[0] : high[0]]
    size_hw = (patch.shape[0], patch.shape[1])
    mask = np.zeros(size_hw, np.uint8)
    points = [np.round((corners - low) * 16).astype(np.int32)]
    cv2.fillPoly(mask, points, 255, cv2.LINE_AA, 4)
    if shadow:
        offset = generator.uniform(-8, 8, 2)
        shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]])
        cast = cv2.warpAffine(mask, shift, size_hw[::-1])
        blend_colour(patch, cv2.blur(cast, (9, 9)), np.zeros(3), float(generator.uniform(0.3, 0.7)))
    covered = _surface(generator, size_hw, natural_colour(generator))
    cv2.copyTo(covered, mask, patch)
    if generator.random() < 0.3:
        edge = [int(value) for value in natural_colour(generator)]
        line = np.ascontiguousarray(patch)
        cv2.polylines(line, points, True, edge, int(generator.integers(1, 7)), cv2.LINE_AA, 4)
        patch[:] = line
