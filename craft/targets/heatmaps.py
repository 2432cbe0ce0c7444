"""Region and affinity maps, and how far each of their pixels is trusted, from quads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from craft.targets.paint_cpu import paint
from craft.targets.paint_torch import paint_pairs
from craft.targets.shapes import Shapes, affinity_quads, ellipses, grown_strips

__all__ = ["POSITIVE_TARGET", "SIGMA", "Targets", "affinity_quads", "draw_targets"]

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
    form: Literal["auto", "compiled", "torch", "triton"] = "auto",
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
        device: where the maps are wanted.
        form: "compiled" paints on the host, on one core, and moves the maps; "torch" paints on the device, and so does
            "triton" on CUDA. "auto" takes the first for "cpu" and for "mps", which has no 64-bit maximum, the last where
            it can. Targets of any two differ by less than 1e-5.

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
    shapes = _character_shapes(characters, np.asarray(character_word, dtype=np.int64), image, confidence, map_size_hw)
    covers = _cover_shapes(strips, np.asarray(strip_word, dtype=np.int64), image, confidence, map_size_hw)
    if form == "auto":
        form = "compiled" if device.type in ("cpu", "mps") else "torch"
        if device.type == "cuda" and find_spec("triton"):
            form = "triton"
    if form != "compiled":
        maps, trusted = _painter(form)(
            shapes,
            covers,
            batch_size=batch_size,
            map_size_hw=map_size_hw,
            device=device,
            sigma=SIGMA,
            positive_target=POSITIVE_TARGET,
        )
        return Targets(maps, trusted)
    painted = paint(
        shapes,
        covers,
        batch_size=batch_size,
        map_size_hw=map_size_hw,
        sigma=SIGMA,
        positive_target=POSITIVE_TARGET,
    )
    return Targets(torch.from_numpy(painted.maps).to(device), torch.from_numpy(painted.confidence).to(device))


def _painter(form: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """What paints on the device."""
    if form == "torch":
        return paint_pairs
    from craft.targets.paint_triton import paint_pieces  # here: triton is not on every machine

    return paint_pieces


def _check_values(
    characters: NDArray[np.float64], strips: NDArray[np.float64], confidence: NDArray[np.float32]
) -> None:
    for name, quads in (("character_quads_xy", characters), ("strip_quads_xy", strips)):
        if not np.isfinite(quads).all():
            bad = np.flatnonzero(~np.isfinite(quads).all(axis=(1, 2)))
            raise ValueError(f"{name}[{bad[0]}] is {(2 * quads[bad[0]]).tolist()}: expected finite pixel coordinates")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"word_confidence runs from {confidence.min()} to {confidence.max()}: expected 0 to 1")


def _character_shapes(
    characters: NDArray[np.float64],
    character_word: NDArray[np.int64],
    word_image: NDArray[np.int64],
    word_confidence: NDArray[np.float32],
    map_size_hw: tuple[int, int],
) -> Shapes:
    """The ellipses of cared-for words' characters, and of the quads between them, on the (B, 2) maps."""
    cared = word_confidence[character_word] > 0
    characters, character_word = characters[cared], character_word[cared]
    between, between_word = affinity_quads(characters, character_word)
    word = np.concatenate([character_word, between_word])
    kind = np.repeat([0, 1], [len(characters), len(between)])
    quads = np.concatenate([characters, between])
    return ellipses(quads, word_image[word] * 2 + kind, word_confidence[word], map_size_hw=map_size_hw)


def _cover_shapes(
    strips: NDArray[np.float64],
    strip_word: NDArray[np.int64],
    word_image: NDArray[np.int64],
    word_confidence: NDArray[np.float32],
    map_size_hw: tuple[int, int],
) -> Shapes:
    """The grown strips of words that are not fully trusted, on the (B,) images."""
    doubtful = word_confidence[strip_word] < 1  # what a fully trusted word covers is as if nothing covered it
    strips, strip_word = strips[doubtful], strip_word[doubtful]
    return grown_strips(strips, word_image[strip_word], word_confidence[strip_word], map_size_hw=map_size_hw)
