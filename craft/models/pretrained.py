"""torchvision's ImageNet weights for the backbone."""

from __future__ import annotations

from pathlib import Path

import torch

from craft.models.craft import CRAFT
from craft.models.weights import Weights, load_into


def load_imagenet_backbone(model: CRAFT) -> None:
    """Copy torchvision's ImageNet weights of VGG16 with batch norm into the backbone's convolutions 1 to 12.

    Torchvision keeps the file (528 MB) where torch.hub does, and fetches it when it is not there.

    Args:
        model: network of width 1; changes in place. The two layers that replace VGG16's fully connected ones, and
            the decoder, stay as they are.

    Raises:
        ValueError: the width is not 1, or the weights are neither there nor to be had.
    """
    if model.width != 1:
        raise ValueError(
            f"model.pretrained: imagenet fits width 1 only, not {model.width}; set model.pretrained to none, or start "
            "from weights of that width with 'weights'"
        )
    from torchvision.models import VGG16_BN_Weights  # imported here: detection needs none of torchvision

    source = VGG16_BN_Weights.IMAGENET1K_V1
    try:
        pretrained = source.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        name = source.url.rpartition("/")[2]
        raise ValueError(
            f"model.pretrained: imagenet: {name} could not be fetched ({error}); put that file of torchvision's into "
            f"{Path(torch.hub.get_dir()) / 'checkpoints'}, or set model.pretrained to none"
        ) from error
    state = {
        name: pretrained["features." + name.removeprefix("basenet.").partition(".")[2]]
        for name in model.state_dict()
        if name.startswith("basenet.") and not name.startswith("basenet.slice5.")
    }
    report = load_into(model, Weights(state, {}, source="torchvision's VGG16_BN_Weights"), strict=False)
    assert len(report.loaded) == len(state), "torchvision numbers VGG16's layers otherwise than craft.py"
