"""Runs that are still to be done: in this process, in processes of this machine that get a GPU each, or on a Ray cluster."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from craft.studies.run import STOPPED, perform
from craft.studies.study import DONE, Run, read_study

Executor = Literal["processes", "inline", "ray"]
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """A run to do, for a number of optimizer steps."""

    run: Run
    steps: int

    def command(self, out: Path) -> list[str]:
        """Return the command of the process that does the run."""
        arguments = [str(out), self.run.variant, str(self.run.seed), str(self.steps)]
        return [sys.executable, "-m", "craft.studies.run", *arguments]

    def log(self, out: Path) -> Path:
        """Return the file that the process writes its output to."""
        return self.run.folder(out) / "log.txt"


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and the last line that it printed."""

    run: Run
    reason: str


def last_line(log: Path) -> str:
    """Read the last line of a run's log that is not blank."""
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    printed = [line.strip() for line in lines if line.strip()]
    return printed[-1] if printed else "it ended without printing anything"


def execute(tasks: Sequence[Task], out: Path, *, executor: Executor, jobs: int) -> list[Failure]:
    """Do runs in order, `jobs` at a time in processes, and return those that failed; a failure does not stop the others.

    Raises KeyboardInterrupt if a signal stopped a run, whose checkpoint is saved; ValueError if Ray is not installed.
    """
    if executor == "inline":
        return _execute_inline(tasks, out)
    if executor == "ray":
        return execute_on_ray(tasks, out)
    return _execute_processes(tasks, out, jobs)


def default_jobs(threads: int | None) -> int:
    """Count the runs to do at a time: one per GPU where there are any, else as many as have `threads` cores; at least one."""
    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, (os.cpu_count() or 1) // (threads or os.cpu_count() or 1))


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
    done, total = _num_steps(tasks, out), sum(task.steps for task in tasks)
    with tqdm(total=total, initial=done, desc="compare", unit="step", smoothing=0.05) as progress:
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
                    if process.returncode == STOPPED:
                        raise KeyboardInterrupt
                    if process.returncode != 0:
                        failures.append(Failure(task.run, last_line(task.log(out))))
                        progress.write(f"failed: {task.run.name}: {failures[-1].reason}")
                _show(progress, tasks, out, [task for task, _ in slots.values()], failures)
        except BaseException:
            _stop(process for _, process in slots.values())
            raise
    return failures


def _start(task: Task, out: Path, slot: int) -> subprocess.Popen[bytes]:
    """Start a run's process; it stops by itself when this process is gone, because its standard input closes then."""
    task.log(out).parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    threads = read_study(out).threads
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    if torch.cuda.is_available():
        named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        devices = named or [str(index) for index in range(torch.cuda.device_count())]
        environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    with open(task.log(out), "ab") as log:
        return subprocess.Popen(
            task.command(out), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment
        )


def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Let runs save their checkpoints, and wait for them."""
    running = list(processes)
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


def _show(
    progress: Any, tasks: Sequence[Task], out: Path, running: Sequence[Task], failures: Sequence[Failure]
) -> None:
    step = _num_steps(tasks, out)
    finished = sum((task.run.folder(out) / DONE).exists() for task in tasks)
    names = " | ".join(task.run.name for task in running)
    text = f"{finished}/{len(tasks)} runs, {len(failures)} failed; {names}"
    if (step, text) != (progress.n, progress.postfix):
        progress.n = step
        progress.set_postfix_str(text, refresh=True)


def _num_steps(tasks: Sequence[Task], out: Path) -> int:
    return sum(_last_step(task, out) for task in tasks)


def _last_step(task: Task, out: Path) -> int:
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
                continue  # cut off by the seek, or being written now
    return 0


def execute_on_ray(tasks: Sequence[Task], out: Path) -> list[Failure]:
    """Do runs on Ray, each with one GPU where the cluster has any, and return those that failed.

    The study's folder is at the same path on every machine. Raises ValueError if Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("--executor ray: Ray is not installed; pip install 'craft-ohem[ray]'") from None

    ray.init(address=os.environ.get("RAY_ADDRESS"), ignore_reinit_error=True, log_to_driver=False)
    gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    threads = read_study(out).threads or 1

    @ray.remote(num_gpus=gpus, num_cpus=threads, max_retries=2)
    def do(command: list[str], log: str) -> int:
        environment = dict(os.environ) | {"OMP_NUM_THREADS": str(threads)}
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            # The run ends when its standard input closes: with this worker.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT, env=environment
            )
            return process.wait()

    shared = out.resolve()
    pending: dict[Any, Task] = {do.remote(task.command(shared), str(task.log(shared))): task for task in tasks}
    failures = []
    with tqdm(total=len(tasks), desc="compare on Ray", unit="run") as progress:
        while pending:
            (ready, *_), _ = ray.wait(list(pending), num_returns=1)
            task = pending.pop(ready)
            progress.update()
            try:
                failed = ray.get(ready) != 0
                reason = last_line(task.log(shared)) if failed else ""
            except ray.exceptions.RayError as error:
                failed, reason = True, str(error).strip().splitlines()[-1]
            if failed:
                failures.append(Failure(task.run, reason))
                progress.write(f"failed: {task.run.name}: {reason}")
    return failures
