"""The region-level path: a head that says of a box whether it is a word, and moves it, from the network's features.

It hangs on a CRAFT as its `region` and travels in the same files, under names that start with "region.".
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

from craft.models.craft import CRAFT, LEVEL_CHANNELS, LEVEL_STRIDES, scale_channels
from craft.models.proposal_network import ProposalNetwork

# Fast R-CNN's: a correction by a tenth of the side counts 1 in centre, by a fifth in the logarithm of the size.
BOX_CODER = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
_SAMPLES_PER_CELL = 2  # points along each side of a cell of RoIAlign


@dataclass(frozen=True, slots=True)
class RegionArchitecture:
    """What the shape of a region path depends on, beside the network's width.

    Attributes:
        levels: features that the head reads, names in LEVEL_CHANNELS.
        pool_hw: cells of RoIAlign, down and across.
        hidden: width of both fully connected layers.
        proposal_network: whether there is a region proposal network.
    """

    levels: tuple[str, ...] = ("decoder2",)
    pool_hw: tuple[int, int] = (7, 7)
    hidden: int = 256
    proposal_network: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The fields, as they travel with weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RegionArchitecture:
        """Take back what `as_dict` gave, from JSON or YAML, where tuples have become lists.

        Args:
            values: the fields.

        Returns:
            The architecture.

        Raises:
            ValueError: a field is missing or of another kind.
        """
        try:
            rows, columns = values["pool_hw"]
            return cls(
                tuple(str(level) for level in values["levels"]),
                (int(rows), int(columns)),
                int(values["hidden"]),
                bool(values["proposal_network"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the region path's architecture {dict(values)!r} is not whole: {error}") from None


class RegionHead(nn.Module):
    """RoIAlign, two fully connected layers, text or not, and a correction of the box. No dropout, no batch norm.

    Source: Fast R-CNN, Girshick, ICCV 2015, section 2; RoIAlign from Mask R-CNN, He et al., ICCV 2017. One box
        correction, since text is the only class, and one output for it.
    """

    def __init__(self, architecture: RegionArchitecture, *, width: float, generator: torch.Generator) -> None:
        """Build the head with fresh parameters.

        Args:
            architecture: levels, cells and layer width.
            width: of the CRAFT whose features it reads.
            generator: where the parameters are drawn from.

        Raises:
            ValueError: a level is unknown, or there is none.
        """
        super().__init__()
        unknown = [level for level in architecture.levels if level not in LEVEL_CHANNELS]
        if unknown or not architecture.levels:
            named = ", ".join(unknown) or "no level"
            raise ValueError(f"region.levels: {named}; name one or several of {', '.join(LEVEL_CHANNELS)}")
        self.levels = architecture.levels
        self.pool_hw = architecture.pool_hw
        channels = sum(scale_channels(LEVEL_CHANNELS[level], width=width) for level in self.levels)
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
        """Cut boxes out of the features.

        Args:
            levels: features (B, C, h, w) of any floating type, as `CRAFT.forward_levels` gives them.
            boxes_xyxy: (R_b, 4) float32 for each of the B images, network input pixels.

        Returns:
            (R, F) float32, a row a box, image after image.
        """
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
        """Say of cut-out features whether they are a word, and how to move the box.

        Args:
            pooled: (R, F) float32, from `pool`.

        Returns:
            (R,) float32, the log odds that the box is a word; and (R, 4) float32, corrections for `BOX_CODER`.
        """
        with torch.autocast(pooled.device.type, enabled=False):
            hidden = functional.relu(self.second(functional.relu(self.first(pooled))))
            return self.text(hidden).squeeze(1), self.correction(hidden)

    def forward(self, levels: Mapping[str, Tensor], boxes_xyxy: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Judge boxes.

        Args:
            levels: as in `pool`.
            boxes_xyxy: as in `pool`.

        Returns:
            As `judge`.
        """
        return self.judge(self.pool(levels, boxes_xyxy))


class RegionPath(nn.Module):
    """A head and, where wanted, the network that proposes boxes to it.

    Attributes:
        architecture: what it was built as.
        head: judges boxes.
        proposals: proposes boxes; None where the architecture has none.
    """

    def __init__(self, architecture: RegionArchitecture, *, width: float, generator: torch.Generator) -> None:
        """Build both with fresh parameters.

        Args:
            architecture: as in `RegionHead`.
            width: of the CRAFT that they hang on.
            generator: where the parameters are drawn from.

        Raises:
            ValueError: a level is unknown.
        """
        super().__init__()
        self.architecture = architecture
        self.head = RegionHead(architecture, width=width, generator=generator)
        self.proposals = ProposalNetwork(width=width, generator=generator) if architecture.proposal_network else None


class LevelsNetwork(nn.Module):
    """A CRAFT whose call gives all levels of features, for a loop that calls networks and must not know which."""

    def __init__(self, model: CRAFT) -> None:
        """Wrap a network; its parameters are shared.

        Args:
            model: the network.
        """
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What `CRAFT.forward_levels` gives.

        Args:
            images: (B, 3, H, W), from `normalise_images`.

        Returns:
            Maps, and features by level.
        """
        return self.model.forward_levels(images)


def add_region_path(model: CRAFT, architecture: RegionArchitecture, *, seed: int) -> RegionPath:
    """Hang a fresh region path on a network.

    Args:
        model: the network; its `region` is set.
        architecture: of the path.
        seed: of the fresh parameters.

    Returns:
        The path.

    Raises:
        ValueError: a level is unknown.
    """
    path = RegionPath(architecture, width=model.width, generator=torch.Generator().manual_seed(seed))
    model.region = path
    return path


def region_path(model: nn.Module) -> RegionPath | None:
    """The region path that hangs on a network.

    Args:
        model: any module.

    Returns:
        The path, None where there is none.
    """
    path = getattr(model, "region", None)
    return path if isinstance(path, RegionPath) else None
