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

_STRIP = 64  # rows, even


def fuse_layers(model: CRAFT) -> None:
    """Make a network that is no longer trained compute the same maps, but for rounding, in less time, in place.

    Batch norms are folded into the convolutions before them. The decoder's 1 x 1 convolutions compute the deeper
    features at their own size, before these are enlarged: both are linear, so their order does not matter. On x86
    processors, in inference mode, a convolution and the ReLU behind it are one operation, and the layers at full size
    run over strips of rows, so that their features, the largest of all, are never there at once. Names and shapes of the
    state stay.
    """
    freeze_batch_norm(model)
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            layers = [layer for layer in part if not isinstance(layer, nn.BatchNorm2d)]
            for layer, following in itertools.pairwise([*layers, nn.Identity()]):
                if isinstance(layer, nn.Conv2d):
                    rectified = isinstance(following, nn.ReLU)
                    layer.forward = partial(_forward, layer, rectified)  # type: ignore[method-assign]
                    if rectified:
                        following.forward = unchanged
    for part in model.modules():
        if isinstance(part, Merge):
            part.forward = partial(_merge, part)  # type: ignore[method-assign]
    first = next(model.basenet.children())
    if isinstance(first, nn.Sequential):
        first.forward = partial(_in_strips, first)  # type: ignore[method-assign]


def _in_strips(part: nn.Sequential, images: Tensor) -> Tensor:
    """Run the layers to the first pooling over strips; rows beside a strip, which it depends on, are computed twice."""
    layers = list(part)
    end = next((place + 1 for place, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)), 0)
    height = images.shape[2]
    if end == 0 or not _is_fusible(images) or height <= _STRIP:  # in this order: an export must not fix the height
        return nn.Sequential.forward(part, images)
    reach = sum(isinstance(layer, nn.Conv2d) for layer in layers[:end])  # of 3 x 3
    reach += reach % 2
    pooled: Tensor | None = None
    for top in range(0, height, _STRIP):
        start, stop = max(0, top - reach), min(height, top + _STRIP + reach)
        strip = images[:, :, start:stop]
        for layer in layers[:end]:
            strip = layer(strip)
        if pooled is None:
            size = (*strip.shape[:2], height // 2, strip.shape[3])
            pooled = torch.empty(size, dtype=strip.dtype, memory_format=torch.channels_last)
        rows = pooled[:, :, top // 2 : (top + _STRIP) // 2]
        rows.copy_(strip[:, :, (top - start) // 2 :][:, :, : rows.shape[2]])
    assert pooled is not None
    for layer in layers[end:]:
        pooled = layer(pooled)
    return pooled


def _forward(layer: nn.Conv2d, rectified: bool, features: Tensor) -> Tensor:
    return _convolve(layer, features, layer.weight, layer.bias, rectified=rectified)


def _merge(part: Merge, deeper: Tensor, skip: Tensor) -> Tensor:
    first = part.conv[0]
    assert isinstance(first, nn.Conv2d)
    of_deeper, of_skip = first.weight.split([deeper.shape[1], skip.shape[1]], dim=1)
    enlarged = _convolve(first, deeper, of_deeper, None)
    if deeper.shape[2:] != skip.shape[2:]:
        enlarged = functional.interpolate(enlarged, size=skip.shape[2:], mode="bilinear", align_corners=False)
    merged = _convolve(first, skip, of_skip, first.bias).add_(enlarged).relu_()
    return part.conv[1:](merged)


def _convolve(
    layer: nn.Conv2d, features: Tensor, weight: Tensor, bias: Tensor | None, *, rectified: bool = False
) -> Tensor:
    if not _is_fusible(features):
        convolved = layer._conv_forward(features, weight, bias)
        return convolved.relu_() if rectified else convolved
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype
    tensors = (features.to(kind), weight.to(kind), None if bias is None else bias.to(kind))
    shape = (layer.padding, layer.stride, layer.dilation, layer.groups)
    return _fused_operation()(*tensors, *shape, "relu" if rectified else "none", [], "")


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
