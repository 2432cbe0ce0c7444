"""An image that is damaged inside its pixels, which its header does not show, ends no verb's work: it is named."""

import json
import shutil
from dataclasses import replace

import pytest

from craft.cli.command import main
from craft.config import dump_config, validate_config
from craft.datasets.reading import read_dataset
from craft.models.weights import save_safetensors
from craft.region.figures import preview_batch
from craft.studies.compare import compare
from craft.studies.study import load_study
from craft.targets.characters import with_characters
from craft.training.loop import train
from tests.networks import lively_network
from tests.studies.conftest import tiny_study_file  # noqa: F401 - a fixture

BAD = "img_3.png"


@pytest.fixture
def damaged_set(tiny_set, tmp_path):
    """The tiny dataset with one wrong byte among the pixels of an image; `craft check` finds nothing."""
    folder = shutil.copytree(tiny_set, tmp_path / "set")
    path = folder / "ch8_training_images_1" / BAD
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert main(["check", str(folder), "--format", "icdar2017"]) == 0
    return folder


@pytest.fixture
def values(tiny_values, damaged_set, tmp_path):
    """Settings of a run with a teacher, a region head and figures, on the damaged dataset."""
    weights = tmp_path / "teacher.safetensors"
    save_safetensors(lively_network(seed=0), weights, {"width": 0.0625})
    tiny_values["weights"] = str(weights)
    tiny_values["data"]["train"][0]["path"] = str(damaged_set)
    tiny_values["data"]["characters"] = {"source": "teacher", "refresh": 2, "delay": 0, "height": 32}
    tiny_values["region"] = {"enabled": True, "rois_per_image": 8, "pool": [2, 2], "hidden": 8}
    tiny_values["training"].update(steps=2, pictures_every=1)
    return tiny_values


def test_label_splits_its_words_evenly_and_names_it(damaged_set, tmp_path, capsys, values):
    out = tmp_path / "labels.jsonl"
    command = ["label", str(damaged_set), "--format", "icdar2017", "--weights", values["weights"], "--out", str(out)]

    for workers in ("0", "2"):
        assert main([*command, "--height", "32", "--device", "cpu", "--workers", workers]) == 0
        assert BAD in capsys.readouterr().out

    scenes = [json.loads(line) for line in out.read_text().splitlines()[1:]]
    bad = next(scene for scene in scenes if scene["image"].endswith(BAD))
    assert [len(word.get("characters", ())) for word in bad["words"]] == [4, 4, 0]


def test_training_with_a_teacher_and_figures_passes_it_over(values, tmp_path, capsys):
    with pytest.raises(ValueError, match=rf"{BAD}.*set data\.on_error: skip"):
        train(validate_config(values, where="test"), tmp_path / "fails")
    values["data"]["on_error"] = "skip"

    outcome = train(validate_config(values, where="test"), tmp_path / "run")

    assert outcome.finished
    assert len(list((tmp_path / "run" / "rois").iterdir())) == 2
    assert BAD in capsys.readouterr().out


def test_figures_show_the_scenes_that_can_be_read(damaged_set):
    settings = validate_config({"data": {"train": [{"path": str(damaged_set)}]}}, where="test").data.train[0]
    scenes = [with_characters(scene) for scene in read_dataset(settings).scenes]

    assert preview_batch(scenes, crop_size=64).names == ["img_1", "img_2", "img_4", "img_5"]
    with pytest.raises(ValueError, match=BAD):
        preview_batch([replace(scenes[2], name="only")], crop_size=64)


@pytest.mark.parametrize("augmented", [False, True])
def test_show_draws_the_others(damaged_set, tmp_path, capsys, augmented):
    config = tmp_path / "config.yaml"
    config.write_text("data: {crop_size: 64}\n")
    options = ["--augmented", "--config", str(config)] if augmented else []

    status = main(["show", str(damaged_set), "--out", str(tmp_path / "drawn"), "--count", "8", *options])

    assert status == 0
    assert BAD in capsys.readouterr().out
    assert len(list((tmp_path / "drawn").iterdir())) == (8 if augmented else 7)


def test_bench_says_that_it_was_skipped(values, tmp_path, capsys):
    values["data"]["on_error"] = "skip"
    values["training"]["batch_size"] = 8
    settings = tmp_path / "config.yaml"
    settings.write_text(dump_config(validate_config(values, where="test")), encoding="utf-8")

    assert main(["bench", str(settings), "--steps", "1"]) == 0

    printed = capsys.readouterr().out
    assert BAD in printed
    assert "1 images could not be read" in printed


def test_failures_are_drawn_of_the_others(damaged_set, tmp_path, capsys):
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "res_img_1.txt").write_text("")
    options = ["--detections", str(tmp_path / "found"), "--truth", str(damaged_set), "--protocol", "icdar2017"]

    assert main(["evaluate", *options, "--failures", str(tmp_path / "worst.png")]) == 0

    assert f"not drawn: {damaged_set / 'ch8_training_images_1' / BAD}" in capsys.readouterr().err


@pytest.mark.slow
def test_a_study_leaves_it_out_from_the_start(tiny_study_file, damaged_set, tmp_path, capsys):  # noqa: F811
    part = f"[{{path: {damaged_set}, format: icdar2017, numbers: [1, 4]}}]"
    changes = ["seeds=[1]", "budget={images: 2}", f"splits.tiny.choose={part}", f"splits.tiny.report={part}"]

    comparison = compare(load_study(tiny_study_file, overrides=changes), tmp_path / "out", executor="inline")

    assert (comparison.num_done, comparison.failures) == (2, ())
    assert "3 scenes" in capsys.readouterr().out
