"""The region path: a head that classifies boxes as words and refines them, from the network's features.

A CRAFT holds it as its `region`; it travels in the same files, under names that start with "region.".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import roi_align

from craft.models.craft import CRAFT, LEVEL_STRIDES
from craft.models.proposal_network import ProposalNetwork

# Fast R-CNN's weights: a tenth of the side counts 1 in the centre, a fifth in the logarithm of the size.
BOX_CODER = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
_SAMPLES_PER_CELL = 2  # points along each side of an RoIAlign cell


@dataclass(frozen=True, slots=True)
class RegionArchitecture:
    """What the shape of a region path depends on, beside the network's channels."""

    levels: tuple[str, ...] = ("decoder2",)  # features that the head reads, names in `LEVEL_STRIDES`
    pool_hw: tuple[int, int] = (7, 7)  # RoIAlign cells, down and across
    hidden: int = 256  # width of both fully connected layers
    proposal_network: bool = True  # whether there is a region proposal network

    def as_dict(self) -> dict[str, Any]:
        """The fields, as they travel with weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RegionArchitecture:
        """Restore what `as_dict` gave, from JSON or YAML, where tuples are lists; ValueError if it is incomplete or wrong."""
        try:
            rows, columns, hidden = (int(number) for number in (*values["pool_hw"], values["hidden"]))
            if min(rows, columns, hidden) < 1:
                raise ValueError("a size is below 1")
            levels = tuple(str(level) for level in values["levels"])
            return cls(levels, (rows, columns), hidden, bool(values["proposal_network"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the region path's architecture {dict(values)!r} is incomplete or wrong: {error}"
            ) from None


class RegionHead(nn.Module):
    """RoIAlign, two fully connected layers, one text logit, and box deltas. No dropout, no batch norm.

    Source: Fast R-CNN, Girshick, ICCV 2015, section 2; RoIAlign from Mask R-CNN, He et al., ICCV 2017. One set of box
        deltas, since text is the only class.
    """

    def __init__(
        self, architecture: RegionArchitecture, level_channels: Mapping[str, int], *, generator: torch.Generator
    ) -> None:
        """Build the head for a CRAFT of these `level_channels`; ValueError if a level is unknown, or there is none."""
        super().__init__()
        unknown = [level for level in architecture.levels if level not in level_channels]
        if unknown or not architecture.levels:
            named = ", ".join(unknown) or "no level"
            raise ValueError(f"region.levels: {named}; name one or several of {', '.join(level_channels)}")
        self.levels = architecture.levels
        self.pool_hw = architecture.pool_hw
        channels = sum(level_channels[level] for level in self.levels)
        cells = self.pool_hw[0] * self.pool_hw[1]
        self.first = nn.Linear(channels * cells, architecture.hidden)
        self.second = nn.Linear(architecture.hidden, architecture.hidden)
        self.text = nn.Linear(architecture.hidden, 1)
        self.correction = nn.Linear(architecture.hidden, 4)
        for layer, deviation in (
            (self.first, math.sqrt(2 / self.first.in_features)),
            (self.second, math.sqrt(2 / self.second.in_features)),
            (self.text, 0.01),
            (self.correction, 0.001),
        ):
            nn.init.normal_(layer.weight, std=deviation, generator=generator)
            nn.init.zeros_(layer.bias)

    def pool(self, levels: Mapping[str, Tensor], boxes_xyxy: Sequence[Tensor]) -> Tensor:
        """Pool the features of each image's boxes (R_b, 4), network input pixels: (R, F) float32, image after image."""
        pooled = [
            roi_align(
                levels[level].float(),
                list(boxes_xyxy),
                self.pool_hw,
                spatial_scale=1 / LEVEL_STRIDES[level],
                sampling_ratio=_SAMPLES_PER_CELL,
                aligned=True,
            ).flatten(1)
            for level in self.levels
        ]
        return torch.cat(pooled, dim=1)

    def judge(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Classify pooled features (R, F): logits (R,) of text and box deltas (R, 4) for `BOX_CODER`, float32."""
        with torch.autocast(pooled.device.type, enabled=False):
            hidden = functional.relu(self.second(functional.relu(self.first(pooled))))
            return self.text(hidden).squeeze(1), self.correction(hidden)

    def forward(self, levels: Mapping[str, Tensor], boxes_xyxy: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pool and judge boxes."""
        return self.judge(self.pool(levels, boxes_xyxy))


class RegionPath(nn.Module):
    """A region head and the network that proposes boxes to it, which is None where the architecture has none."""

    def __init__(
        self, architecture: RegionArchitecture, level_channels: Mapping[str, int], *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.head = RegionHead(architecture, level_channels, generator=generator)
        self.proposals = ProposalNetwork(level_channels, generator=generator) if architecture.proposal_network else None


def add_region_path(model: CRAFT, architecture: RegionArchitecture, *, seed: int) -> RegionPath:
    """Give a network a region path with parameters drawn from `seed`; ValueError if a level is unknown."""
    path = RegionPath(architecture, model.level_channels, generator=torch.Generator().manual_seed(seed))
    model.region = path
    return path


def region_path(model: nn.Module) -> RegionPath | None:
    """The region path of a network, None where it has none."""
    path = getattr(model, "region", None)
    return path if isinstance(path, RegionPath) else None
