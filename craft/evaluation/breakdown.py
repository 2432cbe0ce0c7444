"""Which words were found: recall by height, angle, length and script."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from craft.evaluation.image_score import ImageScore
from craft.geometry import polygon_to_strips, word_size
from craft.scene import Scene, Word

_HEIGHTS = (0, 8, 12, 16, 24, 32, 48, 64, 128)  # source pixels
_ANGLES = (0, 5, 15, 30, 60, 90)  # degrees between a word and the horizontal
_LENGTHS = (1, 2, 3, 5, 8, 13)  # letters


def breakdown(scenes: Sequence[Scene], image_scores: Sequence[ImageScore]) -> list[tuple[str, str, int, int]]:
    """Count the cared-for words and those in a match, by group and class: (group, class, words, found).

    Classes without words are left out. A word found in parts counts as found.
    """
    counts: dict[tuple[str, int, str], list[int]] = {}
    for scene, score in zip(scenes, image_scores, strict=True):
        found = {index for match in score.matches for index in match.truth}
        for index, word in enumerate(scene.words):
            if not word.dont_care:
                for key in _classes(word):
                    count = counts.setdefault(key, [0, 0])
                    count[0] += 1
                    count[1] += index in found
    order = {group: number for number, group in enumerate(("height", "angle", "length", "script"))}
    keys = sorted(counts, key=lambda key: (order[key[0]], key[1:]))
    return [(key[0], key[2], counts[key][0], counts[key][1]) for key in keys]


def format_breakdown(rows: Sequence[tuple[str, str, int, int]]) -> str:
    """Lay out the counts as a table for people."""
    lines = [f"{'':<8}{'':<16}{'words':>8}{'found':>8}  recall"]
    lines += [f"{group:<8}{name:<16}{words:>8}{found:>8}  {found / words:.3f}" for group, name, words, found in rows]
    return "\n".join(lines)


def _classes(word: Word) -> list[tuple[str, int, str]]:
    """The group, the number of the class in it, and the class's name, of each group."""
    strips = polygon_to_strips(word.polygon_xy)
    height = word_size(word.polygon_xy)[1]
    along = (strips[-1, 1] + strips[-1, 2] - strips[0, 0] - strips[0, 3]).astype(np.float64)
    angle = float(np.degrees(np.arctan2(abs(along[1]), abs(along[0]))))
    classes = [_class("height", height, _HEIGHTS, " px"), _class("angle", angle, _ANGLES, " degrees")]
    if word.text:
        classes.append(_class("length", len(word.text), _LENGTHS, " letters"))
    if word.script:
        classes.append(("script", 0, word.script))
    return classes


def _class(group: str, value: float, edges: tuple[int, ...], unit: str) -> tuple[str, int, str]:
    for number, (low, high) in enumerate(pairwise(edges)):
        if value < high:
            return group, number, f"{low} to {high}{unit}"
    return group, len(edges), f"from {edges[-1]}{unit}"
