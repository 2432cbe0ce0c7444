"""A run that was stopped, or killed, and resumed ends exactly as one that never stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from craft.config import dump_config, validate_config
from craft.models.weights import read_weights
from craft.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from craft.training.loop import train
from craft.training.run_log import read_metrics

# Trains in a process of its own that kills itself at a place of our choosing.
KILLED = """
import os, pathlib, signal, sys
import torch
torch.set_num_threads(1)
from craft.config import load_config
from craft.training import checkpoint, loop

config, folder, place = load_config(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]

def die(*_arguments, **_names):
    os.kill(os.getpid(), signal.SIGKILL)

if place == "in the second write":
    save, calls = torch.save, []
    def torn(fields, file):
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half a checkpoint")
            file.flush()
            die()
        save(fields, file)
    torch.save = torn
elif place == "before the second rename":
    replace, calls = os.replace, []
    def late(source, target):
        if str(target).endswith("last.pt"):
            calls.append(1)
            if len(calls) == 2:
                die()
        replace(source, target)
    os.replace = late
elif place == "in a step":
    clip, calls = torch.nn.utils.clip_grad_norm_, []
    def fatal(*arguments, **names):
        calls.append(1)
        return die() if len(calls) == 4 else clip(*arguments, **names)
    torch.nn.utils.clip_grad_norm_ = fatal
loop.train(config, folder)
"""


def weights_of(folder):
    checkpoint = read_checkpoint(folder / "last.pt", device=torch.device("cpu"))
    tensors = {f"model.{name}": value for name, value in checkpoint.model.items()}
    tensors |= {f"average.{name}": value for name, value in checkpoint.average.items()}
    for index, state in checkpoint.optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    return tensors


def assert_same_run(first, second):
    one, other = weights_of(first), weights_of(second)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    steady = [
        [
            {name: value for name, value in line.items() if name not in ("images_per_second", "data_wait", "seconds")}
            for kind in ("train", "validation")
            for line in read_metrics(folder / "metrics.jsonl", kind=kind)
        ]
        for folder in (first, second)
    ]
    assert steady[0] == steady[1]


@pytest.fixture(scope="module")
def uninterrupted(tiny_set, tmp_path_factory):
    """Settings and the folder of a run of six steps that nothing stopped."""
    values = {
        "data": {
            "train": [{"path": str(tiny_set), "format": "icdar2017"}],
            "validation": [{"path": str(tiny_set), "format": "icdar2017", "numbers": [1, 2]}],
            "crop_size": 64,
            "workers": 0,
        },
        "model": {"width": 0.0625},
        "ohem": {"rule": "random", "min_negatives": 16},
        "training": {
            "steps": 6, "batch_size": 2, "device": "cpu", "precision": "fp32",
            "log_every": 1, "save_every": 2, "validate_every": 3, "pictures_every": 4,
        },
        "detection": {"sizing": "scale", "magnify": 1.0},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(validate_config(values, where="test"), folder)
    return values, folder


@pytest.mark.parametrize("place", ["in the second write", "before the second rename", "in a step"])
def test_run_killed_and_resumed_equals_the_uninterrupted_one(uninterrupted, tmp_path, place):
    values, whole = uninterrupted
    config = validate_config(values, where="test")
    settings, folder = tmp_path / "config.yaml", tmp_path / "run"
    settings.write_text(dump_config(config), encoding="utf-8")

    killed = subprocess.run([sys.executable, "-c", KILLED, str(settings), str(folder), place], capture_output=True)

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    saved = 3 if place == "in a step" else 2  # step 3 is saved before it is validated
    assert read_checkpoint(folder / "last.pt", device=torch.device("cpu")).step == saved
    assert len(read_metrics(folder / "metrics.jsonl", kind="train")) > 2  # lines that the resumed run writes anew
    train(config, folder, resume=True)
    assert_same_run(whole, folder)


def test_number_of_workers_and_checkpointing_change_nothing(uninterrupted, tmp_path):
    values, whole = uninterrupted
    changed = {
        **values,
        "data": {**values["data"], "workers": 2},
        "model": {**values["model"], "gradient_checkpointing": True},
    }

    train(validate_config(changed, where="test"), tmp_path / "run")

    assert_same_run(whole, tmp_path / "run")


def test_run_may_resume_with_other_workers(uninterrupted, tmp_path, monkeypatch):
    values, whole = uninterrupted
    config = validate_config(values, where="test")
    clip, calls = torch.nn.utils.clip_grad_norm_, []

    def interrupt(*arguments, **names):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return clip(*arguments, **names)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", interrupt)
    outcome = train(config, tmp_path / "run")
    monkeypatch.undo()
    assert (outcome.finished, outcome.step) == (False, 3)

    with_workers = {**values, "data": {**values["data"], "workers": 1}}
    train(validate_config(with_workers, where="test"), tmp_path / "run", resume=True)

    assert_same_run(whole, tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_stopped_by_a_signal_saves_and_says_how_to_resume(uninterrupted, tmp_path, number):
    values, _ = uninterrupted
    long = {**values, "data": {**values["data"], "workers": 1}, "training": {**values["training"], "steps": 100_000}}
    settings, folder = tmp_path / "config.yaml", tmp_path / "run"
    settings.write_text(dump_config(validate_config(long, where="test")), encoding="utf-8")
    command = [sys.executable, "-m", "craft", "train", str(settings), "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, start_new_session=True)
    _wait_for(folder / "last.pt", process)
    os.killpg(process.pid, number)  # to the workers too, as a terminal or a cluster does
    _, said = process.communicate(timeout=120)

    assert process.returncode == 128 + number, said.decode()
    assert b"--resume" in said
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl", kind="train")]
    assert read_checkpoint(folder / "last.pt", device=torch.device("cpu")).step == steps[-1]


def _wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.1)


def test_file_that_is_not_a_checkpoint_is_refused_by_name(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"half a checkpoint")

    with pytest.raises(ValueError, match=r"last\.pt: cannot be read"):
        read_checkpoint(path, device=torch.device("cpu"))

    torch.save({"model": {}}, str(path))
    with pytest.raises(ValueError, match="not a checkpoint of a training run"):
        read_checkpoint(path, device=torch.device("cpu"))


def test_every_flipped_bit_in_a_checkpoint_is_refused_by_name(tmp_path):
    path = tmp_path / "last.pt"
    tensors = {"weight": torch.arange(50_000.0)}
    write_checkpoint(path, Checkpoint(tensors, tensors, {"state": {}}, torch.get_rng_state(), 7, 0.5, "", "0"))
    content = path.read_bytes()
    generator = random.Random(0)

    for _ in range(20):
        damaged = bytearray(content)
        damaged[generator.randrange(2000, len(content) - 2000)] ^= 0x40
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"last\.pt: cannot be read as a checkpoint"):
            read_checkpoint(path, device=torch.device("cpu"))


def test_checkpoint_before_the_last_is_kept_and_offered(tmp_path):
    path = tmp_path / "last.pt"
    for step in (2, 4):
        write_checkpoint(path, Checkpoint({}, {}, {}, torch.get_rng_state(), step, 0.5, "", "0"))
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ValueError, match=r"rename last\.previous\.pt to last\.pt and add --resume"):
        read_checkpoint(path, device=torch.device("cpu"))

    assert read_checkpoint(tmp_path / "last.previous.pt", device=torch.device("cpu")).step == 2


def test_validation_that_dies_loses_no_step_and_is_made_up_for_on_resuming(uninterrupted, tmp_path, monkeypatch):
    values, whole = uninterrupted
    values = {**values, "training": {**values["training"], "save_every": 100}}
    config = validate_config(values, where="test")
    first = values["training"]["validate_every"]

    def die(*_arguments, **_names):
        raise OSError("the network drive is gone")

    monkeypatch.setattr("craft.training.loop.validate", die)
    with pytest.raises(OSError, match="drive is gone"):
        train(config, tmp_path / "run")
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run" / "last.pt", device=torch.device("cpu")).step == first

    train(config, tmp_path / "run", resume=True)

    assert_same_run(whole, tmp_path / "run")


@pytest.fixture
def scripted_validation(monkeypatch):
    """Give validations these H-means one after the other, in place of measuring them."""

    def script(*hmeans):
        left = list(hmeans)
        monkeypatch.setattr(
            "craft.training.loop.validate",
            lambda *_arguments, **_names: SimpleNamespace(
                precision=0, recall=0, average_precision=0, hmean=left.pop(0)
            ),
        )
        monkeypatch.setattr("craft.training.loop.write_found_words", lambda *_arguments: None)

    return script


def early_stopping(values, patience):
    validation = [dict(values["data"]["train"][0], numbers=[1, 2])]
    data = {**values["data"], "validation": validation}
    training = {**values["training"], "steps": 9, "validate_every": 1, "patience": patience}
    return validate_config({**values, "data": data, "training": training}, where="test")


def test_training_stops_when_validations_have_not_improved_for_as_long_as_patience_says(
    tiny_values, tmp_path, scripted_validation, capsys
):
    scripted_validation(0.3, 0.5, 0.4, 0.5)

    outcome = train(early_stopping(tiny_values, patience=2), tmp_path)

    assert (outcome.step, outcome.finished, outcome.best_hmean) == (4, True, 0.5)
    assert "stopped early: no better H-mean in 2 validations" in capsys.readouterr().out
    assert read_weights(tmp_path / "best.safetensors").metadata["step"] == 2
    assert read_weights(tmp_path / "last.safetensors").metadata["step"] == 4


def test_patience_counts_on_over_a_restart_and_a_larger_one_goes_on(tiny_values, tmp_path, scripted_validation):
    scripted_validation(0.5, 0.4)  # the third dies
    with pytest.raises(IndexError):
        train(early_stopping(tiny_values, patience=2), tmp_path)

    scripted_validation(0.4)
    assert train(early_stopping(tiny_values, patience=2), tmp_path, resume=True).step == 3
    assert train(early_stopping(tiny_values, patience=2), tmp_path, resume=True).step == 3  # over stays over
    scripted_validation(0.6, 0.5, 0.5, 0.5)
    outcome = train(early_stopping(tiny_values, patience=3), tmp_path, resume=True)
    assert (outcome.step, outcome.finished, outcome.best_hmean) == (7, True, 0.6)


def test_patience_without_anything_to_validate_is_refused(tiny_values):
    tiny_values["training"]["patience"] = 3

    with pytest.raises(ValueError, match=r"training\.patience has no effect with data\.validation"):
        validate_config(tiny_values, where="test", given=tiny_values)
