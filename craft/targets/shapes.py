"""What quads colour, as shapes that a map pixel is inside or outside of: the host's share of drawing targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.geometry import bounding_boxes, enlarge_quads, grow_quads, homographies_from_square, signed_area

ENLARGEMENT = 1.5
GROWTH = 0.25
ONE_BITS = 0x3F800000  # the bits of 1.0 in float32
LEAST_AREA = 1e-6  # square map pixels; a quad with less has no inside
LEAST_CORNER = 1e-3  # least triangle at a corner, as a share of the quad's area, of a quad drawn in perspective


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Shapes on a stack of maps, each with the pixels that it may touch. On the host.

    Attributes:
        box: (S, 4) int64, map pixels: left, top, width and height of the pixels it may touch, within the map; none is
            empty.
        plane: (S,) int64, which map of the stack.
        function: (S, K, 3) float64, linear functions a x + b y + c of the map coordinates that tell what is inside.
        payload: (S,) int64, a number that each of its pairs carries along.
    """

    box: NDArray[np.int64]
    plane: NDArray[np.int64]
    function: NDArray[np.floating]
    payload: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.box)


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
        the inverse homography gives, all times one factor; inside is u^2 + v^2 <= w^2. The payload is `distrust`.
    """
    quads = enlarge_quads(convex_or_parallelograms(quads_xy), factor=ENLARGEMENT)
    solid = np.abs(signed_area(quads)) > LEAST_AREA
    forward = homographies_from_square(quads[solid])
    # The dual of the disc's conic gives the ellipse's upright tangents, hence its bounds. It is an ellipse: the
    # horizon of a convex quad's homography does not meet the square.
    dual = (forward * [1.0, 1.0, -1.0]) @ forward.transpose(0, 2, 1)
    middle = dual[:, :2, 2] / dual[:, 2:, 2]
    reach = np.sqrt(np.maximum(middle**2 - dual[:, [0, 1], [0, 1]] / dual[:, 2:, 2], 0))
    bounds = np.concatenate([middle - reach, middle + reach], axis=1)
    return _select(bounds, plane[solid], _adjugates(forward), distrust(confidence[solid]), map_size_hw=map_size_hw)


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
        none is negative. The payload is `distrust`.
    """
    grown, owner = _convex_pieces(grow_quads(_turned_clockwise(strips_xy), share=GROWTH))
    side = np.roll(grown, -1, axis=1) - grown
    length = np.linalg.norm(side, axis=2)
    inward = np.stack([-side[..., 1], side[..., 0]], axis=2) / np.where(length > 0, length, 1)[..., None]
    offset = -(inward * grown).sum(axis=2, keepdims=True)
    return _select(
        bounding_boxes(grown),
        plane[owner],
        np.concatenate([inward, offset], axis=2),
        distrust(confidence[owner]),
        map_size_hw=map_size_hw,
    )


def distrust(confidence: NDArray[np.float32]) -> NDArray[np.int64]:
    """Confidences as whole numbers that order them backwards: 0 for 1, the most for 0.

    Args:
        confidence: (N,) float32, 0 to 1.

    Returns:
        (N,) int64, the bits of 1.0 less those of the confidence: nothing is rounded.
    """
    return (ONE_BITS - np.abs(confidence).view(np.int32)).astype(np.int64)


def convex_or_parallelograms(quads_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace every quad that is not convex by the parallelogram with its middle, its mean sides and its area.

    Args:
        quads_xy: (Q, 4, 2) float64 in pixels.

    Returns:
        (Q, 4, 2) float64. A quad with a corner that is straight, or nearly, counts as not convex: there the horizon
        of its homography comes too near. A bow-tie may become a parallelogram without area.
    """
    area = signed_area(quads_xy)
    corner = _corner_areas(quads_xy) * np.sign(area).reshape(-1, 1)
    convex = np.all(corner > LEAST_CORNER * np.abs(area).reshape(-1, 1), axis=1).reshape(-1, 1, 1)
    first, second, third, fourth = quads_xy.transpose(1, 0, 2)
    middle = quads_xy.mean(axis=1)
    rightwards, downwards = (second + third - first - fourth) / 4, (third + fourth - first - second) / 4
    parallelograms = middle[:, None] + np.stack(
        [-rightwards - downwards, rightwards - downwards, rightwards + downwards, downwards - rightwards], axis=1
    )
    return np.where(convex, quads_xy, parallelograms)


def _adjugates(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Q, 3, 3) inverses times the determinant, which homogeneous coordinates do not feel."""
    first, second, third = matrices.transpose(2, 0, 1)  # columns
    return np.stack([np.cross(second, third), np.cross(third, first), np.cross(first, second)], axis=1)


def _turned_clockwise(quads_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((signed_area(quads_xy) < 0).reshape(-1, 1, 1), quads_xy[:, [0, 3, 2, 1]], quads_xy)


def _corner_areas(quads_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Q, 4) signed areas of the triangles that each corner makes with its neighbours."""
    side = np.roll(quads_xy, -1, axis=1) - quads_xy
    before = np.roll(side, 1, axis=1)
    return 0.5 * (before[..., 0] * side[..., 1] - before[..., 1] * side[..., 0])


def _convex_pieces(quads_xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cut quads at their most inward corner into two triangles, written as quads with one corner twice.

    Convex quads stay whole; a bow-tie's triangles cover both its wings and what lies between. Pieces without area are
    left out. Returns (P, 4, 2) clockwise, and (P,) the quad that each is of.
    """
    corner = _corner_areas(quads_xy)
    whole = (corner >= 0).all(axis=1)
    cut = np.flatnonzero(~whole)
    order = (corner[cut].argmin(axis=1)[:, None] + np.arange(4)) % 4
    rolled = quads_xy[cut[:, None], order]
    pieces = np.concatenate([quads_xy[whole], rolled[:, [0, 1, 2, 2]], rolled[:, [0, 2, 3, 3]]])
    owner = np.concatenate([np.flatnonzero(whole), cut, cut])
    solid = np.abs(signed_area(pieces)) > LEAST_AREA
    return _turned_clockwise(pieces[solid]), owner[solid]


def _pixel_boxes(bounds_xyxy: NDArray[np.float64], *, map_size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Boxes of the pixels whose centres lie within bounds and within the map.

    Args:
        bounds_xyxy: (S, 4) in map pixels.
        map_size_hw: height and width of the map.

    Returns:
        (S, 4) int64: left, top, width, height; width or height is 0 or less where there is no such pixel.
    """
    height, width = map_size_hw
    limit = np.array([width, height], dtype=np.float64)
    slack = 1e-6  # a centre on the bounds must not be lost to rounding; what is inside is tested exactly later
    low = np.clip(np.ceil(bounds_xyxy[:, :2] - 0.5 - slack), 0, limit)
    high = np.clip(np.floor(bounds_xyxy[:, 2:] - 0.5 + slack) + 1, 0, limit)
    return np.concatenate([low, high - low], axis=1).astype(np.int64)


def _select(
    bounds_xyxy: NDArray[np.float64],
    plane: NDArray[np.int64],
    function: NDArray[np.floating],
    payload: NDArray[np.int64],
    *,
    map_size_hw: tuple[int, int],
) -> Shapes:
    """Put shapes together, leaving out those that touch no pixel centre of the map.

    Args:
        bounds_xyxy: (S, 4) float64, map pixels.
        plane: (S,) int64, as in Shapes.
        function: (S, K, 3) float64, as in Shapes.
        payload: (S,) int64, as in Shapes.
        map_size_hw: height and width of the map.

    Returns:
        The shapes that touch the map.
    """
    box = _pixel_boxes(bounds_xyxy, map_size_hw=map_size_hw)
    touching = (box[:, 2] > 0) & (box[:, 3] > 0)
    return Shapes(box[touching], plane[touching], function[touching], payload[touching])
