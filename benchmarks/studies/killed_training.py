"""Train a tiny network twice, once undisturbed and once killed every few seconds, and see that both end alike.

    python benchmarks/studies/killed_training.py --out FOLDER [--steps 10000] [--seconds 2 8] [--seed 0]

The second run is killed (SIGKILL) at random moments and resumed from its last checkpoint until it is done. Weights,
moving average, optimizer and every logged loss must then be equal to the last bit. Memory is the resident set of the
undisturbed run, read once a second; its slope over the second half says whether it grows. An undisturbed run that is
in FOLDER already is not trained again. Training processes are forked from one that has imported the libraries, so this
runs on Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from craft.config import Config, validate_config
from craft.synth.presets import preset
from craft.synth.writer import write_dataset
from craft.training.checkpoint import read_checkpoint
from craft.training.loop import train
from craft.training.run_log import read_metrics

TIMES = ("images_per_second", "data_wait")


def settings(scenes: Path, steps: int) -> Config:
    values = {
        "data": {"train": [{"path": str(scenes)}], "crop_size": 64, "workers": 0},
        "model": {"width": 0.0625},
        "ohem": {"rule": "random", "min_negatives": 16},
        "training": {"steps": steps, "batch_size": 1, "device": "cpu", "precision": "fp32", "log_every": 50,
                     "save_every": 50, "pictures_every": steps},
    }  # fmt: skip
    return validate_config(values, where="killed_training")


def start(config: Config, folder: Path, *, resume: bool) -> int:
    """Train in a forked process; its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        quiet = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        status = 0 if train(config, folder, resume=resume).finished else 1
    finally:
        os._exit(status)


def train_undisturbed(config: Config, folder: Path) -> np.ndarray:
    """(T, 2) seconds and resident megabytes."""
    child, begin, memory = start(config, folder, resume=False), time.monotonic(), []
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
        if pages:  # 0 once it has ended
            memory.append((time.monotonic() - begin, pages * os.sysconf("SC_PAGE_SIZE") / 2**20))
        time.sleep(1)
    if ended[1]:
        raise SystemExit(f"the undisturbed run failed; see {folder}.log")
    return np.array(memory)


def train_killed(config: Config, folder: Path, seconds: list[float], generator: random.Random) -> tuple[int, int]:
    """Kill and resume until the run is done; how often it was killed, and how often before it had gone on."""
    kills = idle = 0
    step = -1
    while True:
        child = start(config, folder, resume=(folder / "last.pt").exists())
        end = generator.uniform(*seconds)
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and processor_seconds(child) < end:
            time.sleep(0.02)
        if ended[0]:
            if ended[1]:
                raise SystemExit(f"a resumed run failed; see {folder}.log")
            return kills, idle
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        if not (folder / "last.pt").exists():
            shutil.rmtree(folder, ignore_errors=True)
            continue
        before, step = step, read_checkpoint(folder / "last.pt", device=torch.device("cpu")).step
        idle += step == before


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def differences(first: Path, second: Path) -> list[str]:
    """Names of what differs between two finished runs."""
    found = []
    runs = [read_checkpoint(folder / "last.pt", device=torch.device("cpu")) for folder in (first, second)]
    for kind in ("model", "average", "optimizer"):
        leaves = [dict(flatten(getattr(run, kind), kind)) for run in runs]
        found += sorted(leaves[0].keys() ^ leaves[1].keys())
        found += [
            name
            for name, value in leaves[0].items()
            if name in leaves[1] and not torch.equal(torch.as_tensor(value), torch.as_tensor(leaves[1][name]))
        ]
    lines = [read_metrics(folder / "metrics.jsonl", kind="train") for folder in (first, second)]
    steady = [[{key: value for key, value in line.items() if key not in TIMES} for line in run] for run in lines]
    return [*found, *(["metrics.jsonl"] if steady[0] != steady[1] else [])]


def flatten(value: object, name: str) -> list[tuple[str, object]]:
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, part in pairs for leaf in flatten(part, f"{name}.{key}")]
    return [] if value is None else [(name, value)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=[2.0, 8.0], help="of the processor, between two kills"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    scenes, whole, killed = (options.out / name for name in ("scenes", "undisturbed", "killed"))
    if not scenes.exists():
        write_dataset(scenes, settings=preset("quickstart", {"size": 96}), count=16, seed=options.seed)
    config = settings(scenes, options.steps)
    if not (whole / "last.safetensors").exists():
        memory = train_undisturbed(config, whole)
        late = memory[len(memory) // 2 :]
        slope = 60 * np.polyfit(*late.T, 1)[0] if len(late) > 2 else 0.0
        print(f"memory: {memory[0, 1]:.0f} MB at first, {late[0, 1]:.0f} half way, {late[-1, 1]:.0f} at the end, "
              f"{memory[:, 1].max():.0f} at most; {slope:+.2f} MB a minute in the second half of {memory[-1, 0]:.0f} s",
              flush=True)  # fmt: skip
    kills, idle = train_killed(config, killed, options.seconds, random.Random(options.seed))
    unequal = differences(whole, killed)
    print(f"{options.steps:,} steps, killed {kills} times, {idle} of them before another checkpoint was written")
    print(f"not equal: {', '.join(unequal)}" if unequal else "weights, average, optimizer and losses equal to the bit")
    raise SystemExit(bool(unequal))


if __name__ == "__main__":
    main()
