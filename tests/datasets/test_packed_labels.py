"""Packed scenes give back what maps are made from."""

import pickle

import numpy as np
import pytest

from craft.datasets.scene_source import PackedScenes
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


def test_random_scenes_come_back_wherever_they_stand():
    generator = np.random.default_rng(0)

    def word(number):
        polygon = generator.normal(size=(2 * int(generator.integers(2, 6)), 2)).astype(np.float32)
        characters = generator.normal(size=(int(generator.integers(0, 9)), 4, 2)).astype(np.float32)
        return Word(
            polygon,
            dont_care=bool(generator.random() < 0.3),
            character_quads_xy=characters if generator.random() < 0.8 else None,
            confidence=float(np.float32(generator.random())),
            source=f"gt_Ä{number}.txt:{generator.integers(1000)}",
        )

    scenes = [
        Scene(f"folder/{number}.jpg", tuple(word(number) for _ in range(generator.integers(0, 6))), f"img_{number}")
        for number in range(200)
    ]

    packed = PackedScenes(scenes)

    for index in generator.permutation(200):
        before, after = scenes[index], packed[int(index)]
        assert (after.image_path, after.name, len(after.words)) == (before.image_path, before.name, len(before.words))
        for old, new in zip(before.words, after.words, strict=True):
            assert (old.dont_care, old.confidence, old.source) == (new.dont_care, new.confidence, new.source)
            np.testing.assert_array_equal(old.polygon_xy, new.polygon_xy)
            assert (old.character_quads_xy is None) == (new.character_quads_xy is None)
            if old.character_quads_xy is not None:
                np.testing.assert_array_equal(old.character_quads_xy, new.character_quads_xy)


def test_packed_labels_hold_no_object_per_word():
    quad = np.array([[1, 2], [30, 2], [30, 12], [1, 12]], dtype=np.float32)
    scenes = [Scene("a.jpg", (Word(quad, character_quads_xy=quad[None]),) * 10, f"img_{index}") for index in range(500)]

    def objects(packed):
        return sum(
            len(value) if isinstance(value, list | tuple | dict) else 1
            for part in (packed, *vars(packed).values())
            if hasattr(part, "__dict__")
            for value in vars(part).values()
        )

    assert objects(PackedScenes(scenes)) == objects(PackedScenes(scenes[:1]))
