"""One scene at every thresholds of a grid: decoded once a pair of levels, scored once for the same words. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings
from craft.decode.decode import decode_maps, short_sides, to_pixels
from craft.evaluation.image_score import ImageScore
from craft.evaluation.matching import Protocol, score_scene
from craft.evaluation.sweep import Thresholds
from craft.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class FoundWords:
    """Words of one scene at one pair of low and link thresholds, at the lowest text threshold.

    Attributes:
        quads_xy: (N, 4, 2) float32, source image pixels.
        scores: (N,) float32, mean region score, or what the region head made of it; words are ranked by it.
        means: (N,) float32, mean region score.
        peaks: (N,) float32, largest region score: a higher text threshold keeps those whose peak reaches it.
        sides: (N,) float32, the shorter side of each box, network input pixels.
        text: (N,) float32, probability that the region head gives each; 1 where there is no head.
    """

    quads_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    means: NDArray[np.float32]
    peaks: NDArray[np.float32]
    sides: NDArray[np.float32]
    text: NDArray[np.float32]

    def at(self, thresholds: Thresholds) -> FoundWords:
        """The words that thresholds leave; their pair of levels must be the one that these were decoded at."""
        kept = self.peaks >= np.float32(thresholds.text_threshold)
        kept &= self.means >= np.float32(thresholds.least_score)
        kept &= self.sides >= np.float32(thresholds.least_side)
        kept &= self.text >= np.float32(thresholds.region_threshold)
        return FoundWords(*(getattr(self, field.name)[kept] for field in fields(self)))


def find_words(
    region: NDArray[np.float32],
    affinity: NDArray[np.float32],
    scale_xy: NDArray[np.float64],
    *,
    grid: Sequence[Thresholds],
    settings: DetectionSettings,
) -> dict[tuple[float, float], FoundWords]:
    """Decode one scene's maps at every pair of low and link thresholds in a grid.

    Args:
        region: (H, W) float32, region scores.
        affinity: (H, W) float32, affinity scores.
        scale_xy: (2,) source pixels per network input pixel.
        grid: thresholds.
        settings: for the pixel rule.

    Returns:
        The words by (low_text, link_threshold).
    """
    lowest = min(thresholds.text_threshold for thresholds in grid)
    found = {}
    for low, link in sorted({(thresholds.low_text, thresholds.link_threshold) for thresholds in grid}):
        words = decode_maps(region, affinity, text_threshold=lowest, low_text=low, link_threshold=link)
        quads_xy = to_pixels(words.quads, rule=settings.pixel_rule, scale_xy=scale_xy)
        peaks = words.components.peaks[words.component]
        sides, text = short_sides(words.quads), np.ones(len(quads_xy), dtype=np.float32)
        found[low, link] = FoundWords(quads_xy, words.scores, words.scores, peaks, sides, text)
    return found


def scene_scores(
    scene: Scene,
    found: dict[tuple[float, float], FoundWords],
    grid: Sequence[Thresholds],
    protocol: Protocol,
) -> list[ImageScore]:
    """Score one scene's words at every thresholds of a grid.

    Args:
        scene: with its labelled words.
        found: as `find_words` gives them for this grid.
        grid: thresholds.
        protocol: how to score.

    Returns:
        One score per thresholds, in order; those that leave the same words are scored once.
    """
    known: dict[tuple[float, float, bytes], ImageScore] = {}
    scores = []
    for at in grid:
        pair = (at.low_text, at.link_threshold)
        words = found[pair].at(at)
        key = (*pair, words.quads_xy.tobytes())
        if key not in known:
            known[key] = score_scene(scene, words.quads_xy, words.scores, protocol=protocol)
        scores.append(known[key])
    return scores
