"""Decodes and scores scenes at a grid of thresholds in processes of their own. No torch, so that these start at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings
from craft.detection.scene_grid import find_words, scene_scores
from craft.evaluation.image_score import ImageScore
from craft.evaluation.matching import Protocol
from craft.evaluation.sweep import Thresholds
from craft.scene import Scene

_AHEAD = 3  # scenes handed out per process, so that maps wait for processes and not the other way round


@dataclass(frozen=True, slots=True, eq=False)
class GridJob:
    """One scene to score.

    Attributes:
        scene: with its labelled words.
        maps: (2, H, W) float16, region and affinity scores.
        scale_xy: (2,) float64, source pixels per network input pixel.
    """

    scene: Scene
    maps: NDArray[np.float16]
    scale_xy: NDArray[np.float64]


def run_jobs(
    jobs: Iterable[GridJob],
    *,
    grid: Sequence[Thresholds],
    settings: DetectionSettings,
    protocol: Protocol,
    workers: int,
) -> Iterator[list[ImageScore]]:
    """Score scenes at every thresholds of a grid.

    Args:
        jobs: the scenes; taken as they are needed, so that the network may run meanwhile.
        grid: thresholds.
        settings: for the pixel rule.
        protocol: how to score.
        workers: processes; 1 scores in this one. The scores do not depend on it.

    Yields:
        Per scene, in order, one score per thresholds.

    Raises:
        ValueError: `workers` is not positive.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; give 1 or more processes")
    grid = tuple(grid)
    if workers == 1:
        for job in jobs:
            yield _score(job, grid, settings, protocol)
        return
    waiting: deque[Future[list[ImageScore]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for job in jobs:
            waiting.append(pool.submit(_score, job, grid, settings, protocol))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _score(
    job: GridJob, grid: Sequence[Thresholds], settings: DetectionSettings, protocol: Protocol
) -> list[ImageScore]:
    region, affinity = job.maps.astype(np.float32)
    found = find_words(region, affinity, job.scale_xy, grid=grid, settings=settings)
    return scene_scores(job.scene, found, grid, protocol)
