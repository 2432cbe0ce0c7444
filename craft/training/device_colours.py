"""Random changes to crops' pixels on the training device: what datasets/colours.py does, from the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from craft.datasets.colours import LUMA, drawn_blur, drawn_jitter, drawn_noise, jitter_matrix
from craft.datasets.noise import SHIFT, STRETCH, noise_pool
from craft.scene import Change


def change_colours(images: Tensor, changes: Sequence[Sequence[Change]]) -> None:
    """Change crops' pixels where they lie.

    Args:
        images: (B, 3, H, W) uint8, RGB, on any device; overwritten. The host does not wait for the device.
        changes: of every crop, B of them, in the order in which they are to be made; none of kind "jpeg".

    Pixels are those of `datasets.colours.apply_changes` but for rounding: OpenCV computes in whole numbers, so that each
    change may differ by a level. Noise and grey are equal.
    """
    for image, own in zip(images, changes, strict=True):
        for change in own:
            image.copy_(_CHANGES[change.kind](image, change.seed))


def to_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy small arrays without the host waiting.

    Args:
        values: an array.
        device: where it is wanted.

    Returns:
        A tensor of the same shape and type.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _jittered(image: Tensor, seed: int) -> Tensor:
    matrix, shift = jitter_matrix(**drawn_jitter(seed))
    both = to_device(np.stack([*matrix, shift * LUMA]).astype(np.float32), image.device)  # (4, 3)
    levels = image.float()
    means = levels.mean(dim=(1, 2))
    # Products are summed one by one: a matrix product may be rounded to 10 bits on a GPU.
    channels = [(row[:, None, None] * levels).sum(dim=0) for row in both[:3]]
    return _rounded(torch.stack(channels) + (both[3] * means).sum())


def _greyed(image: Tensor, _seed: int) -> Tensor:
    weights = (9798, 19235, 3735)  # BT.601 in 15 bits, as OpenCV has it
    whole = image.int()
    grey = sum(weight * channel for weight, channel in zip(weights, whole, strict=True)) + (1 << 14)
    assert isinstance(grey, Tensor)
    return (grey >> 15).to(torch.uint8).expand_as(image)


def _blurred(image: Tensor, seed: int) -> Tensor:
    kernel = drawn_blur(seed).tolist()
    reach = len(kernel) // 2
    height, width = image.shape[1:]
    levels = _mirrored(image.float(), reach)
    across = sum(weight * levels[:, :, place : place + width] for place, weight in enumerate(kernel))
    down = sum(weight * across[:, place : place + height] for place, weight in enumerate(kernel))
    assert isinstance(down, Tensor)
    return _rounded(down)


def _mirrored(levels: Tensor, reach: int) -> Tensor:
    """(3, H, W) with `reach` more pixels on every side, mirrored around the border pixels."""
    return functional.pad(levels[None], (reach, reach, reach, reach), mode="reflect")[0]


def _noisy(image: Tensor, seed: int) -> Tensor:
    starts, factor = drawn_noise(seed, image.numel())
    within = torch.arange(STRETCH, device=image.device)
    places = (to_device(starts, image.device)[:, None] + within).flatten()[: image.numel()]
    steps = (_pool(image.device)[places].int() * factor + (1 << (SHIFT - 1))) >> SHIFT
    height, width = image.shape[1:]
    return (image.int() + steps.view(height, width, 3).permute(2, 0, 1)).clamp(0, 255).to(torch.uint8)


@cache
def _pool(device: torch.device) -> Tensor:
    return to_device(noise_pool(), device)


def _rounded(levels: Tensor) -> Tensor:
    return levels.round().clamp(0, 255).to(torch.uint8)


_CHANGES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "colour": _jittered,
    "grey": _greyed,
    "blur": _blurred,
    "noise": _noisy,
}
