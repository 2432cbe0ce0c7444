"""Targets drawn pixel by pixel in float64, as slowly and plainly as the definition reads."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import Point, Polygon

from craft.geometry import quad_sides

Quad = NDArray[np.float64]


def diagonal_crossings(quads_xy: ArrayLike) -> NDArray[np.float64]:
    """Where the diagonals of (..., 4, 2) quads cross, as lines; their mean corner if parallel; (..., 2) float64."""
    quads = np.asarray(quads_xy, dtype=np.float64)
    start, other = quads[..., 0, :], quads[..., 1, :]
    down, across = quads[..., 2, :] - start, quads[..., 3, :] - other
    offset = other - start
    denominator = down[..., 0] * across[..., 1] - down[..., 1] * across[..., 0]
    parallel = np.abs(denominator) < 1e-9
    share = (offset[..., 0] * across[..., 1] - offset[..., 1] * across[..., 0]) / np.where(parallel, 1, denominator)
    crossing = start + share[..., None] * down
    return np.where(parallel[..., None], quads.mean(axis=-2), crossing)


def enlarge_quads(quads_xy: ArrayLike, *, factor: float) -> NDArray[np.float64]:
    """Move the corners of (..., 4, 2) quads away from where their diagonals cross, by `factor` > 0 times their distance.

    Source: CRAFT, Baek et al., CVPR 2019, draws a character's Gaussian over a box larger than the character.
    """
    quads = np.asarray(quads_xy, dtype=np.float64)
    centres = diagonal_crossings(quads)[..., None, :]
    return centres + factor * (quads - centres)


def grow_quads(quads_xy: ArrayLike, *, share: float) -> NDArray[np.float64]:
    """Move every side of clockwise (..., 4, 2) quads outwards by `share` of the smaller of mean width and mean height.

    Where two neighbouring sides are nearly parallel, a corner moves by at most three times the distance, so that
    slivers do not reach across the image.
    """
    quads = np.asarray(quads_xy, dtype=np.float64)
    width, height = quad_sides(quads)
    distance = (share * np.minimum(width, height))[..., None, None]
    sides = np.roll(quads, -1, axis=-2) - quads
    length = np.linalg.norm(sides, axis=-1, keepdims=True)
    along = sides / np.where(length > 0, length, 1)
    outward = np.stack([along[..., 1], -along[..., 0]], axis=-1)  # clockwise with y down: the outside is to the left
    before = np.roll(outward, 1, axis=-2)
    bisector = outward + before
    scale = 2.0 / np.maximum((bisector**2).sum(axis=-1, keepdims=True), 4.0 / 9.0)
    one_side = (length == 0) | (np.roll(length, 1, axis=-2) == 0)  # a corner given twice follows its one real side
    scale = np.where(one_side, 1.0, scale)
    return quads + distance * bisector * scale


def crossing_of_diagonals(quad: Quad) -> Quad:
    """Solve first + s (third - first) = second + t (fourth - second)."""
    sides = np.stack([quad[2] - quad[0], quad[1] - quad[3]], axis=1)
    share, _ = np.linalg.solve(sides, quad[1] - quad[0])
    return quad[0] + share * (quad[2] - quad[0])


def homography_to_square(quad: Quad) -> Quad:
    """Solve the eight linear equations that send a quad's corners to those of [-1, 1]^2."""
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, [(-1, -1), (1, -1), (1, 1), (-1, 1)], strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values, dtype=np.float64)), 1.0).reshape(3, 3)


def gaussian(quad: Quad, point: tuple[float, float]) -> float:
    """Value at a point of the Gaussian drawn over a quad enlarged 1.5 times."""
    middle = crossing_of_diagonals(quad)
    u, v, w = homography_to_square(middle + 1.5 * (quad - middle)) @ [*point, 1.0]
    squared_radius = (u / w) ** 2 + (v / w) ** 2
    return math.exp(-squared_radius / (2 * 0.4**2)) if squared_radius <= 1 else 0.0


def affinity_quad(here: Quad, there: Quad, *, vertical: bool) -> Quad:
    """Quad between two characters, through the middles of two triangles of each."""
    sides = (3, 1) if vertical else (0, 2)
    middles = []
    for quad in (here, there):
        centre = crossing_of_diagonals(quad)
        middles.append([(quad[side] + quad[(side + 1) % 4] + centre) / 3 for side in sides])
    (first, second), (third, fourth) = middles
    return np.array([first, second, fourth, third] if vertical else [first, third, fourth, second])


def draw_slowly(
    quads: list[tuple[int, Quad, int]],
    strips: list[tuple[Quad, int]],
    word_image: list[int],
    word_confidence: list[float],
    *,
    batch_size: int,
    map_size_hw: tuple[int, int],
) -> tuple[Quad, Quad]:
    """Draw quads given as (map, quad, word) and strips given as (quad, word), all in input pixels.

    Returns maps and confidence, each (B, 2, H, W) float64.
    """
    height, width = map_size_hw
    maps = np.zeros((batch_size, 2, height, width))
    confidence = np.ones((batch_size, 2, height, width))
    grown = [(Polygon(grow_quads(strip / 2, share=0.25)), word) for strip, word in strips]
    for image, kind, row, column in np.ndindex(*maps.shape):
        centre = (column + 0.5, row + 0.5)
        drawn = [
            (gaussian(quad / 2, centre), -word_confidence[word])
            for quad_kind, quad, word in quads
            if quad_kind == kind and word_image[word] == image and word_confidence[word] > 0
        ]
        target, trust = max(drawn, default=(0.0, -1.0))
        covering = [
            word_confidence[word]
            for polygon, word in grown
            if word_image[word] == image and polygon.covers(Point(centre))
        ]
        maps[image, kind, row, column] = target
        confidence[image, kind, row, column] = -trust if target > 0 else min(covering, default=1.0)
        if 0 in covering and target <= 0.1:
            confidence[image, kind, row, column] = 0.0
    return maps, confidence
