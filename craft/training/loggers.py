"""Services that the numbers of a run also go to: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

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
