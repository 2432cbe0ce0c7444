"""A LinkRefiner trains on labelled lines, on rendered ones too, and the detector uses its file."""

import json

import numpy as np
import pytest
from PIL import Image

from craft.cli.command import main
from craft.config import DatasetSettings
from craft.models.weights import save_safetensors
from craft.synth.source import synthetic_scenes
from craft.training.refiner import RENDERED, LineCrops, train_refiner
from tests.networks import lively_network


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "network.safetensors"
    detection = {"sizing": "scale", "magnify": 1.0, "text_threshold": 0.05, "low_text": 0.03}
    save_safetensors(lively_network(seed=2), path, {"detection": detection})
    return path


def test_the_loss_falls_and_a_crop_depends_on_seed_and_index_alone(tiny_set, weights, tmp_path):
    lines = []
    dataset = DatasetSettings(path=str(tiny_set), format="icdar2017")
    options = {"datasets": [dataset], "batch_size": 2, "crop_size": 64, "device": "cpu", "echo": lines.append}

    first = train_refiner(weights, tmp_path / "short.safetensors", steps=2, **options)
    last = train_refiner(weights, tmp_path / "long.safetensors", steps=80, **options)

    assert last < 0.8 * first
    assert any(line.startswith("step 50 of 80: loss ") for line in lines)


@pytest.mark.slow
def test_crops_of_rendered_scenes_have_lines(tmp_path):
    scenes = synthetic_scenes(RENDERED)
    crops = LineCrops(scenes, count=4, size=128, seed=5)

    words = scenes[0].words
    image, target, care = crops[3]

    assert max(np.bincount([word.line for word in words])) > 1  # of several words
    assert image.shape == (3, 128, 128)
    assert target.shape == care.shape == (64, 64)
    assert target.any()
    for one, other in zip(crops[3], LineCrops(scenes, count=9, size=128, seed=5)[3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_craft_refine_writes_what_craft_detect_uses(tiny_set, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save("photo.png")
    options = ["--steps", "2", "--crop-size", "64", "--workers", "0", "--device", "cpu", "--format", "icdar2017"]

    trained = main(["refine", str(tiny_set), "--weights", str(weights), "--out", "lines.safetensors", *options])
    found = main(["detect", "photo.png", "--weights", str(weights), "--lines", "lines.safetensors", "--format", "json"])

    assert (trained, found) == (0, 0)
    assert "use it with craft detect --lines lines.safetensors" in capsys.readouterr().out
    assert json.loads((tmp_path / "found" / "photo.json").read_text())["image"] == "photo.png"


def test_lines_of_exported_networks_are_refused(tmp_path, capsys):
    assert main(["detect", "photo.png", "--weights", "small.onnx", "--lines", "lines.safetensors"]) == 2
    assert "needs features, which exported networks lack" in capsys.readouterr().err
