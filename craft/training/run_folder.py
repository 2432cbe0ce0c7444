"""The run folder: made once, resumed only with the settings it was made with."""

import json
from pathlib import Path
from typing import Any

import torch

from craft.atomic_files import write_atomic
from craft.config import RUN_RECORD, Config, dump_config, effective_settings, validate_config, without_removed
from craft.config_files import by_dotted_name, load_yaml, read_yaml
from craft.training.checkpoint import CHECKPOINT, PREVIOUS_CHECKPOINT, read_checkpoint
from craft.training.run_log import describe_environment, read_records

# Settings that resuming may change, since they change no number of a run, or only its rounding.
_FREE_TO_CHANGE = (
    "extends",
    "data.on_error",
    "data.workers",
    "data.cache_mebibytes",
    "model.gradient_checkpointing",
    "training.compile",
    "training.device",
    "training.log_every",
    "training.save_every",
    "training.pictures_every",
    "training.snapshots",
    "training.loggers",
    "training.patience",
    "training.tensorboard",
)
# Settings that may change with the number of processes, as long as a step has as many crops as before.
_RESULTS = (PREVIOUS_CHECKPOINT, "last.safetensors", "best.safetensors")
_SPLIT_OF_A_STEP = ("training.batch_size", "optimizer.accumulate")


def check_run_folder(folder: Path, config: Config, *, resume: bool, processes: int = 1) -> bool:
    """Check that a run may start or go on in a folder, writing nothing; True where there is a checkpoint to resume.

    A folder without checkpoint and weights holds no run, whatever else a failed start has left in it. With another
    number of processes than before, `training.batch_size` and `optimizer.accumulate` may change too, so that a step has
    as many crops. Raises ValueError if the folder holds a run and `resume` is False, its checkpoint is gone, the
    settings differ from those it was made with, or a step would have another number of crops.
    """
    if (folder / CHECKPOINT).exists():
        if not resume:
            raise ValueError(f"{folder}: already holds a run; add --resume to continue it, or give another --out")
        before = _settings_of_run(folder)
        _refuse_other_settings(folder, before, config)
        _refuse_other_steps(folder, before, config, processes)
        return True
    kept = next((name for name in _RESULTS if (folder / name).exists()), None)
    if kept is not None:
        raise ValueError(f"{folder}: holds {kept} but no {CHECKPOINT} to resume from; give another --out")
    return False


def open_run_folder(folder: Path, config: Config, *, resume: bool, device: torch.device, processes: int = 1) -> bool:
    """Make the run folder, or take up the one that is there; True where there is a checkpoint to continue from.

    `device` is for the record. Raises as `check_run_folder`.
    """
    continues = check_run_folder(folder, config, resume=resume, processes=processes)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "config.yaml", dump_config(config))
    starts = read_run_record(folder) if continues else []  # one for each time the run was started
    starts.append({**describe_environment(device), "processes": processes})
    write_atomic(folder / RUN_RECORD, "".join(json.dumps(start) + "\n" for start in starts))
    return continues


def read_run_record(folder: Path) -> list[dict[str, Any]]:
    """Read what a run folder says about each start of its run, without lines that a crash cut short."""
    path = folder / RUN_RECORD
    return read_records(path) if path.exists() else []


def read_run_config(folder: Path) -> Config:
    """Read the settings that a run folder was made with. Raises ValueError if there are none."""
    path = folder / "config.yaml"
    if not path.exists():
        raise ValueError(f"{folder}: not a run folder, config.yaml is missing")
    return validate_config(without_removed(read_yaml(path)), where=str(path))


def _settings_of_run(folder: Path) -> Config:
    """The settings of a run: config.yaml, or the copy in its checkpoint where that file was lost or cut short."""
    path = folder / "config.yaml"
    try:
        if path.exists() and read_yaml(path):
            return read_run_config(folder)
    except ValueError:
        pass
    copy = read_checkpoint(folder / CHECKPOINT, device=torch.device("cpu")).config
    return validate_config(without_removed(load_yaml(copy)), where=f"{folder / CHECKPOINT}: settings")


def _refuse_other_settings(folder: Path, settings: Config, config: Config) -> None:
    # Settings that craft did not have then have their defaults.
    before = by_dotted_name(effective_settings(settings))
    now = by_dotted_name(effective_settings(config))
    free = _FREE_TO_CHANGE if config.ohem.scope == "batch" else (*_FREE_TO_CHANGE, *_SPLIT_OF_A_STEP)
    differing = [
        f"  {key}: was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before | now)
        if before.get(key) != now.get(key) and key not in free
    ]
    if differing:
        what = "cannot be resumed with other settings; give another --out, or undo these changes"
        raise ValueError("\n".join([f"{folder}: {what}", *differing]))


def _refuse_other_steps(folder: Path, before: Config, config: Config, processes: int) -> None:
    """A run goes on with as many crops per step as it had: its position in the data and its schedule count in steps."""
    starts = read_run_record(folder)
    processes_before = int(starts[-1].get("processes", 1)) if starts else processes
    crops_before, crops = _crops_per_step(before, processes_before), _crops_per_step(config, processes)
    if crops == crops_before:
        return
    each = config.training.batch_size * processes
    if crops_before % each == 0:
        remedy = f"set optimizer.accumulate to {crops_before // each}"
    else:
        remedy = f"choose training.batch_size and optimizer.accumulate whose product with {processes} is {crops_before}"
    raise ValueError(
        f"{folder}: a step had {crops_before} crops ({_split(before, processes_before)}), and now would have {crops} "
        f"({_split(config, processes)}); {remedy}"
    )


def _crops_per_step(config: Config, processes: int) -> int:
    return config.training.batch_size * config.optimizer.accumulate * processes


def _split(config: Config, processes: int) -> str:
    return f"{processes} processes x {config.training.batch_size} crops x {config.optimizer.accumulate} batches"
