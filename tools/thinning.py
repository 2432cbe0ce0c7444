"""A narrower CRAFT from a wide one: channels chosen greedily, then every kernel refitted by least squares."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from craft.models.craft import CRAFT, DEFAULT_BACKBONE
from craft.models.inference import evaluation_mode, run_network

_LEAST_RESIDUAL = 1e-12  # of a channel, as a share of the layer's largest second moment; rounding errors lie below


def thin_network(
    wide: CRAFT, crops: Tensor, *, width: float, positions: int = 500, ridge: float = 1e-3, echo: Callable[[str], None]
) -> CRAFT:
    """Keep a share of every layer's channels, and refit each kernel so that the thin network follows the wide one.

    Raises ValueError if the width is not smaller, the backbone is not vgg16_bn, or the network has a region path.

    Args:
        crops: (N, 3, H, W) uint8 RGB, of the kind that the network is to read; all of them pass through the thin network
            at once.
        width: that of the thin network, below the wide one's.
        positions: most pixels sampled per crop and layer.
        ridge: see `refit_kernels`.
        echo: called with a line per layer: the share of its variance that is not explained.

    Returns:
        The thin network in evaluation mode, on the wide one's device.
    """
    if wide.backbone != DEFAULT_BACKBONE:
        raise ValueError(f"only networks of backbone {DEFAULT_BACKBONE} can be thinned, not {wide.backbone}")
    if wide.region is not None:
        raise ValueError("a network with a region path cannot be thinned; thin it first, then train the region path")
    if not 0 < width < wide.width:
        raise ValueError(
            f"width {width} is not below {wide.width}, the width of the network to thin; give a smaller one"
        )
    outputs = sample_outputs(wide, crops, positions=positions)
    kept = choose_channels(wide, outputs, width=width, echo=echo)
    thin = keep_channels(wide, kept, width=width)
    targets = {name: output[:, kept[name]] for name, output in outputs.items()}
    return refit_kernels(thin, targets, crops, ridge=ridge, echo=echo)


def sample_outputs(network: CRAFT, crops: Tensor, *, positions: int) -> dict[str, Tensor]:
    """Sample the outputs of every convolution, before batch norm and ReLU, at random pixels of each crop.

    Returns:
        (N * positions, channels) float32 by the convolution's name, crop after crop; all pixels where there are fewer.
    """
    samples: dict[str, list[Tensor]] = {}
    with ExitStack() as hooks, evaluation_mode(network):
        for index, layer in enumerate(_layers(network)):
            taken = samples[layer.name] = []
            record = partial(_record_output, index=index, positions=positions, taken=taken)
            hooks.enter_context(network.get_submodule(layer.name).register_forward_hook(record))
        for crop in crops:
            run_network(network, crop[None], precision=torch.float32)
    return {name: torch.cat(taken) for name, taken in samples.items()}


def choose_channels(
    wide: CRAFT, outputs: Mapping[str, Tensor], *, width: float, echo: Callable[[str], None]
) -> dict[str, Tensor]:
    """Choose the channels that explain a layer's activations best, weighted by what the next layers take from them.

    Args:
        outputs: of `sample_outputs`.

    Returns:
        (channels at `width`,) int64 by the convolution's name, ascending.
    """
    narrow = _convolutions(CRAFT(width))
    layers = _layers(wide)
    kept = {}
    for layer in layers:
        output = outputs[layer.name]
        count = narrow[layer.name].out_channels
        if count == output.shape[1]:
            kept[layer.name] = torch.arange(count, device=output.device)
            continue
        activations = _activations(wide, layer, output)
        weighted = (activations - activations.mean(0)) * _demand(wide, layers, layer).sqrt()
        moments = (weighted.T @ weighted).double() / len(weighted)
        kept[layer.name], unexplained = _choose_greedily(moments, count)
        echo(f"{layer.name}: {count} of {output.shape[1]} channels, unexplained {unexplained:.3f}")
    return kept


def keep_channels(wide: CRAFT, kept: Mapping[str, Tensor], *, width: float) -> CRAFT:
    """Copy the kept channels of a network into one of that width, in evaluation mode; nothing makes up for the others."""
    thin = CRAFT(width).to(next(wide.parameters()).device).eval()
    convolutions = _convolutions(wide)
    with torch.no_grad():
        for layer in _layers(wide):
            source, copied = convolutions[layer.name], thin.get_submodule(layer.name)
            assert isinstance(copied, nn.Conv2d)
            assert source.bias is not None
            assert copied.bias is not None
            own = kept[layer.name]
            weight = source.weight[own]
            if layer.inputs:
                starts = _input_starts(convolutions, layer)
                taken = [kept[name] + start for name, start in zip(layer.inputs, starts, strict=True)]
                weight = weight[:, torch.cat(taken)]
            copied.weight.copy_(weight)
            copied.bias.copy_(source.bias[own])
            if layer.norm is not None:
                norm = wide.get_submodule(layer.norm).state_dict()
                values = {name: value[own] if value.ndim else value for name, value in norm.items()}
                thin.get_submodule(layer.norm).load_state_dict(values)
    return thin


def refit_kernels(
    thin: CRAFT, targets: Mapping[str, Tensor], crops: Tensor, *, ridge: float, echo: Callable[[str], None]
) -> CRAFT:
    """Fit every kernel and bias in forward order to a wider network's outputs, from the thin network's own activations.

    Batch norms stay as they are.

    Args:
        targets: of `sample_outputs` on the same crops with the wide network, the kept channels of each convolution.
        ridge: penalty on the squared kernel, as a share of the inputs' mean second moment.

    Returns:
        The fitted copy, in evaluation mode.
    """
    fitted = copy.deepcopy(thin).eval()
    with ExitStack() as hooks, evaluation_mode(fitted):
        for index, layer in enumerate(_layers(fitted)):
            fit = partial(_fit_kernel, layer=layer, index=index, target=targets[layer.name], ridge=ridge, echo=echo)
            hooks.enter_context(fitted.get_submodule(layer.name).register_forward_pre_hook(fit))
        run_network(fitted, crops, precision=torch.float32)  # each kernel is fitted just before it is used
    return fitted


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution, what follows it, and the convolutions whose channels it takes, concatenated; none: the image's."""

    name: str
    norm: str | None
    rectified: bool
    inputs: tuple[str, ...]


def _layers(network: CRAFT) -> list[_Layer]:
    """The convolutions in forward order, which is the order of the modules; the k-th merge takes the k-th last skip."""
    leaves = [(name, module) for name, module in network.named_modules() if not any(module.children())]
    stages = [f"basenet.{name}." for name, _ in network.basenet.named_children()]
    skips = {f"upconv{k}.conv.0": stages[-1 - k] for k in range(1, len(stages))}
    layers: list[_Layer] = []
    for index, (name, module) in enumerate(leaves):
        if not isinstance(module, nn.Conv2d):
            continue
        following = leaves[index + 1 : index + 3]
        norm = following.pop(0)[0] if following and isinstance(following[0][1], nn.BatchNorm2d) else None
        rectified = bool(following) and isinstance(following[0][1], nn.ReLU)
        inputs = [layer.name for layer in layers[-1:]]
        if name in skips:
            inputs.append([layer.name for layer in layers if layer.name.startswith(skips[name])][-1])
        layers.append(_Layer(name, norm, rectified, tuple(inputs)))
    return layers


def _convolutions(network: CRAFT) -> dict[str, nn.Conv2d]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}


def _input_starts(convolutions: Mapping[str, nn.Conv2d], layer: _Layer) -> list[int]:
    """Index of each input's first channel among the concatenated ones."""
    channels = [convolutions[name].out_channels for name in layer.inputs]
    return [sum(channels[:index]) for index in range(len(channels))]


def _sample_positions(size_hw: Sequence[int], *, index: int, crop: int, positions: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (positions,) or all of fewer, the same in networks of any width."""
    generator = torch.Generator().manual_seed(1000 * index + crop)
    flat = torch.randperm(size_hw[0] * size_hw[1], generator=generator)[:positions]
    return flat // size_hw[1], flat % size_hw[1]


def _record_output(
    _module: nn.Module, _inputs: Any, output: Tensor, *, index: int, positions: int, taken: list[Tensor]
) -> None:
    rows, columns = _sample_positions(output.shape[2:], index=index, crop=len(taken), positions=positions)
    taken.append(output[0][:, rows.to(output.device), columns.to(output.device)].T)  # (positions, C), a copy


def _activations(network: CRAFT, layer: _Layer, output: Tensor) -> Tensor:
    """Outputs (N, C) of a convolution as the next layers get them."""
    if layer.norm is not None:
        norm = network.get_submodule(layer.norm)
        assert isinstance(norm, nn.BatchNorm2d)
        with torch.no_grad():
            output = functional.batch_norm(
                output, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
    return output.relu() if layer.rectified else output


def _demand(network: CRAFT, layers: Sequence[_Layer], layer: _Layer) -> Tensor:
    """Share of each of a layer's channels (C,) in the squared kernels that take them, summed over the next layers."""
    convolutions = _convolutions(network)
    channels = convolutions[layer.name].out_channels
    demand = torch.zeros(channels, device=next(network.parameters()).device)
    for consumer in layers:
        if layer.name in consumer.inputs:
            start = _input_starts(convolutions, consumer)[consumer.inputs.index(layer.name)]
            squares = convolutions[consumer.name].weight.detach().square()
            demand += squares[:, start : start + channels].sum(dim=(0, 2, 3)) / squares.sum()
    return demand


def _choose_greedily(moments: Tensor, count: int) -> tuple[Tensor, float]:
    """Choose channels one by one, each the one that explains most of what those before it leave of (C, C) moments.

    A pivoted Cholesky factorisation, whose pivot is chosen by what it explains of all channels. Also gives the share of
    the variance that is left.
    """
    residual = moments.clone()
    least = (_LEAST_RESIDUAL * moments.diagonal().max()).clamp_min(torch.finfo(moments.dtype).tiny)
    free = torch.ones(len(moments), dtype=torch.bool, device=moments.device)
    for _ in range(count):
        own = residual.diagonal()
        gain = torch.where(own > least, residual.square().sum(0) / own.clamp_min(least), own)
        pivot = int(gain.masked_fill(~free, -1).argmax())
        free[pivot] = False
        if own[pivot] > least:
            column = residual[:, pivot].clone()
            residual -= torch.outer(column, column) / column[pivot]
    left = residual.diagonal().clamp_min(0).sum() / moments.diagonal().sum().clamp_min(least)
    return (~free).nonzero().flatten(), float(left)


def _fit_kernel(
    convolution: nn.Module,
    inputs: tuple[Tensor],
    *,
    layer: _Layer,
    index: int,
    target: Tensor,
    ridge: float,
    echo: Callable[[str], None],
) -> None:
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    patches = _sample_patches(convolution, inputs[0], index=index, positions=len(target) // len(inputs[0])).double()
    wanted = target.double()
    moments = patches.T @ patches
    penalty = ridge * moments.diagonal().mean() * torch.ones_like(moments[0])
    penalty[-1] = 0  # the bias
    solution = torch.linalg.solve(moments + penalty.diag(), patches.T @ wanted)
    convolution.weight.copy_(solution[:-1].T.reshape(convolution.weight.shape))
    convolution.bias.copy_(solution[-1])
    variance = (wanted - wanted.mean(0)).square().sum()
    echo(f"{layer.name}: refitted, unexplained {float((patches @ solution - wanted).square().sum() / variance):.3f}")


def _sample_patches(convolution: nn.Conv2d, features: Tensor, *, index: int, positions: int) -> Tensor:
    """What the kernel covers at the sampled positions, and a 1 for the bias: (N * positions, C * kernel area + 1)."""
    (height, width), dilation, padding = convolution.kernel_size, convolution.dilation[0], convolution.padding[0]
    assert isinstance(padding, int)
    patches = []
    for crop, feature in enumerate(functional.pad(features, (padding,) * 4)):
        rows, columns = _sample_positions(features.shape[2:], index=index, crop=crop, positions=positions)
        rows, columns = rows.to(features.device), columns.to(features.device)
        offsets = [(dilation * row, dilation * column) for row in range(height) for column in range(width)]
        covered = torch.stack([feature[:, rows + row, columns + column] for row, column in offsets], dim=2)
        patches.append(covered.permute(1, 0, 2).flatten(1))  # (positions, C * kernel area)
    joined = torch.cat(patches)
    return torch.cat([joined, joined.new_ones(len(joined), 1)], dim=1)
