"""Find the decoding thresholds of a network that score best on a split, running the network once a scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from craft.config import DetectionSettings
from craft.detection.detector import Detector
from craft.detection.grid_jobs import GridJob, run_jobs
from craft.detection.score_maps import score_scenes
from craft.evaluation.image_score import ImageScore
from craft.evaluation.matching import Protocol
from craft.evaluation.sweep import Sweep, Thresholds, gather_sweep, threshold_grid
from craft.scene import Scene

GRID: dict[str, tuple[float, ...]] = {
    "text_threshold": (0.4, 0.5, 0.6, 0.7, 0.8),
    "low_text": (0.2, 0.3, 0.4, 0.5),
    "link_threshold": (0.2, 0.3, 0.4, 0.5, 0.6),
}
"""Values that are tried where none are given. What is not in it stays as the weights have it."""


def sweep_weights(
    weights: str | Path,
    scenes: Sequence[Scene],
    *,
    split: str,
    protocol: Protocol,
    device: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[float]] | None = None,
    workers: int = 1,
    maps: str | Path | None = None,
) -> Sweep:
    """Score a network at every combination of thresholds.

    The network runs once a scene; its maps are decoded once per pair of low and link thresholds, in half precision,
    which may move a word that lies on a threshold's edge.

    Args:
        weights: weights file, or the name of weights that ship.
        scenes: of the split, with their pictures.
        split: name of the scenes, for whoever reads the result.
        protocol: how to score.
        device: where the network runs.
        overrides: detection settings other than those that travel with the weights.
        grid: values to try by setting, in place of those of `GRID`: low_text, least_side and so on.
        workers: processes that decode and score beside the network.
        maps: folder where maps are kept for another sweep, see `score_scenes`; None keeps none.

    Returns:
        The scores at all thresholds, and the best by H-mean.

    Raises:
        ValueError: the weights cannot be read, a picture cannot, a setting is unknown, or the split is empty.
    """
    if not scenes:
        raise ValueError(f"{split} has no scenes; thresholds cannot be chosen on it")
    detector = Detector.from_weights(weights, device=device, **(overrides or {}))
    if getattr(detector.model, "region", None) is not None:
        raise ValueError(
            f"{weights}: has a region head, whose scores thresholds of the maps do not follow; sweep its result files"
        )
    combinations = _combinations(detector.settings, grid or {})
    folder = None if maps is None else Path(maps)
    jobs: Iterable[GridJob] = (
        GridJob(scene, one.maps, one.scale_xy) for scene, one in score_scenes(detector, scenes, folder=folder)
    )
    columns: list[list[ImageScore]] = [[] for _ in combinations]
    scored = run_jobs(jobs, grid=combinations, settings=detector.settings, protocol=protocol, workers=workers)
    for scores in scored:
        for column, score in zip(columns, scores, strict=True):
            column.append(score)
    return gather_sweep(combinations, columns, split, protocol)


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read values to try from the command line.

    Args:
        texts: "low_text=0.2,0.3" each.

    Returns:
        Values by setting.

    Raises:
        ValueError: a text is not of this form, or names no threshold.
    """
    grid = {}
    for text in texts:
        name, separator, values = text.partition("=")
        if not separator or name not in Thresholds.__dataclass_fields__:
            known = ", ".join(Thresholds.__dataclass_fields__)
            raise ValueError(f"--grid {text}: expected NAME=VALUE,VALUE with a name of {known}")
        try:
            grid[name] = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise ValueError(f"--grid {text}: {values!r} are not numbers; give such as {name}=0.2,0.3") from None
    return grid


def _combinations(settings: DetectionSettings, given: Mapping[str, Sequence[float]]) -> list[Thresholds]:
    values = {name: (getattr(settings, name),) for name in Thresholds.__dataclass_fields__} | GRID | dict(given)
    return threshold_grid(*(values[name] for name in Thresholds.__dataclass_fields__))
