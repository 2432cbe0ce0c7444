"""What a run writes about itself: its environment and metrics.jsonl, whose numbers also go to TensorBoard, Weights &
Biases and MLflow."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchvision

import craft
from craft.atomic_files import write_atomic

_MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


class Logger(NamedTuple):
    """An open service."""

    write: Callable[[dict[str, float], int], None]  # numbers by "kind/name", and the step
    close: Callable[[], None]


def check_loggers(names: Sequence[str]) -> None:
    """Raise ValueError where the package of a logger is not installed, before any work is done."""
    for name in names:
        _load(name)


def open_loggers(names: Sequence[str], folder: Path, *, after_step: int) -> list[Logger]:
    """Open services for the run in a folder; what is there of later steps than `after_step` is replaced.

    Weights & Biases and MLflow take their server, project and account from their own environment variables, and name the
    run after the folder. A resumed run goes on under the same name, in Weights & Biases as the same run.
    """
    return [_OPENERS[name](_load(name), folder, after_step) for name in dict.fromkeys(names)]


def _load(name: str) -> Any:
    try:
        return import_module(_MODULES[name])
    except ImportError:
        raise ValueError(
            f"training.loggers names {name}, which is not installed; pip install 'craft-ohem[{name}]', or leave it out"
        ) from None


def _tensorboard(module: Any, folder: Path, after_step: int) -> Logger:
    events = module.SummaryWriter(str(folder / "tensorboard"), purge_step=after_step + 1)

    def write(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            events.add_scalar(name, value, step)

    return Logger(write, events.close)


def _wandb(module: Any, folder: Path, after_step: int) -> Logger:
    run = module.init(name=folder.name, id=folder.absolute().name, dir=str(folder), resume="allow")
    return Logger(lambda numbers, step: run.log(numbers, step=step), run.finish)


def _mlflow(module: Any, folder: Path, after_step: int) -> Logger:
    module.start_run(run_name=folder.name)
    return Logger(lambda numbers, step: module.log_metrics(numbers, step=step), module.end_run)


_OPENERS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


class RunLog:
    """Appends one JSON object per line to metrics.jsonl; rank 0 only writes.

    Args:
        folder: the run folder.
        writes: False makes every call do nothing, for the other processes.
        after_step: lines of later steps are cut first, since resuming computes them again; -1 cuts all.
        loggers: services that the numbers also go to.
    """

    def __init__(self, folder: Path, *, writes: bool, after_step: int, loggers: Sequence[str] = ()) -> None:
        self._file = None
        self._loggers: list[Logger] = []
        if not writes:
            return
        path = folder / "metrics.jsonl"
        cut_metrics(path, after_step=after_step)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open for as long as the run, closed in close()
        self._loggers = open_loggers(loggers, folder, after_step=after_step)

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Append a line: its kind ("train", "validation", ...), the steps done, and numbers, strings and lists by name."""
        if self._file is None:
            return
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        for logger in self._loggers:
            logger.write(numbers, step)

    def close(self) -> None:
        """Close the files."""
        if self._file is not None:
            self._file.close()
        for logger in self._loggers:
            logger.close()


def cut_metrics(path: Path, *, after_step: int) -> None:
    """Drop the lines of steps after `after_step` from metrics.jsonl if it exists, and a last line that a crash cut short."""
    if path.exists():
        kept = [line for line in read_records(path) if line.get("step", math.inf) <= after_step]
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept))


def read_metrics(path: Path, *, kind: str) -> list[dict[str, Any]]:
    """Read the lines of one kind ("train", "validation", ...) from metrics.jsonl, in order."""
    return [line for line in read_records(path) if line.get("kind") == kind]


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read a file with a JSON object a line, without lines that a crash cut short."""
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return [record for record in records if isinstance(record, dict)]


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Describe what a run runs on: versions, processor, GPU, command and, in a git repository, the commit."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "craft": craft.__version__,
        "commit": _commit(),
        "command": " ".join([_program(), *sys.argv[1:]]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "gpu": gpu,
    }


def _commit() -> str | None:
    folder = Path(craft.__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _program() -> str:
    """The command's name as a person types it."""
    name = Path(sys.argv[0]).name
    return "craft" if name == "__main__.py" else name
