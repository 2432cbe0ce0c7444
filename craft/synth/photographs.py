"""The user's own pictures as backgrounds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.config import DatasetSettings
from craft.datasets.reading import read_set
from craft.geometry import visible_shares
from craft.images.reader import read_image
from craft.synth.rendered_scene import Picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


def photograph_background(
    generator: np.random.Generator, folder: str, size_hw: tuple[int, int], *, labelled: bool
) -> tuple[Picture, list[NDArray[np.float32]]]:
    """A random cut of a random photograph.

    Args:
        generator: source of randomness.
        folder: folder of pictures, or of a labelled set.
        size_hw: size wanted.
        labelled: whether the folder is a labelled set.

    Returns:
        (H, W, 3) uint8 and the polygons of the words on it, in its pixels.

    Raises:
        ValueError: there are no pictures in the folder.
    """
    entries = _entries(folder, labelled)
    path, polygons = entries[int(generator.integers(len(entries)))]
    image = read_image(path)
    least = max(size_hw[0] / image.shape[0], size_hw[1] / image.shape[1])
    scale = least * float(np.exp(generator.uniform(0, np.log(2.0))))
    cut = np.ceil(np.array(size_hw) / scale).astype(int)
    cut = np.minimum(cut, image.shape[:2])
    top, left = (int(generator.integers(side - part + 1)) for side, part in zip(image.shape[:2], cut, strict=True))
    patch = np.ascontiguousarray(image[top : top + cut[0], left : left + cut[1]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(patch, size_hw[::-1], interpolation=how)
    factor = np.array([size_hw[1] / cut[1], size_hw[0] / cut[0]])
    moved = [((polygon - [left, top]) * factor).astype(np.float32) for polygon in polygons]
    shares = visible_shares(list(moved), size_hw=size_hw)
    return picture, [polygon for polygon, share in zip(moved, shares, strict=True) if share > 0]


@cache
def _entries(folder: str, labelled: bool) -> tuple[tuple[str, tuple[NDArray[np.float32], ...]], ...]:
    if labelled:
        scenes = read_set(DatasetSettings(path=folder, split="all")).scenes
        entries = tuple((scene.image_path, tuple(word.polygon_xy for word in scene.words)) for scene in scenes)
    else:
        files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
        entries = tuple((str(path), ()) for path in files)
    if not entries:
        raise ValueError(f"{folder}: no pictures here; name a folder with {', '.join(SUFFIXES)} files")
    return entries
