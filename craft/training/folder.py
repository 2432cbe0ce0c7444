"""The run folder: made once, resumed only with the settings it was made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from craft.config import Config, dump_config, effective_settings, read_yaml, validate_config
from craft.training.runlog import describe_environment

# Settings that change no number of a run, or its rounding alone, so that resuming may change them.
_FREE_TO_CHANGE = (
    "extends",
    "data.workers",
    "data.cache_mebibytes",
    "model.gradient_checkpointing",
    "training.compile",
    "training.device",
    "training.log_every",
    "training.save_every",
    "training.pictures_every",
    "training.snapshots",
    "training.tensorboard",
)


def open_run_folder(folder: Path, config: Config, *, resume: bool, device: torch.device) -> bool:
    """Make the run folder, or check that it may be resumed.

    Args:
        folder: the run folder.
        config: settings asked for now.
        resume: continue what is there.
        device: where the network runs, for the record.

    Returns:
        True where there is a checkpoint to continue from.

    Raises:
        ValueError: the folder holds a run and `resume` is False, or the settings differ from those it was made with.
    """
    settings = folder / "config.yaml"
    if settings.exists():
        if not resume:
            raise ValueError(f"{folder}: holds a run already; add --resume to continue it, or give another --out")
        _refuse_other_settings(settings, config)
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(dump_config(config), encoding="utf-8")
    environment = json.dumps(describe_environment(device))
    with open(folder / "environment.jsonl", "a", encoding="utf-8") as file:  # a line each time the run was started
        file.write(environment + "\n")
    return (folder / "last.pt").exists()


def read_run_config(folder: Path) -> Config:
    """Read the settings that a run folder was made with.

    Args:
        folder: the run folder.

    Returns:
        The settings.

    Raises:
        ValueError: there are none.
    """
    path = folder / "config.yaml"
    if not path.exists():
        raise ValueError(f"{folder}: not a run folder, config.yaml is missing")
    return validate_config(read_yaml(path), where=str(path))


def _refuse_other_settings(path: Path, config: Config) -> None:
    # Settings that craft did not have then are at their defaults.
    before = _flatten(effective_settings(read_run_config(path.parent)))
    now = _flatten(effective_settings(config))
    differing = [
        f"  {key}: was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before | now)
        if before.get(key) != now.get(key) and key not in _FREE_TO_CHANGE
    ]
    if differing:
        raise ValueError(
            "\n".join(
                [f"{path.parent}: cannot be resumed with other settings; give another --out, or undo", *differing]
            )
        )


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return flat
