"""Scores of a network at every combination of thresholds of a grid, and their file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from craft.atomic_files import open_atomic
from craft.evaluation.image_score import ImageScore, average_precision, harmonic_mean
from craft.evaluation.thresholds import Thresholds

MATCHED, DETECTIONS, WORDS = range(3)  # columns of GridScores.counts
DETECTION = np.dtype([("combination", np.int16), ("scene", np.int32), ("score", np.float32), ("hit", np.bool_)])


@dataclass(frozen=True, slots=True, eq=False)
class GridScores:
    """The scores of a dataset at G combinations of thresholds."""

    counts: NDArray[np.int32]  # (G, N, 3) for N scenes: matched words, counted detections, words
    detections: NDArray[np.void]  # (D,) DETECTION, all counted ones

    def totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Compute (G,) precision, recall and H-mean over all scenes, micro-averaged."""
        sums = self.counts.sum(axis=1).astype(np.float64)
        precision = sums[:, MATCHED] / np.maximum(sums[:, DETECTIONS], 1)
        recall = sums[:, MATCHED] / np.maximum(sums[:, WORDS], 1)
        hmean = np.array([harmonic_mean(*pair) for pair in zip(precision.tolist(), recall.tolist(), strict=True)])
        return precision, recall, hmean

    def average_precision(self, index: int) -> float:
        """Compute the average precision over all scenes at a combination; NaN without words."""
        num_words = int(self.counts[index, :, WORDS].sum())
        own = self.detections[self.detections["combination"] == index]
        return average_precision(own["score"].astype(np.float64), own["hit"], num_words) if num_words else math.nan

    def precision_at_recall(self, index: int, recall: float) -> float:
        """Compute the precision of the best-ranked detections that reach a recall; 0 where all do not, NaN without words."""
        num_words = int(self.counts[index, :, WORDS].sum())
        own = self.detections[self.detections["combination"] == index]
        hits = np.cumsum(own["hit"][np.argsort(-own["score"], kind="stable")])
        reached = np.flatnonzero(hits >= recall * num_words)
        return (float(hits[reached[0]] / (reached[0] + 1)) if len(reached) else 0.0) if num_words else math.nan

    def calibration_error(self, index: int) -> float:
        """Compute how far scores are from the share of hits, over 10 bins weighted by their detections; NaN without any.

        Source: Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
        """
        own = self.detections[self.detections["combination"] == index]
        bins = np.clip((10 * own["score"]).astype(int), 0, 9)
        excess = np.bincount(bins, weights=own["score"].astype(np.float64) - own["hit"], minlength=10)
        return float(np.abs(excess).sum() / len(own)) if len(own) else math.nan


def join_scores(columns: Sequence[Sequence[ImageScore]], *, num_scenes: int) -> GridScores:
    """Join the scores of scenes, one sequence per combination of thresholds."""
    counts = [[(score.truth_credit, score.num_detections, score.num_truth) for score in column] for column in columns]
    rows = [
        (combination, scene, value, hit)
        for combination, column in enumerate(columns)
        for scene, score in enumerate(column)
        if score.ranked_scores is not None and score.ranked_hits is not None
        for value, hit in zip(score.ranked_scores, score.ranked_hits, strict=True)
    ]
    return GridScores(
        np.array(counts, dtype=np.int32).reshape(len(columns), num_scenes, 3), np.array(rows, dtype=DETECTION)
    )


def concatenate_scores(parts: Sequence[GridScores]) -> GridScores:
    """Join the scores of datasets, whose scenes follow each other."""
    starts = np.cumsum([0, *(part.counts.shape[1] for part in parts[:-1])])
    detections = [part.detections.copy() for part in parts]
    for own, start in zip(detections, starts, strict=True):
        own["scene"] += np.int32(start)
    return GridScores(np.concatenate([part.counts for part in parts], axis=1), np.concatenate(detections))


def without_text_threshold(grid: Sequence[Thresholds], index: int) -> int:
    """Return the index of the combination with the lowest text threshold and everything else as at this index."""
    alike = [
        (at.text_threshold, number)
        for number, at in enumerate(grid)
        if replace(at, text_threshold=grid[index].text_threshold) == grid[index]
    ]
    return min(alike)[1]


def write_scores(path: Path, scores: dict[str, GridScores]) -> None:
    """Write scores by name as an .npz file."""
    arrays: dict[str, NDArray] = {}
    for name, of_dataset in scores.items():
        arrays[f"{name}/counts"], arrays[f"{name}/detections"] = of_dataset.counts, of_dataset.detections
    with open_atomic(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_scores(path: Path) -> dict[str, GridScores]:
    """Read what `write_scores` wrote."""
    with np.load(path) as arrays:
        names = dict.fromkeys(key.rpartition("/")[0] for key in arrays.files)
        return {name: GridScores(arrays[f"{name}/counts"], arrays[f"{name}/detections"]) for name in names}
