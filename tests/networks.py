"""Networks for tests that need maps with something on them."""

import torch
from torch import nn

from craft.models.craft import CRAFT


def lively_network(*, seed: int, width: float = 0.0625) -> CRAFT:
    """A network that is not trained, but whose maps differ from place to place: its last layer is as random as the rest."""
    model = CRAFT(width, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            weight = nn.init.xavier_uniform_(torch.empty_like(layer.weight), generator=generator)
    with torch.no_grad():
        model.conv_cls[-1].weight.copy_(weight)
    return model
