"""Result files scored against a labelled dataset: paired with scenes by name, scored, written as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from craft.atomic_files import write_atomic
from craft.config import Protocol
from craft.errors import Problem
from craft.evaluation.image_score import ImageScore, score_as_dict
from craft.evaluation.protocols import PROTOCOLS, check_protocol, score_polygons
from craft.evaluation.result_files import Layout, ResultFile, read_results
from craft.evaluation.summary import Scores, summarise
from craft.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The score of a dataset, with the name and score of each scene."""

    protocol: Protocol
    scores: Scores
    names: tuple[str, ...]
    image_scores: tuple[ImageScore, ...]
    remarks: tuple[Problem, ...]  # on files without a scene, scenes without a file, and repaired polygons


def evaluate_files(scenes: Sequence[Scene], detections: str | Path, *, protocol: Protocol) -> Evaluation:
    """Score a detector's result files against labelled scenes; a scene without a file has no detections.

    Detections are a folder or .zip with one file per image: res_img_N.txt for the scene img_N. Raises ValueError if a
    file or line cannot be read, two files or scenes share a name, or no file belongs to any scene.
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
    """Read result files, whose lines are laid out as the protocol asks for, and pair them as `pair_results` does."""
    layout: Layout = "quads" if protocol.startswith("icdar") else "polygons"
    if check_protocol(protocol) == "icdar2013":
        layout = "boxes"
    return pair_results(scenes, read_results(detections, layout=layout))


def pair_results(scenes: Sequence[Scene], files: Sequence[ResultFile]) -> tuple[list[ResultFile], list[Problem]]:
    """Find the result file of every scene by name, empty if there is none, and remark on those without a partner.

    `res_` and `img_` at the start of a name do not count: res_img_12.txt, res_12.txt and img_12.txt belong to img_12.
    Raises ValueError if two files or two scenes share a name, or no file belongs to any scene.
    """
    by_key: dict[str, ResultFile] = {}
    for file in files:
        key = _key(Path(file.name).stem)
        if key in by_key:
            raise ValueError(f"{by_key[key].name} and {file.name} belong to the same scene; remove one of them")
        by_key[key] = file
    keys = [_key(scene.name) for scene in scenes]
    if len(set(keys)) < len(keys):
        double = next(scene.name for scene, key in zip(scenes, keys, strict=True) if keys.count(key) > 1)
        raise ValueError(f"two scenes are called {double}; evaluate the datasets one by one")
    if keys and not set(keys) & set(by_key):
        raise ValueError(
            f"none of the {len(files)} result files ({files[0].name}, ...) belongs to any of the {len(scenes)} scenes "
            f"({scenes[0].name}, ...); name them res_<scene>.txt, such as res_{scenes[0].name}.txt"
        )
    has_scores = any(file.scores is not None for file in files)
    empty = np.zeros(0) if has_scores else None
    paired = [by_key.get(key, ResultFile("", [], (), empty)) for key in keys]
    remarks = [
        Problem("belongs to no scene and was not scored", "add its scene", where=file.name, fatal=False)
        for key, file in by_key.items()
        if key not in set(keys)
    ]
    remarks += [
        Problem(
            "has no result file and was scored as having no detections", "add a file", where=scene.name, fatal=False
        )
        for scene, key in zip(scenes, keys, strict=True)
        if key not in by_key
    ]
    return paired, remarks


def evaluation_as_dict(evaluation: Evaluation, *, per_image: bool = False) -> dict[str, Any]:
    """The evaluation as plain values for JSON, with the score of each image by scene name if asked for."""
    values = {
        "protocol": evaluation.protocol,
        "rule": PROTOCOLS[evaluation.protocol],
        **asdict(evaluation.scores),
        "remarks": [str(remark) for remark in evaluation.remarks],
    }
    if per_image:
        pairs = zip(evaluation.names, evaluation.image_scores, strict=True)
        values["images"] = {name: score_as_dict(score) for name, score in pairs}
    return values


def write_evaluation(evaluation: Evaluation, path: str | Path) -> None:
    """Write the evaluation with the score of each image as a JSON file; missing folders are created."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(evaluation_as_dict(evaluation, per_image=True), indent=1, ensure_ascii=False)
    write_atomic(target, content + "\n")


def _key(name: str) -> str:
    return name.removeprefix("res_").removeprefix("img_")


def _repair_remarks(scene: Scene, file: ResultFile, score: ImageScore) -> list[Problem]:
    """A remark for every polygon that crossed itself or had no area, located by its line."""
    what, remedy = "polygon crosses itself or has no area and was repaired", "correct the order of its corners"
    truth = [scene.words[index].source or f"{scene.name}, word {index + 1}" for index in score.repaired_truth]
    detections = [f"{file.name}:{file.lines[index]}" for index in score.repaired_detections]
    return [Problem(what, remedy, where=where, fatal=False) for where in truth + detections]
