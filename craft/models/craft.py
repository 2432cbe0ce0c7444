"""The CRAFT network: a backbone, a U-shaped decoder, and two score maps at half the size of the input.

Parameter names are those of the authors' release, so that weights go both ways (see weights.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from craft.models.backbone import Backbone, scale_channels
from craft.models.freezing import batch_norm_layers, hold_frozen_statistics
from craft.models.vgg16_bn import VGG16BN

BACKBONES: Mapping[str, type[Backbone]] = {"vgg16_bn": VGG16BN}
"""Backbones by the name in `model.backbone`: built from the width."""

DEFAULT_BACKBONE = "vgg16_bn"  # what weights that do not name their backbone have

LEVEL_STRIDES = {"vgg4": 4, "vgg8": 8, "decoder8": 8, "decoder4": 4, "decoder2": 2}
"""Features that the region path may read, by name: network input pixels per feature pixel."""

_NUM_MAPS = 2
_FEWEST_HEAD_CHANNELS = 16  # as many as at width 1


class CRAFT(nn.Module):
    """Character region and affinity maps of images.

    `level_channels` has the channels of the features that `forward` gives, by level; `region` is the region path on
    them, None where there is none.

    Source: CRAFT, Baek et al., CVPR 2019, figure 2.
    """

    # Never on an instance's copy: a copy would compute with the parameters of the network that was compiled.
    _compiled: Mapping[nn.Module, Callable[..., Tensor]] = MappingProxyType({})

    def __init__(
        self,
        width: float = 1.0,
        *,
        backbone: str = DEFAULT_BACKBONE,
        gradient_checkpointing: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network with fresh parameters.

        Convolutions are Xavier uniform, those before a ReLU in the score head He uniform (the authors use Xavier there
        too), biases 0, batch norms 1 and 0.

        Args:
            width: factor on every channel count, > 0; 1 is the paper's network. Rounded to 1 / 1024, so that the widest
                layer's channel count gives it back.
            backbone: a name in `BACKBONES`.
            gradient_checkpointing: less memory and more time in training; the same gradients.
            generator: where the parameters are drawn from; torch's own where None.
        """
        super().__init__()
        if not 0 < width < float("inf"):
            raise ValueError(f"width {width!r} is not a positive number; 1 is the paper's network, 0.25 a small one")
        self.width = width
        self.backbone = backbone
        self.gradient_checkpointing = gradient_checkpointing
        self.region: nn.Module | None = None
        scaled = partial(scale_channels, width=width)
        self.basenet = BACKBONES[backbone](width)
        second, third, fourth, fifth, deepest = self.basenet.channels
        self.upconv1 = Merge(deepest + fifth, scaled(512), scaled(256))
        self.upconv2 = Merge(scaled(256) + fourth, scaled(256), scaled(128))
        self.upconv3 = Merge(scaled(128) + third, scaled(128), scaled(64))
        self.upconv4 = Merge(scaled(64) + second, scaled(64), scaled(32))
        self.conv_cls = _score_head(scaled)
        self.level_channels = {
            "vgg4": third, "vgg8": fourth, "decoder8": scaled(128), "decoder4": scaled(64), "decoder2": scaled(32)
        }  # fmt: skip
        _initialise(self, generator)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Score the pixels of images (B, 3, H, W) from `normalise_images`; H and W at least 16 and of any parity.

        Returns:
            Maps (B, 2, H // 2, W // 2), region then affinity, unbounded, about 0 to 1 once trained; and features
            (B, level_channels, H // stride, W // stride) by the names of `LEVEL_STRIDES`. The maps are computed from
            "decoder2", which is >= 0.
        """
        features, skips = images, []
        for stage in self.basenet.children():
            features = self._run(stage, features)
            skips.append(features)
        second, third, fourth, fifth, deepest = skips
        decoder16 = self._run(self.upconv1, deepest, fifth)
        decoder8 = self._run(self.upconv2, decoder16, fourth)
        decoder4 = self._run(self.upconv3, decoder8, third)
        decoder2 = self._run(self.upconv4, decoder4, second)
        levels = {"vgg4": third, "vgg8": fourth, "decoder8": decoder8, "decoder4": decoder4, "decoder2": decoder2}
        return self._run(self.conv_cls, decoder2), levels

    def train(self, mode: bool = True) -> CRAFT:
        """Set training or evaluation mode; a batch norm layer whose parameters are frozen stays in evaluation mode."""
        super().train(mode)
        hold_frozen_statistics(self)
        return self

    def compile_parts(self, *, backend: str = "inductor") -> None:
        """Compile each part of the network for training, for the shapes that it then meets.

        Evaluation mode, and passes without gradients, run as before, so that images of many sizes compile nothing.
        Parts are compiled one by one: gradients of one cross between processes while others are computed, and
        checkpointing stays around them. Names of parameters do not change; copies of the network are not compiled.
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


class Merge(nn.Module):
    """Resize the deeper features to the skip's size and mix the two."""

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
        """Enlarge (B, C, h, w) to the size of (B, D, H, W), and mix them."""
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


def _initialise(model: CRAFT, generator: torch.Generator | None) -> None:
    if next(model.parameters()).is_meta:  # no values to draw, and torch would import its compiler for them: 2 s
        return
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    # A ReLU and no batch norm follows each of these: He's variance keeps the signal's size through all four.
    for layer in list(model.conv_cls)[:-1]:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    # Maps begin near 0, as most of them is to be. Started at random they cost ten times as much, and while they shrank a
    # narrow network could lose all that its last layers pass on: its maps stayed constant for good.
    last = model.conv_cls[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.01, generator=generator)


def _checkpoint_contexts(part: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _with_spare_statistics(part)


@contextmanager
def _with_spare_statistics(part: nn.Module) -> Iterator[None]:
    """Let batch norms update copies of their statistics, while a batch that they have counted is recomputed."""
    kept = [(layer, dict(layer.named_buffers(recurse=False))) for layer in batch_norm_layers(part) if layer.training]
    for layer, buffers in kept:
        for name, values in buffers.items():
            setattr(layer, name, values.clone())
    try:
        yield
    finally:
        for layer, buffers in kept:
            for name, values in buffers.items():
                setattr(layer, name, values)
