"""Does the runs of a study: in this process, in processes of this machine with a GPU each, or through Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from craft.studies.run import perform, read_study
from craft.studies.study import Run

Executor = Literal["processes", "inline", "ray"]

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """A run that is not done.

    Attributes:
        run: which.
        steps: optimizer steps of it.
    """

    run: Run
    steps: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed.

    Attributes:
        run: which.
        reason: the last line it said.
    """

    run: Run
    reason: str


def execute(tasks: Sequence[Task], out: Path, *, executor: Executor, jobs: int) -> list[Failure]:
    """Do runs; those that fail are reported and the others go on.

    Args:
        tasks: what is to be done, in order.
        out: the study's folder.
        executor: "processes", "inline" (one after another in this process) or "ray".
        jobs: runs at a time, for processes.

    Returns:
        The failures.

    Raises:
        KeyboardInterrupt: a run was stopped by a signal; everything is saved.
        ValueError: Ray is asked for and not installed.
    """
    if executor == "inline":
        return _execute_inline(tasks, out)
    if executor == "ray":
        from craft.studies.execute_ray import execute_on_ray

        return execute_on_ray(tasks, out)
    return _execute_processes(tasks, out, jobs)


def default_jobs(threads: int | None) -> int:
    """Runs at a time: one a GPU where there are any, else as many as have `threads` cores each; at least one."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, (os.cpu_count() or 1) // (threads or os.cpu_count() or 1))


def run_command(task: Task, out: Path) -> list[str]:
    """The command of the process that does a run."""
    return [
        sys.executable,
        "-m",
        "craft.studies.run",
        str(out),
        task.run.variant,
        str(task.run.seed),
        str(task.steps),
    ]


def last_words(log: Path) -> str:
    """The last line of a run's log that says something, for whoever reads of its failure."""
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "ended without a word"


def _execute_inline(tasks: Sequence[Task], out: Path) -> list[Failure]:
    study, failures = read_study(out), []
    for task in tqdm(tasks, desc=f"compare {study.name}", unit="run"):
        try:
            if not perform(study, task.run, out, steps=task.steps):
                raise KeyboardInterrupt
        except (ValueError, FloatingPointError) as error:
            failures.append(Failure(task.run, str(error)))
            tqdm.write(f"failed: {task.run.name}: {error}")
    return failures


def _execute_processes(tasks: Sequence[Task], out: Path, jobs: int) -> list[Failure]:
    waiting, failures = list(tasks), []
    slots: dict[int, tuple[Task, subprocess.Popen[bytes]]] = {}
    with _progress(tasks, out) as progress:
        try:
            while waiting or slots:
                for slot in range(jobs):
                    if waiting and slot not in slots:
                        task = waiting.pop(0)
                        slots[slot] = (task, _start(task, out, slot))
                time.sleep(_POLL_SECONDS)
                for slot, (task, process) in list(slots.items()):
                    if process.poll() is None:
                        continue
                    del slots[slot]
                    if process.returncode == 143:
                        raise KeyboardInterrupt
                    if process.returncode != 0:
                        failures.append(Failure(task.run, last_words(task.run.folder(out) / "log.txt")))
                        progress.write(f"failed: {task.run.name}: {failures[-1].reason}")
                _show(progress, tasks, out, [task for task, _ in slots.values()], failures)
        except BaseException:
            _stop(process for _, process in slots.values())
            raise
    return failures


def _start(task: Task, out: Path, slot: int) -> subprocess.Popen[bytes]:
    """Start a run's process; it ends by itself when this process is gone, for its standard input closes then."""
    folder = task.run.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    threads = read_study(out).threads
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if torch.cuda.is_available():
        named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        devices = named or [str(index) for index in range(torch.cuda.device_count())]
        environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(
            run_command(task, out), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment
        )


def _stop(processes: Iterator[subprocess.Popen[bytes]]) -> None:
    """Let runs save what they have, and wait for them."""
    still = list(processes)
    for process in still:
        process.terminate()
    for process in still:
        process.wait()


@contextmanager
def _progress(tasks: Sequence[Task], out: Path) -> Iterator[Any]:
    done = sum(_step(task, out) for task in tasks)
    total = sum(task.steps for task in tasks)
    with tqdm(total=total, initial=done, desc="compare", unit="step", smoothing=0.05) as progress:
        yield progress


def _show(
    progress: Any, tasks: Sequence[Task], out: Path, running: Sequence[Task], failures: Sequence[Failure]
) -> None:
    step = sum(_step(task, out) for task in tasks)
    finished = sum((task.run.folder(out) / "run.json").exists() for task in tasks)
    names = " | ".join(task.run.name for task in running)
    text = f"{finished}/{len(tasks)} runs, {len(failures)} failed; {names}"
    if (step, text) != (progress.n, progress.postfix):
        progress.n = step
        progress.set_postfix_str(text, refresh=True)


def _step(task: Task, out: Path) -> int:
    """The last step that a run has logged."""
    path = task.run.folder(out) / "metrics.jsonl"
    if not path.exists():
        return 0
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        for line in reversed(file.read().splitlines()):
            try:
                return int(json.loads(line)["step"])
            except (ValueError, KeyError, TypeError):
                continue  # cut off by the seek, or just being written
    return 0
