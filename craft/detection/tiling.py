"""Images larger than a device can hold, scored in overlapping tiles with the same maps as in one pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 256
"""Network input pixels around a tile's own part, more than the receptive field of a map pixel: 13 convolutions and five
poolings of VGG16 (98 to either side), the dilated layer (112), the decoder (under 40)."""

Score = Callable[[NDArray[np.uint8]], "tuple[NDArray[np.float32], dict[str, Tensor]]"]
"""Both maps (1, 2, H/2, W/2) and the features (1, C, h, w) of an image (1, H, W, 3) uint8, sides multiples of 32."""


def tile_spans(length: int, tile: int, margin: int = MARGIN) -> list[tuple[int, int, int, int]]:
    """Cut one side of an image into tiles; all numbers are network input pixels and multiples of 32.

    Gives (start, end, own start, own end) of each tile, `tile` pixels at most, which are more than two margins. Own parts
    follow each other without a gap, with `margin` around them, or less at the border of the image.
    """
    if length <= tile:
        return [(0, length, 0, length)]
    own = tile - 2 * margin
    spans = []
    for start in range(0, length, own):
        end = min(start + own, length)
        spans.append((max(0, start - margin), min(end + margin, length), start, end))
    return spans


def score_tiles(
    pixels: NDArray[np.uint8], score: Score, *, tile: int, margin: int = MARGIN, progress: bool = False
) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
    """Score an image tile by tile, in the network's memory for one tile.

    Every map pixel is computed from the same input pixels as in one pass, so both agree but for the rounding of sums.

    Args:
        pixels: (H, W, 3) uint8, sides multiples of 32.
        tile: longest side of a tile in pixels, a multiple of 32; two margins and 128 if it is less.
        margin: pixels around a tile's own part, a multiple of 32, at least as many as a map pixel depends on.
        progress: say on standard error how many tiles there are, and show how many are done.

    Returns:
        Both maps, (2, H/2, W/2) float32, and the features of the whole image, (1, C, h, w) each.
    """
    height, width = pixels.shape[:2]
    whole: dict[str, Any] = {}
    tile = max(tile, 2 * margin + 128)
    spans = list(product(tile_spans(height, tile, margin), tile_spans(width, tile, margin)))
    what = f"{width} x {height} in {len(spans)} tiles"
    for rows, columns in tqdm(spans, desc=what, unit="tile", leave=False, delay=2, disable=not progress):
        (top, bottom, own_top, own_bottom), (left, right, own_left, own_right) = rows, columns
        scored, features = score(pixels[None, top:bottom, left:right])
        parts: dict[str, Any] = {"maps": scored, **features}
        for name, part in parts.items():
            stride = (bottom - top) // part.shape[2]
            if name not in whole:
                shape = (1, part.shape[1], height // stride, width // stride)
                whole[name] = np.empty(shape, part.dtype) if name == "maps" else part.new_empty(shape)
            down, down_of_tile = _part(top, own_top, own_bottom, stride)
            across, across_of_tile = _part(left, own_left, own_right, stride)
            whole[name][:, :, down, across] = part[:, :, down_of_tile, across_of_tile]
    return whole.pop("maps")[0], whole


def _part(start: int, own_start: int, own_end: int, stride: int) -> tuple[slice, slice]:
    """Slices of a tile's own part in the whole map, and in the tile's."""
    whole = slice(own_start // stride, own_end // stride)
    return whole, slice((own_start - start) // stride, (own_end - start) // stride)
