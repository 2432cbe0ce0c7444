"""Where a word's characters are: as given, or by splitting the word evenly."""

from dataclasses import replace

import numpy as np
import regex
from numpy.typing import ArrayLike, NDArray

from craft.geometry import polygon_to_strips, quad_sides
from craft.scene import Scene, Word, is_visible

VERTICAL_RATIO = 1.5  # height over width above which a word of several characters is read downwards


def grapheme_clusters(text: str) -> list[str]:
    """List what a reader sees as characters, each with its combining marks, without spaces and invisible signs.

    Source: Unicode Standard Annex 29, extended grapheme clusters.
    """
    if text.isascii() and text.isprintable():  # no sign joins another, and only the space is invisible
        return list(text.replace(" ", ""))
    return [cluster for cluster in regex.findall(r"\X", text) if any(map(is_visible, cluster))]


def num_missing_characters(word: Word) -> int:
    """Count the characters that a teacher has to find; 0 for a don't-care word or one whose characters are known."""
    if word.dont_care or word.character_quads_xy is not None:
        return 0
    return len(grapheme_clusters(word.text or ""))


def is_to_be_counted(word: Word) -> bool:
    """Whether a cared-for word has neither text nor characters, so that a teacher has to count and find them.

    No reader gives such words: they are don't care until `craft label --boxes-only` asks for them.
    """
    return not word.dont_care and word.text is None and word.character_quads_xy is None


def split_evenly(polygon_xy: ArrayLike, text: str) -> NDArray[np.float32]:
    """Split a word into as many quads of equal length as its text has characters, spaces not counted.

    The word is split along its top and bottom sides, unless its height is more than 1.5 times its width and it has at
    least 2 characters: then along its left and right sides, downwards. The sides of a polygon (P, 2), clockwise from
    the start of the text, are its two chains of corners, measured along the chain.

    Returns:
        (C, 4, 2) float32 in reading order, each quad starting at its top-left; C is 0 for a text without characters.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2.2, splits words evenly where the teacher fails. Vertical words
        and polygons are ours.
    """
    polygon = np.asarray(polygon_xy, dtype=np.float32)
    if len(polygon) < 4:
        raise ValueError(f"cannot split a word of {len(polygon)} corners; expected 4 or more")
    num_characters = len(grapheme_clusters(text))
    if len(polygon) == 4:
        return _split_quad(polygon.astype(np.float64), num_characters)
    strips = polygon_to_strips(polygon).astype(np.float64)
    upper = np.concatenate([strips[:, 0], strips[-1:, 1]])
    lower = np.concatenate([strips[:, 3], strips[-1:, 2]])
    if num_characters >= 2 and _is_vertical(strips):
        left = _points_along(np.stack([upper[0], lower[0]]), num_characters)
        right = _points_along(np.stack([upper[-1], lower[-1]]), num_characters)
        quads = np.stack([left[:-1], right[:-1], right[1:], left[1:]], axis=1)
    else:
        top, bottom = _points_along(upper, num_characters), _points_along(lower, num_characters)
        quads = np.stack([top[:-1], top[1:], bottom[1:], bottom[:-1]], axis=1)
    return quads.astype(np.float32)


def with_characters(scene: Scene) -> Scene:
    """Split the cared-for words of a scene evenly where characters are unknown; words without any become don't care."""
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


def _is_vertical(strips_xy: NDArray[np.float64]) -> bool:
    """Whether a word is taller than 1.5 times its width, both averaged along its sides."""
    widths, heights = quad_sides(strips_xy)
    return bool(np.average(heights, weights=widths if widths.sum() > 0 else None) > VERTICAL_RATIO * widths.sum())


def _split_quad(quad_xy: NDArray[np.float64], num_characters: int) -> NDArray[np.float32]:
    """Split a quad evenly in plain Python: nearly all words are quads, and on arrays this small numpy is slower."""
    top, right, bottom, left = np.linalg.norm(quad_xy - quad_xy[[1, 2, 3, 0]], axis=1).tolist()
    first, second, third, fourth = quad_xy.tolist()
    width, height = 0.5 * (top + bottom), 0.5 * (right + left)
    mean_height = height * width / width if width > 0 else height  # rounded as the mean over strips is
    if num_characters >= 2 and mean_height > VERTICAL_RATIO * width:
        lefts, rights = _cuts(first, fourth, left, num_characters), _cuts(second, third, right, num_characters)
        quads = zip(lefts, rights, rights[1:], lefts[1:], strict=False)
    else:
        tops, bottoms = _cuts(first, second, top, num_characters), _cuts(fourth, third, bottom, num_characters)
        quads = zip(tops, tops[1:], bottoms[1:], bottoms, strict=False)
    return np.array([*quads], dtype=np.float32).reshape(-1, 4, 2)


def _cuts(start: list[float], end: list[float], length: float, num_parts: int) -> list[tuple[float, float]]:
    """The points of `_points_along` between two points."""
    if length == 0 or num_parts == 0:
        return [(start[0], start[1])] * (num_parts + 1)
    step = length / num_parts
    along_x, along_y = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    cuts = [(along_x * (part * step) + start[0], along_y * (part * step) + start[1]) for part in range(num_parts)]
    return [*cuts, (end[0], end[1])]


def _points_along(chain_xy: NDArray[np.float64], num_parts: int) -> NDArray[np.float64]:
    """(num_parts + 1, 2) points that cut a chain into parts of equal length, both ends included."""
    lengths = np.linalg.norm(np.diff(chain_xy, axis=0), axis=1)
    distances = np.concatenate([[0.0], np.cumsum(lengths)])
    if distances[-1] == 0:  # the chain is one point
        return np.repeat(chain_xy[:1], num_parts + 1, axis=0)
    wanted = np.linspace(0.0, distances[-1], num_parts + 1)
    return np.stack([np.interp(wanted, distances, chain_xy[:, axis]) for axis in range(2)], axis=1)
