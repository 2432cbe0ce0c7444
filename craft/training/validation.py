"""Scores the network on whole scenes with the detector's decoder and the official protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from craft.config import DetectionSettings
from craft.datasets.scene_source import read_scene_image
from craft.detection.detector import Detector
from craft.distributed.processes import Processes, gather_objects
from craft.evaluation.image_score import ImageScore
from craft.evaluation.protocols import score_scene
from craft.evaluation.summary import Scores, summarise
from craft.models.inference import evaluation_mode
from craft.scene import Scene


def validate(model: Any, scenes: Sequence[Scene], settings: DetectionSettings, *, processes: Processes) -> Scores:
    """Detect words in all scenes and score them; each process takes its share, and all get the same result.

    The network, in training or evaluation mode, is left in its mode.
    """
    own = scenes[processes.rank :: processes.world_size]
    progress = tqdm(own, desc="validate", leave=False, disable=not processes.writes)
    scored: list[ImageScore] = []
    with evaluation_mode(model):
        detector = Detector(model, settings, device=str(processes.device))
        for scene in progress:
            found = detector.detect(read_scene_image(scene))
            scored.append(score_scene(scene, found.quads_xy, found.scores, protocol="icdar2015"))
    shares = gather_objects(scored, processes)
    in_order = [shares[index % processes.world_size][index // processes.world_size] for index in range(len(scenes))]
    return summarise(in_order)
