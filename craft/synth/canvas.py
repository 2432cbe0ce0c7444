"""The canvas: a scene while it is rendered, with its pixels, its words, and which parts are taken."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from craft.synth.fonts import FontPool
from craft.synth.layouts import Item
from craft.synth.outlines import extent
from craft.synth.placement import Matrix, PlacedText, Point, plane_in_space
from craft.synth.presets import FullSettings
from craft.synth.rendered_scene import Image

CELL = 8  # image pixels of a cell of `Canvas.taken`


@dataclass(frozen=True, slots=True, eq=False)
class PaintedWord:
    """A word on the canvas; `contrast` is its difference from its surroundings in levels of luminance."""

    placed: PlacedText
    item: Item
    contrast: float


@dataclass(slots=True, eq=False)
class Canvas:
    """A scene while it is rendered."""

    generator: Generator  # source of all randomness of this scene
    settings: FullSettings
    pool: FontPool
    image: Image  # (H, W, 3) uint8, painted over in place
    wall: Matrix  # homography of the scene's main plane
    inverse_wall: Matrix  # image pixels to pixels of that plane
    taken: Image  # (H / 8, W / 8) uint8, 1 where text is
    words: list[PaintedWord] = field(default_factory=list)  # those painted so far

    def reserve(self, polygon_xy: NDArray[np.floating], *, slack: float = 0.0) -> bool:
        """Reserve a convex polygon, (P, 2) image pixels, unless it is taken or exceeds the image by over `slack`."""
        height, width = self.image.shape[:2]
        x1, y1, x2, y2 = extent(polygon_xy)
        if min(x1, y1) < 1 - slack or x2 > width - 1 + slack or y2 > height - 1 + slack:
            return False
        top, left = (max(int(side / CELL) - 1, 0) for side in (y1, x1))
        window = self.taken[top : int(max(y2, 0) / CELL) + 2, left : int(max(x2, 0) / CELL) + 2]
        spot = np.zeros(window.shape, np.uint8)
        hull = cv2.convexHull(np.round(polygon_xy * (16 / CELL) - 8).astype(np.int32)) - np.array([16 * left, 16 * top])
        cv2.fillConvexPoly(spot, hull, 1, cv2.LINE_8, 4)
        cv2.polylines(spot, [hull], True, 1, 1, cv2.LINE_8, 4)  # thin text between two cells' centres counts too
        if (spot & window).any():
            return False
        window |= spot
        return True


def new_pose(generator: Generator, settings: FullSettings, target_xy: Point, *, strength: float = 1.0) -> Matrix:
    """Choose a plane in space, usually upright and nearly facing the camera, with its origin seen at `target_xy`."""
    tilt = settings.perspective * strength
    yaw, pitch = np.clip(generator.normal(0, 1, 2) * [22 * tilt, 12 * tilt], -55, 55)
    turned = generator.random() < settings.turned
    roll = generator.uniform(-90, 90) if turned else generator.normal(0, settings.rotation)
    distance = max(settings.size_hw) * float(generator.uniform(1.2, 3.0))
    return plane_in_space(target_xy=target_xy, yaw=float(yaw), pitch=float(pitch), roll=float(roll), distance=distance)


def weighted_choice(generator: Generator, weights: dict[str, float]) -> str:
    """Choose a key in proportion to its weight, >= 0, one of them above 0."""
    names = list(weights)
    bounds = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(bounds, generator.random() * bounds[-1], side="right"))]
