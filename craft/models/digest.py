"""A short digest of weights, by which two runs show that theirs are equal."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_digest(model: nn.Module, *, leave_out: str | None = None) -> str:
    """Digest a network's parameters and buffers, but for names that start with `leave_out`, as 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        if leave_out is not None and name.startswith(leave_out):
            continue
        digest.update(name.encode())
        values = tensor.detach().cpu().contiguous()
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
