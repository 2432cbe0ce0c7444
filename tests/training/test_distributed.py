"""Two processes with half the batch each train as one process with the whole batch."""

import json
import os
import subprocess
import sys

import pytest
import torch

from craft.config import dump_config, validate_config
from craft.training.runlog import read_metrics

# A run that also writes the gradient of its first step, averaged over processes, before it is clipped.
WITH_GRADIENT = """
import pathlib, sys
import torch
torch.set_num_threads(1)
from craft.config import load_config
from craft.training import loop

config, folder = load_config(sys.argv[1]), pathlib.Path(sys.argv[2])
clip, calls = torch.nn.utils.clip_grad_norm_, []

def keep(parameters, *arguments, **names):
    parameters = list(parameters)
    if not calls:
        gradients = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
        torch.save(gradients, str(folder / "gradient.pt"))
    calls.append(1)
    return clip(parameters, *arguments, **names)

torch.nn.utils.clip_grad_norm_ = keep
loop.train(config, folder)
"""


def run(tmp_path, values, *, processes):
    script, settings = tmp_path / "train.py", tmp_path / f"config_{processes}.yaml"
    folder = tmp_path / f"run_{processes}"
    script.write_text(WITH_GRADIENT, encoding="utf-8")
    settings.write_text(dump_config(validate_config(values, where="test")), encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(script), str(settings), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_equal_one_with_twice_the_batch(tiny_values, tmp_path):
    tiny_values["model"]["freeze_batch_norm"] = True
    tiny_values["data"]["validation"] = [dict(tiny_values["data"]["train"][0], numbers=[1, 3])]
    tiny_values["training"].update(steps=20, batch_size=4, validate_every=20, save_every=20)
    one = run(tmp_path, tiny_values, processes=1)
    tiny_values["training"]["batch_size"] = 2
    two = run(tmp_path, tiny_values, processes=2)

    gradients = [torch.load(str(folder / "gradient.pt"), weights_only=True) for folder in (one, two)]
    for single, shared in zip(*gradients, strict=True):
        assert (single - shared).abs().max() < 1e-6
    lines = [read_metrics(folder / "metrics.jsonl", kind="train") for folder in (one, two)]
    losses = [[line["loss"] for line in part] for part in lines]
    assert len(losses[0]) == 20
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    scores = [read_metrics(folder / "metrics.jsonl", kind="validation")[0]["scenes"] for folder in (one, two)]
    assert scores == [3, 3]
    started = (two / "environment.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["device"] for line in started] == ["cpu"]
