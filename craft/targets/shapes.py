"""The definition of the maps: which ellipses and which covers quads become. The host's share of painting targets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from craft.targets.shape_kernels import connect_neighbours, fit_ellipses, grow_strips

SIGMA = 0.4  # of the Gaussian, in half sides of an enlarged quad
ENLARGEMENT = 1.5  # of a quad, around where its diagonals cross
# A target at a character's own width is exp(-FALLOFF t^2), t from -1 to 1 across the character.
FALLOFF = 0.5 * (1.0 / ENLARGEMENT / SIGMA) ** 2
GROWTH = 0.25  # of a word's strips on every side, as a share of their shorter side

ONE_BITS = 0x3F800000  # the bits of 1.0 in float32


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Shapes on a stack of maps, each with the pixels that it may touch. On the host."""

    box: NDArray[np.int64]  # (S, 4): left, top, width and height in map pixels, within the map; none is empty
    plane: NDArray[np.int64]  # (S,) which map of the stack
    function: NDArray[np.floating]  # (S, K, 3) linear functions a x + b y + c that tell what is inside
    payload: NDArray[np.int64]  # (S,) `distrust` of its word, which each of its pixels carries along

    def __len__(self) -> int:
        return len(self.box)

    def from_first_pixels(self, map_size_hw: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Express the shapes relative to the first pixel of their boxes: there float32 loses no digits.

        Returns that pixel (S,) in the flattened stack of maps; and (3 K, S) float32: growth per pixel to the right and
        per pixel down of the functions, then their values at that pixel's centre.
        """
        left, top = self.box[:, 0], self.box[:, 1]
        origin = np.stack([left + 0.5, top + 0.5, np.ones(len(self))], axis=1)
        constant = np.einsum("skc,sc->sk", self.function, origin)
        functions = np.concatenate([self.function[..., 0], self.function[..., 1], constant], axis=1)
        first_pixel = (self.plane * map_size_hw[0] + top) * map_size_hw[1] + left
        return first_pixel, np.ascontiguousarray(functions.T, dtype=np.float32)


def affinity_quads(
    character_quads_xy: ArrayLike, character_word: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Build the quads between neighbouring characters of a word, through the centroids of their diagonals' triangles.

    The upper and lower triangles are used; the left and right ones where the step from one character's centre to the
    next runs more along the characters' vertical axis than along their horizontal one, as in a vertical word.

    Returns (A, 4, 2) float64 quads, and (A,) int64, the word of each.

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
    """Enlarge quads (Q, 4, 2), in map pixels, and fit the ellipses on the maps that the unit disc becomes in them.

    The three functions of each are the homogeneous coordinates (u, v, w) that the inverse homography gives, up to a
    common factor; inside is u^2 + v^2 <= w^2.
    """
    box, function = np.empty((len(quads_xy), 4), dtype=np.int64), np.empty((len(quads_xy), 3, 3))
    kept = np.empty(len(quads_xy), dtype=np.int64)
    count = fit_ellipses(quads_xy, ENLARGEMENT, *map_size_hw, np.empty((4, 2)), box, function, kept)
    kept = kept[:count]
    return Shapes(box[:count], plane[kept], function[:count], distrust(confidence[kept]))


def grown_strips(
    strips_xy: NDArray[np.float64],
    plane: NDArray[np.int64],
    confidence: NDArray[np.float32],
    *,
    map_size_hw: tuple[int, int],
) -> Shapes:
    """Grow strips (S, 4, 2), in map pixels, by a quarter of their shorter side and cut them into convex pieces.

    The four functions of each piece are the distances from its sides; inside, none is negative.
    """
    room = 2 * len(strips_xy)
    box, function = np.empty((room, 4), dtype=np.int64), np.empty((room, 4, 3))
    kept = np.empty(room, dtype=np.int64)
    count = grow_strips(strips_xy, GROWTH, *map_size_hw, np.empty((3, 4, 2)), box, function, kept)
    kept = kept[:count]
    return Shapes(box[:count], plane[kept], function[:count], distrust(confidence[kept]))


def distrust(confidence: NDArray[np.float32]) -> NDArray[np.int64]:
    """Map (N,) confidences to integers in reverse order, 0 for confidence 1: the bits of 1.0 less theirs, not rounded."""
    return (ONE_BITS - np.abs(confidence).view(np.int32)).astype(np.int64)


def trust(distrusted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Invert `distrust`."""
    return (ONE_BITS - distrusted).astype(np.int32).view(np.float32)
