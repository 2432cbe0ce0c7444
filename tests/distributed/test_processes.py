"""Processes that share a batch train as one process with the whole batch, whatever happens to them on the way."""

import json
import os
import subprocess
import sys

import pytest
import torch

from craft.config import dump_config, validate_config
from craft.training.checkpoint import read_checkpoint
from craft.training.run_log import read_metrics

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch was built without torch.distributed"
)
STEPS = 8

# Trains, and writes the gradient of the first step, averaged over processes, before it is clipped. Process 1 may be
# killed in a step of the first attempt, or all be told to stop. Processes are forked, which spares their start, unless
# torchrun has started them.
PROGRAM = """
import os, pathlib, signal, socket, sys
import torch
torch.set_num_threads(1)
from craft.config import load_config
from craft.training import loop

config, folder, end, at_step = load_config(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
processes = int(sys.argv[5])
if processes > 1 and "RANK" not in os.environ:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free.getsockname()[1]), WORLD_SIZE=sys.argv[5])
    children = []
    for rank in range(processes):
        os.environ["RANK"] = os.environ["LOCAL_RANK"] = str(rank)
        children.append(os.fork())
        if children[-1] == 0:
            break
    else:
        sys.exit(any(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
rank, first_attempt = os.environ.get("RANK", "0"), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
clip, calls = torch.nn.utils.clip_grad_norm_, []

def keep(parameters, *arguments, **names):
    parameters = list(parameters)
    calls.append(1)
    if rank == "0" and not (folder / "gradient.pt").exists():
        torch.save([one.grad.clone() for one in parameters if one.grad is not None], str(folder / "gradient.pt"))
    if len(calls) == at_step and first_attempt:
        if end == "kill" and rank == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
    return clip(parameters, *arguments, **names)

torch.nn.utils.clip_grad_norm_ = keep
loop.train(config, folder, resume=True)
"""


def run(folder, values, *, processes, batch_size, accumulate=1, end="finish", at_step=0, restarts=0):
    """Train in a folder as craft train --resume does, and give what was said."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    values = {
        **values,
        "training": {**values["training"], "batch_size": batch_size},
        "optimizer": {**values["optimizer"], "accumulate": accumulate},
    }
    script, settings = folder.parent / "train.py", folder.parent / "config.yaml"
    script.write_text(PROGRAM, encoding="utf-8")
    settings.write_text(dump_config(validate_config(values, where="test")), encoding="utf-8")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    torchrun += ["--max-restarts", str(restarts)]
    command = [sys.executable, *(torchrun if restarts else []), str(script), str(settings), str(folder)]
    command += [end, str(at_step), str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def values(tiny_set):
    one_set = {"path": str(tiny_set), "format": "icdar2017"}
    return {
        "data": {"train": [one_set], "validation": [{**one_set, "numbers": [1, 3]}], "crop_size": 64, "workers": 0},
        "model": {"width": 0.0625, "freeze_batch_norm": True},
        "optimizer": {"warmup_steps": 2, "learning_rate": 2e-3},
        "ohem": {"min_negatives": 16},
        "training": {
            "steps": STEPS, "device": "cpu", "precision": "fp32",
            "log_every": 1, "save_every": 4, "validate_every": STEPS, "pictures_every": 100,
        },
        "detection": {"sizing": "scale", "magnify": 1.0},
    }  # fmt: skip


@pytest.fixture(scope="module")
def of_one(values, tmp_path_factory):
    """Folder of a run of one process with all four crops of a step."""
    folder = tmp_path_factory.mktemp("one") / "run"
    run(folder, values, processes=1, batch_size=4)
    return folder


@pytest.fixture(scope="module")
def of_two(values, tmp_path_factory):
    """Folder of a run of two processes with two crops each."""
    folder = tmp_path_factory.mktemp("two") / "run"
    run(folder, values, processes=2, batch_size=2)
    return folder


def losses(folder):
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl", kind="train")]


def assert_agree(folder, other):
    gradients = [torch.load(str(one / "gradient.pt"), weights_only=True) for one in (folder, other)]
    for first, second in zip(*gradients, strict=True):
        assert (first - second).abs().max() < 1e-6
    assert len(losses(folder)) == len(losses(other)) == STEPS
    assert losses(folder) == pytest.approx(losses(other), rel=1e-5)
    scored = [read_metrics(one / "metrics.jsonl", kind="validation")[0]["scenes"] for one in (folder, other)]
    assert scored == [3, 3]


def test_two_processes_equal_one_with_twice_the_batch(of_one, of_two):
    assert_agree(of_two, of_one)
    started = (of_two / "environment.jsonl").read_text(encoding="utf-8").splitlines()
    assert [(json.loads(line)["device"], json.loads(line)["processes"]) for line in started] == [("cpu", 2)]


def test_four_processes_stopped_and_resumed_on_two_equal_one(of_one, values, tmp_path):
    folder = tmp_path / "run"

    run(folder, values, processes=4, batch_size=1, end="stop", at_step=3)
    assert len(losses(folder)) == 3
    run(folder, values, processes=2, batch_size=1, accumulate=2)

    assert_agree(folder, of_one)
    started = (folder / "environment.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["processes"] for line in started] == [4, 2]


def test_torchrun_restarts_from_the_last_checkpoint_when_a_process_is_killed(of_two, values, tmp_path):
    folder = tmp_path / "run"

    said = run(folder, values, processes=2, batch_size=2, end="kill", at_step=6, restarts=1)

    assert "continues after step 4" in said
    assert len((folder / "environment.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert losses(folder) == losses(of_two)
    first, second = (read_checkpoint(one / "last.pt", device=torch.device("cpu")) for one in (folder, of_two))
    assert first.step == second.step == STEPS
    assert all(torch.equal(value, second.model[name]) for name, value in first.model.items())
