"""The CRAFT network: VGG16 with batch norm, a U-shaped decoder, two score maps at half the input's size.

Parameter names are those of the authors' release, so that weights go both ways (see weights.py).
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

# Channels of VGG16's convolutions, 0 for a pooling layer; the last one is followed by no ReLU and no pooling.
_BACKBONE = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512)
# Where torchvision's numbering of those layers is cut: a slice holds the layers from its start up to the next start.
_SLICE_STARTS = (0, 13, 20, 30)
_NUM_MAPS = 2
# Features that others may read: channels at width 1, and network input pixels per feature pixel.
LEVEL_CHANNELS = {"vgg4": 256, "vgg8": 512, "decoder8": 128, "decoder4": 64, "decoder2": 32}
LEVEL_STRIDES = {"vgg4": 4, "vgg8": 8, "decoder8": 8, "decoder4": 4, "decoder2": 2}
_FEWEST_HEAD_CHANNELS = 16  # as many as at width 1
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class CRAFT(nn.Module):
    """Character region and affinity maps of pictures.

    Attributes:
        width: factor on every channel count, as given; the score head keeps at least 16 channels.
        gradient_checkpointing: whether the backward pass computes the activations once more instead of keeping them.
        region: the region-level path on this network's features (region_head.py), None where there is none.

    Source: CRAFT, Baek et al., CVPR 2019, figure 2. In the authors' release the skips of the first three slices are
        rectified only because the next slice begins with a ReLU that works in place; here that ReLU ends the slice.
        The fourth slice's skip is not rectified, in either.
    """

    # Never on an instance's copy: a copy would compute with the parameters of the network that was compiled.
    _compiled: Mapping[nn.Module, Callable[..., Tensor]] = MappingProxyType({})

    def __init__(
        self, width: float = 1.0, *, gradient_checkpointing: bool = False, generator: torch.Generator | None = None
    ) -> None:
        """Build the network with fresh parameters.

        Convolutions are Xavier uniform, those before a ReLU in the score head He uniform (the authors use Xavier there
        too), biases 0, batch norms 1 and 0.

        Args:
            width: factor on every channel count, > 0; 1 is the paper's 20,770,466 parameters. Taken in steps of
                1 / 1024, so that the widest layer's channel count gives it back.
            gradient_checkpointing: less memory and more time in training; the same gradients.
            generator: where the parameters are drawn from; torch's own where None.

        Raises:
            ValueError: `width` is not a positive number.
        """
        super().__init__()
        if not 0 < width < float("inf"):
            raise ValueError(f"width {width!r} is not a positive number; 1 is the paper's network, 0.25 a small one")
        self.width = width
        self.gradient_checkpointing = gradient_checkpointing
        self.region: nn.Module | None = None
        scaled = partial(scale_channels, width=width)
        self.basenet = _Backbone(scaled)
        self.upconv1 = _Merge(scaled(1024) + scaled(512), scaled(512), scaled(256))
        self.upconv2 = _Merge(scaled(256) + scaled(512), scaled(256), scaled(128))
        self.upconv3 = _Merge(scaled(128) + scaled(256), scaled(128), scaled(64))
        self.upconv4 = _Merge(scaled(64) + scaled(128), scaled(64), scaled(32))
        self.conv_cls = _score_head(scaled)
        _initialise(self, generator)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score the pixels of pictures.

        Args:
            images: (B, 3, H, W) floating, from `normalise_images`; H and W at least 16 and of any parity.

        Returns:
            Maps (B, 2, H // 2, W // 2), region then affinity, unbounded, about 0 to 1 once trained; and the features
            that they are computed from, (B, 32 * width, H // 2, W // 2), >= 0.
        """
        maps, levels = self.forward_levels(images)
        return maps, levels["decoder2"]

    def forward_levels(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Score the pixels of pictures, and give the features at every level that LEVEL_CHANNELS names.

        Args:
            images: as in `forward`.

        Returns:
            Maps as in `forward`, and features (B, LEVEL_CHANNELS * width, H // stride, W // stride) by level.
        """
        second = self._run(self.basenet.slice1, images)  # (B, 128 * width, H / 2, W / 2)
        third = self._run(self.basenet.slice2, second)  # (B, 256 * width, H / 4, W / 4)
        fourth = self._run(self.basenet.slice3, third)  # (B, 512 * width, H / 8, W / 8)
        fifth = self._run(self.basenet.slice4, fourth)  # (B, 512 * width, H / 16, W / 16)
        deepest = self._run(self.basenet.slice5, fifth)  # (B, 1024 * width, H / 16, W / 16)
        features = self._run(self.upconv1, deepest, fifth)
        decoder8 = self._run(self.upconv2, features, fourth)
        decoder4 = self._run(self.upconv3, decoder8, third)
        decoder2 = self._run(self.upconv4, decoder4, second)
        levels = {"vgg4": third, "vgg8": fourth, "decoder8": decoder8, "decoder4": decoder4, "decoder2": decoder2}
        return self._run(self.conv_cls, decoder2), levels

    def train(self, mode: bool = True) -> CRAFT:
        """Set training or evaluation mode; a batch norm layer whose parameters are all frozen stays in evaluation mode.

        Args:
            mode: True for training.

        Returns:
            The network itself.
        """
        super().train(mode)
        for layer in _batch_norms(self):
            if not any(parameter.requires_grad for parameter in layer.parameters()):
                layer.eval()
        return self

    def compile_parts(self, *, backend: str = "inductor") -> None:
        """Compile each part of the network for training, for the shapes that it then meets.

        Evaluation mode, and passes without gradients, run as before, so that pictures of many sizes compile nothing.
        Parts are compiled one by one: gradients of one cross between processes while others are computed, and
        checkpointing stays around them. Names of parameters do not change; copies of the network are not compiled.

        Args:
            backend: torch.compile's.
        """
        parts = (*self.basenet.children(), self.upconv1, self.upconv2, self.upconv3, self.upconv4, self.conv_cls)
        self._compiled = {part: torch.compile(part, dynamic=False, backend=backend) for part in parts}

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_compiled", None)
        return state

    def _run(self, part: nn.Module, *inputs: Tensor) -> Tensor:
        learning = self.training and torch.is_grad_enabled()
        call = self._compiled.get(part, part) if learning else part
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            return call(*inputs)
        contexts = partial(_checkpoint_contexts, part)
        # Nothing in the network draws random numbers, so there is no generator state to keep.
        return checkpoint(call, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


class _Backbone(nn.Module):
    """VGG16's layers under the names of the authors' release: slice number, then torchvision's layer number."""

    def __init__(self, scaled: Callable[[int], int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels_in = 3
        for channels in _BACKBONE:
            if channels == 0:
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
                continue
            convolution = nn.Conv2d(channels_in, scaled(channels), kernel_size=3, padding=1)
            layers += [convolution, nn.BatchNorm2d(scaled(channels)), nn.ReLU(inplace=True)]
            channels_in = scaled(channels)
        layers.pop()  # the last ReLU
        self.slice1, self.slice2, self.slice3, self.slice4 = (
            nn.Sequential(OrderedDict((str(index), layers[index]) for index in range(start, end)))
            for start, end in zip(_SLICE_STARTS, (*_SLICE_STARTS[1:], len(layers)), strict=True)
        )
        self.slice5 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            nn.Conv2d(scaled(512), scaled(1024), kernel_size=3, padding=6, dilation=6),
            nn.Conv2d(scaled(1024), scaled(1024), kernel_size=1),
        )


class _Merge(nn.Module):
    """Bring the deeper features to the skip's size and mix the two."""

    def __init__(self, channels_in: int, channels_between: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels_in, channels_between, kernel_size=1),
            nn.BatchNorm2d(channels_between),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_between, channels_out, kernel_size=3, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        if deeper.shape[2:] != skip.shape[2:]:
            deeper = functional.interpolate(deeper, size=skip.shape[2:], mode="bilinear", align_corners=False)
        return self.conv(torch.cat([deeper, skip], dim=1))


def _score_head(scaled: Callable[[int], int]) -> nn.Sequential:
    # Nothing normalises between these layers: with the 4 channels that a width of 0.25 would leave, all of a layer's
    # ReLUs end up at zero within the first steps, and the maps stay flat for good.
    wide, narrow = max(_FEWEST_HEAD_CHANNELS, scaled(32)), max(_FEWEST_HEAD_CHANNELS, scaled(16))
    return nn.Sequential(
        nn.Conv2d(scaled(32), wide, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(wide, wide, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(wide, narrow, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(narrow, narrow, kernel_size=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(narrow, _NUM_MAPS, kernel_size=1),
    )


def scale_channels(channels: int, *, width: float) -> int:
    """Channel count of a layer at a width.

    Args:
        channels: the layer's channels at width 1.
        width: factor, > 0.

    Returns:
        At least 1.
    """
    units = max(1, round(1024 * width))  # the same rounding from the width as given and as read off a file's shapes
    return max(1, (channels * units + 512) // 1024)


def _initialise(model: CRAFT, generator: torch.Generator | None) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    # Behind each of these stands a ReLU and no batch norm: He's variance keeps the signal's size through all four.
    for layer in list(model.conv_cls)[:-1]:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    # Maps begin near 0, as most of them is to be. Begun at random they cost ten times as much, and while they shrank a
    # narrow network could lose all that its last layers pass on: its maps stayed constant for good.
    last = model.conv_cls[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.01, generator=generator)


def _batch_norms(model: nn.Module) -> Iterator[_BatchNorm]:
    return (layer for layer in model.modules() if isinstance(layer, _BatchNorm))


def _checkpoint_contexts(part: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _with_spare_statistics(part)


@contextmanager
def _with_spare_statistics(part: nn.Module) -> Iterator[None]:
    """Give batch norms copies of their statistics to update, while a batch that they have counted is computed again."""
    kept = [(layer, dict(layer.named_buffers(recurse=False))) for layer in _batch_norms(part) if layer.training]
    for layer, buffers in kept:
        for name, values in buffers.items():
            setattr(layer, name, values.clone())
    try:
        yield
    finally:
        for layer, buffers in kept:
            for name, values in buffers.items():
                setattr(layer, name, values)


def normalise_images(images: Tensor) -> Tensor:
    """Take ImageNet's mean from pictures and divide by its deviation, on the device where they are.

    Args:
        images: (B, 3, H, W) uint8, RGB, any memory format.

    Returns:
        (B, 3, H, W) float32 in the same memory format.
    """
    mean, deviation = _channel_statistics(images.device)
    return images.to(torch.float32).sub(mean).div(deviation)


@lru_cache
def _channel_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    # Kept, since building a tensor on a GPU from Python numbers makes the host wait; and made outside of inference
    # mode, so that training may use what detection built first.
    with torch.inference_mode(False):
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32).mul(255).reshape(1, 3, 1, 1) for values in (_MEAN, _DEVIATION)
        )
        return mean.to(device), deviation.to(device)


def freeze_parameters(model: nn.Module, prefixes: Sequence[str]) -> list[str]:
    """Keep the parameters whose names start with any of the prefixes as they are, through every later `.train()`.

    A batch norm layer all of whose parameters are frozen keeps its statistics too: what was frozen computes the same.

    Args:
        model: a CRAFT, or a module that holds one.
        prefixes: starts of parameter names: "basenet.slice1.", "upconv", "conv_cls.8.bias".

    Returns:
        Names of the parameters that the prefixes name, in the model's order.

    Raises:
        ValueError: a prefix names no parameter.
    """
    parameters = dict(model.named_parameters())
    for prefix in prefixes:
        if not prefix or not any(name.startswith(prefix) for name in parameters):
            starts = {".".join(name.split(".")[:depth]) for name in parameters for depth in (1, 2, 3, 4)}
            nearest = difflib.get_close_matches(prefix, sorted(starts), n=1, cutoff=0.0)[0]
            raise ValueError(f"freeze: no parameter's name starts with {prefix!r}; the nearest start is {nearest!r}")
    frozen = [name for name in parameters if name.startswith(tuple(prefixes))] if prefixes else []
    for name in frozen:
        parameters[name].requires_grad_(False)
    model.train(model.training)
    return frozen


def freeze_batch_norm(model: nn.Module) -> None:
    """Keep the statistics and parameters of every batch norm layer as they are, through every later `.train()`.

    Args:
        model: a CRAFT, or a module that holds one.
    """
    for layer in _batch_norms(model):
        layer.requires_grad_(False)
    model.train(model.training)
