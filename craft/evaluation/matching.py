"""Pair detections with labelled scenes and score them by a protocol. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.atomic_files import write_atomic
from craft.config import Protocol
from craft.evaluation import deteval, iou
from craft.evaluation.image_score import ImageScore, score_as_dict
from craft.evaluation.result_files import Layout, ResultFile, read_results
from craft.evaluation.summary import Scores, scores_as_dict, summarise
from craft.scene import Problem, Scene

PROTOCOLS: dict[Protocol, str] = {
    "icdar2013": "DetEval, t_r 0.8, t_p 0.4, axis-aligned boxes",
    "icdar2015": "IoU > 0.5, quads",
    "icdar2017": "IoU > 0.5, quads",
    "icdar2019": "IoU > 0.5, quads",
    "polygons": "IoU > 0.5, polygons of any number of corners",
}


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The score of a set with all that led to it.

    Attributes:
        protocol: under which it was scored.
        scores: of the set.
        names: the scenes' names.
        image_scores: one per scene.
        remarks: what a reader of the score should know: files without a scene, polygons repaired.
    """

    protocol: Protocol
    scores: Scores
    names: tuple[str, ...]
    image_scores: tuple[ImageScore, ...]
    remarks: tuple[Problem, ...]


def round_detections(polygons_xy: ArrayLike) -> NDArray[np.int64]:
    """Round corners to whole pixels, as result files hold them; halves go to the even neighbour.

    Args:
        polygons_xy: (..., 2) corners in source image pixels.

    Returns:
        (..., 2) int64.
    """
    return np.rint(np.asarray(polygons_xy, dtype=np.float64)).astype(np.int64)


def score_scene(
    scene: Scene,
    polygons_xy: Sequence[ArrayLike] | NDArray[np.floating],
    scores: ArrayLike | None = None,
    *,
    protocol: Protocol,
) -> ImageScore:
    """Score the detections of one scene, their corners rounded as a result file would hold them.

    Args:
        scene: with its labelled words.
        polygons_xy: detections, (P, 2) each, in source image pixels; `Detections.quads_xy` does.
        scores: one per detection. None leaves the average precision out and takes the detections in their order.
        protocol: one of `PROTOCOLS`.

    Returns:
        The image's score.
    """
    return score_polygons(scene, [round_detections(polygon) for polygon in polygons_xy], scores, protocol=protocol)


def score_polygons(
    scene: Scene,
    polygons_xy: Sequence[ArrayLike] | NDArray[np.floating],
    scores: ArrayLike | None = None,
    *,
    protocol: Protocol,
) -> ImageScore:
    """Score the detections of one scene as they are, not rounded.

    Args:
        scene: with its labelled words.
        polygons_xy: detections, (P, 2) each, in source image pixels.
        scores: one per detection, or None.
        protocol: one of `PROTOCOLS`.

    Returns:
        The image's score.
    """
    words = [word.polygon_xy for word in scene.words]
    dont_care = [word.dont_care for word in scene.words]
    if check_protocol(protocol) == "icdar2013":
        return deteval.evaluate_image(words, dont_care, polygons_xy)
    return iou.evaluate_image(words, dont_care, polygons_xy, scores)


def evaluate_files(scenes: Sequence[Scene], detections: str | Path, *, protocol: Protocol) -> Evaluation:
    """Score a detector's result files against labelled scenes.

    A scene without a file has no detections. Coordinates are used as they stand in the files.

    Args:
        scenes: the labelled set; its order is the order of the average precision's ties.
        detections: folder or .zip with one file an image: res_img_N.txt for the scene img_N.
        protocol: one of `PROTOCOLS`.

    Returns:
        The set's score, each image's, and remarks.

    Raises:
        ValueError: a file cannot be read, a line does not fit, two files or scenes have one name, or no file
            belongs to any scene.
    """
    paired, remarks = read_paired(scenes, detections, protocol=protocol)
    image_scores = []
    for scene, file in zip(scenes, paired, strict=True):
        score = score_polygons(scene, file.polygons_xy, file.scores, protocol=protocol)
        remarks.extend(_repair_remarks(scene, file, score))
        image_scores.append(score)
    names = tuple(scene.name for scene in scenes)
    return Evaluation(protocol, summarise(image_scores), names, tuple(image_scores), tuple(remarks))


def read_paired(
    scenes: Sequence[Scene], detections: str | Path, *, protocol: Protocol
) -> tuple[list[ResultFile], list[Problem]]:
    """Read result files and find every scene's.

    Args:
        scenes: the labelled set.
        detections: folder or .zip with one file an image.
        protocol: one of `PROTOCOLS`; it says how many corners a line has.

    Returns:
        As `pair_results`.

    Raises:
        ValueError: as `read_results` and `pair_results`.
    """
    return pair_results(scenes, read_results(detections, layout=_layout(protocol)))


def pair_results(scenes: Sequence[Scene], files: Sequence[ResultFile]) -> tuple[list[ResultFile], list[Problem]]:
    """Find every scene's result file by name.

    `res_` and `img_` at the start of a name do not count: res_img_12.txt, res_12.txt and img_12.txt all belong to the
    scene img_12.

    Args:
        scenes: the labelled set.
        files: as `read_results` gives them.

    Returns:
        One file per scene, an empty one where there was none, and remarks on what found no partner.

    Raises:
        ValueError: two files or two scenes have one name, or no file belongs to any scene.
    """
    by_key: dict[str, ResultFile] = {}
    for file in files:
        key = _key(Path(file.name).stem)
        if key in by_key:
            raise ValueError(f"{by_key[key].name} and {file.name} belong to the same scene; leave one of the two out")
        by_key[key] = file
    keys = [_key(scene.name) for scene in scenes]
    if len(set(keys)) < len(keys):
        double = next(scene.name for scene, key in zip(scenes, keys, strict=True) if keys.count(key) > 1)
        raise ValueError(f"two scenes are called {double}; evaluate the sets one by one")
    if keys and not set(keys) & set(by_key):
        raise ValueError(
            f"none of the {len(files)} result files ({files[0].name}, ...) belongs to any of the {len(scenes)} scenes "
            f"({scenes[0].name}, ...); name them res_<scene>.txt, such as res_{scenes[0].name}.txt"
        )
    has_scores = any(file.scores is not None for file in files)
    empty = np.zeros(0) if has_scores else None
    paired = [by_key.get(key, ResultFile("", [], (), empty)) for key in keys]
    remarks = [
        Problem(file.name, "belongs to no scene, not scored", "give the scenes it belongs to", fatal=False)
        for key, file in by_key.items()
        if key not in set(keys)
    ]
    remarks += [
        Problem(scene.name, "has no result file, scored as no detections", "write an empty file", fatal=False)
        for scene, key in zip(scenes, keys, strict=True)
        if key not in by_key
    ]
    return paired, remarks


def evaluation_as_dict(evaluation: Evaluation, *, per_image: bool = False) -> dict[str, Any]:
    """The evaluation as plain values for JSON.

    Args:
        evaluation: of a set.
        per_image: add each image's score, by the scene's name.

    Returns:
        A dictionary of numbers, strings, lists and None.
    """
    values = {
        "protocol": evaluation.protocol,
        "rule": PROTOCOLS[evaluation.protocol],
        **scores_as_dict(evaluation.scores),
        "remarks": [str(remark) for remark in evaluation.remarks],
    }
    if per_image:
        pairs = zip(evaluation.names, evaluation.image_scores, strict=True)
        values["images"] = {name: score_as_dict(score) for name, score in pairs}
    return values


def write_evaluation(evaluation: Evaluation, path: str | Path) -> None:
    """Write the evaluation with each image's score as a JSON file, complete or not at all.

    Args:
        evaluation: of a set.
        path: file to write; its folder is made where it is missing.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(evaluation_as_dict(evaluation, per_image=True), indent=1, ensure_ascii=False)
    write_atomic(target, content + "\n")


def check_protocol(protocol: str) -> Protocol:
    """Return the protocol of that name.

    Args:
        protocol: what a user gave.

    Returns:
        The same, known to be one of `PROTOCOLS`.

    Raises:
        ValueError: there is none of that name.
    """
    for known in PROTOCOLS:
        if protocol == known:
            return known
    raise ValueError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")


def _layout(protocol: Protocol) -> Layout:
    if check_protocol(protocol) == "icdar2013":
        return "boxes"
    return "polygons" if protocol == "polygons" else "quads"


def _key(name: str) -> str:
    return name.removeprefix("res_").removeprefix("img_")


def _repair_remarks(scene: Scene, file: ResultFile, score: ImageScore) -> list[Problem]:
    """A remark for every polygon that crossed itself or had no area, by the line it stands on."""
    what, remedy = "polygon crosses itself or has no area, repaired", "correct the order of its corners"
    truth = [scene.words[index].source or f"{scene.name}, word {index + 1}" for index in score.repaired_truth]
    detections = [f"{file.name}:{file.lines[index]}" for index in score.repaired_detections]
    return [Problem(where, what, remedy, fatal=False) for where in truth + detections]
