"""Networks that `craft export` writes: the same maps as torch at any size, and the same words."""

import importlib.util
import pickle

import numpy as np
import pytest
from PIL import Image

from craft.cli.command import main
from craft.detection.detector import Detector
from craft.detection.network_export import export_network
from craft.models.exported import ExportedNetwork
from craft.models.weights import save_safetensors
from tests.networks import lively_network

NEEDS = {".pt2": (), ".onnx": ("onnxruntime", "onnxscript"), ".xml": ("openvino",)}
METADATA = {"detection": {"sizing": "scale", "magnify": 1.0, "text_threshold": 0.05, "low_text": 0.03}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_safetensors(lively_network(seed=2), path, METADATA)
    return path


def noise(height, width):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("ending", NEEDS)
def test_an_exported_network_finds_the_same_words_at_any_size_and_batch(weights, tmp_path, ending, capsys):
    missing = [name for name in NEEDS[ending] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    out = tmp_path / f"network{ending}"
    photo = tmp_path / "photo.png"
    Image.fromarray(noise(90, 70)).save(photo)

    assert main(["export", str(weights), str(out), "--images", str(photo)]) == 0

    assert "greatest difference from torch" in capsys.readouterr().out
    exported = Detector.from_weights(out, precision="fp32")
    expected = Detector.from_weights(weights, device="cpu", precision="fp32")
    assert exported.settings == expected.settings
    assert exported.settings.text_threshold == 0.05
    images = [noise(90, 70), noise(90, 70)[::-1], noise(33, 129), noise(32, 32)]
    found, wanted = list(exported.detect_many(images)), list(expected.detect_many(images))
    assert sum(map(len, wanted)) > 0
    for words, others in zip(found, wanted, strict=True):
        np.testing.assert_allclose(words.quads_xy, others.quads_xy, atol=1e-3)
        np.testing.assert_allclose(words.scores, others.scores, atol=1e-4)
    copied = pickle.loads(pickle.dumps(exported))  # as another process would get it
    for detector in (exported, copied):
        np.testing.assert_array_equal(detector.detect(images[0]).quads_xy, found[0].quads_xy)


def test_maps_that_differ_from_torch_are_not_written(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("craft.detection.network_export._write", lambda network, out, note, int8: out.write_bytes(b""))
    monkeypatch.setattr(
        "craft.detection.network_export.ExportedNetwork",
        lambda path, precision: lambda pixels: np.ones((1, 2, pixels.shape[1] // 2, pixels.shape[2] // 2), np.float32),
    )

    with pytest.raises(ValueError, match="not written, its maps differ"):
        export_network(weights, tmp_path / "network.pt2")

    assert not list(tmp_path.glob("network*"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("network.onnx", {}, "no such file; write it with craft export"),
        ("damaged.pt2", {}, "cannot be read by torch"),
        ("damaged.pt2", {"backend": "onnx"}, "backend 'onnx' does not run .pt2 files; use torch"),
        ("damaged.pt2", {"precision": "bf16"}, "precision 'bf16' is for weights in torch"),
    ],
)
def test_files_and_options_that_cannot_be_used_are_refused(tmp_path, name, options, message):
    (tmp_path / "damaged.pt2").write_bytes(b"no network")

    with pytest.raises(ValueError, match=message):
        ExportedNetwork(tmp_path / name, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "small", "small.tflite"], "unknown ending; use .onnx, .xml, .pt2"),
        (["export", "small", "small.pt2", "--int8"], "8 bits are written to .onnx only"),
        (["detect", "--backend", "onnx", "photo.jpg"], "run craft export small small.onnx"),
        (["detect", "--backend", "openvino", "photo.jpg"], "run craft export small small.xml"),
    ],
)
def test_the_command_says_what_to_do_instead(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)

    assert main(arguments) == 2

    assert message in capsys.readouterr().err
