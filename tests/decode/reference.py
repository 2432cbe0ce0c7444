"""Slow references and drawn maps for the decoder's tests, written for reading: masks, one component at a time."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.targets.heatmaps import draw_targets

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def decode_slowly(
    region: NDArray[np.float32], affinity: NDArray[np.float32], *, text: float, low: float, link: float
) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Boxes and scores by the rules of the design, with OpenCV's labels, dilation and rectangle on whole maps."""
    is_text = region > np.float32(low)
    is_link = affinity > np.float32(link)
    count, labels = cv2.connectedComponents((is_text | is_link).astype(np.uint8), connectivity=4)
    quads, scores = [], []
    for label in range(1, count):
        component = labels == label
        core = component & is_text
        if component.sum() < 10 or region[component].max() < np.float32(text) or not core.any():
            continue
        rows, columns = np.nonzero(component)
        height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        reach = int(2 * math.sqrt(len(rows) * min(height, width) / (height * width)))
        grown = cv2.dilate(core.astype(np.uint8), np.ones((1 + reach, 1 + reach), np.uint8))
        quads.append(_box_around(np.argwhere(grown)[:, ::-1].astype(np.int32)))
        scores.append(float(region[core].mean(dtype=np.float64)))
    return quads, scores


def _box_around(points_xy: NDArray[np.int32]) -> NDArray[np.float32]:
    corners = cv2.boxPoints(cv2.minAreaRect(points_xy))
    first, second = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])
    if abs(1 - max(first, second) / (min(first, second) + 1e-5)) <= 0.1:
        (x_low, y_low), (x_high, y_high) = points_xy.min(axis=0), points_xy.max(axis=0)
        corners = np.array([[x_low, y_low], [x_high, y_low], [x_high, y_high], [x_low, y_high]], np.float32)
    return np.roll(corners, -int(corners.sum(axis=1).argmin()), axis=0)


def draw_word(character_quads_xy: NDArray[np.floating], *, map_size_hw: tuple[int, int]) -> Maps:
    """The maps of one word whose characters are given in network input pixels."""
    count = len(character_quads_xy)
    word = np.zeros(count, np.int64)
    targets = draw_targets(
        character_quads_xy,
        word,
        character_quads_xy,
        word,
        [0],
        [1.0],
        batch_size=1,
        map_size_hw=map_size_hw,
        device="cpu",
    )
    region, affinity = targets.maps[0].numpy()
    return region, affinity


def level_word(
    num_characters: int, *, height: float, aspect: float, angle: float, middle_xy: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A turned word's quad (4, 2) and its characters' quads (C, 4, 2), each `aspect` x `height` wide."""
    half = 0.5 * height * aspect * num_characters
    edges = np.linspace(-half, half, num_characters + 1)
    low, high = -0.5 * height, 0.5 * height
    characters = np.array([[[a, low], [b, low], [b, high], [a, high]] for a, b in pairwise(edges)])
    word = np.array([[-half, low], [half, low], [half, high], [-half, high]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return word @ turn + middle_xy, characters @ turn + middle_xy


def bent_word(
    num_characters: int, *, height: float, bend: float, turn: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A word on a circle's arc of `bend` radians: its outline and its characters' quads, from (20, 20) on."""
    radius = height * 0.7 * num_characters / bend
    angles = turn + np.linspace(-0.5 * bend, 0.5 * bend, num_characters + 1)
    directions = np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    outer, inner = (radius + 0.5 * height) * directions, (radius - 0.5 * height) * directions
    characters = np.stack([outer[:-1], outer[1:], inner[1:], inner[:-1]], axis=1)
    outline = np.concatenate([outer, inner[::-1]])
    low = outline.min(axis=0) - 20
    return outline - low, characters - low
