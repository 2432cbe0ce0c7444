"""Find the decoding thresholds of a network that score best on a split, running the network once a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from craft.detection.detector import Detector, words_from_maps
from craft.evaluation.matching import Protocol
from craft.evaluation.sweep import Sweep, Thresholds, sweep_thresholds, threshold_grid
from craft.scene import Detections, Scene

TEXT_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)
LOW_TEXTS = (0.2, 0.3, 0.4, 0.5)
LINK_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def sweep_weights(
    weights: str | Path,
    scenes: Sequence[Scene],
    *,
    split: str,
    protocol: Protocol,
    device: str = "auto",
    overrides: dict[str, Any] | None = None,
) -> Sweep:
    """Score a network at every combination of TEXT_THRESHOLDS, LOW_TEXTS and LINK_THRESHOLDS.

    Args:
        weights: weights file.
        scenes: of the split, with their pictures.
        split: name of the scenes, for whoever reads the result.
        protocol: how to score.
        device: where the network runs.
        overrides: detection settings other than those that travel with the weights.

    Returns:
        The scores at all thresholds, and the best by H-mean.

    Raises:
        ValueError: the weights cannot be read, a picture cannot, or a setting is unknown.
    """
    detector = Detector.from_weights(weights, device=device, **(overrides or {}))

    def decode(scene: Scene, grid: Sequence[Thresholds]) -> list[Detections]:
        region, affinity, scale_xy = detector.score_maps(scene.image_path)
        settings = [detector.settings.model_copy(update=asdict(thresholds)) for thresholds in grid]
        return [words_from_maps(region, affinity, scale_xy, settings=one) for one in settings]

    grid = threshold_grid(TEXT_THRESHOLDS, LOW_TEXTS, LINK_THRESHOLDS)
    return sweep_thresholds(tqdm(scenes, desc="sweep"), decode, grid=grid, split=split, protocol=protocol)
