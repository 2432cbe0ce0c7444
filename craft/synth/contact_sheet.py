"""Contact sheets: many scenes in one image, with their labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from craft.images.drawing import fit_long_side, tile_images, write_image
from craft.synth.presets import GeneratorSettings
from craft.synth.render import render_scene
from craft.synth.rendered_scene import Image, RenderedScene

WORD, CHARACTER, DONT_CARE = (0, 220, 0), (255, 220, 0), (255, 40, 40)
_SIDE = 384  # longer side of a scene on the sheet, pixels


def write_contact_sheet(
    path: str | Path, *, settings: GeneratorSettings, count: int, seed: int, columns: int = 8
) -> None:
    """Render the first `count` scenes of a dataset and write them as one image, in the format of the ending of `path`.

    Words are outlined green, characters yellow, don't-care words red. ValueError if it cannot be written.
    """
    tiles = [_tile(render_scene(settings, seed, index)) for index in range(count)]
    write_image(path, tile_images(tiles, columns=columns), quality=95)


def _tile(scene: RenderedScene) -> Image:
    tile = fit_long_side(scene.image, _SIDE)
    scale = _SIDE / max(scene.image.shape[:2])
    for word in scene.words:
        if not word.dont_care and word.character_quads_xy is not None:
            _outline(tile, word.character_quads_xy * scale, CHARACTER)
        _outline(tile, word.polygon_xy[None] * scale, DONT_CARE if word.dont_care else WORD)
    return tile


def _outline(tile: Image, polygons_xy: np.ndarray, colour: tuple[int, int, int]) -> None:
    fixed = np.round(polygons_xy * 16).astype(np.int32)
    cv2.polylines(tile, list(fixed), True, colour, 1, cv2.LINE_AA, 4)
