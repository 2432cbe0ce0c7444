"""Region and affinity maps from quads, and how far each of their pixels is trusted."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from craft.geometry import MAP_STRIDE
from craft.targets import paint_cpu
from craft.targets.shapes import affinity_quads, ellipses, grown_strips

Painter = Literal["auto", "cpu", "triton"]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What a batch's score maps should be, on the device."""

    maps: Tensor  # (B, 2, H, W) float32, 0 to 1: region, then affinity
    confidence: Tensor  # (B, 2, H, W) float32, 0 to 1: how far each target is trusted; 0 is don't care


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
    painter: Painter = "auto",
) -> Targets:
    """Draw the region and affinity maps of a batch, and the confidence of their pixels.

    A map pixel's target is the largest over the quads of g(u, v) = exp(-(u^2 + v^2) / (2 * 0.4^2)) where
    u^2 + v^2 <= 1, with (u, v) its centre sent back through the homography from [-1, 1]^2 to the quad, enlarged
    1.5 times around where its diagonals cross. Its confidence is that of the word with the largest target (the smallest
    of several equal ones); where no target reaches, the smallest confidence of the words whose strips, grown on every
    side by a quarter of their shorter side, cover it; else 1. It is 0 under the grown strips of a don't-care word
    unless the target there is above 0.1.

    A quad that is not convex is drawn as the parallelogram with the same middle, mean sides and area. A quad that holds
    no pixel centre colours nothing. Characters of don't-care words are not drawn.

    Args:
        character_quads_xy: as in `Batch`, like the other arrays; input pixels.
        map_size_hw: height and width of the maps, half those of the network's input.
        painter: "cpu" paints on one core of the host and copies the maps; "triton" paints on CUDA. "auto" takes triton
            where it can. Their targets differ by less than 1e-5.

    Raises ValueError if a coordinate is not finite, or a confidence is outside 0 to 1.

    Source: CRAFT, Baek et al., CVPR 2019, section 3.2. The closed form instead of a warped patch, and the reach of
        don't care and confidence, are ours.
    """
    characters = np.asarray(character_quads_xy, dtype=np.float64).reshape(-1, 4, 2) / MAP_STRIDE
    strips = np.asarray(strip_quads_xy, dtype=np.float64).reshape(-1, 4, 2) / MAP_STRIDE
    word, strips_word = np.asarray(character_word, dtype=np.int64), np.asarray(strip_word, dtype=np.int64)
    image, confidence = np.asarray(word_image, dtype=np.int64), np.asarray(word_confidence, dtype=np.float32)
    _check_values(characters, strips, confidence)

    cared = confidence[word] > 0
    characters, word = characters[cared], word[cared]
    between, between_word = affinity_quads(characters, word)
    quads, word = np.concatenate([characters, between]), np.concatenate([word, between_word])
    kind = np.repeat([0, 1], [len(characters), len(between)])
    shapes = ellipses(quads, image[word] * 2 + kind, confidence[word], map_size_hw=map_size_hw)

    doubtful = confidence[strips_word] < 1  # covers of fully trusted words would change nothing
    strips, strips_word = strips[doubtful], strips_word[doubtful]
    covers = grown_strips(strips, image[strips_word], confidence[strips_word], map_size_hw=map_size_hw)

    device = torch.device(device)
    paint = _choose_painter(painter, device)
    return Targets(*paint(shapes, covers, batch_size=batch_size, map_size_hw=map_size_hw, device=device))


def _choose_painter(painter: Painter, device: torch.device) -> Callable[..., tuple[Tensor, Tensor]]:
    if painter == "cpu" or (painter == "auto" and (device.type != "cuda" or not find_spec("triton"))):
        return paint_cpu.paint
    from craft.targets import paint_triton  # here: triton is not on every machine

    return paint_triton.paint


def _check_values(
    characters: NDArray[np.float64], strips: NDArray[np.float64], confidence: NDArray[np.float32]
) -> None:
    for name, quads in (("character_quads_xy", characters), ("strip_quads_xy", strips)):
        if not np.isfinite(quads).all():
            bad = np.flatnonzero(~np.isfinite(quads).all(axis=(1, 2)))[0]
            corners = (MAP_STRIDE * quads[bad]).tolist()
            raise ValueError(f"{name}[{bad}] is {corners}; expected finite pixel coordinates")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"word_confidence ranges from {confidence.min()} to {confidence.max()}; expected 0 to 1")
