"""One way to run a network over images: normalise, channels last, autocast."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def run_network(network: nn.Module, images: Tensor, *, precision: torch.dtype) -> tuple[Tensor, Any]:
    """Run a network, in its present mode, over (B, 3, H, W) uint8 images: maps and features as of `CRAFT.forward`."""
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        return network(normalise_images(images).contiguous(memory_format=torch.channels_last))


def score_pixels(
    network: nn.Module,
    pixels: NDArray[np.uint8],
    *,
    device: torch.device,
    precision: torch.dtype,
    levels: Sequence[str] = (),
) -> tuple[NDArray[np.float32], dict[str, Tensor]]:
    """Both maps (B, 2, H/2, W/2) of images (B, H, W, 3) uint8, and the features of the named levels on the device.

    Raises ValueError if the network is in training mode.
    """
    # Batch statistics would change the words, and be changed for good; switching modes here would race with threads.
    if any(module.training for module in network.modules()):
        raise ValueError("the network is in training mode; call model.eval() before detecting with it")
    images: Tensor = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)  # a view: channels last
    with torch.inference_mode():
        maps, features = run_network(network, images, precision=precision)
    return maps.float().contiguous().cpu().numpy(), {name: features[name] for name in levels}


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, without gradients; afterwards each of its modules is in its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def normalise_images(images: Tensor) -> Tensor:
    """Subtract ImageNet's mean from (B, 3, H, W) uint8 RGB images and divide by its deviation, in float32."""
    mean, deviation = _channel_statistics(images.device)
    return images.to(torch.float32).sub(mean).div(deviation)


@lru_cache
def _channel_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    # Cached, since building a tensor on a GPU from Python numbers makes the host wait. Built outside inference mode, so
    # that training may use what detection built first.
    with torch.inference_mode(False):
        mean, deviation = (
            torch.tensor(values, dtype=torch.float32).mul(255).reshape(1, 3, 1, 1) for values in (_MEAN, _DEVIATION)
        )
        return mean.to(device), deviation.to(device)
