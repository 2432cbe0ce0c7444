"""Find the thresholds that score best on a named split. No torch: whoever calls brings the decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.evaluation.image_score import ImageScore
from craft.evaluation.matching import PROTOCOLS, Protocol, read_paired, score_polygons, score_scene
from craft.evaluation.summary import Scores, scores_as_dict, summarise
from craft.scene import Detections, Scene


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What turns score maps into words; the names are those of the detection settings.

    Attributes:
        text_threshold: least peak region score of a word, 0 to 1.
        low_text: region score above which a pixel belongs to a word, 0 to 1.
        link_threshold: affinity score above which a pixel links characters, 0 to 1.
        least_score: least mean region score of a word, 0 to 1.
        least_side: least length of the shorter side of a word's box, network input pixels.
        region_threshold: least probability that the region head gives a word, 0 to 1; idle where there is no head.
    """

    text_threshold: float
    low_text: float
    link_threshold: float
    least_score: float = 0.0
    least_side: float = 0.0
    region_threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class ScoreThreshold:
    """What is dropped of detections that are already made.

    Attributes:
        least_score: detections with a lower score are left out.
    """

    least_score: float


@dataclass(frozen=True, slots=True)
class SweepRow:
    """The score at one setting.

    Attributes:
        setting: the thresholds.
        scores: of the split at these.
    """

    setting: Thresholds | ScoreThreshold
    scores: Scores


@dataclass(frozen=True, slots=True)
class Sweep:
    """The scores at all settings tried.

    Attributes:
        split: the scenes by which the best was chosen, as a person would name them.
        protocol: under which they were scored.
        rows: one per setting, in the order they were tried.
        best: the row of the highest H-mean, the first of several.
    """

    split: str
    protocol: Protocol
    rows: tuple[SweepRow, ...]
    best: SweepRow


def threshold_grid(
    text_thresholds: Iterable[float],
    low_texts: Iterable[float],
    link_thresholds: Iterable[float],
    least_scores: Iterable[float] = (0.0,),
    least_sides: Iterable[float] = (0.0,),
    region_thresholds: Iterable[float] = (0.0,),
) -> list[Thresholds]:
    """Every combination of thresholds that can differ from the others.

    Args:
        text_thresholds: values to try, 0 to 1.
        low_texts: values to try, 0 to 1.
        link_thresholds: values to try, 0 to 1.
        least_scores: values to try, 0 to 1.
        least_sides: values to try, network input pixels, 0 or more.
        region_thresholds: values to try, 0 to 1.

    Returns:
        The combinations with `low_text` up to `text_threshold`: above it, every word's peak passes anyway.

    Raises:
        ValueError: a value is out of its range, or no combination is left.
    """
    values = product(text_thresholds, low_texts, link_thresholds, least_scores, least_sides, region_thresholds)
    grid = [Thresholds(*one) for one in values]
    for thresholds in grid:
        for name, value in setting_as_dict(thresholds).items():
            if name == "least_side" and not value >= 0:
                raise ValueError(f"least_side {value} is negative; give a length in network input pixels")
            if name != "least_side" and not 0 <= value <= 1:
                raise ValueError(f"threshold {value} is not between 0 and 1")
    kept = [thresholds for thresholds in grid if thresholds.low_text <= thresholds.text_threshold]
    if not kept:
        raise ValueError(f"none of {len(grid)} combinations has low_text up to text_threshold; give lower low_texts")
    return kept


def sweep_thresholds(
    scenes: Iterable[Scene],
    decode: Callable[[Scene, Sequence[Thresholds]], Sequence[Detections]],
    *,
    grid: Sequence[Thresholds],
    split: str,
    protocol: Protocol,
) -> Sweep:
    """Score every combination of decoding thresholds on a split; each scene's maps are needed once only.

    Args:
        scenes: of the split, with their labelled words.
        decode: gives a scene's detections, in source image pixels, at each of the thresholds; it runs the network
            once a scene.
        grid: thresholds to try.
        split: name of the scenes, for whoever reads the result.
        protocol: one of `PROTOCOLS`.

    Returns:
        The scores at all thresholds, and the best by H-mean.

    Raises:
        ValueError: the grid or the split is empty, or `split` has no name.
    """
    if not grid:
        raise ValueError("no thresholds to try; give at least one combination")
    image_scores: list[list[ImageScore]] = [[] for _ in grid]
    for scene in scenes:
        found = decode(scene, grid)
        for column, detections in zip(image_scores, found, strict=True):
            column.append(score_scene(scene, detections.quads_xy, detections.scores, protocol=protocol))
    return gather_sweep(list(grid), image_scores, split, protocol)


def sweep_scores(
    scenes: Sequence[Scene], detections: str | Path, *, split: str, protocol: Protocol, num_thresholds: int = 20
) -> Sweep:
    """Score a detector's result files with ever more of their least sure detections left out.

    Args:
        scenes: of the split, with their labelled words.
        detections: folder or .zip of result files with scores.
        split: name of the scenes, for whoever reads the result.
        protocol: one of `PROTOCOLS`.
        num_thresholds: values tried: quantiles of the scores in the files, the lowest first.

    Returns:
        The scores at all thresholds, and the best by H-mean.

    Raises:
        ValueError: the files cannot be read or hold no scores, the split is empty, or `split` has no name.
    """
    paired, _ = read_paired(scenes, detections, protocol=protocol)
    known = [file.scores for file in paired if file.scores is not None and len(file.scores)]
    if not known:
        raise ValueError(
            f"{detections}: holds no scores to sweep over; write the score after the corners of every detection"
        )
    values = np.unique(np.quantile(np.concatenate(known), np.linspace(0, 1, num_thresholds), method="lower"))
    settings = [ScoreThreshold(float(value)) for value in values]
    image_scores: list[list[ImageScore]] = [[] for _ in settings]
    for scene, file in zip(scenes, paired, strict=True):
        scores = np.zeros(0) if file.scores is None else file.scores
        for column, setting in zip(image_scores, settings, strict=True):
            kept: NDArray[np.intp] = np.flatnonzero(scores >= setting.least_score)
            polygons = [file.polygons_xy[index] for index in kept]
            column.append(score_polygons(scene, polygons, scores[kept], protocol=protocol))
    return gather_sweep(settings, image_scores, split, protocol)


def format_sweep(sweep: Sweep, *, num_rows: int = 10) -> str:
    """Lay a sweep out for people: the best rows, and by which scenes they were chosen.

    Args:
        sweep: as the functions above return it.
        num_rows: rows shown, best first.

    Returns:
        Several lines without a final newline.
    """
    optional = ("least_score", "least_side", "region_threshold")  # columns of zeros say nothing
    used = [setting_as_dict(row.setting) for row in sweep.rows]
    names = [name for name in used[0] if name not in optional or len({one[name] for one in used} | {0.0}) > 1]
    lines = [
        f"thresholds chosen on {sweep.split} ({sweep.best.scores.num_images} images, {sweep.best.scores.num_truth} "
        f"words), protocol {sweep.protocol} ({PROTOCOLS[sweep.protocol]})",
        "".join(f"{name:<16}" for name in names) + "precision  recall  H-mean",
    ]
    ranked = sorted(sweep.rows, key=lambda row: -row.scores.hmean)
    for row in ranked[:num_rows]:
        values = "".join(f"{setting_as_dict(row.setting)[name]:<16.4g}" for name in names)
        lines.append(f"{values}{row.scores.precision:<9.4f}  {row.scores.recall:.4f}  {row.scores.hmean:.4f}")
    if len(ranked) > num_rows:
        lines.append(f"and {len(ranked) - num_rows} more settings below these")
    lines.append(f"a score at these thresholds on {sweep.split} is optimistic: they were chosen there")
    return "\n".join(lines)


def sweep_as_dict(sweep: Sweep) -> dict[str, Any]:
    """The sweep as plain values for JSON.

    Args:
        sweep: as the functions above return it.

    Returns:
        A dictionary of numbers, strings and lists.
    """
    rows = [{**setting_as_dict(row.setting), **scores_as_dict(row.scores)} for row in sweep.rows]
    best = {**setting_as_dict(sweep.best.setting), **scores_as_dict(sweep.best.scores)}
    return {"chosen_on": sweep.split, "protocol": sweep.protocol, "best": best, "rows": rows}


def setting_as_dict(setting: Thresholds | ScoreThreshold) -> dict[str, float]:
    """The thresholds by their names.

    Args:
        setting: of a row.

    Returns:
        Names and values.
    """
    return {name: getattr(setting, name) for name in setting.__dataclass_fields__}


def gather_sweep(
    settings: Sequence[Thresholds | ScoreThreshold],
    image_scores: Sequence[Sequence[ImageScore]],
    split: str,
    protocol: Protocol,
) -> Sweep:
    """Add up image scores per setting and find the best.

    Args:
        settings: thresholds tried.
        image_scores: per setting, one score per image of the split.
        split: name of the scenes.
        protocol: under which they were scored.

    Returns:
        The scores at all settings, and the best by H-mean.

    Raises:
        ValueError: the split has no name or no scenes.
    """
    if not split.strip():
        raise ValueError("the split has no name; say which scenes the thresholds are chosen on")
    if not image_scores[0]:
        raise ValueError(f"{split} has no scenes; thresholds cannot be chosen on it")
    rows = tuple(SweepRow(setting, summarise(column)) for setting, column in zip(settings, image_scores, strict=True))
    return Sweep(split, protocol, rows, max(rows, key=lambda row: row.scores.hmean))
