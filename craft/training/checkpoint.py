"""Checkpoints: written atomically, read back bit for bit.

A checkpoint holds tensors, strings, integers and floats only, so that it loads with `weights_only=True`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from craft.atomic_files import open_atomic
from craft.models.torch_files import DAMAGED, load_checked

CHECKPOINT = "last.pt"
PREVIOUS_CHECKPOINT = "last.previous.pt"
"""The checkpoint before `CHECKPOINT`, kept in case the disk damages that one."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that resuming a run needs."""

    model: dict[str, Tensor]  # parameters and buffers of the network
    average: dict[str, Tensor]  # those of its moving average; empty where there is none
    optimizer: dict[str, Any]  # the optimizer's state
    random_state: Tensor  # the state of torch's generator
    step: int  # optimizer steps done
    best_hmean: float  # best H-mean validated so far; -1 before the first validation
    config: str  # the run's settings as YAML
    version: str  # version of craft that wrote it


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that the file is the old one or the new one, even after a power failure.

    In a run folder the old one stays as `PREVIOUS_CHECKPOINT`.
    """
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    with open_atomic(path) as file:
        torch.save(fields, file)
        if path.name == CHECKPOINT and path.exists():
            _keep_previous(path)


def read_checkpoint(path: Path, *, device: torch.device) -> Checkpoint:
    """Read a checkpoint, its tensors on `device`; generator states stay on the CPU.

    Raises ValueError if the file is not such a checkpoint, or cannot be read.
    """
    try:
        fields = load_checked(path, device=device)
    except DAMAGED as error:
        raise ValueError(f"{path}: cannot be read as a checkpoint ({error}); {_remedy(path)}") from error
    wanted = set(Checkpoint.__dataclass_fields__)
    if not isinstance(fields, dict) or set(fields) != wanted:
        raise ValueError(
            f"{path}: not a checkpoint of a training run; to start from these weights alone, set 'weights' to this file"
        )
    fields["random_state"] = fields["random_state"].cpu()
    return Checkpoint(**fields)


def _keep_previous(path: Path) -> None:
    """Give the checkpoint that is about to be replaced a second name; at no moment is there none."""
    previous = path.with_name(PREVIOUS_CHECKPOINT)
    try:
        previous.unlink(missing_ok=True)
        os.link(path, previous)
    except OSError:  # a file system without hard links: only the latest is kept
        previous.unlink(missing_ok=True)


def _remedy(path: Path) -> str:
    previous = path.with_name(PREVIOUS_CHECKPOINT)
    if path.name == CHECKPOINT and previous.exists():
        return f"the checkpoint before it is kept: rename {previous.name} to {path.name} and add --resume"
    return "start again in another run folder"
