"""From score maps to words by the original's steps: the same maps give the same boxes.

Boxes are in map indices, as in the original; `to_pixels` turns them into pixels.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.config import DetectionSettings, PixelRule
from craft.decode.components import LEAST_AREA, Components, find_components, label_components
from craft.decode.rectangles import component_quads
from craft.geometry import MAP_STRIDE

_DEFAULTS = DetectionSettings()


@dataclass(frozen=True, slots=True, eq=False)
class DecodedWords:
    """Words found in a pair of score maps, in map indices, in the order of their first pixels, row by row."""

    quads: NDArray[np.float32]  # (N, 4, 2) clockwise on the screen, starting at the smallest x + y
    scores: NDArray[np.float32]  # (N,) mean region score of the pixels above the low threshold
    boxes_xyxy: NDArray[np.int32]  # (N, 4) first column and row, last column and row + 1 of the component
    size_hw: tuple[int, int]  # height and width of the map
    components: Components  # all components of the maps
    component: NDArray[np.int64]  # (N,) index of each word's component

    def __len__(self) -> int:
        return len(self.quads)


def decode_maps(
    region: NDArray[np.float32],
    affinity: NDArray[np.float32],
    *,
    text_threshold: float = _DEFAULTS.text_threshold,
    low_text: float = _DEFAULTS.low_text,
    link_threshold: float = _DEFAULTS.link_threshold,
    rule: PixelRule = _DEFAULTS.pixel_rule,
) -> DecodedWords:
    """Find the words in region and affinity maps (H, W).

    4-connected components of (region > low_text) or (affinity > link_threshold) become boxes by `component_quads`,
    unless they have under 10 pixels or a peak region score under text_threshold. Under the pixel rule "corner" the boxes
    are the original's; under "centre", those that lie half a pixel right and low for an even dilation are moved back.

    Raises ValueError if the maps are not two of one shape (H, W).

    Source: CRAFT, Baek et al., CVPR 2019, section 3.3, and its released decoder. That decoder
        fails on a component without a pixel above low_text, which exists only if text_threshold is not above low_text;
        here it is no word.
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
        (found.areas >= LEAST_AREA) & (found.peaks >= np.float32(text_threshold)) & (found.num_text > 0)
    )
    return DecodedWords(
        quads=component_quads(found, kept, size_hw=size_hw, centred=rule == "centre"),
        scores=(found.sums[kept] / found.num_text[kept]).astype(np.float32),
        boxes_xyxy=found.boxes_xyxy[kept],
        size_hw=size_hw,
        components=found,
        component=kept,
    )


def keep_words(
    words: DecodedWords, *, least_score: float = _DEFAULTS.least_score, least_side: float = _DEFAULTS.least_side
) -> DecodedWords:
    """Drop words with a low mean region score, or a short side in network input pixels; the original keeps all."""
    kept = (words.scores >= np.float32(least_score)) & (short_sides(words.quads) >= np.float32(least_side))
    return replace(
        words,
        quads=words.quads[kept],
        scores=words.scores[kept],
        boxes_xyxy=words.boxes_xyxy[kept],
        component=words.component[kept],
    )


def short_sides(quads_map: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shorter sides (N,) float32, in network input pixels, of rectangles (N, 4, 2) in map indices."""
    edges = np.linalg.norm(quads_map[:, 1:3] - quads_map[:, 0:2], axis=2)  # (N, 2)
    return (MAP_STRIDE * edges.min(axis=1)).astype(np.float32)


def label_map(words: DecodedWords) -> NDArray[np.int32]:
    """Label each word's pixels: (H, W) int32, word index + 1, 0 elsewhere."""
    return label_components(words.components, words.component, size_hw=words.size_hw)


def to_pixels(points_map: ArrayLike, *, rule: PixelRule, scale_xy: ArrayLike = (1.0, 1.0)) -> NDArray[np.float32]:
    """Turn map indices (..., 2) into source image pixels (..., 2) float32.

    Rule "corner" sends index i to input coordinate 2 i, as in the original; "centre" to 2 (i + 0.5), the centre of the
    map pixel. `scale_xy` is source pixels per network input pixel.
    """
    if rule not in ("corner", "centre"):
        raise ValueError(f"pixel rule {rule!r} is unknown; use corner or centre")
    shift = 0.5 if rule == "centre" else 0.0
    points = np.asarray(points_map, dtype=np.float64)
    return (MAP_STRIDE * (points + shift) * np.asarray(scale_xy, dtype=np.float64)).astype(np.float32)
