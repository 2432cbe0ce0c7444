"""Backgrounds seen in depth: halls and shops with floors, ceiling lights, shelves of goods, shop fronts and people."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.datasets.generator.backgrounds import defocused
from craft.datasets.generator.palette import Colour, natural_colour
from craft.datasets.generator.rendered import Picture
from craft.datasets.generator.textures import add_texture, texture_patch

Generator = np.random.Generator
_SHIFT = 4  # OpenCV counts sixteenths of a pixel
_UNIT = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


@dataclass(slots=True)
class _Plane:
    """Things painted on one plane, in its own coordinates: 0 to 1 to the right and 0 to 1 downwards.

    Attributes:
        corners_xy: (4, 2) where the plane's corners are in the picture.
        boxes: left, top, right and bottom of each, in the order in which they are painted.
        colours: of each.
    """

    corners_xy: NDArray[np.float64]
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)

    def add(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Add a rectangle."""
        self.boxes.append((left, top, right, bottom))
        self.colours.append(colour)

    def paint(self, image: Picture) -> None:
        """Bring everything into the picture, in place."""
        if not self.boxes:
            return
        matrix = cv2.getPerspectiveTransform(_UNIT, self.corners_xy.astype(np.float32))
        quads = np.array(self.boxes, np.float64)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(1, -1, 2)
        points = cv2.perspectiveTransform(quads, matrix).reshape(-1, 4, 2)
        reach = 4.0 * max(image.shape)  # what is far outside would overflow
        fixed = np.round(np.clip(points, -reach, reach) * 2**_SHIFT).astype(np.int32)
        levels = np.clip(np.array(self.colours), 0, 255).tolist()
        for quad, colour in zip(fixed, levels, strict=True):
            cv2.fillConvexPoly(image, quad, colour, cv2.LINE_AA, _SHIFT)


def room_background(generator: Generator, size_hw: tuple[int, int]) -> Picture:
    """A hall, a shop or a shop front without text.

    Args:
        generator: source of randomness.
        size_hw: height and width.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = size_hw
    image = np.empty((height, width, 3), np.uint8)
    cv2.rectangle(image, (0, 0), (width, height), np.clip(_wall_colour(generator), 0, 255).tolist(), -1)
    lights = np.zeros((height // 4, width // 4), np.uint8)
    if generator.random() < 0.3:
        _front(generator, image)
    else:
        _hall(generator, image, lights)
    for _ in range(int(generator.integers(0, 4)) if generator.random() < 0.6 else 0):
        _person(generator, image)
    strength = float(generator.uniform(0.04, 0.25))
    image = add_texture(image, texture_patch(generator, size_hw, stretch=4.0), strength)
    if lights.any():
        image = _with_bloom(image, lights)
    if generator.random() < 0.3:
        image = defocused(image, float(generator.uniform(0.8, 3.0)))
    return image


def _wall_colour(generator: Generator) -> Colour:
    """Paint, stone or panels: light and hardly coloured, mostly."""
    if generator.random() < 0.3:
        return natural_colour(generator, vivid=0.1)
    return np.clip(generator.uniform(90, 245) + generator.normal(0, 7, 3) + generator.uniform(0, 18) * _WARM, 0, 255)


_WARM = np.array([1.0, 0.2, -1.2])


def _hall(generator: Generator, image: Picture, lights: Picture) -> None:
    """One-point perspective: far wall, floor, ceiling, and two side walls with what stands along them."""
    height, width = image.shape[:2]
    vanishing = np.array([generator.uniform(0.1, 0.9) * width, generator.uniform(0.25, 0.65) * height])
    outer = np.array([[-0.1, -0.25], [1.1, -0.25], [1.1, 1.25], [-0.1, 1.25]]) * [width, height]
    roll = np.deg2rad(generator.normal(0, 4))
    turning = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    outer = (outer - vanishing) @ turning + vanishing
    inner = vanishing + (outer - vanishing) * generator.uniform(0.1, 0.45)
    far = _Plane(inner)
    ceiling = _Plane(np.array([outer[0], outer[1], inner[1], inner[0]]))
    floor = _Plane(np.array([inner[3], inner[2], outer[2], outer[3]]))
    left = _Plane(np.array([outer[0], inner[0], inner[3], outer[3]]))
    right = _Plane(np.array([inner[1], outer[1], outer[2], inner[2]]))
    wall = _wall_colour(generator)
    for plane, colour in (
        (far, wall * generator.uniform(0.6, 1.1)),
        (ceiling, _wall_colour(generator) * generator.uniform(0.7, 1.1)),
        (floor, _wall_colour(generator) * generator.uniform(0.4, 1.0)),
        (left, wall * generator.uniform(0.6, 1.0)),
        (right, wall * generator.uniform(0.6, 1.0)),
    ):
        plane.add(0, 0, 1, 1, colour)
    _tiles(generator, floor)
    _panels(generator, ceiling)
    for plane in (far, left, right):
        _bays(generator, plane)
    for plane in (ceiling, floor, far, left, right):
        plane.paint(image)
    _reflect(generator, image, floor)
    _lamps(generator, image, lights, ceiling)


def _front(generator: Generator, image: Picture) -> None:
    """A wall of shelves, a shop front or a cabinet, nearly from the front."""
    height, width = image.shape[:2]
    corners = _UNIT * [width, height] * 1.1 - np.array([0.05 * width, 0.05 * height])
    corners = corners + generator.normal(0, 0.06, (4, 2)) * [width, height]
    plane = _Plane(corners)
    plane.add(0, 0, 1, 1, _wall_colour(generator) * generator.uniform(0.4, 1))
    _bays(generator, plane)
    plane.paint(image)


def _tiles(generator: Generator, plane: _Plane) -> None:
    """Floor tiles, by their joints or in two colours; sometimes a carpet."""
    kind = generator.random()
    colour = plane.colours[0]
    columns, rows = (int(number) for number in generator.integers(3, 12, 2))
    if kind < 0.4:
        joint = colour * generator.uniform(0.6, 0.95)
        for place in np.arange(1, columns) / columns:
            plane.add(place - 0.002, 0, place + 0.002, 1, joint)
        for place in np.arange(1, rows) / rows:
            plane.add(0, place - 0.003, 1, place + 0.003, joint)
    elif kind < 0.6:
        other = colour * generator.uniform(0.3, 0.9)
        for column in range(columns):
            for row in range(column % 2, rows, 2):
                plane.add(column / columns, row / rows, (column + 1) / columns, (row + 1) / rows, other)
    elif kind < 0.75:
        start, end = np.sort(generator.uniform(0, 1, 2))
        plane.add(start, 0, end, 1, natural_colour(generator))


def _panels(generator: Generator, plane: _Plane) -> None:
    """Ceiling panels or beams."""
    if generator.random() < 0.6:
        rows = int(generator.integers(2, 9))
        shade = plane.colours[0] * generator.uniform(0.7, 0.97)
        for place in np.arange(rows) / rows:
            plane.add(0, place, 1, place + generator.uniform(0.01, 0.4) / rows, shade)


def _bays(generator: Generator, plane: _Plane) -> None:
    """Cut a wall into bays, and put something into each."""
    edges = np.concatenate([[0.0], np.cumsum(generator.uniform(0.5, 1.5, int(generator.integers(1, 5))))])
    edges /= edges[-1]
    top, bottom = generator.uniform(0.0, 0.3), generator.uniform(0.75, 1.0)
    frame = _wall_colour(generator) * generator.uniform(0.2, 1)
    for start, end in itertools.pairwise(edges):
        gap = 0.04 * (end - start)
        plane.add(start, 0, start + gap, 1, frame)
        place = (start + gap, top, end, bottom)
        fill = _FILLS[int(generator.choice(len(_FILLS), p=_FILL_SHARES))]
        if fill is not None:
            fill(generator, plane, *place)
        if generator.random() < 0.4:  # a fascia without a name
            plane.add(start, top - generator.uniform(0.03, 0.1), end, top, natural_colour(generator, vivid=0.2))


def _shelves(generator: Generator, plane: _Plane, left: float, top: float, right: float, bottom: float) -> None:
    """Rows of goods: packets of one kind side by side, with labels, and price tags along the boards."""
    plane.add(left, top, right, bottom, _wall_colour(generator) * generator.uniform(0.15, 0.8))
    rows = int(generator.integers(2, 8))
    row = (bottom - top) / rows
    board = _wall_colour(generator)
    tags = generator.random() < 0.5
    for number in range(rows):
        ground = top + (number + 0.9) * row
        place = left
        while place < right:
            wide = generator.uniform(0.12, 0.7) * row
            high = generator.uniform(0.45, 0.85) * row
            cover, label = natural_colour(generator, vivid=0.2), natural_colour(generator, vivid=0.2)
            label_low, label_high = np.sort(generator.uniform(0.1, 0.9, 2))
            for _ in range(int(generator.integers(1, 7))):
                if place + wide > right:
                    break
                tall = high * generator.uniform(0.96, 1.0)
                shade = generator.uniform(0.85, 1.1)
                plane.add(place, ground - tall, place + 0.93 * wide, ground, cover * shade)
                plane.add(
                    place + 0.1 * wide,
                    ground - label_high * tall,
                    place + 0.83 * wide,
                    ground - label_low * tall,
                    label * shade,
                )
                place += wide
            place += generator.uniform(0, 0.5) * wide
        plane.add(left, ground, right, ground + 0.1 * row, board)
        if tags:
            for where in np.arange(left, right, generator.uniform(0.3, 0.9) * row):
                plane.add(where, ground + 0.01 * row, where + 0.12 * row, ground + 0.09 * row, np.full(3, 235.0))


def _glass(generator: Generator, plane: _Plane, left: float, top: float, right: float, bottom: float) -> None:
    """A window with a dim room and bright spots behind, and its frame."""
    plane.add(left, top, right, bottom, natural_colour(generator, vivid=0.0) * generator.uniform(0.1, 0.6))
    for _ in range(int(generator.integers(2, 16))):
        x, y = generator.uniform(left, right), generator.uniform(top, bottom)
        wide, high = np.exp(generator.uniform(np.log(0.02), np.log(0.3), 2)) * [right - left, bottom - top]
        colour = natural_colour(generator) * generator.uniform(0.4, 1.3)
        plane.add(x, y, min(x + wide, right), min(y + high, bottom), colour)
    frame = _wall_colour(generator)
    for place in np.linspace(left, right, int(generator.integers(2, 5))):
        plane.add(place - 0.004, top, place + 0.004, bottom, frame)


def _clothes(generator: Generator, plane: _Plane, left: float, top: float, right: float, bottom: float) -> None:
    """Clothes on a rail: narrow, uneven, side by side."""
    for level in (0.0, 0.5)[: int(generator.integers(1, 3))]:
        rail = top + (0.1 + level) * (bottom - top)
        plane.add(left, rail - 0.006, right, rail, np.full(3, generator.uniform(30, 220)))
        place = left
        while place < right:
            wide = generator.uniform(0.01, 0.05) * (1 + (right - left))
            high = generator.uniform(0.2, 0.42) * (bottom - top)
            plane.add(place, rail, min(place + wide, right), rail + high, natural_colour(generator, vivid=0.2))
            place += 0.8 * wide


def _poster(generator: Generator, plane: _Plane, left: float, top: float, right: float, bottom: float) -> None:
    """A poster or a screen: a few shapes of few colours, no letters."""
    colours = [natural_colour(generator, vivid=0.25) for _ in range(3)]
    plane.add(left, top, right, bottom, colours[0])
    for _ in range(int(generator.integers(2, 9))):
        x, y = generator.uniform(left, right), generator.uniform(top, bottom)
        wide, high = generator.uniform(0.03, 0.5, 2) * [right - left, bottom - top]
        colour = colours[int(generator.integers(3))] * generator.uniform(0.6, 1.2)
        plane.add(x, y, min(x + wide, right), min(y + high, bottom), colour)


_FILLS = (_shelves, _glass, _clothes, _poster, None)
_FILL_SHARES = (0.32, 0.25, 0.13, 0.15, 0.15)


def _reflect(generator: Generator, image: Picture, floor: _Plane) -> None:
    """A polished floor mirrors what is above it, upside down and blurred."""
    height, width = image.shape[:2]
    line = int(np.clip(floor.corners_xy[:2, 1].mean(), 1, height - 1))
    deep = min(height - line, line)
    if deep < 16 or generator.random() < 0.4:
        return
    above = np.ascontiguousarray(image[line - deep : line : 4, ::4][::-1])
    above = cv2.blur(above, (5, 15))
    above = cv2.resize(above, (width, deep), interpolation=cv2.INTER_LINEAR)
    share = float(generator.uniform(0.1, 0.45))
    image[line : line + deep] = cv2.addWeighted(image[line : line + deep], 1 - share, above, share, 0)


def _lamps(generator: Generator, image: Picture, lights: Picture, ceiling: _Plane) -> None:
    """Spots, tubes or panels of light in rows on the ceiling; `lights` takes them for the glow."""
    columns, rows = int(generator.integers(1, 5)), int(generator.integers(1, 8))
    wide = generator.uniform(0.02, 0.12)
    high = wide * generator.uniform(0.1, 1.2)
    lamps = _Plane(ceiling.corners_xy)
    white = 255 - generator.uniform(0, 1) * np.array([0, 12, 40])
    for x in (np.arange(columns) + 0.5) / columns:
        for y in (np.arange(rows) + 0.5) / rows:
            if generator.random() < 0.85:
                lamps.add(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, white)
    lamps.paint(image)
    small = _Plane(lamps.corners_xy / 4, lamps.boxes, [np.full(3, 255.0)] * len(lamps.boxes))
    canvas = np.zeros((*lights.shape, 3), np.uint8)
    small.paint(canvas)
    lights[:] = canvas[:, :, 0]


def _with_bloom(image: Picture, lights: Picture) -> Picture:
    """The glow of lamps in lens and air."""
    glow = cv2.addWeighted(cv2.blur(lights, (9, 9)), 0.5, cv2.blur(cv2.blur(lights, (41, 41)), (41, 41)), 0.8, 0)
    wide = cv2.resize(glow, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.add(image, cv2.cvtColor(wide, cv2.COLOR_GRAY2RGB))


def _person(generator: Generator, image: Picture) -> None:
    """Somebody, from behind or in front: head, hair, trunk, arms and legs, large and cut off or small and whole."""
    height, width = image.shape[:2]
    tall = float(np.exp(generator.uniform(np.log(0.15), np.log(1.3)))) * height
    foot = np.array([generator.uniform(0, 1) * width, min(0.6 * height + 0.5 * tall, height + 0.4 * tall)])
    skin = np.array([224, 172, 140]) * generator.uniform(0.35, 1.05)
    hair = natural_colour(generator, vivid=0.0) * generator.uniform(0.1, 0.5)
    top, trousers = natural_colour(generator), natural_colour(generator, vivid=0.05) * generator.uniform(0.3, 0.9)

    def part(points: list[tuple[float, float]], colour: Colour) -> None:
        moved = np.array(points) * [tall, -tall] + foot + generator.normal(0, 0.006, (len(points), 2)) * tall
        fixed = [np.round(moved * 2**_SHIFT).astype(np.int32)]
        cv2.fillPoly(image, fixed, np.clip(colour, 0, 255).tolist(), cv2.LINE_AA, _SHIFT)

    part([(-0.09, 0.5), (0.09, 0.5), (0.08, 0.0), (0.02, 0.0), (0.0, 0.4), (-0.02, 0.0), (-0.08, 0.0)], trousers)
    part(
        [(-0.16, 0.42), (-0.12, 0.8), (0.12, 0.8), (0.16, 0.42), (0.11, 0.42), (0.1, 0.6), (-0.1, 0.6), (-0.11, 0.42)],
        top,
    )
    part([(-0.1, 0.47), (-0.11, 0.82), (-0.03, 0.86), (0.03, 0.86), (0.11, 0.82), (0.1, 0.47)], top * 0.93)
    middle = np.array([0.0, 0.92]) * [tall, -tall] + foot
    axes = (max(1, int(0.055 * tall)), max(1, int(0.075 * tall)))
    behind = generator.random() < 0.5
    centre = (int(middle[0]), int(middle[1]))
    cv2.ellipse(image, centre, axes, 0, 0, 360, np.clip(hair if behind else skin, 0, 255).tolist(), -1, cv2.LINE_AA)
    cv2.ellipse(image, centre, axes, 0, 180, 360, np.clip(hair, 0, 255).tolist(), -1, cv2.LINE_AA)
