"""Walls of rooms as planes, with shelves of goods, windows, clothes and posters along them, none with letters."""

import itertools
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from craft.geometry import box_corners
from craft.synth.colours import Colour, natural_colour, natural_colours
from craft.synth.rendered_scene import Image

SHIFT = 4  # OpenCV counts sixteenths of a pixel
UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
_WARM = np.array([1.0, 0.2, -1.2])


@dataclass(slots=True)
class Plane:
    """Rectangles painted on one plane, in its own coordinates: 0 to 1 to the right and 0 to 1 downwards."""

    corners_xy: NDArray[np.float64]  # (4, 2) where the plane's corners are in the image
    boxes: list[NDArray[np.float64]] = field(default_factory=list)  # (N, 4) left, top, right, bottom; in painting order
    colours: list[NDArray[np.float64]] = field(default_factory=list)  # an (N, 3) array for each of them, RGB 0 to 255

    def add(self, left: ArrayLike, top: ArrayLike, right: ArrayLike, bottom: ArrayLike, colour: ArrayLike) -> None:
        """Add one rectangle, or N where any side is (N,); `colour` is (3,) for all or (N, 3), RGB 0 to 255."""
        sides = np.broadcast_arrays(left, top, right, bottom)
        boxes = np.stack([side.reshape(-1) for side in sides], axis=1).astype(np.float64)
        self.boxes.append(boxes)
        self.colours.append(np.broadcast_to(np.asarray(colour, dtype=np.float64), (len(boxes), 3)))

    def paint(self, image: Image, *, share: float = 1.0, level: int | None = None) -> None:
        """Paint everything over an image, in place, at `share` of the corners' size, in its colours or one `level`."""
        boxes = np.concatenate(self.boxes) if self.boxes else np.empty((0, 4))
        if not len(boxes):
            return
        matrix = cv2.getPerspectiveTransform(UNIT, (self.corners_xy * share).astype(np.float32))
        points = cv2.perspectiveTransform(box_corners(boxes).reshape(1, -1, 2), matrix).reshape(-1, 4, 2)
        reach = 4.0 * max(image.shape)  # what is far outside would overflow
        fixed = np.round(np.clip(points, -reach, reach) * 2**SHIFT).astype(np.int32)
        levels = np.clip(np.concatenate(self.colours), 0, 255).tolist()
        for quad, colour in zip(fixed, levels, strict=True):
            cv2.fillConvexPoly(image, quad, colour if level is None else level, cv2.LINE_AA, SHIFT)


def wall_colour(generator: Generator) -> Colour:
    """Choose the colour of paint, stone or panels: mostly light and hardly coloured."""
    if generator.random() < 0.3:
        return natural_colour(generator, vivid=0.1)
    return np.clip(generator.uniform(90, 245) + generator.normal(0, 7, 3) + generator.uniform(0, 18) * _WARM, 0, 255)


def add_bays(generator: Generator, plane: Plane) -> None:
    """Divide a wall into bays and add goods, glass, clothes, a poster or nothing to each."""
    edges = np.concatenate([[0.0], np.cumsum(generator.uniform(0.5, 1.5, int(generator.integers(1, 5))))])
    edges /= edges[-1]
    top, bottom = generator.uniform(0.0, 0.3), generator.uniform(0.75, 1.0)
    frame = wall_colour(generator) * generator.uniform(0.2, 1)
    for start, end in itertools.pairwise(edges.tolist()):
        gap = 0.04 * (end - start)
        plane.add(start, 0, start + gap, 1, frame)
        fill = _FILLS[int(np.searchsorted(_FILL_BOUNDS, generator.random(), side="right"))]
        if fill is not None:
            fill(generator, plane, start + gap, top, end, bottom)
        if generator.random() < 0.4:  # a shop sign without text
            plane.add(start, top - generator.uniform(0.03, 0.1), end, top, natural_colour(generator, vivid=0.2))


def _shelves(generator: Generator, plane: Plane, left: float, top: float, right: float, bottom: float) -> None:
    """Rows of goods: packets of one kind side by side, with labels, and price tags along the boards."""
    plane.add(left, top, right, bottom, wall_colour(generator) * generator.uniform(0.15, 0.8))
    rows = int(generator.integers(2, 8))
    row = (bottom - top) / rows
    grounds = top + (np.arange(rows) + 0.9) * row
    _goods(generator, plane, left, right, grounds, row)
    plane.add(left, grounds, right, grounds + 0.1 * row, wall_colour(generator))
    if generator.random() < 0.5:
        tag, ground = np.meshgrid(np.arange(left, right, generator.uniform(0.3, 0.9) * row), grounds)
        plane.add(tag, ground + 0.01 * row, tag + 0.12 * row, ground + 0.09 * row, np.full(3, 235.0))


def _goods(
    generator: Generator, plane: Plane, left: float, right: float, grounds: NDArray[np.floating], row: float
) -> None:
    """Packets along boards, one to six of a kind; everything below is (rows, kinds) and then (packets,)."""
    shape = (len(grounds), int((right - left) / row) + 2)
    wide, high = generator.uniform(0.12, 0.7, shape) * row, generator.uniform(0.45, 0.85, shape) * row
    count = generator.integers(1, 7, shape)
    span = (count + generator.uniform(0, 0.5, shape)) * wide
    label = np.sort(generator.uniform(0.1, 0.9, (2, *shape)), axis=0).reshape(2, -1)
    colours = natural_colours(generator, 2 * label[0].size, vivid=0.2).reshape(2, -1, 3)
    start = (left + np.cumsum(span, axis=1) - span).ravel()
    kind = np.repeat(np.arange(start.size), count.ravel())
    nth = np.arange(kind.size) - np.repeat(np.cumsum(count) - count.ravel(), count.ravel())
    wide = wide.ravel()[kind]
    x = start[kind] + nth * wide
    on_board = x + wide <= right
    kind, x, wide = kind[on_board], x[on_board], wide[on_board]
    ground = np.repeat(grounds, shape[1])[kind]
    tall = high.ravel()[kind] * generator.uniform(0.96, 1.0, kind.size)
    shade = generator.uniform(0.85, 1.1, (kind.size, 1))
    packets = (x, ground - tall, x + 0.93 * wide, ground)
    labels = (x + 0.1 * wide, ground - label[1, kind] * tall, x + 0.83 * wide, ground - label[0, kind] * tall)
    plane.add(*packets, colours[0, kind] * shade)
    plane.add(*labels, colours[1, kind] * shade)


def _glass(generator: Generator, plane: Plane, left: float, top: float, right: float, bottom: float) -> None:
    """A window with a dim room and bright spots behind, and its frame."""
    plane.add(left, top, right, bottom, natural_colour(generator, vivid=0.0) * generator.uniform(0.1, 0.6))
    count = int(generator.integers(2, 16))
    x, y = generator.uniform(left, right, count), generator.uniform(top, bottom, count)
    wide, high = np.exp(generator.uniform(np.log(0.02), np.log(0.3), (2, count)))
    colours = natural_colours(generator, count) * generator.uniform(0.4, 1.3, (count, 1))
    wide, high = wide * (right - left), high * (bottom - top)
    plane.add(x, y, np.minimum(x + wide, right), np.minimum(y + high, bottom), colours)
    bars = np.linspace(left, right, int(generator.integers(2, 5)))
    plane.add(bars - 0.004, top, bars + 0.004, bottom, wall_colour(generator))


def _clothes(generator: Generator, plane: Plane, left: float, top: float, right: float, bottom: float) -> None:
    """Clothes on a rail: narrow, uneven, side by side."""
    for level in (0.0, 0.5)[: int(generator.integers(1, 3))]:
        rail = top + (0.1 + level) * (bottom - top)
        plane.add(left, rail - 0.006, right, rail, np.full(3, generator.uniform(30, 220)))
        most = int((right - left) / (0.008 * (1 + right - left))) + 1
        wide = generator.uniform(0.01, 0.05, most) * (1 + right - left)
        x = left + np.cumsum(0.8 * wide) - 0.8 * wide
        wide, x = wide[x < right], x[x < right]
        high = generator.uniform(0.2, 0.42, len(x)) * (bottom - top)
        colours = natural_colours(generator, len(x), vivid=0.2)
        plane.add(x, rail, np.minimum(x + wide, right), rail + high, colours)


def _poster(generator: Generator, plane: Plane, left: float, top: float, right: float, bottom: float) -> None:
    """A poster or a screen: a few shapes of few colours, no letters."""
    colours = natural_colours(generator, 3, vivid=0.25)
    plane.add(left, top, right, bottom, colours[0])
    count = int(generator.integers(2, 9))
    x, y = generator.uniform(left, right, count), generator.uniform(top, bottom, count)
    wide, high = generator.uniform(0.03, 0.5, (2, count)) * [[right - left], [bottom - top]]
    chosen = colours[generator.integers(0, 3, count)] * generator.uniform(0.6, 1.2, (count, 1))
    plane.add(x, y, np.minimum(x + wide, right), np.minimum(y + high, bottom), chosen)


_FILLS = (_shelves, _glass, _clothes, _poster, None)
_FILL_BOUNDS = np.cumsum([0.32, 0.25, 0.13, 0.15])
