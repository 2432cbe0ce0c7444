"""Labels that can be read but are probably wrong, each with the reason."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from craft.geometry import bounding_boxes, polygon_iou, word_size
from craft.scene import Scene, Word

_TINY = 4.0  # pixels, the shorter side
_HUGE = 8.0  # times the median height of the scene's words
_SAME = 0.6  # IoU of two words
_ASPECT = (0.12, 3.0)  # width per height and character; a Latin letter has about 0.5
_LEAST_TEXT = 3  # characters, for the aspect


class Suspect(NamedTuple):
    """A word, or a place without a label, that a person should look at."""

    scene: Scene
    polygon_xy: NDArray[np.float32]  # (P, 2)
    kind: str  # what suspects have in common
    text: str  # what is labelled there, or ""
    where: str  # "file:line" of the label, or the image


def suspicious_words(scenes: Sequence[Scene]) -> list[Suspect]:
    """Words that are tiny, huge, labelled twice, or whose text does not go with their shape, in the scenes' order."""
    return [suspect for scene in scenes for suspect in _in_scene(scene)]


def _in_scene(scene: Scene) -> Iterator[Suspect]:
    words = [word for word in scene.words if not word.dont_care]
    usual = float(np.median([word_size(word.polygon_xy)[1] for word in words])) if len(words) > 2 else np.inf
    for word in words:
        if kind := _kind(word, usual_height=usual):
            yield _suspect(scene, word, kind)
    boxes = [bounding_boxes(word.polygon_xy) for word in words]
    for first, second in combinations(range(len(words)), 2):
        low, high = np.maximum(boxes[first][:2], boxes[second][:2]), np.minimum(boxes[first][2:], boxes[second][2:])
        if (high > low).all() and polygon_iou(words[first].polygon_xy, words[second].polygon_xy) > _SAME:
            yield _suspect(scene, words[second], "labelled twice")


def _kind(word: Word, *, usual_height: float) -> str:
    width, height = word_size(word.polygon_xy)
    length = sum(not character.isspace() for character in word.text or "")
    if min(width, height) < _TINY:
        return f"under {_TINY:g} pixels"
    if height > _HUGE * usual_height:
        return f"over {_HUGE:g} times as tall as the scene's other words"
    if length >= _LEAST_TEXT:
        aspect = max(width, height) / min(width, height) / length  # vertical words count along their longer side
        if not _ASPECT[0] <= aspect <= _ASPECT[1]:
            return "text too long for its box" if aspect < _ASPECT[0] else "box too long for its text"
    return ""


def _suspect(scene: Scene, word: Word, kind: str) -> Suspect:
    return Suspect(scene, word.polygon_xy, kind, word.text or "", word.source)
