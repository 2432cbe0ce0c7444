"""Targets of the LinkRefiner: which words make a line, and a strip along the middle of each line. No torch."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.geometry import MAP_STRIDE, polygon_to_strips
from craft.scene import Word

_EDGE = 0.25  # share of a line's height, above and below the strip, that stays background
_SHIFT = 4  # binary digits of OpenCV's fixed-point corners


def scene_lines(words: Sequence[Word]) -> list[tuple[NDArray[np.float32], bool]]:
    """Join the words of a scene to lines: each a polygon (P, 2), clockwise, and whether it is don't care.

    A line with a don't-care word is don't care as a whole, unless the word only lacks a transcription.
    """
    members: dict[object, list[Word]] = {}
    for index, word in enumerate(words):
        members.setdefault(("alone", index) if word.line is None else word.line, []).append(word)
    return [
        (
            join_polygons([word.polygon_xy for word in line]),
            any(word.dont_care and not word.untranscribed for word in line),
        )
        for line in members.values()
    ]


def join_polygons(polygons_xy: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join the polygons of a line's words, left to right, to one: upper sides along, lower sides back."""
    strips = np.concatenate([polygon_to_strips(polygon) for polygon in polygons_xy])  # (S, 4, 2)
    upper, lower = strips[:, :2].reshape(-1, 2), strips[:, [3, 2]].reshape(-1, 2)
    return np.concatenate([upper, lower[::-1]])


def draw_lines(
    lines: Sequence[tuple[NDArray[np.float32], bool]], *, map_size_hw: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw the link target of lines in input pixels, and which map pixels are cared for, (H, W) each.

    The target is 1 on the middle half of a line's height, from its first to its last character, else 0. Pixels of a
    don't-care line are not cared for.
    """
    target, ignored = (np.zeros(map_size_hw, np.uint8) for _ in range(2))
    for polygon, dont_care in lines:
        if dont_care:
            _fill(ignored, polygon)
            continue
        half = len(polygon) // 2
        upper, lower = polygon[:half], polygon[::-1][:half]
        strip = [upper + _EDGE * (lower - upper), lower + _EDGE * (upper - lower)]
        _fill(target, np.concatenate([strip[0], strip[1][::-1]]))
    return target.astype(np.float32), (ignored == 0) | (target > 0)


def _fill(image: NDArray[np.uint8], polygon_xy: NDArray[np.float32]) -> None:
    indices = polygon_xy / MAP_STRIDE - 0.5
    cv2.fillPoly(image, [np.round(np.clip(indices, -4096, 4096) * 2**_SHIFT).astype(np.int32)], 1, cv2.LINE_8, _SHIFT)
