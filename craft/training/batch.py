"""The target maps of a batch, and a digest by which two runs show that they saw the same batch."""

import hashlib

import numpy as np
import torch

from craft.datasets.batch import Batch
from craft.targets.heatmaps import Targets, draw_targets

CHARACTERS = ("character_quads_xy", "character_word", "word_confidence")
"""The arrays of a batch that a teacher may change."""

_ARRAYS = ("character_quads_xy", "character_word", "strip_quads_xy", "strip_word", "word_image", "word_confidence")


def batch_targets(batch: Batch, device: torch.device) -> Targets:
    """Draw the maps of a batch, at half the crops' size, on a device."""
    count, _, height, width = batch.images.shape
    return draw_targets(
        batch.character_quads_xy,
        batch.character_word,
        batch.strip_quads_xy,
        batch.strip_word,
        batch.word_image,
        batch.word_confidence,
        batch_size=count,
        map_size_hw=(height // 2, width // 2),
        device=device,
    )


def batch_digest(batch: Batch, *, leave_out: tuple[str, ...] = ()) -> str:
    """Digest everything that training takes from a batch, but for the arrays named, as 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(batch.images.permute(0, 2, 3, 1).contiguous().cpu().numpy().tobytes())
    for name in _ARRAYS:
        if name not in leave_out:
            digest.update(np.ascontiguousarray(getattr(batch, name)).tobytes())
    digest.update(batch.seeds.numpy().tobytes())
    digest.update("\n".join(batch.names).encode())
    return digest.hexdigest()
