"""The LinkRefiner: a small network on CRAFT's maps and features that links the words of a line.

Parameter names are those of the authors' release, `craft_refiner_CTW1500.pth`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from craft.models.craft import CRAFT
from craft.models.weights import Weights, load_into, read_weights, weights_digest

FEATURES = "decoder2"
"""The level that it reads, at the size of the maps."""

_DILATIONS = (6, 12, 18, 24)
_FIRST = "last_conv.0.weight"  # (channels, 2 + those of the features, 3, 3)


class LinkRefiner(nn.Module):
    """A map of text lines from the maps and the features of a CRAFT.

    Source: LinkRefiner of CRAFT, Baek et al., CVPR 2019, section 4.4, as in the authors' release, whose width is 64
        channels on features of 32.
    """

    def __init__(self, features: int = 32, *, channels: int = 64, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.features = features
        self.last_conv = nn.Sequential(
            *_layers(2 + features, channels), *_layers(channels, channels), *_layers(channels, channels)
        )
        self.aspp1, self.aspp2, self.aspp3, self.aspp4 = (_branch(channels, dilation) for dilation in _DILATIONS)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for branch in (self.aspp1, self.aspp2, self.aspp3, self.aspp4):  # links begin near 0, as most of them is to be
            nn.init.normal_(branch[-1].weight, std=0.01, generator=generator)  # type: ignore[arg-type]

    def forward(self, maps: Tensor, features: Tensor) -> Tensor:
        """Score pixels as links of a line: (B, 1, H, W), about 0 to 1, from maps (B, 2, H, W) and features of that size."""
        shared = self.last_conv(torch.cat([maps, features], dim=1))
        return self.aspp1(shared) + self.aspp2(shared) + self.aspp3(shared) + self.aspp4(shared)


class LineNetwork(nn.Module):
    """A CRAFT whose affinity map is replaced by the links of a LinkRefiner, so that words of a line become one."""

    # Input pixels beyond CRAFT's receptive field that a link depends on: 3 + 24 map pixels, up to a multiple of 32.
    further_reach = 64

    def __init__(self, network: nn.Module, refiner: LinkRefiner) -> None:
        super().__init__()
        self.network, self.refiner = network, refiner
        self.region = None  # the region head judges words, not lines

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Score images as `CRAFT.forward` does."""
        maps, levels = self.network(images)
        return torch.cat([maps[:, :1], self.refiner(maps, levels[FEATURES])], dim=1), levels


def read_refiner(path: str | Path, network: CRAFT) -> LinkRefiner:
    """Read a LinkRefiner for a network: the authors' .pth, or a file of `craft refine`.

    Raises ValueError if the file cannot be read, is no LinkRefiner, or belongs to another network.
    """
    weights = read_weights(path)
    first = weights.state.get(_FIRST)
    if first is None or first.ndim != 4:
        raise ValueError(f"{weights.source}: not a LinkRefiner, {_FIRST} is missing; give a file of craft refine")
    refiner = LinkRefiner(first.shape[1] - 2, channels=first.shape[0])
    load_into(refiner, weights)
    _check_network(weights, refiner, network)
    return refiner.eval()


def refiner_metadata(network: CRAFT) -> dict[str, Any]:
    """What the file of a LinkRefiner says of the network that it was trained on."""
    return {"refines": weights_digest(network)}


def _check_network(weights: Weights, refiner: LinkRefiner, network: CRAFT) -> None:
    wanted, found = refiner.features, network.level_channels[FEATURES]
    refines = weights.metadata.get("refines")
    if wanted != found or (refines is not None and refines != weights_digest(network)):
        raise ValueError(
            f"{weights.source}: was trained on another network than the one given; give that network, or train a "
            "LinkRefiner on this one with craft refine"
        )


def _layers(channels_in: int, channels: int, **convolution: Any) -> tuple[nn.Module, ...]:
    size = {"kernel_size": 3, "padding": 1} | convolution
    return nn.Conv2d(channels_in, channels, **size), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def _branch(channels: int, dilation: int) -> nn.Sequential:
    wide = 2 * channels
    return nn.Sequential(
        *_layers(channels, wide, dilation=dilation, padding=dilation),
        *_layers(wide, wide, kernel_size=1, padding=0),
        nn.Conv2d(wide, 1, kernel_size=1),
    )
