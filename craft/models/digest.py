"""Short fingerprints of batches and weights, by which runs show that they saw the same."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn

from craft.datasets.loader import Batch

CHARACTERS = ("character_quads_xy", "character_word", "word_confidence")
"""What a teacher says of a batch."""

_ARRAYS = ("character_quads_xy", "character_word", "strip_quads_xy", "strip_word", "word_image", "word_confidence")


def batch_digest(batch: Batch, *, leave_out: tuple[str, ...] = ()) -> str:
    """Fingerprint everything that training takes from a batch: pixels, quads, confidences, seeds and names.

    Args:
        batch: the crops, with finished pixels.
        leave_out: arrays that do not count, such as `CHARACTERS`.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(batch.images.permute(0, 2, 3, 1).contiguous().cpu().numpy().tobytes())
    for name in _ARRAYS:
        if name not in leave_out:
            digest.update(np.ascontiguousarray(getattr(batch, name)).tobytes())
    digest.update(batch.seeds.numpy().tobytes())
    digest.update("\n".join(batch.names).encode())
    return digest.hexdigest()


def weights_digest(model: nn.Module, *, leave_out: str | None = None) -> str:
    """Fingerprint a network's parameters and buffers.

    Args:
        model: the network, on any device.
        leave_out: tensors whose names start so do not count.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        if leave_out is not None and name.startswith(leave_out):
            continue
        digest.update(name.encode())
        values = tensor.detach().cpu().contiguous()
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
