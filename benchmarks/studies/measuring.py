"""Detect in labelled scenes and score: what tables of results, and tests of a change to weights, are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.config import DetectionSettings, Protocol
from craft.decode.detections import Detections
from craft.decode.words import words_from_maps
from craft.detection.detector import Detector
from craft.detection.map_cache import half_maps
from craft.evaluation.bootstrap import Interval, Metric, bootstrap_interval
from craft.evaluation.image_score import ImageScore, score_matches
from craft.evaluation.protocols import score_scene
from craft.scene import Scene
from craft.studies.scores import DETECTIONS, MATCHED, WORDS

_METRICS: tuple[Metric, ...] = ("precision", "recall", "hmean")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a detector did on a set.

    Attributes:
        found: the words of each scene.
        image_scores: each scene's score, corners rounded as in result files.
    """

    found: tuple[Detections, ...]
    image_scores: tuple[ImageScore, ...]


def measure(
    detector: Detector,
    scenes: Sequence[Scene],
    *,
    protocol: Protocol,
    name: str = "measure",
    maps: Path | None = None,
) -> Measured:
    """Detect in every scene, with the detector's sizes and thresholds, and score.

    Args:
        detector: what detects.
        scenes: with their pictures.
        protocol: how to score.
        name: what the progress bar says.
        maps: folder that keeps score maps, in half precision, for other thresholds; not with a region head.

    Returns:
        Words and scores.

    Raises:
        ValueError: there are no scenes, or a picture cannot be read.
    """
    if not scenes:
        raise ValueError("no scenes to measure on; check the set's path and numbers")
    if maps is None:
        found = [detector.detect(scene.image_path) for scene in tqdm(scenes, desc=name, unit="scene")]
    else:
        assert not detector.has_region_head
        found = [
            words_from_maps(*kept.maps.astype(np.float32), kept.scale_xy, settings=detector.settings)
            for _scene, kept in half_maps(detector, scenes, folder=maps)
        ]
    scores = [
        score_scene(scene, words.quads_xy, words.scores, protocol=protocol)
        for scene, words in zip(scenes, found, strict=True)
    ]
    return Measured(tuple(found), tuple(scores))


def scores_from_counts(counts: NDArray[np.integer]) -> list[ImageScore]:
    """Turn the counts (N, 3) of N scenes, as in `GridScores`, into scores; counts of several seeds may be added up."""
    scores = []
    for row in counts.tolist():
        matched, words, detections = float(row[MATCHED]), np.zeros(row[WORDS], bool), np.zeros(row[DETECTIONS], bool)
        scores.append(
            score_matches((), truth_credit=matched, detection_credit=matched, dont_care=words, ignored=detections)
        )
    return scores


def intervals(image_scores: Sequence[ImageScore], *, seed: int = 0) -> dict[Metric, Interval]:
    """Precision, recall and H-mean, each with a 95 % bootstrap interval over scenes.

    Args:
        image_scores: one per scene.
        seed: of the draws.

    Returns:
        The intervals by name.
    """
    return {
        metric: bootstrap_interval(image_scores, generator=np.random.default_rng(seed), metric=metric)
        for metric in _METRICS
    }


def describe_settings(settings: DetectionSettings) -> tuple[str, str]:
    """Say at what size a network saw pictures, and with what thresholds its maps were decoded.

    Args:
        settings: of the detector.

    Returns:
        "long side 2240", and "text 0.5, low 0.4, link 0.2"; least score and side are named where they drop words.
    """
    sizes = {
        "auto": f"x {settings.magnify:g}, long side at most {settings.canvas}, by content",
        "original": f"x {settings.magnify:g}, long side at most {settings.canvas}",
        "long_side": f"long side {settings.long_side}",
        "scale": f"x {settings.magnify:g}",
    }
    parts = [f"text {settings.text_threshold:g}, low {settings.low_text:g}, link {settings.link_threshold:g}"]
    parts += [f"least score {settings.least_score:g}"] * (settings.least_score > 0)
    parts += [f"least side {settings.least_side:g}"] * (settings.least_side > 0)
    return sizes[settings.sizing], ", ".join(parts)
