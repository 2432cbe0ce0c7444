"""Distillation: a teacher network's score maps of the training crops as targets beside, or instead of, the labels."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from craft.models.fusing import fuse_layers
from craft.models.inference import run_network
from craft.models.weights import build_model, read_weights
from craft.targets.heatmaps import Targets


def teacher_targets(images: Tensor, weights: str, *, precision: torch.dtype) -> Targets:
    """Take a teacher's maps of (B, 3, H, W) uint8 RGB crops, clipped to 0 to 1, as targets that are trusted everywhere.

    There is no don't-care area: the teacher also finds text that nobody labelled. Raises ValueError if the weights
    cannot be read.

    Args:
        weights: the teacher, a file or a name; read once per process and device.
        precision: what the teacher computes in, torch.float32 or torch.bfloat16.
    """
    with torch.inference_mode():
        maps, _ = run_network(_teacher(weights, images.device), images, precision=precision)
        maps = maps.to(torch.float32, memory_format=torch.contiguous_format).clamp(0, 1)
    return Targets(maps=maps.clone(), confidence=torch.ones_like(maps))  # cloned out of inference mode for autograd


@lru_cache(maxsize=1)
def _teacher(weights: str, device: torch.device) -> nn.Module:
    model = build_model(read_weights(weights)).eval().requires_grad_(False)
    fuse_layers(model)
    return model.to(device).to(memory_format=torch.channels_last)
