"""Pictures larger than a device holds: the network goes over overlapping tiles, and the maps come out as if it had not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MARGIN = 256
"""Network input pixels around a tile's own part, more than what reaches a map pixel: 13 convolutions and five poolings
of VGG16 (98 to either side), the dilated layer (112), the decoder (under 40)."""

Score = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], dict[str, Tensor]]]
"""Both maps (1, 2, H/2, W/2) and the features (1, C, h, w) of a picture (1, H, W, 3) uint8, sides multiples of 32."""


def tile_spans(length: int, tile: int) -> list[tuple[int, int, int, int]]:
    """Cut one side of a picture into tiles.

    Args:
        length: network input pixels, a multiple of 32.
        tile: most pixels of a tile, a multiple of 32, at least 640.

    Returns:
        (start, end, own start, own end) of each tile, in pixels, all multiples of 32. Own parts follow each other without
        gap; what a tile has beside its own part is `MARGIN`, less only where the picture ends.
    """
    if length <= tile:
        return [(0, length, 0, length)]
    own = tile - 2 * MARGIN
    spans = []
    for start in range(0, length, own):
        end = min(start + own, length)
        spans.append((max(0, start - MARGIN), min(end + MARGIN, length), start, end))
    return spans


def score_tiles(pixels: NDArray[np.uint8], score: Score, *, tile: int) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
    """Score a picture tile by tile.

    Every pixel of a map is computed from the same input pixels as in one pass over the whole picture, so that both
    agree but for the rounding of sums. Memory of the network is that of one tile; maps and features are whole.

    Args:
        pixels: (H, W, 3) uint8, sides multiples of 32.
        score: runs the network.
        tile: longest side of a tile in pixels, a multiple of 32, at least 640.

    Returns:
        Both maps, (2, H/2, W/2) float32, and the features of the whole picture, (1, C, h, w) each.
    """
    height, width = pixels.shape[:2]
    whole: dict[str, Tensor] = {}
    for top, bottom, own_top, own_bottom in tile_spans(height, tile):
        for left, right, own_left, own_right in tile_spans(width, tile):
            scored, features = score(pixels[None, top:bottom, left:right])
            parts = {"maps": torch.from_numpy(scored), **features}
            for name, part in parts.items():
                stride = (bottom - top) // part.shape[2]
                if name not in whole:
                    shape = (1, part.shape[1], height // stride, width // stride)
                    whole[name] = torch.empty(shape, dtype=part.dtype, device=part.device)
                rows, rows_of_tile = _part(top, own_top, own_bottom, stride)
                columns, columns_of_tile = _part(left, own_left, own_right, stride)
                whole[name][:, :, rows, columns] = part[:, :, rows_of_tile, columns_of_tile]
    return whole.pop("maps")[0].numpy(), whole


def _part(start: int, own_start: int, own_end: int, stride: int) -> tuple[slice, slice]:
    """Where a tile's own part lies in the whole map, and where in the tile's."""
    whole = slice(own_start // stride, own_end // stride)
    return whole, slice((own_start - start) // stride, (own_end - start) // stride)
