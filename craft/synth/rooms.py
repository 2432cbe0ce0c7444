"""Backgrounds in depth: halls and shops with floors, ceiling lights, shelves of goods, shop fronts and people."""

import cv2
import numpy as np
from numpy.random import Generator

from craft.synth.backgrounds import defocus
from craft.synth.colours import Colour, natural_colour
from craft.synth.placement import rotation
from craft.synth.rendered_scene import Image
from craft.synth.textures import add_texture, texture_patch
from craft.synth.walls import SHIFT, UNIT, Plane, add_bays, wall_colour


def room_background(generator: Generator, size_hw: tuple[int, int]) -> Image:
    """Render a hall, a shop or a shop front without text."""
    height, width = size_hw
    image = np.empty((height, width, 3), np.uint8)
    cv2.rectangle(image, (0, 0), (width, height), np.clip(wall_colour(generator), 0, 255).tolist(), -1)
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
        image = defocus(image, float(generator.uniform(0.8, 3.0)))
    return image


def _hall(generator: Generator, image: Image, lights: Image) -> None:
    """One-point perspective: far wall, floor, ceiling, and two side walls with what stands along them."""
    height, width = image.shape[:2]
    vanishing = np.array([generator.uniform(0.1, 0.9) * width, generator.uniform(0.25, 0.65) * height])
    outer = np.array([[-0.1, -0.25], [1.1, -0.25], [1.1, 1.25], [-0.1, 1.25]]) * [width, height]
    outer = (outer - vanishing) @ rotation(np.deg2rad(generator.normal(0, 4))) + vanishing
    inner = vanishing + (outer - vanishing) * generator.uniform(0.1, 0.45)
    far = Plane(inner)
    ceiling = Plane(np.array([outer[0], outer[1], inner[1], inner[0]]))
    floor = Plane(np.array([inner[3], inner[2], outer[2], outer[3]]))
    left = Plane(np.array([outer[0], inner[0], inner[3], outer[3]]))
    right = Plane(np.array([inner[1], outer[1], outer[2], inner[2]]))
    wall = wall_colour(generator)
    for plane, colour in (
        (far, wall * generator.uniform(0.6, 1.1)),
        (ceiling, wall_colour(generator) * generator.uniform(0.7, 1.1)),
        (floor, wall_colour(generator) * generator.uniform(0.4, 1.0)),
        (left, wall * generator.uniform(0.6, 1.0)),
        (right, wall * generator.uniform(0.6, 1.0)),
    ):
        plane.add(0, 0, 1, 1, colour)
    _tiles(generator, floor)
    _panels(generator, ceiling)
    for plane in (far, left, right):
        add_bays(generator, plane)
    for plane in (ceiling, floor, far, left, right):
        plane.paint(image)
    _reflect(generator, image, floor)
    _lamps(generator, image, lights, ceiling)


def _front(generator: Generator, image: Image) -> None:
    """A wall of shelves, a shop front or a cabinet, nearly from the front."""
    height, width = image.shape[:2]
    corners = UNIT * [width, height] * 1.1 - np.array([0.05 * width, 0.05 * height])
    corners = corners + generator.normal(0, 0.06, (4, 2)) * [width, height]
    plane = Plane(corners)
    plane.add(0, 0, 1, 1, wall_colour(generator) * generator.uniform(0.4, 1))
    add_bays(generator, plane)
    plane.paint(image)


def _tiles(generator: Generator, plane: Plane) -> None:
    """Floor tiles, by their joints or in two colours; sometimes a carpet."""
    kind = generator.random()
    colour = plane.colours[0][0]
    columns, rows = (int(number) for number in generator.integers(3, 12, 2))
    if kind < 0.4:
        joint = colour * generator.uniform(0.6, 0.95)
        across, along = np.arange(1, columns) / columns, np.arange(1, rows) / rows
        plane.add(across - 0.002, 0, across + 0.002, 1, joint)
        plane.add(0, along - 0.003, 1, along + 0.003, joint)
    elif kind < 0.6:
        other = colour * generator.uniform(0.3, 0.9)
        column, row = np.nonzero(np.add.outer(np.arange(columns), np.arange(rows)) % 2 == 0)
        plane.add(column / columns, row / rows, (column + 1) / columns, (row + 1) / rows, other)
    elif kind < 0.75:
        start, end = np.sort(generator.uniform(0, 1, 2))
        plane.add(start, 0, end, 1, natural_colour(generator))


def _panels(generator: Generator, plane: Plane) -> None:
    """Ceiling panels or beams."""
    if generator.random() < 0.6:
        rows = int(generator.integers(2, 9))
        shade = plane.colours[0][0] * generator.uniform(0.7, 0.97)
        edges = np.arange(rows) / rows
        plane.add(0, edges, 1, edges + generator.uniform(0.01, 0.4, rows) / rows, shade)


def _reflect(generator: Generator, image: Image, floor: Plane) -> None:
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


def _lamps(generator: Generator, image: Image, lights: Image, ceiling: Plane) -> None:
    """Spots, tubes or panels of light in rows on the ceiling; `lights` takes them for the glow."""
    columns, rows = int(generator.integers(1, 5)), int(generator.integers(1, 8))
    wide = generator.uniform(0.02, 0.12)
    high = wide * generator.uniform(0.1, 1.2)
    lamps = Plane(ceiling.corners_xy)
    white = 255 - generator.uniform(0, 1) * np.array([0, 12, 40])
    x, y = (grid.ravel() for grid in np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows))
    burning = generator.random(len(x)) < 0.85
    x, y = x[burning], y[burning]
    lamps.add(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2, white)
    lamps.paint(image)
    lamps.paint(lights, share=lights.shape[0] / image.shape[0], level=255)


def _with_bloom(image: Image, lights: Image) -> Image:
    """The glow of lamps in lens and air."""
    glow = cv2.addWeighted(cv2.blur(lights, (9, 9)), 0.5, cv2.blur(cv2.blur(lights, (41, 41)), (41, 41)), 0.8, 0)
    wide = cv2.resize(glow, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return cv2.add(image, cv2.cvtColor(wide, cv2.COLOR_GRAY2RGB))


def _person(generator: Generator, image: Image) -> None:
    """A person from behind or in front: head, hair, trunk, arms and legs, large and cut off or small and whole."""
    height, width = image.shape[:2]
    tall = float(np.exp(generator.uniform(np.log(0.15), np.log(1.3)))) * height
    foot = np.array([generator.uniform(0, 1) * width, min(0.6 * height + 0.5 * tall, height + 0.4 * tall)])
    skin = np.array([224, 172, 140]) * generator.uniform(0.35, 1.05)
    hair = natural_colour(generator, vivid=0.0) * generator.uniform(0.1, 0.5)
    top, trousers = natural_colour(generator), natural_colour(generator, vivid=0.05) * generator.uniform(0.3, 0.9)

    def part(points: list[tuple[float, float]], colour: Colour) -> None:
        moved = np.array(points) * [tall, -tall] + foot + generator.normal(0, 0.006, (len(points), 2)) * tall
        fixed = [np.round(moved * 2**SHIFT).astype(np.int32)]
        cv2.fillPoly(image, fixed, np.clip(colour, 0, 255).tolist(), cv2.LINE_AA, SHIFT)

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
