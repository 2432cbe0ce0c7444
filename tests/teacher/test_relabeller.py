"""Relabelling during training repeats and resumes bit for bit."""

import os
import signal

import pytest
import torch

from craft.config import validate_config
from craft.training.checkpoint import read_checkpoint
from craft.training.loop import train
from craft.training.run_log import read_metrics

TEACHER = {"source": "teacher", "refresh": 2, "delay": 1, "height": 32}


def tensors_of(folder):
    checkpoint = read_checkpoint(folder / "last.pt", device=torch.device("cpu"))
    return {**checkpoint.model, **{f"average.{name}": value for name, value in checkpoint.average.items()}}


def assert_same_end(first, second):
    tensors, others = tensors_of(first), tensors_of(second)
    assert tensors.keys() == others.keys()
    for name in tensors:
        assert torch.equal(tensors[name], others[name]), name
    for kind, left_out in (("train", ("images_per_second", "data_wait")), ("labels", ("seconds", "seconds_waited"))):
        lines = [read_metrics(folder / "metrics.jsonl", kind=kind) for folder in (first, second)]
        plain = [[{k: v for k, v in line.items() if k not in left_out} for line in part] for part in lines]
        assert plain[0] == plain[1]


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
