"""The scenes that a detector did worst on, drawn: words it missed and what it took for text. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.config import Protocol
from craft.evaluation.evaluate import read_paired
from craft.evaluation.image_score import ImageScore
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
IGNORED: Colour = (150, 150, 150)


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """A scene and what went wrong in it.

    Attributes:
        scene: with its labelled words.
        polygons_xy: the detections, source image pixels.
        missed: indices of cared-for words that nothing matched.
        false_alarms: indices of counted detections that matched nothing.
        ignored: indices of detections that count neither way.
        num_words: cared-for words.
    """

    scene: Scene
    polygons_xy: tuple[NDArray[np.float64], ...]
    missed: tuple[int, ...]
    false_alarms: tuple[int, ...]
    ignored: tuple[int, ...]
    num_words: int

    @property
    def num_faults(self) -> int:
        """Misses and false alarms together."""
        return len(self.missed) + len(self.false_alarms)


def worst_scenes(
    scenes: Sequence[Scene], detections: str | Path, *, protocol: Protocol, count: int
) -> tuple[Failure, ...]:
    """Find the scenes with the most misses and false alarms together.

    Args:
        scenes: the labelled set.
        detections: folder or .zip of result files.
        protocol: how to score.
        count: scenes wanted.

    Returns:
        At most `count` scenes that have a fault, the worst first, ties by name.

    Raises:
        ValueError: as `read_paired`, or `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"{count} scenes wanted; ask for at least 1")
    paired, _ = read_paired(scenes, detections, protocol=protocol)
    failures = [
        failure_of(scene, file.polygons_xy, score_polygons(scene, file.polygons_xy, file.scores, protocol=protocol))
        for scene, file in zip(scenes, paired, strict=True)
    ]
    ranked = sorted(failures, key=lambda one: (-one.num_faults, one.scene.name))
    return tuple(one for one in ranked[:count] if one.num_faults)


def failure_of(scene: Scene, polygons_xy: Sequence[ArrayLike], score: ImageScore) -> Failure:
    """Say which words of a scene were missed and which detections are false alarms.

    Args:
        scene: with its labelled words.
        polygons_xy: detections, (P, 2) each, in the order they were scored in.
        score: what the protocol says.

    Returns:
        The indices of both.
    """
    found = {index for match in score.matches for index in match.truth}
    right = {index for match in score.matches for index in match.detections}
    ignored = set(score.ignored_detections)
    return Failure(
        scene=scene,
        polygons_xy=tuple(np.asarray(polygon, np.float64) for polygon in polygons_xy),
        missed=tuple(index for index, word in enumerate(scene.words) if not word.dont_care and index not in found),
        false_alarms=tuple(index for index in range(len(polygons_xy)) if index not in right | ignored),
        ignored=tuple(sorted(ignored)),
        num_words=score.num_truth,
    )


def draw_failure(failure: Failure, image: NDArray[np.uint8], *, side: int) -> NDArray[np.uint8]:
    """Draw what went wrong in a scene, under a line that counts it.

    Args:
        failure: of the scene.
        image: (H, W, 3) uint8, RGB, its picture.
        side: the picture's longer side in the drawing, pixels.

    Returns:
        (H', W', 3) uint8: detections that are right green, false alarms yellow, those that count neither way grey, words
        that were missed red.
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
    ):
        drawn = draw_polygons(drawn, [polygon * scale for polygon in polygons], colour=colour, thickness=1)
    text = (
        f"{failure.scene.name}: {len(failure.missed)} of {failure.num_words} missed, "
        f"{len(failure.false_alarms)} false alarms"
    )
    return add_caption(drawn, text, height=22, ground=WHITE)


def write_failures(path: str | Path, failures: Sequence[Failure], *, columns: int = 4, side: int = 480) -> None:
    """Draw scenes side by side and write them as one picture.

    Args:
        path: file to write, .png or .jpg.
        failures: as `worst_scenes` gives them.
        columns: scenes in a row.
        side: longer side of each, pixels.

    Raises:
        ValueError: there are none, a scene's picture cannot be read, or the file cannot be written.
    """
    if not failures:
        raise ValueError(f"{path}: nothing to draw, no scene has a miss or a false alarm")
    bare = [one.scene.name for one in failures if not one.scene.image_path]
    if bare:
        raise ValueError(
            f"{bare[0]}: label files alone have no pictures to draw on; give the folder of the set as --truth"
        )
    tiles = [draw_failure(one, read_image(one.scene.image_path), side=side) for one in failures]
    write_image(path, tile_images(tiles, columns=columns), quality=95)
