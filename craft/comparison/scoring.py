"""Score a network on scenes at many thresholds at once: the network runs once a scene, decoding once a pair of levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.config import DetectionSettings
from craft.detection.decode import decode_maps, to_pixels
from craft.detection.detector import Detector
from craft.evaluation.image_score import ImageScore, average_precision, harmonic_mean
from craft.evaluation.matching import Protocol, score_scene
from craft.evaluation.sweep import Thresholds
from craft.scene import Scene

MATCHED, DETECTIONS, WORDS = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class FoundWords:
    """Words of one scene at one pair of low and link thresholds, at the lowest text threshold.

    Attributes:
        quads_xy: (N, 4, 2) float32, source image pixels.
        scores: (N,) float32, mean region score.
        peaks: (N,) float32, largest region score: a higher text threshold keeps those whose peak reaches it.
    """

    quads_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    peaks: NDArray[np.float32]

    def at(self, text_threshold: float) -> FoundWords:
        """The words that a text threshold leaves."""
        kept = self.peaks >= np.float32(text_threshold)
        return FoundWords(self.quads_xy[kept], self.scores[kept], self.peaks[kept])


@dataclass(frozen=True, slots=True, eq=False)
class GridScores:
    """The score of a set at every thresholds of a grid.

    Attributes:
        counts: (G, N, 3) int32 per thresholds and scene: words matched, detections counted, words.
        average_precision: (G,) float64.
    """

    counts: NDArray[np.int32]
    average_precision: NDArray[np.float64]

    def totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(G,) precision, recall and H-mean over all scenes, as the official scripts add them up."""
        sums = self.counts.sum(axis=1).astype(np.float64)
        precision = sums[:, MATCHED] / np.maximum(sums[:, DETECTIONS], 1)
        recall = sums[:, MATCHED] / np.maximum(sums[:, WORDS], 1)
        hmean = np.array([harmonic_mean(*pair) for pair in zip(precision.tolist(), recall.tolist(), strict=True)])
        return precision, recall, hmean


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
        found[low, link] = FoundWords(quads_xy, words.scores, words.components.peaks[words.component])
    return found


def score_set(
    detector: Detector, scenes: Sequence[Scene], *, grid: Sequence[Thresholds], protocol: Protocol, name: str
) -> GridScores:
    """Score a network on a set at every thresholds of a grid.

    Args:
        detector: the network; its own thresholds are not used.
        scenes: the set; none is normal.
        grid: thresholds.
        protocol: how to score.
        name: what the progress bar calls the set.

    Returns:
        The scores.
    """
    columns: list[list[ImageScore]] = [[] for _ in grid]
    for scene in tqdm(scenes, desc=f"score {name}", leave=False):
        region, affinity, scale_xy = detector.score_maps(scene.image_path)
        found = find_words(region, affinity, scale_xy, grid=grid, settings=detector.settings)
        for column, score in zip(columns, _scene_scores(scene, found, grid, protocol), strict=True):
            column.append(score)
    counts = np.array(
        [[(one.truth_credit, one.num_detections, one.num_truth) for one in column] for column in columns],
        dtype=np.int32,
    ).reshape(len(grid), len(scenes), 3)
    return GridScores(counts, np.array([_set_average_precision(column) for column in columns]))


def write_scores(path: Path, scores: dict[str, GridScores]) -> None:
    """Write the scores of several sets.

    Args:
        path: .npz file.
        scores: by the sets' names.
    """
    arrays: dict[str, NDArray] = {}
    for name, one in scores.items():
        arrays[f"{name}/counts"] = one.counts
        arrays[f"{name}/average_precision"] = one.average_precision
    with open(path, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_scores(path: Path) -> dict[str, GridScores]:
    """Read what `write_scores` wrote."""
    with np.load(path) as arrays:
        names = dict.fromkeys(key.rpartition("/")[0] for key in arrays.files)
        return {name: GridScores(arrays[f"{name}/counts"], arrays[f"{name}/average_precision"]) for name in names}


def _scene_scores(
    scene: Scene, found: dict[tuple[float, float], FoundWords], grid: Sequence[Thresholds], protocol: Protocol
) -> Iterable[ImageScore]:
    """One score per thresholds; those that leave the same words are scored once."""
    known: dict[tuple[float, float, int], ImageScore] = {}
    for thresholds in grid:
        pair = (thresholds.low_text, thresholds.link_threshold)
        words = found[pair].at(thresholds.text_threshold)
        key = (*pair, len(words.scores))  # a higher text threshold leaves a subset: as many words are the same words
        if key not in known:
            known[key] = score_scene(scene, words.quads_xy, words.scores, protocol=protocol)
        yield known[key]


def _set_average_precision(column: Sequence[ImageScore]) -> float:
    ranked = [(one.ranked_scores, one.ranked_hits) for one in column]
    scores = [first for first, _ in ranked if first is not None]
    hits = [second for _, second in ranked if second is not None]
    num_truth = sum(one.num_truth for one in column)
    if not scores or num_truth == 0:
        return float("nan")
    return average_precision(np.concatenate(scores), np.concatenate(hits), num_truth)
