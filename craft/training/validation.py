"""Scores the network on whole scenes with the detector's decoder and the official protocol."""

from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from craft.config import DetectionSettings
from craft.datasets.scene_source import read_scene_image
from craft.detection.detector import Detector
from craft.distributed.processes import Processes, gather_objects
from craft.errors import Problem
from craft.evaluation.image_score import ImageScore
from craft.evaluation.protocols import score_scene
from craft.evaluation.summary import Scores, summarise
from craft.models.inference import evaluation_mode
from craft.scene import Scene


def validate(
    model: Any,
    scenes: Sequence[Scene],
    settings: DetectionSettings,
    *,
    processes: Processes,
    unreadable: Callable[[str], None] | None = None,
) -> Scores:
    """Detect words in all scenes and score them; each process takes its share, and all get the same result.

    The network, in training or evaluation mode, is left in its mode. A scene whose image cannot be read is left out and
    `unreadable` is told of it; without that, it is an error. Raises ValueError if an image cannot be read, or none can.
    """
    own = scenes[processes.rank :: processes.world_size]
    progress = tqdm(own, desc="validate", leave=False, disable=not processes.writes)
    scored: list[ImageScore | None] = []
    with evaluation_mode(model):
        detector = Detector(model, settings, device=str(processes.device))
        for scene in progress:
            try:
                image = read_scene_image(scene)
            except Problem as problem:
                if unreadable is None:
                    raise problem.skippable() from None
                unreadable(str(problem))
                scored.append(None)
                continue
            found = detector.detect(image)
            scored.append(score_scene(scene, found.quads_xy, found.scores, protocol="icdar2015"))
    shares = gather_objects(scored, processes)
    in_order = [shares[index % processes.world_size][index // processes.world_size] for index in range(len(scenes))]
    readable = [score for score in in_order if score is not None]
    if scenes and not readable:
        raise ValueError("no image of the validation datasets can be read; check them with craft check")
    return summarise(readable)
