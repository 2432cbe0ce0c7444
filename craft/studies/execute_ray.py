"""Runs on a Ray cluster whose machines share the study's folder and scenes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from craft.studies.study import read_study
from craft.studies.tasks import Failure, Task, last_line


def execute_on_ray(tasks: Sequence[Task], out: Path) -> list[Failure]:
    """Do runs on Ray, each with one GPU where the cluster has any, and return those that failed.

    Raises ValueError if Ray is not installed.

    Args:
        out: the study's folder, at the same path on every machine.
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
