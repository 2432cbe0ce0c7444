"""What goes wrong from outside: a full disk, no memory, processes that die, interruptions. docs/faults.md lists all."""

import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import craft
from craft.cli.command import main
from craft.config import DatasetSettings, validate_config
from craft.datasets import shard_writer
from craft.teacher import labeller
from craft.training import loop
from craft.training.checkpoint import read_checkpoint
from craft.training.loop import train
from craft.training.run_log import read_metrics


@pytest.mark.parametrize("verb", ["cli.datasets._synth", "cli.labels._pack", "cli.labels._label", "cli.detect._detect"])
def test_ctrl_c_in_a_verb_exits_with_130_and_no_traceback(verb, tmp_path, monkeypatch, capsys):
    def interrupted(*_arguments, **_names):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"craft.{verb}", interrupted)
    name = verb.rpartition("._")[2]
    given = {"synth": [], "pack": ["x"], "label": ["x", "--weights", "small"], "detect": ["x"]}[name]

    assert main([name, *given, "--out", str(tmp_path / "out")]) == 130
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_disk_that_fills_up_while_a_checkpoint_is_written_costs_the_steps_since_the_last(
    tiny_values, tmp_path, monkeypatch
):
    config = validate_config(tiny_values, where="test")  # six steps, saved every two
    train(config, tmp_path / "whole")
    save, calls = torch.save, count(1)

    def full(fields, file):
        if next(calls) == 2:
            file.write(b"half a checkpoint")
            raise OSError(28, "No space left on device", "last.pt")
        save(fields, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train(config, tmp_path / "run")
    monkeypatch.undo()

    assert read_checkpoint(tmp_path / "run" / "last.pt", device=torch.device("cpu")).step == 2
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith((".", "last.pt."))]
    train(config, tmp_path / "run", resume=True)
    losses = [
        [line["loss"] for line in read_metrics(tmp_path / name / "metrics.jsonl", kind="train")]
        for name in ("whole", "run")
    ]
    assert losses[0] == losses[1]


def test_too_little_memory_is_said_with_a_batch_that_trains_the_same_steps(tiny_values, tmp_path, monkeypatch, capsys):
    def exhausted(*_arguments, **_names):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(loop, "train_step", exhausted)
    tiny_values["optimizer"]["accumulate"] = 3
    config = validate_config(tiny_values, where="test")

    with pytest.raises(MemoryError, match=r"training\.batch_size to 1 and optimizer\.accumulate to 6"):
        train(config, tmp_path / "run")

    tiny_values["training"]["batch_size"] = 1
    with pytest.raises(MemoryError, match="gradient_checkpointing to true"):
        train(validate_config(tiny_values, where="test"), tmp_path / "other")


# In a process of its own: torch raises from a signal handler, wherever the main thread happens to be.
DEAD_LOADER = """
import os, signal, sys
import numpy as np
from craft.datasets.loader import build_loader
from craft.scene import Scene, Word

if __name__ == "__main__":
    quad = np.array([[2, 2], [30, 2], [30, 12], [2, 12]], np.float32)
    scene = Scene(sys.argv[1], (Word(quad, "a", character_quads_xy=quad[None]),), "img_1")
    loader = build_loader(
        [([scene], 1.0)], seed=0, crop_size=64, augment=None, batch_size=2, workers=1, start_position=0
    )
    next(loader)
    pid = loader._batches._workers[0].pid
    for turn in range(200):
        try:
            if turn == 0:
                os.kill(pid, signal.SIGKILL)
            next(loader)
        except ValueError as error:
            print(error)
            break
        except RuntimeError:
            pass  # raised outside of next
"""


def test_a_loader_process_that_dies_is_an_error_that_says_how_to_go_on(tmp_path):
    path, script = tmp_path / "img_1.png", tmp_path / "dead_loader.py"
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    script.write_text(DEAD_LOADER, encoding="utf-8")

    done = subprocess.run([sys.executable, script, path], capture_output=True, text=True, timeout=300)

    assert re.search(r"loader process ended;.*--resume.*data\.workers", done.stdout), done.stderr


def test_an_interrupted_pack_leaves_nothing_that_passes_for_a_dataset(tiny_set, tmp_path, monkeypatch):
    read, calls = shard_writer.image_bytes, count(1)

    def interrupted(*arguments, **names):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return read(*arguments, **names)

    monkeypatch.setattr(shard_writer, "image_bytes", interrupted)

    with pytest.raises(KeyboardInterrupt):
        shard_writer.pack_dataset(DatasetSettings(path=str(tiny_set)), tmp_path / "out", shard_bytes=1 << 20)

    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_labelling_leaves_no_half_written_file(tiny_set, tmp_path, monkeypatch):
    def interrupted(*_arguments, **_names):
        raise KeyboardInterrupt

    monkeypatch.setattr(labeller, "label_scenes", interrupted)

    with pytest.raises(KeyboardInterrupt):
        labeller.label_dataset(
            DatasetSettings(path=str(tiny_set)), "small-synth", tmp_path / "labels.jsonl", device="cpu"
        )

    assert not (tmp_path / "labels.jsonl").exists()


def test_no_result_depends_on_the_time_of_day():
    package = Path(craft.__file__).parent
    found = [
        path.name
        for path in package.rglob("*.py")
        if re.search(r"\btime\.time\(|\bdatetime\.|\bfrom time import time\b", path.read_text(encoding="utf-8"))
    ]

    assert found == []


def test_every_row_of_the_fault_matrix_names_a_test_that_exists():
    root = Path(__file__).parents[1]
    rows = [
        line for line in (root / "docs/faults.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    defined = {
        name
        for path in (root / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    for row in rows:
        if row.startswith(("| fault |", "| --- |")):
            continue
        named = re.findall(r"`(test_\w+)`", row.split("|")[-2])
        assert named, f"no test: {row}"
        assert set(named) <= defined, f"tests that do not exist: {set(named) - defined}"
