"""Packed scenes give back what maps are made from."""

import pickle

import numpy as np
import pytest

from craft.datasets.packing import PackedScenes
from craft.scene import Scene, Word


def test_scenes_come_back_as_they_went_in():
    quad = np.array([[1, 2], [30, 2], [30, 12], [1, 12]], dtype=np.float32)
    hexagon = np.array([[0, 0], [5, 0], [10, 0], [10, 5], [5, 5], [0, 5]], dtype=np.float32)
    scenes = [
        Scene(
            "a/img_1.jpg", (Word(quad, "ab", character_quads_xy=np.stack([quad, quad + 1]), source="gt:1"),), "img_1"
        ),
        Scene("ü/img_2.png", (), "img_2"),
        Scene(
            "img_3.gif",
            (Word(hexagon, dont_care=True), Word(quad, "", character_quads_xy=quad[None][:0], confidence=0.5)),
            "img_3",
        ),
    ]

    packed = pickle.loads(pickle.dumps(PackedScenes(scenes)))

    assert len(packed) == 3
    for before, after in zip(scenes, (packed[index] for index in range(3)), strict=True):
        assert (after.image_path, after.name, len(after.words)) == (before.image_path, before.name, len(before.words))
        for old, new in zip(before.words, after.words, strict=True):
            np.testing.assert_array_equal(old.polygon_xy, new.polygon_xy)
            assert (old.dont_care, old.confidence, old.source) == (new.dont_care, new.confidence, new.source)
            if old.character_quads_xy is None:
                assert new.character_quads_xy is None
            else:
                np.testing.assert_array_equal(old.character_quads_xy, new.character_quads_xy)
    with pytest.raises(IndexError):
        packed[3]


def test_no_scenes_at_all_is_normal():
    assert len(PackedScenes([])) == 0
