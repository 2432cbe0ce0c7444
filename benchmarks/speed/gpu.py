"""Everything that only a GPU can show about training, in one command and under nine minutes.

    python benchmarks/speed/gpu.py --out DIR [--data FOLDER] [--easyocr trainer/craft] [--stages NAME,NAME] [--minutes 9]
    python benchmarks/speed/gpu.py --out DIR --device cpu --tiny      # tries the script itself, on any machine

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
import importlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import gpu_stages
import torch
from gpu_stages import ROOT, Found, settings

from craft.config import dump_config
from craft.training.bench import Stopwatch
from craft.training.run_log import read_metrics

STAGES = {"bench": 95, "profile": 60, "tests": 70, "easyocr": 40, "agreement": 80, "ranks": 60, "largest": 90}
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
    name = f"stage_{options.stage}"
    work = getattr(gpu_stages, name, None) or globals()[name]
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


def stage_tests(options: argparse.Namespace) -> Found:
    folders = ("tests/targets", "tests/ohem", "tests/datasets/test_loader.py")
    chosen = [*folders, "-k", "cuda or on_the_device or pinning"]
    if options.tiny:
        chosen = ["tests/ohem/test_loss.py", "-k", "device"]
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(done.stdout[-6000:])
    yield "tests", done.stdout.strip().splitlines()[-1]
    yield "failed", done.returncode not in (0, 5)


RANKS = """
import os, pathlib, sys
import torch
if os.environ.get("WORLD_SIZE", "1") != "1":
    os.environ["LOCAL_RANK"] = "0"  # both on one device, where NCCL refuses and gloo does not
    torch.distributed.init_process_group("gloo")
torch.backends.cudnn.allow_tf32 = False
from craft.config import load_config
from craft.training.loop import train
train(load_config(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def stage_ranks(options: argparse.Namespace) -> Found:
    script, steps = options.out / "ranks.py", 3 if options.tiny else 20
    script.write_text(RANKS, encoding="utf-8")
    shares = {"sync_batch_norm": True} if options.device == "cuda" else {"freeze_batch_norm": True}
    curves = []
    for world in (1, 2):
        training = {"steps": steps, "precision": "fp32"}
        config = settings(
            options, data={"crop_size": 256, "workers": 0}, model={"width": 0.25, **shares}, training=training
        )
        batch = config.training.model_copy(update={"batch_size": 4 // world})
        path, folder = options.out / f"ranks_{world}.yaml", options.out / "ranks" / str(world)
        path.write_text(dump_config(config.model_copy(update={"training": batch})), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(world)}
        command = [sys.executable, str(script), str(path), str(folder)]
        ranks = [
            subprocess.Popen(command, cwd=ROOT, env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": "0"})
            for rank in range(world)
        ]
        if any([rank.wait() for rank in ranks]):
            yield "failed", True
            return
        curves.append([line["loss"] for line in read_metrics(folder / "metrics.jsonl", kind="train")])
    apart = [abs(one / other - 1) for one, other in zip(*curves, strict=True)]
    yield "losses of one process and of two", curves
    yield "relative difference, first and greatest", [apart[0], max(apart)]
    yield "failed", apart[0] > 1e-4


def stage_easyocr(options: argparse.Namespace) -> Found:
    sys.path.insert(0, str(options.easyocr))
    network = importlib.import_module("model.craft").CRAFT
    criterion = importlib.import_module("loss.mseloss").Maploss_v3()
    device, amp = torch.device(options.device), options.device == "cuda"
    side, steps = (64, 2) if options.tiny else (768, 15)
    for size in (2,) if options.tiny else (8, 16):
        model = network(pretrained=False, amp=amp).to(device).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-5)
        scaler = torch.amp.GradScaler(options.device, enabled=amp)
        generator = torch.Generator().manual_seed(0)
        images = torch.randn((size, 3, side, side), generator=generator).to(device)
        maps = (torch.rand((2, size, side // 2, side // 2), generator=generator) * 1.3 - 1).clamp(0, 1).to(device)
        mask = torch.ones_like(maps[0])

        def once(model=model, optimizer=optimizer, scaler=scaler, images=images, maps=maps, mask=mask) -> None:
            with torch.amp.autocast(options.device, dtype=torch.float16, enabled=amp):
                out, _ = model(images)
                # Fewest negatives so that no image has fewer: their loss would fail.
                loss = criterion(maps[0], maps[1], out[..., 0], out[..., 1], mask, 1.0, min(5000, side * side // 16))
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            loss.item()

        watch = Stopwatch(device)
        watch.reset_peak()
        seconds = watch.time(once, count=steps, warm_up=3)
        peak = watch.peak_bytes()
        yield (
            f"EasyOCR trainer's step, batch {size}",
            {
                "images a second": size * steps / sum(seconds),
                "milliseconds, median": 1e3 * sorted(seconds)[steps // 2],
                "memory, GiB": None if peak is None else round(peak / 2**30, 2),
            },
        )


if __name__ == "__main__":
    sys.exit(main())
