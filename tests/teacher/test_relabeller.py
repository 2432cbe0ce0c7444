"""Labels by a teacher: their files, refused when stale; relabelling in training, which repeats and resumes bit for bit."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from craft.cli.command import main
from craft.config import DatasetSettings, validate_config
from craft.datasets.collection import read_scenes
from craft.models.weights import save_safetensors
from craft.teacher.label_files import read_labels
from craft.training.checkpoint import read_checkpoint
from craft.training.datasets import read_training_sets
from craft.training.loop import train
from craft.training.run_log import read_metrics
from tests.networks import lively_network

TEACHER = {"source": "teacher", "refresh": 2, "delay": 1, "height": 32}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A narrow network's weights."""
    path = tmp_path_factory.mktemp("weights") / "teacher.safetensors"
    save_safetensors(lively_network(seed=0), path, {"width": 0.0625})
    return path


@pytest.fixture(scope="module")
def labels(tiny_set, weights, tmp_path_factory):
    """A label file of the tiny dataset, written by the command."""
    out = tmp_path_factory.mktemp("labels") / "tiny.jsonl"
    command = ["label", str(tiny_set), "--format", "icdar2017", "--weights", str(weights), "--out", str(out)]
    assert main([*command, "--height", "32", "--device", "cpu"]) == 0
    return out


def scenes_of(tiny_set):
    return read_scenes(DatasetSettings(path=str(tiny_set), format="icdar2017"), on_error="fail", echo=print)


def tensors_of(folder):
    checkpoint = read_checkpoint(folder / "last.pt", device=torch.device("cpu"))
    return {**checkpoint.model, **{f"average.{name}": value for name, value in checkpoint.average.items()}}


def assert_same_end(first, second):
    one, other = tensors_of(first), tensors_of(second)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
    for kind, left_out in (("train", ("images_per_second", "data_wait")), ("labels", ("seconds", "seconds_waited"))):
        lines = [read_metrics(folder / "metrics.jsonl", kind=kind) for folder in (first, second)]
        plain = [[{k: v for k, v in line.items() if k not in left_out} for line in part] for part in lines]
        assert plain[0] == plain[1]


def test_a_label_file_states_its_origin_and_is_a_dataset_itself(labels, weights, tiny_set):
    origin = json.loads(labels.read_text(encoding="utf-8").splitlines()[0])["note"]
    scenes = read_scenes(DatasetSettings(path=str(labels), format="jsonl"), on_error="fail", echo=print)

    assert (origin["weights"], origin["splitter"], origin["height"]) == ("teacher.safetensors", "cuts", 32)
    assert origin["words"] == sum(not word.dont_care for scene in scenes for word in scene.words) > 0
    assert [scene.name for scene in scenes] == [scene.name for scene in scenes_of(tiny_set)]
    for scene in scenes:
        for word in scene.words:
            assert word.dont_care or len(word.character_quads_xy) == 4
            assert word.dont_care or 0.5 <= word.confidence <= 1


def test_labels_are_read_back_for_their_dataset_and_for_a_part_of_it(labels, tiny_set):
    scenes = scenes_of(tiny_set)

    labelled, origin = read_labels(labels, scenes[2:5])

    assert origin.words > 0
    assert [scene.name for scene in labelled] == [scene.name for scene in scenes[2:5]]
    assert all(word.dont_care or word.character_quads_xy is not None for scene in labelled for word in scene.words)


def test_stale_label_files_are_refused(labels, tiny_set, tmp_path):
    scenes = scenes_of(tiny_set)
    other_text = replace(scenes[1], words=(replace(scenes[1].words[0], text="other"), *scenes[1].words[1:]))
    polygon = scenes[1].words[0].polygon_xy + np.float32(1)
    moved = replace(scenes[1], words=(replace(scenes[1].words[0], polygon_xy=polygon), *scenes[1].words[1:]))

    for changed in (other_text, moved):
        with pytest.raises(ValueError, match="have changed since"):
            read_labels(labels, [changed])
    with pytest.raises(ValueError, match="has no scene 'img_99'"):
        read_labels(labels, [replace(scenes[1], name="img_99")])
    with pytest.raises(ValueError, match="made with weights"):
        read_labels(labels, scenes, weights="0123456789abcdef")
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join(labels.read_text(encoding="utf-8").splitlines()[:3]) + '\n{"image', encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.jsonl:4"):
        read_labels(broken, scenes)


def test_training_reads_label_files_and_checks_their_weights(labels, weights, tiny_values, tmp_path):
    characters = {"source": "file", "files": [str(labels)], "weights": str(weights)}
    tiny_values["data"]["characters"] = characters
    [one] = read_training_sets(validate_config(tiny_values, where="test").data, say=print)
    labelled, _ = read_labels(labels, one.as_read)
    for scene, expected in zip(one.scenes, labelled, strict=True):
        for word, same in zip(scene.words, expected.words, strict=True):
            assert word.confidence == same.confidence

    other = tmp_path / "other.safetensors"
    save_safetensors(lively_network(seed=1), other, {})
    characters["weights"] = str(other)
    with pytest.raises(ValueError, match="made with weights"):
        read_training_sets(validate_config(tiny_values, where="test").data, say=print)
    characters |= {"weights": None, "files": [None, str(labels)]}
    with pytest.raises(ValueError, match="2 files for 1 training sets"):
        read_training_sets(validate_config(tiny_values, where="test").data, say=print)


def test_show_draws_the_characters_of_a_label_file(labels, tiny_set, tmp_path):
    command = ["show", str(tiny_set), "--format", "icdar2017", "--characters", str(labels), "--count", "2"]

    assert main([*command, "--out", str(tmp_path / "pictures")]) == 0

    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 2


@pytest.fixture(scope="module")
def taught(tiny_set, weights, tmp_path_factory):
    """Settings and the folder of a run of seven steps with a teacher that nothing stopped."""
    values = {
        "weights": str(weights),
        "data": {
            "train": [{"path": str(tiny_set), "format": "icdar2017"}],
            "crop_size": 64,
            "workers": 0,
            "characters": TEACHER,
        },
        "model": {"width": 0.0625},
        "ohem": {"min_negatives": 16},
        "training": {
            "steps": 7, "batch_size": 2, "device": "cpu", "precision": "fp32",
            "log_every": 1, "save_every": 2, "pictures_every": 100,
        },
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("taught") / "run"
    train(validate_config(values, where="test"), folder)
    return values, folder


def test_labels_take_effect_at_fixed_steps_and_are_logged(taught):
    _, folder = taught

    lines = read_metrics(folder / "metrics.jsonl", kind="labels")

    assert [(line["made_at"], line["step"]) for line in lines] == [(0, 1), (2, 4), (4, 6)]
    for line in lines:
        assert line["words"] > 0
        assert 0 <= line["mean_confidence"] <= 1
        assert 0 <= line["share_under_half"] <= 1
        assert line["seconds"] > 0


@pytest.mark.parametrize("stop_in", [2, 3, 4, 5])
def test_a_run_stopped_around_a_labelling_resumes_bit_for_bit(taught, tmp_path, monkeypatch, stop_in):
    values, whole = taught
    config = validate_config(values, where="test")
    clip, calls = torch.nn.utils.clip_grad_norm_, []

    def interrupt(*arguments, **names):
        calls.append(1)
        if len(calls) == stop_in:
            os.kill(os.getpid(), signal.SIGTERM)
        return clip(*arguments, **names)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", interrupt)
    outcome = train(config, tmp_path / "run")
    monkeypatch.undo()
    assert (outcome.finished, outcome.step) == (False, stop_in)

    train(config, tmp_path / "run", resume=True)

    assert_same_end(whole, tmp_path / "run")


@pytest.mark.parametrize("cores", [1, 64])
def test_labelling_beside_training_and_between_steps_give_the_same_run(taught, tmp_path, monkeypatch, cores):
    values, whole = taught
    monkeypatch.setattr("craft.teacher.relabeller._num_cores", lambda: cores)

    train(validate_config(values, where="test"), tmp_path / "run")

    assert_same_end(whole, tmp_path / "run")


def test_without_weights_words_are_split_evenly_until_the_first_labelling(taught, tmp_path):
    values = {**taught[0], "weights": None}
    train(validate_config(values, where="test"), tmp_path / "run")

    lines = read_metrics(tmp_path / "run" / "metrics.jsonl", kind="labels")
    assert [(line["made_at"], line["step"]) for line in lines] == [(2, 4), (4, 6)]

    values["data"] = {**values["data"], "characters": {"source": "teacher", "refresh": 0}}
    with pytest.raises(ValueError, match="set weights, or set refresh"):
        train(validate_config(values, where="test"), tmp_path / "other")


def test_settings_that_cannot_work_together_are_refused():
    with pytest.raises(ValueError, match="lower it"):
        validate_config({"data": {"characters": {"source": "teacher", "refresh": 10}}}, where="test")
    with pytest.raises(ValueError, match="needs files"):
        validate_config({"data": {"characters": {"source": "file"}}}, where="test")
    given = {"data": {"characters": {"refresh": 500}}}
    with pytest.raises(ValueError, match="no effect with data"):
        validate_config(given, where="test", given=given)
