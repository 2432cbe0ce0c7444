"""Score a network on scenes at many thresholds at once: the network runs once a scene, decoding once a pair of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.detection.detector import Detector, ScoredPicture
from craft.detection.scene_grid import FoundWords, find_words, scene_scores
from craft.evaluation.image_score import ImageScore, average_precision, harmonic_mean
from craft.evaluation.matching import Protocol
from craft.evaluation.sweep import Thresholds
from craft.scene import Scene

MATCHED, DETECTIONS, WORDS = range(3)


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


def find_words_of(
    detector: Detector, scored: ScoredPicture, *, grid: Sequence[Thresholds]
) -> dict[tuple[float, float], FoundWords]:
    """Decode one scene at every pair of low and link thresholds, and let the region head judge where there is one.

    Args:
        detector: the network; its own thresholds are not used, but `region_weight` and `region_refine` are.
        scored: the scene, from `Detector.score`.
        grid: thresholds.

    Returns:
        The words by (low_text, link_threshold), with the head's scores and boxes, as `detect` gives them.
    """
    found = find_words(scored.region, scored.affinity, scored.scale_xy, grid=grid, settings=detector.settings)
    for pair, words in found.items():
        judged = detector.judge(scored, words.quads_xy, words.scores)
        if judged is not None:
            found[pair] = replace(words, quads_xy=judged.quads_xy, scores=judged.scores, text=judged.text)
    return found


def score_set(
    detector: Detector, scenes: Sequence[Scene], *, grid: Sequence[Thresholds], protocol: Protocol, name: str
) -> GridScores:
    """Score a network on a set at every thresholds of a grid.

    Args:
        detector: the network, as in `find_words_of`.
        scenes: the set; none is normal.
        grid: thresholds.
        protocol: how to score.
        name: what the progress bar calls the set.

    Returns:
        The scores.
    """
    columns: list[list[ImageScore]] = [[] for _ in grid]
    for scene in tqdm(scenes, desc=f"score {name}", leave=False):
        found = find_words_of(detector, detector.score(scene.image_path), grid=grid)
        for column, score in zip(columns, scene_scores(scene, found, grid, protocol), strict=True):
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


def _set_average_precision(column: Sequence[ImageScore]) -> float:
    ranked = [(one.ranked_scores, one.ranked_hits) for one in column]
    scores = [first for first, _ in ranked if first is not None]
    hits = [second for _, second in ranked if second is not None]
    num_truth = sum(one.num_truth for one in column)
    if not scores or num_truth == 0:
        return float("nan")
    return average_precision(np.concatenate(scores), np.concatenate(hits), num_truth)
