"""Scores of a network calibrated on labelled scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from craft.config import Protocol
from craft.detection.detector import Detector
from craft.evaluation.calibration import Calibration, calibrate, calibration_error, fit_calibration, format_reliability
from craft.evaluation.protocols import score_scene
from craft.scene import Scene


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """The calibration of a network, and what to say about it."""

    calibration: Calibration
    report: str


def calibrate_weights(
    weights: str | Path,
    scenes: Sequence[Scene],
    *,
    split: str,
    protocol: Protocol,
    device: str = "auto",
    overrides: Mapping[str, Any] | None = None,
) -> CalibrationResult:
    """Fit a calibration to the words that a network finds; detections in don't-care words do not count.

    The scenes, called `split`, should not have been trained on; `protocol` says which detections are right; `overrides`
    are detection settings that replace those of the weights. Raises ValueError if weights or an image cannot be read, or
    the detections cannot calibrate scores.
    """
    detector = Detector.from_weights(weights, device=device, **(overrides or {}))
    raw, hits = [np.zeros(0)], [np.zeros(0, bool)]
    for scene in tqdm(scenes, desc="calibrate", unit="scene"):
        found = detector.detect(scene.image_path)
        score = score_scene(scene, found.quads_xy, found.raw_scores, protocol=protocol)
        if score.ranked_scores is not None and score.ranked_hits is not None:
            raw.append(score.ranked_scores)
            hits.append(score.ranked_hits)
    scores, right = np.concatenate(raw), np.concatenate(hits)
    calibration = fit_calibration(scores, right)
    fitted = calibrate(scores.astype(np.float32), calibration)
    report = (
        f"fitted on {split}: {len(scores)} detections, {int(right.sum())} right, protocol {protocol}\n"
        f"{format_reliability(fitted, right)}\n"
        f"calibration error {calibration_error(scores, right):.3f} before, {calibration_error(fitted, right):.3f} after"
    )
    return CalibrationResult(calibration, report)
