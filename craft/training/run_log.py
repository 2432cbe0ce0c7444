"""What a run writes about itself: its environment and metrics.jsonl, whose numbers also go to loggers."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision

import craft
from craft.atomic_files import write_atomic
from craft.training.loggers import Logger, open_loggers


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
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            step = json.loads(line)["step"]
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
        if step <= after_step:
            kept.append(line + "\n")
    write_atomic(path, "".join(kept))


def read_metrics(path: Path, *, kind: str) -> list[dict[str, Any]]:
    """Read the lines of one kind ("train", "validation", ...) from metrics.jsonl, in order."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:  # a crash cut it short
            continue
        if isinstance(line, dict) and line.get("kind") == kind:
            lines.append(line)
    return lines


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
