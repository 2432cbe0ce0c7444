"""One scene at every combination of thresholds: decoded once per pair of levels, scored once per set of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings, Protocol
from craft.decode.decode import decode_maps, short_sides, to_pixels
from craft.evaluation.image_score import ImageScore
from craft.evaluation.protocols import score_scene
from craft.evaluation.thresholds import Thresholds
from craft.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class FoundWords:
    """Words of one scene at one pair of low and link thresholds and the lowest text threshold."""

    quads_xy: NDArray[np.float32]  # (N, 4, 2) source image pixels
    scores: NDArray[np.float32]  # (N,) by which words are ranked: mean region score, or the region head's mix with it
    means: NDArray[np.float32]  # (N,) mean region score
    peaks: NDArray[np.float32]  # (N,) peak region score
    sides: NDArray[np.float32]  # (N,) shorter side of the box, network input pixels
    text: NDArray[np.float32]  # (N,) probability by the region head; 1 without a head

    def at(self, thresholds: Thresholds) -> FoundWords:
        """The words that thresholds keep; their low and link thresholds must be those of this object."""
        kept = self.peaks >= np.float32(thresholds.text_threshold)
        kept &= self.means >= np.float32(thresholds.least_score)
        kept &= self.sides >= np.float32(thresholds.least_side)
        kept &= self.text >= np.float32(thresholds.region_threshold)
        return FoundWords(*(getattr(self, field.name)[kept] for field in fields(self)))


def find_words(
    region: NDArray[np.floating],
    affinity: NDArray[np.floating],
    scale_xy: NDArray[np.float64],
    *,
    grid: Sequence[Thresholds],
    settings: DetectionSettings,
) -> dict[tuple[float, float], FoundWords]:
    """Decode score maps (H, W) at every pair of low and link thresholds of a grid; gives the words by that pair.

    `scale_xy` is source pixels per network input pixel (2,). Of the settings only the pixel rule counts.
    """
    region, affinity = region.astype(np.float32), affinity.astype(np.float32)
    lowest = min(thresholds.text_threshold for thresholds in grid)
    found = {}
    for low, link in sorted({(thresholds.low_text, thresholds.link_threshold) for thresholds in grid}):
        words = decode_maps(
            region, affinity, text_threshold=lowest, low_text=low, link_threshold=link, rule=settings.pixel_rule
        )
        quads_xy = to_pixels(words.quads, rule=settings.pixel_rule, scale_xy=scale_xy)
        peaks = words.components.peaks[words.component]
        sides, text = short_sides(words.quads), np.ones(len(quads_xy), dtype=np.float32)
        found[low, link] = FoundWords(quads_xy, words.scores, words.scores, peaks, sides, text)
    return found


def score_words(
    scene: Scene, found: dict[tuple[float, float], FoundWords], *, grid: Sequence[Thresholds], protocol: Protocol
) -> list[ImageScore]:
    """Score the words that `find_words` found, one score per combination of the grid, in order."""
    known: dict[tuple[float, float, bytes], ImageScore] = {}
    scores = []
    for at in grid:
        words = found[at.low_text, at.link_threshold].at(at)
        key = (at.low_text, at.link_threshold, words.quads_xy.tobytes())
        if key not in known:
            known[key] = score_scene(scene, words.quads_xy, words.scores, protocol=protocol)
        scores.append(known[key])
    return scores


def decode_and_score(
    scene: Scene,
    maps: NDArray[np.floating],
    scale_xy: NDArray[np.float64],
    *,
    grid: Sequence[Thresholds],
    settings: DetectionSettings,
    protocol: Protocol,
) -> list[ImageScore]:
    """Decode and score region and affinity maps (2, H, W); arguments as in `find_words` and `score_words`."""
    found = find_words(maps[0], maps[1], scale_xy, grid=grid, settings=settings)
    return score_words(scene, found, grid=grid, protocol=protocol)
