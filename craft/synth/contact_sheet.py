"""A contact sheet: many scenes in one picture, with or without what is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from craft.synth.presets import GeneratorSettings
from craft.synth.render import render_scene
from craft.synth.rendered_scene import Picture, RenderedScene

WORD, CHARACTER, DONT_CARE = (0, 220, 0), (255, 220, 0), (255, 40, 40)


def contact_sheet(scenes: list[RenderedScene], *, columns: int = 8, side: int = 384, labels: bool = True) -> Picture:
    """Scenes side by side.

    Args:
        scenes: at least one.
        columns: scenes in a row.
        side: the longer side of each, pixels.
        labels: draw words green, characters yellow, don't-care words red.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    return join_tiles([_tile(scene, side, labels) for scene in scenes], columns=columns)


def join_tiles(tiles: Sequence[Picture], *, columns: int) -> Picture:
    """Lay pictures out in rows on white, each at the top left of its cell.

    Args:
        tiles: (H, W, 3) uint8 each, of any sizes, at least one.
        columns: pictures in a row.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * height, min(columns, len(tiles)) * width, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def write_sheet(
    path: str | Path, *, settings: GeneratorSettings, count: int, seed: int, columns: int = 8, labels: bool = True
) -> None:
    """Draw the first scenes of a set and write them as one picture.

    Args:
        path: picture to write; its ending says the format.
        settings: settings of a preset.
        count: number of scenes, >= 1.
        seed: seed of the set.
        columns: scenes in a row.
        labels: draw what is known about them.

    Raises:
        ValueError: the picture cannot be written.
    """
    scenes = [render_scene(settings, seed, index) for index in range(count)]
    write_picture(path, contact_sheet(scenes, columns=columns, labels=labels))


def write_picture(path: str | Path, sheet: Picture) -> None:
    """Write a picture.

    Args:
        path: file to write; its ending says the format.
        sheet: (H, W, 3) uint8, RGB.

    Raises:
        ValueError: the picture cannot be written.
    """
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise ValueError(f"{path}: cannot be written; name a .png or .jpg file in a folder that exists")


def _tile(scene: RenderedScene, side: int, labels: bool) -> Picture:
    scale = side / max(scene.image.shape[:2])
    size = (round(scene.image.shape[1] * scale), round(scene.image.shape[0] * scale))
    tile = cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if not labels:
        return tile
    for word in scene.words:
        quads = () if word.dont_care or word.character_quads_xy is None else word.character_quads_xy
        for quad in quads:
            _draw(tile, quad * scale, CHARACTER)
        _draw(tile, word.polygon_xy * scale, DONT_CARE if word.dont_care else WORD)
    return tile


def _draw(tile: Picture, polygon_xy: np.ndarray, colour: tuple[int, int, int]) -> None:
    cv2.polylines(tile, [np.round(polygon_xy * 16).astype(np.int32)], True, colour, 1, cv2.LINE_AA, 4)
