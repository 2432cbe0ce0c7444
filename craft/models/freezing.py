"""Parameters and batch norm statistics that training leaves as they are."""

import difflib
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norm_layers(model: nn.Module) -> Iterator[_BatchNorm]:
    """Every batch norm layer, synchronised ones included."""
    return (layer for layer in model.modules() if isinstance(layer, _BatchNorm))


def hold_frozen_statistics(model: nn.Module) -> None:
    """Put batch norm layers whose parameters are all frozen in evaluation mode."""
    for layer in batch_norm_layers(model):
        if not any(parameter.requires_grad for parameter in layer.parameters()):
            layer.eval()


def freeze_parameters(model: nn.Module, prefixes: Sequence[str]) -> list[str]:
    """Freeze parameters of a CRAFT whose names start with a prefix, such as "basenet.slice1.", and return their names.

    A batch norm layer whose parameters are all frozen keeps its statistics too, so that frozen parts compute the same.

    Raises ValueError if a prefix names no parameter.
    """
    parameters = dict(model.named_parameters())
    for prefix in prefixes:
        if not prefix or not any(name.startswith(prefix) for name in parameters):
            starts = {".".join(name.split(".")[:depth]) for name in parameters for depth in (1, 2, 3, 4)}
            nearest = difflib.get_close_matches(prefix, sorted(starts), n=1, cutoff=0.0)[0]
            raise ValueError(f"freeze: no parameter's name starts with {prefix!r}; the nearest start is {nearest!r}")
    frozen = [name for name in parameters if name.startswith(tuple(prefixes))]
    for name in frozen:
        parameters[name].requires_grad_(False)
    model.train(model.training)
    return frozen


def freeze_batch_norm(model: nn.Module) -> None:
    """Freeze the statistics and parameters of every batch norm layer of a CRAFT, in place.

    A layer that follows a convolution is folded into it: the layer becomes the identity, which is not computed, and the
    network gives the same maps in less time. Names and shapes in its state stay. Call it again after other weights were
    loaded; with the same ones it changes nothing.
    """
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            for layer, norm in itertools.pairwise(part):
                if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    _fold(layer, norm)
    for layer in batch_norm_layers(model):
        layer.requires_grad_(False)
    model.train(model.training)


def is_folded(model: nn.Module) -> bool:
    """Whether the weights of a CRAFT were trained with frozen, folded batch norm.

    Layers that are the identity must stay frozen: normalised by a batch, features would no longer fit the convolutions.
    """
    norms = list(batch_norm_layers(model))
    biases = (layer.bias for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.bias is not None)
    return bool(norms) and all(map(_is_identity, norms)) and any(bool(bias.any()) for bias in biases)


def _is_identity(norm: _BatchNorm) -> bool:
    parts = ((norm.weight, 1), (norm.bias, 0), (norm.running_mean, 0), (norm.running_var, 1))
    return all(part is not None and bool(((part - value).abs() <= 2 * norm.eps).all()) for part, value in parts)


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if convolution.bias is None or norm.running_mean is None or norm.running_var is None:
        return
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    convolution.weight.mul_(scale[:, None, None, None])
    convolution.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)
    norm.weight.fill_(1)
    norm.bias.fill_(0)
    norm.running_mean.fill_(0)
    norm.running_var.fill_(1 - norm.eps)
    norm.forward = unchanged  # type: ignore[assignment, method-assign]


def unchanged(features: Tensor) -> Tensor:
    """Return features as they are: the `forward` of a layer that another one computes."""
    return features
