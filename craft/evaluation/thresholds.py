"""Thresholds to search, and the best of them on a named split. Detections come from outside: no network is run here."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.config import Protocol
from craft.evaluation.evaluate import read_paired
from craft.evaluation.image_score import ImageScore
from craft.evaluation.protocols import PROTOCOLS, score_polygons
from craft.evaluation.summary import Scores, summarise
from craft.scene import Scene


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds between score maps and words, named and measured like the detection settings."""

    text_threshold: float
    low_text: float
    link_threshold: float
    least_score: float = 0.0
    least_side: float = 0.0
    region_threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class ScoreThreshold:
    """A threshold on detections that are already made: those with a lower score are left out."""

    least_score: float


@dataclass(frozen=True, slots=True)
class SearchRow:
    """The score of a split at one combination of thresholds."""

    thresholds: Thresholds | ScoreThreshold
    scores: Scores

    def as_dict(self) -> dict[str, Any]:
        """Thresholds and scores by name."""
        return {**asdict(self.thresholds), **asdict(self.scores)}


@dataclass(frozen=True, slots=True)
class ThresholdSearch:
    """The scores at all combinations that were tried."""

    split: str  # the scenes on which the best was chosen, as a person would name them
    protocol: Protocol
    rows: tuple[SearchRow, ...]  # one per combination, in the order of trying
    best: SearchRow  # the row with the highest H-mean, the first of equals


def threshold_grid(
    text_thresholds: Iterable[float],
    low_texts: Iterable[float],
    link_thresholds: Iterable[float],
    least_scores: Iterable[float] = (0.0,),
    least_sides: Iterable[float] = (0.0,),
    region_thresholds: Iterable[float] = (0.0,),
) -> list[Thresholds]:
    """Combine all values, leaving out `low_text` above `text_threshold`: there every word's peak passes anyway.

    Raises ValueError if a value is out of range, or no combination is left.
    """
    values = product(text_thresholds, low_texts, link_thresholds, least_scores, least_sides, region_thresholds)
    grid = [Thresholds(*combination) for combination in values]
    for thresholds in grid:
        for name, value in asdict(thresholds).items():
            if name == "least_side" and not value >= 0:
                raise ValueError(f"least_side {value} is negative; give a length in network input pixels")
            if name != "least_side" and not 0 <= value <= 1:
                raise ValueError(f"threshold {value} is not between 0 and 1")
    kept = [thresholds for thresholds in grid if thresholds.low_text <= thresholds.text_threshold]
    if not kept:
        raise ValueError(f"none of {len(grid)} combinations has low_text up to text_threshold; give lower low_texts")
    return kept


def search_scores(
    scenes: Sequence[Scene], detections: str | Path, *, split: str, protocol: Protocol, num_thresholds: int = 20
) -> ThresholdSearch:
    """Score a detector's result files with more and more of the detections left out, those of lowest score first.

    Detections are a folder or .zip of result files with scores, of which `num_thresholds` quantiles are tried.

    Raises ValueError if the files cannot be read or hold no scores, or the split is empty or has no name.
    """
    paired, _ = read_paired(scenes, detections, protocol=protocol)
    known = [file.scores for file in paired if file.scores is not None and len(file.scores)]
    if not known:
        raise ValueError(f"{detections}: holds no scores to search; write a score after the corners of each detection")
    values = np.unique(np.quantile(np.concatenate(known), np.linspace(0, 1, num_thresholds), method="lower"))
    tried = [ScoreThreshold(float(value)) for value in values]
    columns: list[list[ImageScore]] = [[] for _ in tried]
    for scene, file in zip(scenes, paired, strict=True):
        scores = np.zeros(0) if file.scores is None else file.scores
        for column, threshold in zip(columns, tried, strict=True):
            kept: NDArray[np.intp] = np.flatnonzero(scores >= threshold.least_score)
            polygons = [file.polygons_xy[index] for index in kept]
            column.append(score_polygons(scene, polygons, scores[kept], protocol=protocol))
    return choose_best(tried, columns, split, protocol)


def choose_best(
    tried: Sequence[Thresholds | ScoreThreshold],
    columns: Sequence[Sequence[ImageScore]],
    split: str,
    protocol: Protocol,
) -> ThresholdSearch:
    """Choose the best combination by H-mean over its scores, one per image of the split.

    Raises ValueError if the split is empty or has no name.
    """
    if not split.strip():
        raise ValueError("the split has no name; say which scenes the thresholds are chosen on")
    if not columns[0]:
        raise ValueError(f"{split} has no scenes; thresholds cannot be chosen on it")
    rows = tuple(SearchRow(thresholds, summarise(column)) for thresholds, column in zip(tried, columns, strict=True))
    return ThresholdSearch(split, protocol, rows, max(rows, key=lambda row: row.scores.hmean))


def format_search(search: ThresholdSearch, *, num_rows: int = 10) -> str:
    """Lay out the best rows for people, with the scenes that they were chosen on."""
    optional = ("least_score", "least_side", "region_threshold")  # columns of one value say nothing
    used = [asdict(row.thresholds) for row in search.rows]
    names = [name for name in used[0] if name not in optional or len({values[name] for values in used}) > 1]
    lines = [
        f"thresholds chosen on {search.split} ({search.best.scores.num_images} images, {search.best.scores.num_truth} "
        f"words), protocol {search.protocol} ({PROTOCOLS[search.protocol]})",
        "".join(f"{name:<18}" for name in names) + "precision  recall  H-mean",
    ]
    ranked = sorted(search.rows, key=lambda row: -row.scores.hmean)
    for row in ranked[:num_rows]:
        values = "".join(f"{asdict(row.thresholds)[name]:<18.4g}" for name in names)
        lines.append(f"{values}{row.scores.precision:<9.4f}  {row.scores.recall:.4f}  {row.scores.hmean:.4f}")
    if len(ranked) > num_rows:
        lines.append(f"and {len(ranked) - num_rows} more combinations below these")
    lines.append(f"scores at these thresholds on {search.split} are optimistic, since the thresholds were chosen there")
    return "\n".join(lines)


def search_as_dict(search: ThresholdSearch) -> dict[str, Any]:
    """The search as plain values for JSON."""
    rows = [row.as_dict() for row in search.rows]
    return {"chosen_on": search.split, "protocol": search.protocol, "best": search.best.as_dict(), "rows": rows}
