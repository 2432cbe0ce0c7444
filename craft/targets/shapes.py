"""What quads colour, as shapes that a map pixel is inside or outside of: the host's share of drawing targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.targets.outlines import connect_neighbours, outline_ellipses, outline_strips

ONE_BITS = 0x3F800000  # the bits of 1.0 in float32


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Shapes on a stack of maps, each with the pixels that it may touch. On the host.

    Attributes:
        box: (S, 4) int64, map pixels: left, top, width and height of the pixels it may touch, within the map; none is
            empty.
        plane: (S,) int64, which map of the stack.
        function: (S, K, 3) float64, linear functions a x + b y + c of the map coordinates that tell what is inside.
        payload: (S,) int64, `distrust` of its word, which each of its pixels carries along.
    """

    box: NDArray[np.int64]
    plane: NDArray[np.int64]
    function: NDArray[np.floating]
    payload: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.box)


def affinity_quads(
    character_quads_xy: ArrayLike, character_word: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Quads between neighbouring characters of a word, through the middles of the triangles their diagonals make.

    The upper and lower triangles are used; the left and right ones where the step from one character's centre to the
    next runs more along the characters' vertical axis than along their horizontal one, as in a vertical word.

    Args:
        character_quads_xy: (C, 4, 2) in pixels, neighbours in a word next to each other.
        character_word: (C,) integers, the word of each character.

    Returns:
        (A, 4, 2) float64 in the same pixels, and (A,) int64, the word of each.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2.1. Left and right triangles are ours.
    """
    quads = np.ascontiguousarray(character_quads_xy, dtype=np.float64).reshape(-1, 4, 2)
    word = np.ascontiguousarray(character_word, dtype=np.int64)
    between, between_word = np.empty_like(quads), np.empty_like(word)
    count = connect_neighbours(quads, word, between, between_word)
    return between[:count], between_word[:count]


def ellipses(
    quads_xy: NDArray[np.float64],
    plane: NDArray[np.int64],
    confidence: NDArray[np.float32],
    *,
    map_size_hw: tuple[int, int],
) -> Shapes:
    """The ellipses that the unit disc becomes in every quad, enlarged.

    Args:
        quads_xy: (Q, 4, 2) float64, map pixels: characters, and quads between them.
        plane: (Q,) int64, the map that each is drawn on.
        confidence: (Q,) float32, 0 to 1, of each quad's word.
        map_size_hw: height and width of each map.

    Returns:
        The ellipses that touch the maps. The three functions of each are the homogeneous coordinates (u, v, w) that
        the inverse homography gives, all times one factor; inside is u^2 + v^2 <= w^2.
    """
    box, function = np.empty((len(quads_xy), 4), dtype=np.int64), np.empty((len(quads_xy), 3, 3))
    kept = np.empty(len(quads_xy), dtype=np.int64)
    count = outline_ellipses(quads_xy, *map_size_hw, np.empty((4, 2)), box, function, kept)
    kept = kept[:count]
    return Shapes(box[:count], plane[kept], function[:count], distrust(confidence[kept]))


def grown_strips(
    strips_xy: NDArray[np.float64],
    plane: NDArray[np.int64],
    confidence: NDArray[np.float32],
    *,
    map_size_hw: tuple[int, int],
) -> Shapes:
    """Strips grown by a quarter of their shorter side on every side, in convex pieces.

    Args:
        strips_xy: (S, 4, 2) float64, map pixels.
        plane: (S,) int64, the map that each covers.
        confidence: (S,) float32, 0 to 1, of each strip's word.
        map_size_hw: height and width of each map.

    Returns:
        The pieces that touch the maps. The four functions of each are the distances from its sides; inside is where
        none is negative.
    """
    room = 2 * len(strips_xy)
    box, function = np.empty((room, 4), dtype=np.int64), np.empty((room, 4, 3))
    kept = np.empty(room, dtype=np.int64)
    count = outline_strips(strips_xy, *map_size_hw, np.empty((3, 4, 2)), box, function, kept)
    kept = kept[:count]
    return Shapes(box[:count], plane[kept], function[:count], distrust(confidence[kept]))


def distrust(confidence: NDArray[np.float32]) -> NDArray[np.int64]:
    """Confidences as whole numbers that order them backwards: 0 for 1, the most for 0.

    Args:
        confidence: (N,) float32, 0 to 1.

    Returns:
        (N,) int64, the bits of 1.0 less those of the confidence: nothing is rounded.
    """
    return (ONE_BITS - np.abs(confidence).view(np.int32)).astype(np.int64)


def trust(distrusted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Confidences back from `distrust`.

    Args:
        distrusted: (N,) int64.

    Returns:
        (N,) float32, 0 to 1.
    """
    return (ONE_BITS - distrusted).astype(np.int32).view(np.float32)
