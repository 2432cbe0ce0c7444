"""`craft detect photo.jpg` with nothing else, and the weights that ship."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from craft.cli.command import main
from craft.config import DetectionSettings
from craft.detection.detector import Detector
from craft.models import shipped
from craft.models.craft import CRAFT
from craft.models.shipped import DEFAULT_WEIGHTS, WEIGHTS_FOLDER
from craft.models.weights import read_weights, save_safetensors
from craft.training.state import build_state

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "ch8_training_images_1"
HAS_DEFAULT = (WEIGHTS_FOLDER / f"{DEFAULT_WEIGHTS}.safetensors").is_file()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with one photo, and a package that ships weights of a network that calls everything text."""
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(shipped, "WEIGHTS_FOLDER", tmp_path / "package")
    model = CRAFT(0.0625, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.conv_cls[8].weight.zero_()
        model.conv_cls[8].bias.fill_(1)
    metadata = {"width": 0.0625, "detection": {"sizing": "scale", "magnify": 1.0}}
    save_safetensors(model, tmp_path / "package" / "small.safetensors", metadata, storage="int8")
    Image.fromarray(np.full((64, 96, 3), 99, np.uint8)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_photo_alone_gives_words_and_a_drawing_beside_it(folder, capsys):
    photo = (folder / "photo.jpg").read_bytes()

    status = main(["detect", "photo.jpg"])

    assert status == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "photo.jpg: 1 words: found/photo.json, found/photo.drawn.jpg"
    assert out[1].startswith("1 words in 1 images, ")
    assert len(json.loads((folder / "found" / "photo.json").read_text())["words"]) == 1
    assert Image.open(folder / "found" / "photo.drawn.jpg").size == (96, 64)
    assert (folder / "photo.jpg").read_bytes() == photo
    assert sorted(path.name for path in folder.iterdir()) == ["found", "package", "photo.jpg"]


def test_dropped_words_are_said_with_the_way_to_keep_them_and_results_can_be_scored(folder, capsys):
    labels = folder / "set" / "ch4_training_localization_transcription_gt"
    labels.mkdir(parents=True)
    (labels.parent / "ch4_training_images").mkdir()
    (folder / "photo.jpg").rename(labels.parent / "ch4_training_images" / "photo.jpg")
    (labels / "gt_photo.txt").write_text("0,0,96,0,96,64,0,64,word\n", encoding="utf-8")

    assert main(["detect", "set", "--set", "least_side=1000"]) == 0
    said = capsys.readouterr().out
    assert main(["detect", "set"]) == 0
    advice = capsys.readouterr().out.splitlines()[-1]

    assert "1 more words were dropped by least_side=1000; to keep them, add --set least_side=0" in said
    assert json.loads((folder / "found" / "photo.json").read_text())["words"]
    command = advice.removeprefix("To score them against labels: craft ").replace("DATASET", "set").split()
    assert main(command) == 0
    assert "1 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (["--no-draw"], ["photo.json"]),
        (["--format", "json"], ["photo.json"]),
        (["--format", "icdar"], ["res_photo.txt"]),
        (["--format", "icdar", "--draw"], ["photo.drawn.jpg", "res_photo.txt"]),
        (["--format", "csv"], ["detections.csv"]),
    ],
)
def test_what_is_asked_for_is_written(folder, options, files):
    assert main(["detect", "photo.jpg", "--out", "results", *options]) == 0

    assert sorted(path.name for path in (folder / "results").iterdir()) == files


def test_weights_that_do_not_ship_are_told_from_those_that_do(folder, capsys):
    assert main(["detect", "photo.jpg", "--weights", "synth"]) == 2

    error = capsys.readouterr().err
    assert error.startswith("craft detect: synth: these weights do not ship")
    assert "what ships: small" in error
    assert not (folder / "found").exists()


def test_names_are_understood_in_configurations(folder, tiny_config):
    from craft.distributed.processes import start_processes, stop_processes

    said: list[str] = []
    processes = start_processes("cpu")
    try:
        state = build_state(tiny_config.model_copy(update={"weights": "small"}), processes, echo=said.append)
        wide = tiny_config.model.model_copy(update={"width": 0.125})
        with pytest.raises(ValueError, match=r"small: weights of width 0.0625; set model.width to that, not 0.125"):
            build_state(tiny_config.model_copy(update={"weights": "small", "model": wide}), processes, echo=said.append)
    finally:
        stop_processes(processes)

    assert said[0] == "small: 154 tensors loaded"
    assert float(state.model.conv_cls[8].bias.detach().min()) == 1


def test_names_are_understood_by_convert(folder):
    assert main(["convert", "small", "copy.safetensors"]) == 0

    assert read_weights("copy.safetensors").metadata == read_weights("small").metadata


def test_scores_are_calibrated_on_labelled_scenes_and_stored_with_the_weights(folder, capsys, monkeypatch):
    from craft.detection import score_calibration

    images, labels = folder / "set/ch4_training_images", folder / "set/ch4_training_localization_transcription_gt"
    images.mkdir(parents=True)
    labels.mkdir()
    generator = np.random.default_rng(0)
    for number in range(1, 41):
        Image.fromarray(np.full((64, 96, 3), 99, np.uint8)).save(images / f"img_{number}.png")
        left = 0 if number % 2 else 90  # every other label is where the network finds no word
        (labels / f"gt_img_{number}.txt").write_text(f"{left},0,96,0,96,64,{left},64,word\n", encoding="utf-8")

    class Varied(Detector):
        def detect(self, image, **options):
            found = super().detect(image, **options)
            right = int(Path(image).stem.split("_")[1]) % 2
            raw = np.full(len(found), 0.5 + 0.2 * right + 0.2 * generator.random(), np.float32)
            return dataclasses.replace(found, raw_scores=raw)

    monkeypatch.setattr(score_calibration, "Detector", Varied)
    command = ["evaluate", "--calibrate", "--weights", "small", "--truth", "set", "--protocol", "icdar2015"]

    assert main([*command, "--save", "new.safetensors", "--set", "text_threshold=0.6"]) == 0

    assert "fitted on set (train): 40 detections, 20 right" in capsys.readouterr().out
    stored = read_weights("new.safetensors")
    assert stored.storage == "int8"
    settings = DetectionSettings(**stored.metadata["detection"])
    assert settings.text_threshold == 0.6
    detector = Detector.from_weights("new.safetensors", device="cpu")
    found = detector.detect("photo.jpg")
    offset, slope = settings.calibration
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-(offset + slope * found.raw_scores))), rtol=1e-5)
    raw = Detector.from_weights("small", device="cpu").detect("photo.jpg")
    np.testing.assert_allclose(found.raw_scores, raw.scores, rtol=1e-5)


@pytest.mark.skipif(not HAS_DEFAULT, reason=f"{WEIGHTS_FOLDER}/{DEFAULT_WEIGHTS}.safetensors is not there")
def test_the_weights_that_ship_find_words():
    detector = Detector.from_weights(device="cpu")

    num_words = sum(len(detector.detect(SAMPLE / f"img_{number}.jpg")) for number in (1, 2, 3))

    assert num_words >= 3


@pytest.mark.skipif(not HAS_DEFAULT, reason=f"{WEIGHTS_FOLDER}/{DEFAULT_WEIGHTS}.safetensors is not there")
@pytest.mark.parametrize(("name", "width", "bytes_at_most"), [("small", 0.4375, 5e6), ("small-synth", 0.25, 2e6)])
def test_shipped_weights_are_small_and_state_their_origin(name, width, bytes_at_most):
    weights = read_weights(name)

    assert weights.storage == "int8"
    assert weights.metadata["width"] == width
    settings = DetectionSettings(**weights.metadata["detection"])
    assert settings.least_side == 0  # small words are not dropped
    assert name != "small" or (settings.sizing == "auto" and settings.calibration is not None)
    assert {"command", "commit", "steps", "crops", "data"} <= weights.metadata["provenance"].keys()
    assert (WEIGHTS_FOLDER / f"{name}.safetensors").stat().st_size < bytes_at_most


@pytest.mark.skipif(not HAS_DEFAULT, reason=f"{WEIGHTS_FOLDER}/{DEFAULT_WEIGHTS}.safetensors is not there")
def test_weights_from_synthetic_scenes_saw_no_real_scene_and_others_name_their_teacher():
    leg = read_weights("small-synth").metadata["provenance"]
    while leg is not None:
        assert not [dataset for dataset in leg["data"] if "icdar" in dataset.get("path", "")]
        leg = leg.get("before")

    assert "craft_mlt_25k.pth (MIT, NAVER Corp." in read_weights("small").metadata["provenance"]["note"]
