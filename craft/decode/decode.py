"""From score maps to words: the original's steps, the same maps give the same boxes. numpy and numba, no torch.

Boxes come in map indices, as the original's do; `to_pixels` turns these into pixels in a step of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.decode.components import Components, find_components, label_components
from craft.decode.rectangles import component_quads

PixelRule = Literal["corner", "centre"]
_LEAST_AREA = 10  # map pixels; smaller components are noise
_MAP_STRIDE = 2  # network input pixels per map pixel


@dataclass(frozen=True, slots=True, eq=False)
class DecodedWords:
    """Words found in a pair of score maps, in map indices, in the order of their first pixels, row by row.

    Attributes:
        quads: (N, 4, 2) float32, clockwise on the screen, starting at the smallest x + y.
        scores: (N,) float32, mean region score of the word's pixels above the low threshold.
        boxes_xyxy: (N, 4) int32, the components' first column and row, last column and row + 1.
        size_hw: height and width of the map.
        components: every component of the maps.
        component: (N,) int64, the component that each word is.
    """

    quads: NDArray[np.float32]
    scores: NDArray[np.float32]
    boxes_xyxy: NDArray[np.int32]
    size_hw: tuple[int, int]
    components: Components
    component: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.quads)


def decode_maps(
    region: NDArray[np.float32],
    affinity: NDArray[np.float32],
    *,
    text_threshold: float = 0.7,
    low_text: float = 0.4,
    link_threshold: float = 0.4,
) -> DecodedWords:
    """Find the words in a pair of score maps.

    Components (4-connected) of region > low_text or affinity > link_threshold; those under 10 pixels or with a peak
    region score under text_threshold are dropped; the rest become boxes as `component_quads` says.

    Args:
        region: (H, W) float32, region scores.
        affinity: (H, W) float32, affinity scores.
        text_threshold: least peak region score of a word.
        low_text: region score above which a pixel belongs to a word.
        link_threshold: affinity score above which a pixel links characters.

    Returns:
        The words; none is normal. A component without any pixel above low_text, possible only where text_threshold
        is not above low_text, is no word (the original stops there with an error).

    Raises:
        ValueError: the maps are not two of one shape (H, W).

    Source: CRAFT, Baek et al., CVPR 2019, section 3.3, and its released decoder, whose boxes these are.
    """
    if region.ndim != 2 or region.shape != affinity.shape:
        raise ValueError(
            f"score maps have shapes {region.shape} and {affinity.shape}; pass two maps of one shape (height, width)"
        )
    size_hw = (region.shape[0], region.shape[1])
    found = find_components(
        np.ascontiguousarray(region, dtype=np.float32),
        np.ascontiguousarray(affinity, dtype=np.float32),
        low_text=low_text,
        link_threshold=link_threshold,
    )
    kept = np.flatnonzero(
        (found.areas >= _LEAST_AREA) & (found.peaks >= np.float32(text_threshold)) & (found.num_text > 0)
    )
    return DecodedWords(
        quads=component_quads(found, kept, size_hw=size_hw),
        scores=(found.sums[kept] / found.num_text[kept]).astype(np.float32),
        boxes_xyxy=found.boxes_xyxy[kept],
        size_hw=size_hw,
        components=found,
        component=kept,
    )


def keep_words(words: DecodedWords, *, least_score: float = 0.0, least_side: float = 0.0) -> DecodedWords:
    """Drop words that are weak or small. Not in the original, which keeps all: both are 0 there.

    Args:
        words: what `decode_maps` found.
        least_score: least mean region score.
        least_side: least length of the box's shorter side, network input pixels.

    Returns:
        The words that are left, in order.
    """
    kept = (words.scores >= np.float32(least_score)) & (short_sides(words.quads) >= np.float32(least_side))
    return replace(
        words,
        quads=words.quads[kept],
        scores=words.scores[kept],
        boxes_xyxy=words.boxes_xyxy[kept],
        component=words.component[kept],
    )


def short_sides(quads_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of each box's shorter side.

    Args:
        quads_map: (N, 4, 2) float32 rectangles in map indices.

    Returns:
        (N,) float32, network input pixels.
    """
    edges = np.linalg.norm(quads_map[:, 1:3] - quads_map[:, 0:2], axis=2)  # (N, 2)
    return (_MAP_STRIDE * edges.min(axis=1)).astype(np.float32)


def label_map(words: DecodedWords) -> NDArray[np.int32]:
    """Paint each word's pixels with its number.

    Args:
        words: what `decode_maps` found.

    Returns:
        (H, W) int32, word index + 1, and 0 where no word is.
    """
    return label_components(words.components, words.component, size_hw=words.size_hw)


def to_pixels(points_map: ArrayLike, *, rule: PixelRule, scale_xy: ArrayLike = (1.0, 1.0)) -> NDArray[np.float32]:
    """Turn map indices into pixels.

    Args:
        points_map: (..., 2) in map indices.
        rule: "corner" sends index i to input coordinate 2 i, as the original does; "centre" to 2 (i + 0.5), which
            is where the map pixel's centre lies.
        scale_xy: source pixels per network input pixel, (x, y); (1, 1) gives network input pixels.

    Returns:
        (..., 2) float32, source image pixels.

    Raises:
        ValueError: the rule is neither of the two.
    """
    if rule not in ("corner", "centre"):
        raise ValueError(f"pixel rule {rule!r} is unknown; use corner or centre")
    shift = 0.5 if rule == "centre" else 0.0
    points = np.asarray(points_map, dtype=np.float64)
    return (_MAP_STRIDE * (points + shift) * np.asarray(scale_xy, dtype=np.float64)).astype(np.float32)
