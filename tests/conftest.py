"""A small labelled set and settings that train on it in a second or two on one core."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import cv2
import numpy as np
import pytest
import torch

from craft.config import validate_config


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests run side by side; more threads would only get in each other's way."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory):
    """Eight scenes of 160 x 128 with up to three words each, one without text, in the ICDAR2017 layout."""
    folder = tmp_path_factory.mktemp("tiny_set")
    images = folder / "ch8_training_images_1"
    labels = folder / "ch8_training_localization_transcription_gt_v2"
    images.mkdir()
    labels.mkdir()
    generator = np.random.default_rng(5)
    for number in range(1, 9):
        picture = generator.integers(150, 200, (128, 160, 3)).astype(np.uint8)
        lines = []
        for row, text in enumerate(("TEXT", "word", "###")[: number % 4]):
            left, top = 10 + 8 * row, 12 + 38 * row
            cv2.putText(picture, text, (left, top + 20), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 20), 2)
            width = 16 * len(text)
            corners = (left, top, left + width, top, left + width, top + 24, left, top + 24)
            lines.append(",".join(map(str, corners)) + f",Latin,{text}\n")
        cv2.imwrite(str(images / f"img_{number}.png"), picture)
        (labels / f"gt_img_{number}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def tiny_values(tiny_set):
    """Settings as a dictionary, to be changed by a test."""
    one_set = {"path": str(tiny_set), "format": "icdar2017"}
    return {
        "data": {"train": [one_set], "crop_size": 64, "workers": 0},
        "model": {"width": 0.0625},
        "optimizer": {"warmup_steps": 2, "learning_rate": 2e-3},
        "ohem": {"min_negatives": 16},
        "training": {
            "steps": 6,
            "batch_size": 2,
            "device": "cpu",
            "precision": "fp32",
            "log_every": 1,
            "save_every": 2,
            "validate_every": 3,
            "pictures_every": 100,
        },
        "detection": {"sizing": "scale", "magnify": 1.0},
    }


@pytest.fixture
def tiny_config(tiny_values):
    """The same, checked."""
    return validate_config(tiny_values, where="tiny_values")
