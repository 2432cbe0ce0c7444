"""A scene while it is being drawn: its pixels, the text on it, and which parts are taken."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.synth.layouts import Item
from craft.synth.placement import PlacedText, plane_in_space
from craft.synth.presets import FullSettings
from craft.synth.rasterizer import extent
from craft.synth.rendered_scene import Picture
from craft.synth.typefaces import FontPool

_CELL = 8


@dataclass(frozen=True, slots=True, eq=False)
class DrawnWord:
    """A word that was painted.

    Attributes:
        placed: where it is.
        item: what it is.
        contrast: how far its ink or its effects differ from what is around it, levels of luminance.
    """

    placed: PlacedText
    item: Item
    contrast: float


@dataclass(slots=True, eq=False)
class Canvas:
    """A scene being drawn.

    Attributes:
        generator: source of randomness of this scene.
        settings: of the preset.
        pool: fonts.
        image: (H, W, 3) uint8, painted on in place.
        wall: (3, 3) homography of the scene's main plane, plane pixels to image pixels.
        unwall: (3, 3), the inverse of `wall`.
        taken: (H / 8, W / 8) uint8, 1 where text is.
        words: the words drawn so far.
    """

    generator: np.random.Generator
    settings: FullSettings
    pool: FontPool
    image: Picture
    wall: NDArray[np.float64]
    unwall: NDArray[np.float64]
    taken: Picture
    words: list[DrawnWord] = field(default_factory=list)

    def reserve(self, polygon_xy: NDArray[np.floating], *, slack: float = 0.0) -> bool:
        """Take a convex polygon of the picture, if it lies inside and nothing there is taken.

        Args:
            polygon_xy: (P, 2) image pixels.
            slack: how far it may reach out of the picture, pixels.

        Returns:
            Whether it was free and is now taken.
        """
        height, width = self.image.shape[:2]
        x1, y1, x2, y2 = extent(polygon_xy)
        if min(x1, y1) < 1 - slack or x2 > width - 1 + slack or y2 > height - 1 + slack:
            return False
        top, left = (max(int(side / _CELL) - 1, 0) for side in (y1, x1))
        window = self.taken[top : int(max(y2, 0) / _CELL) + 2, left : int(max(x2, 0) / _CELL) + 2]
        spot = np.zeros(window.shape, np.uint8)
        hull = cv2.convexHull(np.round(polygon_xy * (16 / _CELL) - 8).astype(np.int32)) - np.array(
            [16 * left, 16 * top]
        )
        cv2.fillConvexPoly(spot, hull, 1, cv2.LINE_8, 4)
        cv2.polylines(spot, [hull], True, 1, 1, cv2.LINE_8, 4)  # thin text between two cells' centres counts too
        if (spot & window).any():
            return False
        window |= spot
        return True


def new_pose(
    generator: np.random.Generator, settings: FullSettings, target_xy: tuple[float, float], *, strength: float = 1.0
) -> NDArray[np.float64]:
    """A plane in space, most often upright and nearly facing the camera.

    Args:
        generator: source of randomness.
        settings: strength of perspective and rotation.
        target_xy: where its origin is seen, image pixels.
        strength: factor on the perspective.

    Returns:
        (3, 3) homography, plane pixels to image pixels.
    """
    tilt = settings.perspective * strength
    yaw, pitch = np.clip(generator.normal(0, 1, 2) * [22 * tilt, 12 * tilt], -55, 55)
    turned = generator.random() < settings.turned
    roll = generator.uniform(-90, 90) if turned else generator.normal(0, settings.rotation)
    distance = max(settings.size_hw) * float(generator.uniform(1.2, 3.0))
    return plane_in_space(target_xy=target_xy, yaw=float(yaw), pitch=float(pitch), roll=float(roll), distance=distance)


def weighted_choice(generator: np.random.Generator, weights: dict[str, float]) -> str:
    """A key, as likely as its weight says.

    Args:
        generator: source of randomness.
        weights: weight of each key, >= 0, one of them above 0.

    Returns:
        The key.
    """
    names = list(weights)
    bounds = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(bounds, generator.random() * bounds[-1], side="right"))]
