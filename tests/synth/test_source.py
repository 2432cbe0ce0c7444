"""Scenes rendered on the fly: those that craft synth writes, the same for any loader, none of them kept."""

import tracemalloc
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.augment import make_sample
from craft.datasets.check import format_report, report_on
from craft.datasets.loader import build_loader
from craft.datasets.order import IN_ORDER_PER_EPOCH, epoch_order, sample_seed
from craft.datasets.reading import read_dataset
from craft.datasets.scene_dataset import SceneDataset
from craft.datasets.scene_source import JoinedScenes, read_scene_image
from craft.scene import Scene
from craft.synth.presets import preset
from craft.synth.render import render_scene
from craft.synth.source import SyntheticScenes, read_synthetic, synthetic_scenes

AUGMENT = AugmentSettings(scale=(0.8, 1.25))
SMALL = {"size": 128, "words": [1, 3]}


def synth_set(**changes):
    return DatasetSettings.model_validate(
        {"format": "synth", "preset": "quickstart", "seed": 4, "count": 30, "settings": SMALL} | changes
    )


def load(sets, count, **changes):
    fields = {
        "seed": 5,
        "crop_size": 96,
        "augment": AUGMENT,
        "batch_size": 2,
        "workers": 0,
        "start_position": 0,
    } | changes
    return list(islice(build_loader(sets, **fields), count))


def assert_same(first, second):
    for name in first.__dataclass_fields__:
        one, other = getattr(first, name), getattr(second, name)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), name
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize(
    ("name", "changes"), [("quickstart", SMALL), ("full", {"size_hw": [256, 256], "words": [2, 6]})]
)
def test_a_synthetic_scene_is_what_craft_synth_writes_before_jpeg(name, changes):
    scenes = synthetic_scenes(synth_set(preset=name, settings=changes, seed=7))

    scene, expected = scenes[2], render_scene(preset(name, changes), 7, 2)

    np.testing.assert_array_equal(scene.image, expected.image)
    assert scene.name == "img_3"
    assert len(scene.words) == len(expected.words) > 0
    for word, wanted in zip(scene.words, expected.words, strict=True):
        assert (word.text, word.dont_care) == (wanted.text, wanted.dont_care)
        np.testing.assert_array_equal(word.polygon_xy, wanted.polygon_xy)
        np.testing.assert_array_equal(word.character_quads_xy, wanted.character_quads_xy)


def test_a_crop_is_cut_from_the_scene_as_from_a_file_without_loss():
    dataset = SceneDataset([(synthetic_scenes(synth_set()), 1.0)], seed=3, crop_size=96, augment=AUGMENT)
    rendered = render_scene(preset("quickstart", SMALL), 4, 1)
    expected = make_sample(
        np.ascontiguousarray(rendered.image), rendered.words, seed=sample_seed(3, 0, 1), crop_size=96, settings=AUGMENT
    )

    sample = dataset[0, 1]

    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.character_quads_xy, expected.character_quads_xy)
    np.testing.assert_array_equal(sample.word_confidence, expected.word_confidence)


@pytest.mark.parametrize("workers", [1, 3])
def test_loader_processes_do_not_change_a_bit_of_synthetic_scenes(workers):
    sets = [(synthetic_scenes(synth_set()), 1.0)]

    for alone, together in zip(load(sets, 4), load(sets, 4, workers=workers), strict=True):
        assert_same(alone, together)


def test_synthetic_scenes_continue_in_the_middle_of_an_epoch_and_in_the_next():
    sets = [(synthetic_scenes(synth_set(count=5)), 1.0)]
    whole = load(sets, 5)

    for first in (1, 3):  # batches of two: the second begins in the first epoch, the fourth in the second
        for expected, continued in zip(whole[first:], load(sets, 5 - first, start_position=2 * first), strict=True):
            assert_same(expected, continued)
    assert [name for batch in whole for name in batch.names] == [f"img_{number % 5 + 1}" for number in range(10)]


def test_two_ranks_render_what_one_process_renders():
    sets = [(synthetic_scenes(synth_set()), 1.0)]
    whole = load(sets, 2)

    halves = [load(sets, 2, batch_size=1, world_size=2, rank=rank) for rank in (0, 1)]

    for step in range(2):
        images = torch.cat([halves[0][step].images, halves[1][step].images])
        assert torch.equal(whole[step].images, images)


def test_a_huge_count_costs_no_memory_and_starts_at_once():
    synthetic_scenes(synth_set())  # opens the font
    tracemalloc.start()

    scenes = synthetic_scenes(synth_set(count=10**15))
    batches = load([(scenes, 1.0)], 2)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(scenes) == 10**15
    assert batches[0].names == ["img_1", "img_2"]
    assert peak < 16 * 2**20


def test_synthetic_scenes_come_in_order_across_epochs():
    orders = [
        epoch_order(1, epoch, [10**12, 3], [1.0, 1.0], 8, in_order=[True, False])[:, :].tolist() for epoch in (0, 1)
    ]

    assert [[scene for chosen, scene in order if chosen == 0] for order in orders] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    shuffled = epoch_order(1, 0, [4, 3], [1.0, 1.0], 8, in_order=[True, False])
    plain = epoch_order(1, 0, [4, 3], [1.0, 1.0], 8)
    np.testing.assert_array_equal(shuffled[:, 0], plain[:, 0])
    np.testing.assert_array_equal(shuffled[plain[:, 0] == 1], plain[plain[:, 0] == 1])


def test_synthetic_scenes_mix_with_files_by_weight(tmp_path):
    files = []
    for number in range(4):
        path = tmp_path / f"file_{number}.png"
        cv2.imwrite(str(path), np.full((96, 96, 3), 40 * number, np.uint8))
        files.append(Scene(str(path), (), path.stem))
    sets = [(files, 1.0), (synthetic_scenes(synth_set(count=12)), 3.0)]

    names = [name for batch in load(sets, 8) for name in batch.names]  # one epoch: 4 + 12

    assert sum(name.startswith("file_") for name in names) == 4 + 1  # a dataset gives at least one, then by weight
    assert len({name for name in names if name.startswith("img_")}) == 11


def test_an_epoch_is_part_of_a_large_synthetic_dataset():
    dataset = SceneDataset([(synthetic_scenes(synth_set(count=10**9)), 1.0)], seed=0, crop_size=96, augment=None)

    assert dataset.epoch_length == IN_ORDER_PER_EPOCH


def test_slices_of_synthetic_and_joined_scenes_render_nothing(monkeypatch):
    rendered = SyntheticScenes(preset("quickstart", SMALL), seed=4, numbers=range(10**9))
    files = [Scene(f"{number}.png", (), f"file_{number}") for number in range(3)]
    joined = JoinedScenes([files, rendered[5:8], []])

    assert [scene.name for scene in joined] == ["file_0", "file_1", "file_2", "img_6", "img_7", "img_8"]
    assert [scene.name for scene in joined[1::2]] == ["file_1", "img_6", "img_8"]
    monkeypatch.setattr("craft.synth.render.render_scene", None)
    assert (len(joined), len(joined[1::2]), len(rendered[::2]), len(JoinedScenes([]))) == (6, 3, 5 * 10**8, 0)
    with pytest.raises(IndexError):
        joined[6]


def test_the_image_of_a_scene_is_its_own_or_its_files(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 3), 9, np.uint8))
    scene = Scene("rendered", (), "img_1", np.zeros((2, 2, 3), np.uint8))

    assert read_scene_image(scene) is scene.image
    assert read_scene_image(Scene(str(tmp_path / "a.png"), (), "a")).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"settings": {"camera": {"nosie": 1}}},
            r"synth \(full, seed 4\): preset full: unknown setting 'camera.nosie'; did you mean 'camera.noise'",
        ),
        ({"settings": {"size_hw": [100, 100]}}, "size_hw must be multiples of 8 from 128 up"),
        ({"settings": {"photographs": "/nowhere"}}, "no images here"),
        ({"settings": {"families": ["No Such Family"]}}, "no font family begins with No Such Family"),
    ],
)
def test_settings_that_cannot_be_rendered_are_refused_before_training(changes, message):
    with pytest.raises(ValueError, match=message):
        synthetic_scenes(synth_set(preset="full", **changes))


def test_synthetic_scenes_are_counted_like_others():
    settings = synth_set(count=3)
    report = report_on(read_synthetic(settings), title=settings.title, format="synth")

    words = [word for scene in synthetic_scenes(synth_set(count=3)) for word in scene.words]
    assert report.num_scenes == 3
    assert report.num_words == len(words)
    assert report.num_with_characters == report.num_readable > 0
    assert "synth (quickstart, seed 4) (synth)" in format_report(report)


def test_synthetic_scenes_cannot_be_read_as_files():
    with pytest.raises(ValueError, match=r"synth \(quickstart, seed 4\).*write them to a folder with craft synth"):
        read_dataset(synth_set())
