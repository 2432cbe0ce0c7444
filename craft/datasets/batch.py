"""Training crops put together into a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from craft.scene import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops of one step and the words in them; all coordinates are pixels of the crops."""

    images: Tensor  # (B, 3, H, W) uint8, RGB, on the CPU, in channels-last memory
    character_quads_xy: NDArray[np.float32]  # (C, 4, 2) of cared-for words, neighbours in a word side by side
    character_word: NDArray[np.int64]  # (C,) the word of each character
    strip_quads_xy: NDArray[np.float32]  # (S, 4, 2) quads that together cover the words
    strip_word: NDArray[np.int64]  # (S,) the word of each strip
    word_image: NDArray[np.int64]  # (N,) the crop of each word
    word_confidence: NDArray[np.float32]  # (N,) 0 to 1, and 0 for a don't-care word
    seeds: Tensor  # (B,) int64, each crop's own number
    names: list[str]  # the crops' scenes
    unreadable: list[str] = field(default_factory=list)  # what was wrong with images that were passed over

    def pin_memory(self) -> Batch:
        """The same batch with its tensors in page-locked memory, for copies that the host does not wait for."""
        return replace(self, images=self.images.pin_memory(), seeds=self.seeds.pin_memory())


def collate(samples: Sequence[Sample]) -> Batch:
    """Put crops of one size, at least one, together; in a loader process, in memory shared with the training process."""
    size = (len(samples), *samples[0].image.shape)
    if get_worker_info() is None:
        images = torch.from_numpy(np.empty(size, dtype=np.uint8))  # numpy asks for huge pages, which cost less when new
    else:
        images = torch.empty(size, dtype=torch.uint8).share_memory_()
    np.stack([sample.image for sample in samples], out=images.numpy())
    word_counts = [len(sample.word_confidence) for sample in samples]
    first_words = np.concatenate([[0], np.cumsum(word_counts)[:-1]]).astype(np.int64)
    numbered = list(zip(samples, first_words, strict=True))
    return Batch(
        images=images.permute(0, 3, 1, 2),  # (B, 3, H, W)
        character_quads_xy=np.concatenate([sample.character_quads_xy for sample in samples]),
        character_word=np.concatenate([sample.character_word + first for sample, first in numbered]),
        strip_quads_xy=np.concatenate([sample.strip_quads_xy for sample in samples]),
        strip_word=np.concatenate([sample.strip_word + first for sample, first in numbered]),
        word_image=np.repeat(np.arange(len(samples), dtype=np.int64), word_counts),
        word_confidence=np.concatenate([sample.word_confidence for sample in samples]),
        seeds=torch.tensor([sample.seed for sample in samples], dtype=torch.int64),
        names=[sample.name for sample in samples],
        unreadable=[what for sample in samples for what in sample.unreadable],
    )
