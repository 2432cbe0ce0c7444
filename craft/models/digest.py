"""A short digest of weights, by which runs show that they started from or arrived at the same."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


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
