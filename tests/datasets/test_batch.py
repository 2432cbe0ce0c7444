"""Crops put together: words are numbered through the batch."""

import numpy as np
import pytest

from craft.datasets.batch import collate
from craft.scene import Sample


def sample(num_words, characters_each, value):
    quads = np.full((num_words * characters_each, 4, 2), value, dtype=np.float32)
    return Sample(
        image=np.full((4, 6, 3), value, dtype=np.uint8),
        character_quads_xy=quads,
        character_word=np.repeat(np.arange(num_words), characters_each).astype(np.int64),
        strip_quads_xy=quads[:num_words],
        strip_word=np.arange(num_words, dtype=np.int64),
        word_confidence=np.full(num_words, value / 10, dtype=np.float32),
        seed=2**62 + value,
        name=f"img_{value}",
    )


def test_words_are_numbered_through_a_batch():
    batch = collate([sample(2, 2, 1), sample(0, 0, 2), sample(1, 3, 3)])

    assert batch.character_word.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert batch.strip_word.tolist() == [0, 1, 2]
    assert batch.word_image.tolist() == [0, 0, 2]
    assert batch.word_confidence == pytest.approx([0.1, 0.1, 0.3])
    assert batch.character_quads_xy[:, 0, 0].tolist() == [1, 1, 1, 1, 3, 3, 3]
    assert batch.seeds.tolist() == [2**62 + 1, 2**62 + 2, 2**62 + 3]
    assert batch.names == ["img_1", "img_2", "img_3"]
    assert batch.images[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_a_batch_without_words_is_normal():
    batch = collate([sample(0, 0, 1)])

    assert batch.character_quads_xy.shape == (0, 4, 2)
    assert batch.word_image.shape == (0,)
    assert batch.word_image.dtype == np.int64
