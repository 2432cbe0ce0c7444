"""Scores of a network at every combination of thresholds of a grid, and their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from craft.atomic_files import open_atomic
from craft.evaluation.image_score import ImageScore, harmonic_mean
from craft.evaluation.precision_recall import dataset_average_precision

MATCHED, DETECTIONS, WORDS = range(3)  # columns of GridScores.counts


@dataclass(frozen=True, slots=True, eq=False)
class GridScores:
    """The scores of a dataset at G combinations of thresholds.

    Attributes:
        counts: (G, N, 3) int32 for N scenes: matched words, counted detections, words.
        average_precision: (G,) float64; NaN without words or without scores of detections.
    """

    counts: NDArray[np.int32]
    average_precision: NDArray[np.float64]

    def totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Compute (G,) precision, recall and H-mean over all scenes, micro-averaged."""
        sums = self.counts.sum(axis=1).astype(np.float64)
        precision = sums[:, MATCHED] / np.maximum(sums[:, DETECTIONS], 1)
        recall = sums[:, MATCHED] / np.maximum(sums[:, WORDS], 1)
        hmean = np.array([harmonic_mean(*pair) for pair in zip(precision.tolist(), recall.tolist(), strict=True)])
        return precision, recall, hmean


def join_scores(columns: Sequence[Sequence[ImageScore]], *, num_scenes: int) -> GridScores:
    """Join the scores of scenes, one sequence per combination of thresholds."""
    counts = [[(score.truth_credit, score.num_detections, score.num_truth) for score in column] for column in columns]
    return GridScores(
        np.array(counts, dtype=np.int32).reshape(len(columns), num_scenes, 3),
        np.array([_average_precision(column) for column in columns]),
    )


def write_scores(path: Path, scores: dict[str, GridScores]) -> None:
    """Write scores by name as an .npz file."""
    arrays: dict[str, NDArray] = {}
    for name, of_dataset in scores.items():
        arrays[f"{name}/counts"] = of_dataset.counts
        arrays[f"{name}/average_precision"] = of_dataset.average_precision
    with open_atomic(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_scores(path: Path) -> dict[str, GridScores]:
    """Read what `write_scores` wrote."""
    with np.load(path) as arrays:
        names = dict.fromkeys(key.rpartition("/")[0] for key in arrays.files)
        return {name: GridScores(arrays[f"{name}/counts"], arrays[f"{name}/average_precision"]) for name in names}


def _average_precision(column: Sequence[ImageScore]) -> float:
    found = dataset_average_precision(column)
    return float("nan") if found is None or not any(score.num_truth for score in column) else found
