"""Drawings of the scenes with the most missed words and false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from craft.config import Protocol
from craft.errors import Problem
from craft.evaluation.evaluate import read_paired
from craft.evaluation.image_score import ImageScore
from craft.evaluation.iou import repaired_geometries
from craft.evaluation.protocols import score_polygons
from craft.images.drawing import (
    DONT_CARE_COLOUR,
    WHITE,
    WORD_COLOUR,
    Colour,
    add_caption,
    draw_polygons,
    fit_long_side,
    tile_images,
    write_image,
)
from craft.images.reader import read_image
from craft.scene import Scene

FOUND, MISSED = WORD_COLOUR, DONT_CARE_COLOUR
FALSE_ALARM: Colour = (255, 200, 0)
SPLIT: Colour = (255, 130, 0)
MERGED: Colour = (220, 0, 220)
IGNORED: Colour = (150, 150, 150)


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """A scene and what went wrong in it."""

    scene: Scene  # with its labelled words
    polygons_xy: tuple[NDArray[np.float64], ...]  # detections, source image pixels
    missed: tuple[int, ...]  # indices of cared-for words without a match
    false_alarms: tuple[int, ...]  # indices of counted detections without a match
    ignored: tuple[int, ...]  # indices of detections that count neither way
    num_words: int  # cared-for words
    split: tuple[int, ...] = ()  # indices of words found, or missed, as several detections
    merged: tuple[int, ...] = ()  # indices of detections that cover several words

    @property
    def num_faults(self) -> int:
        """Misses and false alarms together."""
        return len(self.missed) + len(self.false_alarms)


def worst_scenes(
    scenes: Sequence[Scene], detections: str | Path, *, protocol: Protocol, count: int
) -> tuple[Failure, ...]:
    """Find up to `count` scenes with the most missed words and false alarms together, the worst first, ties by name.

    `detections` is a folder or .zip of result files. Raises ValueError if the files cannot be read or paired with the
    scenes, or `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"{count} scenes wanted; ask for at least 1")
    paired, _ = read_paired(scenes, detections, protocol=protocol)
    failures = [
        failure_of(scene, file.polygons_xy, score_polygons(scene, file.polygons_xy, file.scores, protocol=protocol))
        for scene, file in zip(scenes, paired, strict=True)
    ]
    ranked = sorted(failures, key=lambda failure: (-failure.num_faults, failure.scene.name))
    return tuple(failure for failure in ranked[:count] if failure.num_faults)


def failure_of(scene: Scene, polygons_xy: Sequence[ArrayLike], score: ImageScore) -> Failure:
    """Find the missed words and the false alarms of a scene, from detections (P, 2) each and their score."""
    found = {index for match in score.matches for index in match.truth}
    right = {index for match in score.matches for index in match.detections}
    ignored = set(score.ignored_detections)
    words, _ = repaired_geometries([word.polygon_xy for word in scene.words], "word")
    detections, _ = repaired_geometries(polygons_xy, "detection")
    rows, columns = shapely.STRtree(detections).query(words, predicate="intersects")
    shared = shapely.area(shapely.intersection(words[rows], detections[columns]))
    cared = np.array([not word.dont_care for word in scene.words], dtype=bool)[rows]
    parts = np.bincount(rows[cared & (shared > 0.5 * shapely.area(detections)[columns])], minlength=len(words))
    covered = np.bincount(columns[cared & (shared > 0.5 * shapely.area(words)[rows])], minlength=len(detections))
    pairs = [match for match in score.matches if len(match.truth) == len(match.detections) == 1]
    whole, single = {match.truth[0] for match in pairs}, {match.detections[0] for match in pairs}
    return Failure(
        scene=scene,
        polygons_xy=tuple(np.asarray(polygon, np.float64) for polygon in polygons_xy),
        missed=tuple(index for index, word in enumerate(scene.words) if not word.dont_care and index not in found),
        false_alarms=tuple(index for index in range(len(polygons_xy)) if index not in right | ignored),
        ignored=tuple(sorted(ignored)),
        num_words=score.num_truth,
        split=tuple(index for index in np.flatnonzero(parts > 1).tolist() if index not in whole),
        merged=tuple(index for index in np.flatnonzero(covered > 1).tolist() if index not in single),
    )


def draw_failure(failure: Failure, image: NDArray[np.uint8], *, side: int) -> NDArray[np.uint8]:
    """Draw what went wrong in a scene over its RGB image, `side` pixels long, below a caption with the counts.

    Right detections are green, false alarms yellow, ignored detections grey, missed words red, words found as several
    detections orange, detections of several words magenta.
    """
    scale = side / max(image.shape[:2])
    drawn = fit_long_side(image, side)
    wrong = {*failure.false_alarms, *failure.ignored}
    right = [index for index in range(len(failure.polygons_xy)) if index not in wrong]
    missed = [np.asarray(failure.scene.words[index].polygon_xy) for index in failure.missed]
    for colour, polygons in (
        (IGNORED, [failure.polygons_xy[index] for index in failure.ignored]),
        (FOUND, [failure.polygons_xy[index] for index in right]),
        (FALSE_ALARM, [failure.polygons_xy[index] for index in failure.false_alarms]),
        (MISSED, missed),
        (MERGED, [failure.polygons_xy[index] for index in failure.merged]),
        (SPLIT, [np.asarray(failure.scene.words[index].polygon_xy) for index in failure.split]),
    ):
        drawn = draw_polygons(drawn, [polygon * scale for polygon in polygons], colour=colour, thickness=1)
    text = (
        f"{failure.scene.name}: {len(failure.missed)} of {failure.num_words} missed, "
        f"{len(failure.false_alarms)} false alarms, {len(failure.split)} split, {len(failure.merged)} merged"
    )
    return add_caption(drawn, text, height=22, ground=WHITE)


def write_failures(
    path: str | Path, failures: Sequence[Failure], *, columns: int = 4, side: int = 480
) -> list[Problem]:
    """Draw scenes side by side, `side` pixels long each, into one .png or .jpg file; returns those that cannot be read.

    Raises ValueError if there are no failures, no image can be read, or the file cannot be written.
    """
    if not failures:
        raise ValueError(f"{path}: nothing to draw, no scene has a miss or a false alarm")
    bare = [failure.scene.name for failure in failures if not failure.scene.image_path]
    if bare:
        raise ValueError(
            f"{bare[0]}: label files alone have no images to draw on; give the folder of the dataset as --truth"
        )
    tiles: list[NDArray[np.uint8]] = []
    problems: list[Problem] = []
    for failure in failures:
        try:
            tiles.append(draw_failure(failure, read_image(failure.scene.image_path), side=side))
        except Problem as problem:
            problems.append(problem)
    if not tiles:
        raise problems[0]
    write_image(path, tile_images(tiles, columns=columns), quality=95)
    return problems
