"""Fuses batch norms and ReLUs into the convolutions before them, for networks that only score images."""

from __future__ import annotations

import itertools
import platform
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from craft.models.craft import CRAFT, Merge
from craft.models.device import computes_bf16
from craft.models.freezing import freeze_batch_norm, unchanged


def fuse_layers(model: CRAFT) -> None:
    """Make a network that is no longer trained compute the same maps, but for rounding, in less time, in place.

    Batch norms are folded into the convolutions before them. On x86 processors, in inference mode, a convolution and the
    ReLU behind it are one operation, and the decoder's 1 x 1 convolutions compute the deeper features at their own size,
    before these are enlarged: both are linear, so their order does not matter. Names and shapes of the state stay.
    """
    freeze_batch_norm(model)
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            layers = [layer for layer in part if not isinstance(layer, nn.BatchNorm2d)]
            for layer, following in itertools.pairwise([*layers, nn.Identity()]):
                if isinstance(layer, nn.Conv2d):
                    rectified = isinstance(following, nn.ReLU)
                    layer.forward = partial(_convolve, layer, rectified)  # type: ignore[method-assign]
                    if rectified:
                        following.forward = unchanged
    for part in model.modules():
        if isinstance(part, Merge):
            part.forward = partial(_merge, part)  # type: ignore[method-assign]


def _convolve(layer: nn.Conv2d, rectified: bool, features: Tensor) -> Tensor:
    if _is_fusible(features):
        return _pointwise(layer, features, layer.weight, layer.bias, "relu" if rectified else "none")
    convolved = layer._conv_forward(features, layer.weight, layer.bias)
    return convolved.relu_() if rectified else convolved


def _merge(part: Merge, deeper: Tensor, skip: Tensor) -> Tensor:
    if not _is_fusible(deeper) or deeper.shape[2:] == skip.shape[2:]:
        return Merge.forward(part, deeper, skip)
    first = part.conv[0]
    assert isinstance(first, nn.Conv2d)
    of_deeper, of_skip = first.weight.split([deeper.shape[1], skip.shape[1]], dim=1)
    enlarged = functional.interpolate(
        _pointwise(first, deeper, of_deeper, None, "none"), size=skip.shape[2:], mode="bilinear", align_corners=False
    )
    merged = _pointwise(first, skip, of_skip, first.bias, "none").add_(enlarged).relu_()
    return part.conv[1:](merged)


def _pointwise(layer: nn.Conv2d, features: Tensor, weight: Tensor, bias: Tensor | None, following: str) -> Tensor:
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype
    tensors = (features.to(kind), weight.to(kind), None if bias is None else bias.to(kind))
    shape = (layer.padding, layer.stride, layer.dilation, layer.groups)
    return _fused_operation()(*tensors, *shape, following, [], "")


def _is_fusible(features: Tensor) -> bool:
    """Whether the fused operation, which has no gradients, computes these features in the type that is asked for."""
    if features.device.type != "cpu" or not torch.is_inference_mode_enabled() or _fused_operation() is None:
        return False
    return not torch.is_autocast_enabled("cpu") or computes_bf16(features.device)


@lru_cache
def _fused_operation() -> Any:
    """oneDNN's convolution with an operation behind it, as torch.compile calls it; None where torch lacks it."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
