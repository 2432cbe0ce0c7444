"""Region and affinity maps, and how far each of their pixels is trusted, from quads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from craft.geometry import diagonal_crossings
from craft.targets.rasters import Pairs, list_pairs
from craft.targets.shapes import ONE_BITS, ellipses, grown_strips

SIGMA = 0.4
POSITIVE_TARGET = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What a batch's score maps should be, on the device.

    Attributes:
        maps: (B, 2, H, W) float32, 0 to 1: region, then affinity.
        confidence: (B, 2, H, W) float32, 0 to 1: how far each target is trusted; 0 is don't care.
    """

    maps: Tensor
    confidence: Tensor


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
    quads = np.asarray(character_quads_xy, dtype=np.float64).reshape(-1, 4, 2)
    word = np.asarray(character_word, dtype=np.int64)
    centres = diagonal_crossings(quads)
    # The triangle on each side, from the top clockwise: (C, 4, 2) of up, right, down, left.
    middles = (quads + np.roll(quads, -1, axis=1) + centres[:, None]) / 3
    first = np.flatnonzero(word[1:] == word[:-1])
    here, there = middles[first], middles[first + 1]
    step = centres[first + 1] - centres[first]
    rightwards = here[:, 1] - here[:, 3] + there[:, 1] - there[:, 3]
    downwards = here[:, 2] - here[:, 0] + there[:, 2] - there[:, 0]
    vertical = _share_along(step, downwards) > _share_along(step, rightwards)
    horizontal_quads = np.stack([here[:, 0], there[:, 0], there[:, 2], here[:, 2]], axis=1)
    vertical_quads = np.stack([here[:, 3], here[:, 1], there[:, 1], there[:, 3]], axis=1)
    return np.where(vertical[:, None, None], vertical_quads, horizontal_quads), word[first]


def draw_targets(
    character_quads_xy: ArrayLike,
    character_word: ArrayLike,
    strip_quads_xy: ArrayLike,
    strip_word: ArrayLike,
    word_image: ArrayLike,
    word_confidence: ArrayLike,
    *,
    batch_size: int,
    map_size_hw: tuple[int, int],
    device: torch.device | str,
) -> Targets:
    """Draw the region and affinity maps of a batch, and the confidence of their pixels.

    A map pixel's target is the largest over the quads of g(u, v) = exp(-(u^2 + v^2) / (2 * 0.4^2)) where
    u^2 + v^2 <= 1, with (u, v) its centre sent back through the homography from [-1, 1]^2 to the quad, enlarged
    1.5 times around where its diagonals cross. Its confidence is that of the word with the largest target (the smallest
    of several equal ones); where no target reaches, the smallest confidence of the words whose strips, grown on every
    side by a quarter of their shorter side, cover it; else 1. It is 0 under the grown strips of a don't-care word
    unless the target there is above 0.1.

    A quad that is not convex has no homography over the whole square: it is drawn as the parallelogram with the same
    middle, mean sides and area. A quad partly outside is drawn where it is inside; one that holds no pixel centre,
    such as one without area, colours nothing. Characters of don't-care words are not drawn.

    All positions are input pixels; a map pixel is two input pixels wide and high.

    Args:
        character_quads_xy: (C, 4, 2), characters of the whole batch, neighbours in a word next to each other.
        character_word: (C,) integers from 0 to N - 1, the word of each.
        strip_quads_xy: (S, 4, 2), quads that together cover the words: one for a quad, several for a polygon.
        strip_word: (S,) integers from 0 to N - 1, the word of each.
        word_image: (N,) integers from 0 to batch_size - 1, the image of each word.
        word_confidence: (N,) from 0 to 1; 0 for a don't-care word.
        batch_size: images in the batch, B.
        map_size_hw: height and width of the maps, half those of the network's input.
        device: where the maps are wanted. On "mps", which has no 64-bit maximum, they are drawn on the host and moved.

    Returns:
        The targets. The host does not wait for the device.

    Raises:
        ValueError: a coordinate is not finite, or a confidence is outside 0 to 1.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2. The closed form instead of a warped patch, and the reach of
        don't care and confidence, are ours.
    """
    device = torch.device(device)
    characters = np.asarray(character_quads_xy, dtype=np.float64).reshape(-1, 4, 2) / 2  # map pixels
    strips = np.asarray(strip_quads_xy, dtype=np.float64).reshape(-1, 4, 2) / 2
    image = np.asarray(word_image, dtype=np.int64)
    confidence = np.asarray(word_confidence, dtype=np.float32)
    _check_values(characters, strips, confidence)
    drawn_on = torch.device("cpu") if device.type == "mps" else device
    size = batch_size, map_size_hw, drawn_on
    keys = _draw_ellipses(characters, np.asarray(character_word, dtype=np.int64), image, confidence, *size)
    cover_keys = _draw_strips(strips, np.asarray(strip_word, dtype=np.int64), image, confidence, *size)
    targets = _read_keys(keys, cover_keys)
    return Targets(targets.maps.to(device), targets.confidence.to(device))


def _check_values(
    characters: NDArray[np.float64], strips: NDArray[np.float64], confidence: NDArray[np.float32]
) -> None:
    for name, quads in (("character_quads_xy", characters), ("strip_quads_xy", strips)):
        bad = np.flatnonzero(~np.isfinite(quads).all(axis=(1, 2)))
        if len(bad):
            raise ValueError(f"{name}[{bad[0]}] is {(2 * quads[bad[0]]).tolist()}: expected finite pixel coordinates")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"word_confidence runs from {confidence.min()} to {confidence.max()}: expected 0 to 1")


def _draw_ellipses(
    characters: NDArray[np.float64],
    character_word: NDArray[np.int64],
    word_image: NDArray[np.int64],
    word_confidence: NDArray[np.float32],
    batch_size: int,
    map_size_hw: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """(B, 2, H, W) int64: per pixel the bits of the largest target above the distrust of its word; 0 where none is."""
    cared = word_confidence[character_word] > 0
    characters, character_word = characters[cared], character_word[cared]
    between, between_word = affinity_quads(characters, character_word)
    word = np.concatenate([character_word, between_word])
    kind = np.repeat([0, 1], [len(characters), len(between)])
    shapes = ellipses(
        np.concatenate([characters, between]),
        word_image[word] * 2 + kind,
        word_confidence[word],
        map_size_hw=map_size_hw,
    )
    keys = torch.zeros((batch_size, 2, *map_size_hw), dtype=torch.int64, device=device)
    for pairs in list_pairs(shapes, map_size_hw=map_size_hw, device=device):
        keys.view(-1).scatter_reduce_(0, pairs.pixel, _ellipse_keys(pairs), "amax")
    return keys


def _ellipse_keys(pairs: Pairs) -> Tensor:
    """(N,) int64. Floats that are not negative are in the order of their bits, so one maximum over whole numbers
    finds the largest target and, of several equal ones, the least trusted."""
    (u, v, w), (u_slope, v_slope, w_slope) = pairs.start, pairs.slope
    # Along a row u^2 + v^2 is a parabola: steepness * (column - lowest)^2 + depth, with no term below 0. The steepness
    # is not 0: only the infinitely far could be the middle of a quad in every column.
    steepness = u_slope.square() + v_slope.square()
    lowest = -(u * u_slope + v * v_slope) / steepness
    depth = (u * v_slope - v * u_slope).square() / steepness
    squared_radius = (pairs.column - pairs.of_rows(lowest)).square_()
    squared_radius.mul_(pairs.of_rows(steepness)).add_(pairs.of_rows(depth))
    squared_scale = pairs.of_rows(w).addcmul_(pairs.of_rows(w_slope), pairs.column).square_()
    inside = squared_radius <= squared_scale
    target = squared_radius.div_(squared_scale).mul_(-0.5 / SIGMA**2).exp_()
    key = (target.view(torch.int32).to(torch.int64) << 32).bitwise_or_(pairs.of_rows(pairs.payload))
    return key.mul_(inside)


def _draw_strips(
    strips: NDArray[np.float64],
    strip_word: NDArray[np.int64],
    word_image: NDArray[np.int64],
    word_confidence: NDArray[np.float32],
    batch_size: int,
    map_size_hw: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """(B, 1, H, W) int32: per pixel the distrust of the least trusted word that covers it; 0 where none does."""
    doubtful = word_confidence[strip_word] < 1  # what a fully trusted word covers is as if nothing covered it
    strips, strip_word = strips[doubtful], strip_word[doubtful]
    shapes = grown_strips(strips, word_image[strip_word], word_confidence[strip_word], map_size_hw=map_size_hw)
    keys = torch.zeros((batch_size, 1, *map_size_hw), dtype=torch.int32, device=device)
    for pairs in list_pairs(shapes, map_size_hw=map_size_hw, device=device):
        keys.view(-1).scatter_reduce_(0, pairs.pixel, _strip_keys(pairs), "amax")
    return keys


def _strip_keys(pairs: Pairs) -> Tensor:
    """(N,) int32. In a row the inside of a convex piece runs from where the last side comes in to where one goes out."""
    crossing = -pairs.start / pairs.slope  # (4, R) columns; whatever it is for a side along the row is not used
    beside = (pairs.slope == 0) & (pairs.start < 0)  # a side along the row that leaves all of it outside
    first = crossing.masked_fill(pairs.slope <= 0, -torch.inf).amax(dim=0)
    last = crossing.masked_fill(pairs.slope >= 0, torch.inf).amin(dim=0).masked_fill(beside.any(dim=0), -torch.inf)
    inside = (pairs.column >= pairs.of_rows(first)).logical_and_(pairs.column <= pairs.of_rows(last))
    return pairs.of_rows(pairs.payload.to(torch.int32)).mul_(inside)


def _read_keys(keys: Tensor, cover_keys: Tensor) -> Targets:
    """Targets of (B, 2, H, W) keys and (B, 1, H, W) keys of what covers them."""
    halves = keys.view(torch.int32).unflatten(-1, (-1, 2))  # (B, 2, H, W, 2), the low half first
    maps = halves[..., 1].contiguous().view(torch.float32)
    distrust = torch.where(maps > 0, halves[..., 0], cover_keys)
    dont_care = (maps <= POSITIVE_TARGET).logical_and_(cover_keys == ONE_BITS)
    return Targets(maps, (ONE_BITS - distrust).view(torch.float32).masked_fill_(dont_care, 0.0))


def _share_along(step: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A,) how far steps run along axes of any length, to and fro alike."""
    length = np.linalg.norm(axis, axis=1)
    return np.abs((step * axis).sum(axis=1)) / np.where(length > 0, length, 1)
