"""Images after the network: sized, scored in batches of one padded size, large ones in tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings
from craft.detection.network_input import STRIDE, network_scale, network_size, resize_and_pad, source_scale
from craft.detection.tiling import MARGIN, Score, score_tiles
from craft.geometry import MAP_STRIDE

if TYPE_CHECKING:
    from torch import Tensor


class ScoredImage(NamedTuple):
    """An image after the network."""

    region: NDArray[np.float32]  # (H, W) float32, region scores
    affinity: NDArray[np.float32]  # (H, W) float32, affinity scores
    scale_xy: NDArray[np.float64]  # (2,) float64, source pixels per network input pixel
    levels: dict[str, Tensor]  # features (1, C, h, w) that the region head reads, by level; empty without a head
    size_hw: tuple[int, int]  # of the source image
    scale: float  # network input pixels per source pixel, before the size is rounded


def score_images(
    images: list[NDArray[np.uint8]],
    run: Score,
    *,
    settings: DetectionSettings,
    margin: int = MARGIN,
    progress: bool = False,
) -> list[ScoredImage]:
    """Score images (H, W, 3) of any sizes, those of one padded size in one pass of the network `run`.

    `margin` is what `score_tiles` puts around a tile's own part.
    """
    sources_hw = [(image.shape[0], image.shape[1]) for image in images]
    sizes_hw = [network_size(source_hw, settings) for source_hw in sources_hw]
    padded = [resize_and_pad(image, size_hw) for image, size_hw in zip(images, sizes_hw, strict=True)]
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, pixels in enumerate(padded):
        by_shape.setdefault(pixels.shape, []).append(index)
    found: dict[int, ScoredImage] = {}
    for shape, indices in by_shape.items():
        tile = settings.tile // STRIDE * STRIDE
        if tile and max(shape[:2]) > tile:
            scored = [score_tiles(padded[index], run, tile=tile, margin=margin, progress=progress) for index in indices]
        else:
            pixels = np.stack([padded[index] for index in indices]) if len(indices) > 1 else padded[indices[0]][None]
            maps, levels = run(pixels)
            scored = [
                (maps[row], {name: level[row : row + 1] for name, level in levels.items()}) for row in range(len(maps))
            ]
        for index, ((region, affinity), own) in zip(indices, scored, strict=True):
            height, width = sizes_hw[index]
            if not settings.keep_padding:
                region, affinity = (
                    np.ascontiguousarray(scores[: -(-height // MAP_STRIDE), : -(-width // MAP_STRIDE)])
                    for scores in (region, affinity)
                )
            scale_xy = source_scale(sources_hw[index], (height, width), settings)
            scale = network_scale(sources_hw[index], settings)
            found[index] = ScoredImage(region, affinity, scale_xy, own, sources_hw[index], scale)
    return [found[index] for index in range(len(images))]
