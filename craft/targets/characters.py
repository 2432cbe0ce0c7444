"""Where a word's characters are: as given, or by splitting the word evenly."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Literal

import numpy as np
import regex
from numpy.typing import ArrayLike, NDArray

from craft.geometry import polygon_to_strips, quad_sides
from craft.scene import Scene, Word

VERTICAL_RATIO = 1.5  # height over width above which a word of several characters is read downwards


def grapheme_clusters(text: str) -> list[str]:
    """Split a text into what a reader sees as its characters, leaving out spaces and signs that draw nothing.

    Args:
        text: the transcription.

    Returns:
        The characters in order, each with its combining marks. Spaces, control signs and invisible format signs, such
        as the mark for right-to-left, are not among them.

    Source: Unicode Standard Annex 29, extended grapheme clusters.
    """
    if text.isascii() and text.isprintable():  # no sign joins another, and the space alone draws nothing
        return list(text.replace(" ", ""))
    return [cluster for cluster in regex.findall(r"\X", text) if not all(_is_invisible(sign) for sign in cluster)]


def split_evenly(polygon_xy: ArrayLike, text: str) -> NDArray[np.float32]:
    """Split a word into as many quads of equal length as its text has characters.

    The word is split along its top and bottom sides, unless its height is more than 1.5 times its width and it has at
    least 2 characters: then along its left and right sides, downwards. The sides of a polygon are its two chains of
    corners, measured along the chain.

    Args:
        polygon_xy: (P, 2) corners in pixels, P >= 4, clockwise, the first corner at the start of the text; the upper
            chain first, then the lower one backwards.
        text: the transcription; spaces in it take no room.

    Returns:
        (C, 4, 2) float32 in the same pixels, in reading order, each starting at its top-left; C is 0 for a text
        without characters.

    Raises:
        ValueError: the polygon has fewer than 4 corners.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2.2, splits words evenly where the teacher fails. Vertical words
        and polygons are ours.
    """
    if len(np.asarray(polygon_xy)) < 4:
        raise ValueError(f"a word of {len(np.asarray(polygon_xy))} corners cannot be split: expected 4 or more")
    num_characters = len(grapheme_clusters(text))
    if len(np.asarray(polygon_xy)) == 4:
        return _split_quad(np.asarray(polygon_xy, dtype=np.float32).astype(np.float64), num_characters)
    strips = np.asarray(polygon_to_strips(polygon_xy), dtype=np.float64)
    upper = np.concatenate([strips[:, 0], strips[-1:, 1]])
    lower = np.concatenate([strips[:, 3], strips[-1:, 2]])
    if num_characters >= 2 and _is_vertical(strips):
        left, right = (
            _points_along(np.stack([upper[0], lower[0]]), num_characters),
            _points_along(np.stack([upper[-1], lower[-1]]), num_characters),
        )
        quads = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
    else:
        top, bottom = _points_along(upper, num_characters), _points_along(lower, num_characters)
        quads = np.stack([top[:-1], top[1:], bottom[1:], bottom[:-1]], axis=1)
    return quads.astype(np.float32)


def with_characters(scene: Scene, source: Literal["even"] = "even") -> Scene:
    """Give every cared-for word of a scene its characters where it lacks them.

    Args:
        scene: a scene as read.
        source: "even" splits words evenly.

    Returns:
        The scene, with characters for all its cared-for words. Characters that labels gave stay as they are. A word
        that has none, because it has no text or one of spaces alone, becomes don't care: it would be drawn as background.

    Raises:
        ValueError: `source` is unknown.
    """
    if source != "even":
        raise ValueError(f"unknown source of characters {source!r}: expected 'even'")
    return replace(scene, words=tuple(_word_with_characters(word) for word in scene.words))


def _word_with_characters(word: Word) -> Word:
    if word.dont_care:
        return word
    characters = word.character_quads_xy
    if characters is None:
        characters = split_evenly(word.polygon_xy, word.text or "")
    if len(characters) == 0:
        return replace(word, dont_care=True)
    return replace(word, character_quads_xy=characters)


def _is_invisible(sign: str) -> bool:
    return sign.isspace() or unicodedata.category(sign) in ("Zs", "Zl", "Zp", "Cc", "Cf")


def _is_vertical(strips_xy: NDArray[np.float64]) -> bool:
    """Whether a word is taller than 1.5 times its width, both measured along its sides and averaged over them."""
    widths, heights = quad_sides(strips_xy)
    return bool(np.average(heights, weights=widths if widths.sum() > 0 else None) > VERTICAL_RATIO * widths.sum())


def _split_quad(quad_xy: NDArray[np.float64], num_characters: int) -> NDArray[np.float32]:
    """Split a quad evenly, number by number: nearly all words are quads, and arrays this small cost more than sums."""
    top, right, bottom, left = np.linalg.norm(quad_xy - quad_xy[[1, 2, 3, 0]], axis=1).tolist()
    first, second, third, fourth = quad_xy.tolist()
    width, height = 0.5 * (top + bottom), 0.5 * (right + left)
    tall = height * width / width if width > 0 else height  # rounded as the mean over strips is
    if num_characters >= 2 and tall > VERTICAL_RATIO * width:
        lefts, rights = _cuts(first, fourth, left, num_characters), _cuts(second, third, right, num_characters)
        quads = zip(lefts, rights, rights[1:], lefts[1:], strict=False)
    else:
        tops, bottoms = _cuts(first, second, top, num_characters), _cuts(fourth, third, bottom, num_characters)
        quads = zip(tops, tops[1:], bottoms[1:], bottoms, strict=False)
    return np.array([*quads], dtype=np.float32).reshape(-1, 4, 2)


def _cuts(start: list[float], end: list[float], length: float, num_parts: int) -> list[tuple[float, float]]:
    """The points of `_points_along` on the way from one point to another."""
    if length == 0 or num_parts == 0:
        return [(start[0], start[1])] * (num_parts + 1)
    step = length / num_parts
    along_x, along_y = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    cuts = [(along_x * (part * step) + start[0], along_y * (part * step) + start[1]) for part in range(num_parts)]
    return [*cuts, (end[0], end[1])]


def _points_along(chain_xy: NDArray[np.float64], num_parts: int) -> NDArray[np.float64]:
    """(num_parts + 1, 2) points that cut a chain into parts of equal length, both ends among them."""
    lengths = np.linalg.norm(np.diff(chain_xy, axis=0), axis=1)
    reached = np.concatenate([[0.0], np.cumsum(lengths)])
    if reached[-1] == 0:  # the chain is one point
        return np.repeat(chain_xy[:1], num_parts + 1, axis=0)
    wanted = np.linspace(0.0, reached[-1], num_parts + 1)
    return np.stack([np.interp(wanted, reached, chain_xy[:, axis]) for axis in range(2)], axis=1)
