"""The scoring protocols by name, applied to the detections of one scene."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.config import Protocol
from craft.evaluation import cleval, deteval, iou, tedeval
from craft.evaluation.crowded import Index, score_in_groups
from craft.evaluation.image_score import ImageScore
from craft.scene import Scene, Word

PROTOCOLS: dict[Protocol, str] = {
    "icdar2013": "DetEval, t_r 0.8, t_p 0.4, axis-aligned boxes",
    "icdar2015": "IoU > 0.5, quads",
    "icdar2017": "IoU > 0.5, quads",
    "icdar2019": "IoU > 0.5, quads",
    "polygons": "IoU > 0.5, polygons of any number of corners",
    "tedeval": "TedEval: shares of characters found, quads or polygons",
    "cleval": "CLEval without recognition: counts are of characters, less one for each cut and merge",
}


def check_protocol(protocol: str) -> Protocol:
    """Return the protocol; ValueError if it is not one of `PROTOCOLS`."""
    for known in PROTOCOLS:
        if protocol == known:
            return known
    raise ValueError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")


def round_detections(polygons_xy: ArrayLike) -> NDArray[np.int64]:
    """Round corners (..., 2) to whole pixels, as in result files; halves go to the even neighbour."""
    return np.rint(np.asarray(polygons_xy, dtype=np.float64)).astype(np.int64)


def score_scene(
    scene: Scene,
    polygons_xy: Sequence[ArrayLike] | NDArray[np.floating],
    scores: ArrayLike | None = None,
    *,
    protocol: Protocol,
) -> ImageScore:
    """Score the detections of one scene, their corners (P, 2) in source image pixels rounded as in result files.

    Without (N,) `scores` the detections count in their order, and there is no average precision.
    """
    return score_polygons(scene, [round_detections(polygon) for polygon in polygons_xy], scores, protocol=protocol)


def score_polygons(
    scene: Scene,
    polygons_xy: Sequence[ArrayLike] | NDArray[np.floating],
    scores: ArrayLike | None = None,
    *,
    protocol: Protocol,
) -> ImageScore:
    """Score the detections of one scene as they are; arguments as in `score_scene`."""
    words = [word.polygon_xy for word in scene.words]
    dont_care = np.array([word.dont_care for word in scene.words], dtype=bool)
    checked = check_protocol(protocol)

    def score(own: Index, found: Index) -> ImageScore:
        polygons = ([words[index] for index in own], dont_care[own], [polygons_xy[index] for index in found])
        if checked == "icdar2013":
            return deteval.evaluate_image(*polygons)
        if checked in ("tedeval", "cleval"):
            evaluate = tedeval.evaluate_image if checked == "tedeval" else cleval.evaluate_image
            return evaluate(*polygons, [_num_characters(scene.words[index]) for index in own])
        return iou.evaluate_image(*polygons, None if scores is None else np.asarray(scores)[found])

    reach = 1.0 if checked == "icdar2013" else 0.0  # its boxes include their last row and column of pixels
    return score_in_groups(words, dont_care, polygons_xy, scores, score, reach=reach)


def _num_characters(word: Word) -> int | None:
    """Letters and spaces of a word's transcription; None where it has none."""
    return len(word.text) if word.text else None
