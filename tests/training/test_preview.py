"""Images of what training sees: every panel shows what it says, and drawing changes nothing."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import collate
from craft.scene import Scene, Word
from craft.training.batch import batch_targets
from craft.training.preview import preview_sample, show_dataset, whole_scene, write_map_image

BAR, GAP = 18, 4


def rectangle(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)


def sample_with_two_words():
    characters = np.array([rectangle(10, 10, 30, 34), rectangle(30, 10, 50, 34)])
    words = (
        Word(rectangle(10, 10, 50, 34), "ab", character_quads_xy=characters),
        Word(rectangle(70, 50, 110, 74), dont_care=True),
    )
    return make_sample(
        np.zeros((96, 128, 3), np.uint8), words, seed=0, crop_size=(96, 128), settings=None, name="img_1"
    )


def panel(picture, row, column):
    top, left = row * (96 + BAR + GAP) + BAR, column * (128 + GAP)
    return picture[top : top + 96, left : left + 128].astype(int)


def test_panels_show_words_region_affinity_and_dont_care():
    picture = preview_sample(sample_with_two_words())

    assert picture.shape == (2 * (96 + BAR) + GAP, 2 * 128 + GAP, 3)
    words, region, affinity, mask = (panel(picture, row, column) for row in (0, 1) for column in (0, 1))
    assert words[50, 90].argmax() == 0  # red: the upper side of the don't-care word
    assert words[33, 20].max() > 100
    assert region[22, 20, 0] > 100  # the first character's centre is hot
    assert not region[60, 90].any()
    assert affinity[22, 30, 0] > 100  # between the two characters
    assert not affinity[22, 12].any()
    assert mask[60, 90].tolist() == [153, 24, 24]  # six tenths of (255, 40, 40)
    assert not mask[22, 30].any()


class Halves(nn.Module):
    """A network whose maps are 0.5 everywhere, and which fails in training mode."""

    def forward(self, images):
        assert not self.training
        count, _, height, width = images.shape
        return torch.full((count, 2, height // 2, width // 2), 0.5), None


def test_map_images_have_a_row_per_crop_and_leave_the_model_training(tmp_path):
    batch = collate([sample_with_two_words()] * 5)
    targets = batch_targets(batch, torch.device("cpu"))
    model = Halves().train()

    path = write_map_image(
        tmp_path / "maps", 30, model, batch, targets, torch.rand(5, 2, 48, 64), precision=torch.float32
    )

    assert path.name == "step_000030.jpg"
    assert cv2.imread(str(path)).shape == (4 * (48 + BAR + GAP) - GAP, 7 * (64 + GAP) - GAP, 3)
    assert model.training


@pytest.fixture
def dataset_settings(tmp_path):
    images, labels = tmp_path / "set" / "images", tmp_path / "set" / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    for number in (1, 2, 3):
        cv2.imwrite(str(images / f"img_{number}.jpg"), np.full((81, 120, 3), 200, np.uint8))
        (labels / f"gt_img_{number}.txt").write_text("10,10,60,10,60,30,10,30,word\n70,40,110,40,110,60,70,60,###\n")
    return DatasetSettings(path=str(tmp_path / "set"), format="icdar2015", images="images", labels="labels")


def test_showing_a_dataset_draws_whole_scenes(dataset_settings, tmp_path):
    paths = show_dataset(
        dataset_settings,
        tmp_path / "out",
        count=2,
        augmented=False,
        augment=AugmentSettings(),
        crop_size=64,
        echo=lambda _: None,
    )

    assert [path.name for path in paths] == ["img_1.jpg", "img_2.jpg"]
    assert cv2.imread(str(paths[0])).shape == (2 * (82 + BAR) + GAP, 2 * 120 + GAP, 3)


def test_showing_a_dataset_augmented_draws_training_crops(dataset_settings, tmp_path):
    paths = show_dataset(
        dataset_settings,
        tmp_path / "out",
        count=9,
        augmented=True,
        augment=AugmentSettings(),
        crop_size=64,
        echo=lambda _: None,
    )

    assert len(paths) == 3  # an epoch of three scenes
    assert sorted(path.stem.split("_", 1)[1] for path in paths) == ["img_1", "img_2", "img_3"]
    assert cv2.imread(str(paths[0])).shape == (2 * (64 + BAR) + GAP, 2 * 64 + GAP, 3)


def test_a_whole_scene_of_odd_size_gets_a_black_row(tmp_path):
    path = tmp_path / "img_1.png"
    cv2.imwrite(str(path), np.full((5, 8, 3), 9, np.uint8))

    sample = whole_scene(Scene(str(path), (), "img_1"))

    assert sample.image.shape == (6, 8, 3)
    assert (sample.image[:5] == 9).all()
    assert not sample.image[5].any()
