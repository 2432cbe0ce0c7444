"""Everything that only a GPU can show about training, in one command and under nine minutes.

    python benchmarks/gpu.py --out DIR [--data FOLDER] [--easyocr trainer/craft] [--stages NAME,NAME] [--minutes 9]
    python benchmarks/gpu.py --out DIR --device cpu --tiny      # tries the script itself, on any machine

Stages, each a process of its own, so that one that fails or runs out of memory leaves the others their turn:

    tests       the tests that skip without a CUDA device, and those of targets and loss
    agreement   targets, loss and first step on the device against the CPU; loss curves of the fast path against the
                plain one, several seeds each
    bench       `craft bench` with 8 and 16 crops, compiled or not, with and without checkpointing
    profile     where a step's time goes, kernel by kernel; kernels and share of targets and loss
    largest     largest batch, with and without checkpointing
    ranks       two processes that share batch norm on one device, against one process with both halves
    easyocr     the EasyOCR trainer's step, where its checkout's folder trainer/craft is given

Each writes DIR/STAGE.log and DIR/STAGE.json; DIR/summary.md gathers them. Scenes are drawn where --data is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

STAGES = {"agreement": 100, "bench": 260, "profile": 60, "tests": 120, "largest": 90, "ranks": 60, "easyocr": 60}
"""Seconds that each stage may take, in the order in which they run."""


def main() -> int:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.stage:
        return run_stage(options)
    deadline = time.monotonic() + 60 * options.minutes
    if options.data is None:
        options.data = draw_scenes(options)
    states = {}
    for stage in options.stages.split(",") if options.stages else STAGES:
        if stage == "easyocr" and options.easyocr is None:
            continue
        # A CPU that other work shares has no part in the limits, which are a GPU's.
        seconds = min(STAGES[stage] * (10 if options.tiny else 1), deadline - time.monotonic())
        states[stage] = run_apart(options, stage, seconds) if seconds > 5 else "no time left"
        print(f"{stage}: {states[stage]}", flush=True)
        write_summary(options.out, states)
    return 0 if all(state.startswith("done") for state in states.values()) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--data", type=Path, help="folder of a labelled set in an official layout")
    parser.add_argument("--easyocr", type=Path, help="trainer/craft of an EasyOCR checkout")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a network and crops that a CPU runs in seconds")
    parser.add_argument("--stages", help=f"some of {','.join(STAGES)}")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all stages together (default 9)")
    parser.add_argument("--workers", type=int, default=14, help="loader processes (default 14)")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tiny:
        options.workers = min(options.workers, 1)
    return options


def draw_scenes(options: argparse.Namespace) -> Path:
    folder = options.out / "scenes"
    count = 8 if options.tiny else 256
    preset = "quickstart" if options.tiny else "full"
    if not folder.exists():
        command = ["synth", "--out", str(folder), "--count", str(count), "--preset", preset, "--seed", "11"]
        subprocess.run([sys.executable, "-m", "craft", *command, "--workers", str(max(1, options.workers))], check=True)
    return folder


def run_apart(options: argparse.Namespace, stage: str, seconds: float) -> str:
    """Run a stage in a process of its own and say how it ended."""
    command = [sys.executable, __file__, "--stage", stage, "--out", str(options.out), "--data", str(options.data)]
    command += ["--device", options.device, "--workers", str(options.workers), *(["--tiny"] * options.tiny)]
    command += ["--easyocr", str(options.easyocr)] if options.easyocr else []
    command += ["--minutes", str(seconds / 60)]
    start = time.monotonic()
    with open(options.out / f"{stage}.log", "w", encoding="utf-8") as log:
        try:
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=seconds).returncode
        except subprocess.TimeoutExpired:
            return f"stopped after {seconds:.0f} s, what it had found is kept"
    took = f"in {time.monotonic() - start:.0f} s"
    return f"done {took}" if status == 0 else f"failed {took}, status {status}: see {stage}.log"


def run_stage(options: argparse.Namespace) -> int:
    import gpu_programs
    import gpu_stages

    name = f"stage_{options.stage}"
    work = getattr(gpu_stages, name, None) or getattr(gpu_programs, name)
    found: dict[str, object] = {"torch": torch.__version__, "device": options.device}
    if options.device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    path = options.out / f"{options.stage}.json"
    for name, value in work(options):
        found[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if found.get("failed") else 0


def write_summary(out: Path, states: dict[str, str]) -> None:
    lines = ["# What a GPU shows", ""]
    for stage, state in states.items():
        lines += [f"## {stage}: {state}", ""]
        path = out / f"{stage}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            lines += [f"- {name}: {json.dumps(value)}" for name, value in found.items()]
            lines.append("")
    for table in sorted(out.glob("bench/*/bench.md")):
        lines += [f"## bench {table.parent.name}", "", table.read_text(encoding="utf-8")]
    (out / "summary.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
