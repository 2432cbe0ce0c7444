"""Score a network on scenes at many thresholds at once: the network runs once a scene, decoding once a pair of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.config import Protocol
from craft.detection.detector import Detector
from craft.detection.threshold_search import score_thresholds
from craft.evaluation.image_score import ImageScore, harmonic_mean
from craft.evaluation.precision_recall import dataset_average_precision
from craft.evaluation.thresholds import Thresholds
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


def score_set(
    detector: Detector, scenes: Sequence[Scene], *, grid: Sequence[Thresholds], protocol: Protocol, name: str
) -> GridScores:
    """Score a network on a set at every thresholds of a grid.

    Args:
        detector: the network, as in `score_thresholds`.
        scenes: the set; none is normal.
        grid: thresholds.
        protocol: how to score.
        name: what the progress bar calls the set.

    Returns:
        The scores.
    """
    shown = tqdm(scenes, desc=f"score {name}", leave=False)
    columns = score_thresholds(detector, shown, grid=grid, protocol=protocol)
    counts = np.array(
        [[(one.truth_credit, one.num_detections, one.num_truth) for one in column] for column in columns],
        dtype=np.int32,
    ).reshape(len(grid), len(scenes), 3)
    return GridScores(counts, np.array([_average_precision(column) for column in columns]))


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


def _average_precision(column: Sequence[ImageScore]) -> float:
    """Average precision of a dataset; NaN if it has no words or its detections no scores."""
    found = dataset_average_precision(column)
    return float("nan") if found is None or not any(one.num_truth for one in column) else found
