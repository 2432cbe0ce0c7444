"""Search for the thresholds at which a network scores best: it runs once per scene, whatever the number of combinations."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from craft.config import DetectionSettings, Protocol
from craft.detection.detector import Detector
from craft.detection.map_cache import half_maps
from craft.detection.scene_grid import FoundWords, decode_and_score, find_words, score_words
from craft.detection.scored_image import ScoredImage
from craft.evaluation.image_score import ImageScore
from craft.evaluation.thresholds import Thresholds, ThresholdSearch, choose_best, threshold_grid
from craft.scene import Scene

GRID: dict[str, tuple[float, ...]] = {
    "text_threshold": (0.5, 0.6, 0.7, 0.8, 0.85),
    "low_text": (0.2, 0.3, 0.4, 0.5),
    "link_threshold": (0.2, 0.3, 0.4, 0.5, 0.6),
}
"""Values that are tried unless others are given. Other thresholds stay as they are in the weights."""
_NAMES = tuple(field.name for field in fields(Thresholds))
_AHEAD = 3  # jobs handed out per process, so that processes never wait for the network

Job = Callable[[], list[ImageScore]]
"""Scores one scene at every combination. Runs in a process without torch, so it is a partial of a torch-free function."""


def search_thresholds(
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
) -> ThresholdSearch:
    """Score weights at every combination of thresholds, and choose the best by H-mean.

    Without a region head, score maps are rounded to half precision, which may move a word that lies on a threshold's
    edge. With one, the head judges the words of every pair of low and link thresholds, at full precision. Raises
    ValueError if weights or an image cannot be read, a setting is unknown, the split is empty, or maps are to be kept
    of weights with a region head, which needs the network's features too.

    Args:
        split: name of the scenes.
        overrides: detection settings that replace those of the weights.
        grid: values by detection setting that replace those of `GRID`.
        workers: processes that score beside the network; they also decode if there is no region head.
        maps: folder that keeps score maps for another search, see `half_maps`.
    """
    if not scenes:
        raise ValueError(f"{split} has no scenes; thresholds cannot be chosen on it")
    detector = Detector.from_weights(weights, device=device, **(overrides or {}))
    tried = _combinations(detector.settings, grid or {})
    if detector.has_region_head:
        if maps is not None:
            raise ValueError(
                f"{weights}: has a region head, which needs more than the maps kept in {maps}; drop --maps"
            )
        shown = tqdm(scenes, desc="score", unit="scene")
        columns = score_thresholds(detector, shown, grid=tried, protocol=protocol, workers=workers)
    else:
        score = partial(decode_and_score, grid=tried, settings=detector.settings, protocol=protocol)
        scored = half_maps(detector, scenes, folder=None if maps is None else Path(maps))
        jobs = (partial(score, scene, kept.maps, kept.scale_xy) for scene, kept in scored)
        columns = _run(jobs, num_combinations=len(tried), workers=workers)
    return choose_best(tried, columns, split, protocol)


def score_thresholds(
    detector: Detector, scenes: Iterable[Scene], *, grid: Sequence[Thresholds], protocol: Protocol, workers: int = 1
) -> list[list[ImageScore]]:
    """Score a network at every combination of thresholds, at full precision, with its region head if it has one.

    Gives one list per combination, with a score per scene. `workers` processes score; the detector as in `words_by_levels`.
    """
    score = partial(score_words, grid=tuple(grid), protocol=protocol)
    jobs = (
        partial(score, scene, words_by_levels(detector, detector.score(scene.image_path), grid=grid))
        for scene in scenes
    )
    return _run(jobs, num_combinations=len(grid), workers=workers)


def words_by_levels(
    detector: Detector, scored: ScoredImage, *, grid: Sequence[Thresholds]
) -> dict[tuple[float, float], FoundWords]:
    """Decode one scene at every pair of low and link thresholds, and let the region head judge if there is one.

    Gives the words by (low_text, link_threshold), with scores and boxes as `Detector.detect` gives them. The detector's
    own thresholds are not used, but `region_weight` and `region_refine` are.
    """
    found = find_words(scored.region, scored.affinity, scored.scale_xy, grid=grid, settings=detector.settings)
    for levels, words in found.items():
        judged = detector.judge(scored, words.quads_xy, words.scores)
        if judged is not None:
            found[levels] = replace(words, quads_xy=judged.quads_xy, scores=judged.scores, text=judged.text)
    return found


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read values to try from the command line: "low_text=0.2,0.3" each.

    Raises ValueError if a text is not of this form, or does not name a threshold.
    """
    grid = {}
    for text in texts:
        name, separator, values = text.partition("=")
        if not separator or name not in _NAMES:
            raise ValueError(f"--grid {text}: expected NAME=VALUE,VALUE with one of the names {', '.join(_NAMES)}")
        try:
            grid[name] = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise ValueError(f"--grid {text}: {values!r} are not numbers; give such as {name}=0.2,0.3") from None
    return grid


def _combinations(settings: DetectionSettings, given: Mapping[str, Sequence[float]]) -> list[Thresholds]:
    values = {name: (getattr(settings, name),) for name in _NAMES} | GRID | dict(given)
    return threshold_grid(*(values[name] for name in _NAMES))


def _run(jobs: Iterable[Job], *, num_combinations: int, workers: int) -> list[list[ImageScore]]:
    """Run jobs in order, in this process or in several; return one list of scores per combination."""
    columns: list[list[ImageScore]] = [[] for _ in range(num_combinations)]
    for scores in _results(jobs, workers):
        for column, score in zip(columns, scores, strict=True):
            column.append(score)
    return columns


def _results(jobs: Iterable[Job], workers: int) -> Iterator[list[ImageScore]]:
    """Results in the order of the jobs, which are taken as needed, so that the network runs meanwhile."""
    if workers < 1:
        raise ValueError(f"workers is {workers}; give 1 or more processes")
    if workers == 1:
        for job in jobs:
            yield job()
        return
    waiting: deque[Future[list[ImageScore]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
