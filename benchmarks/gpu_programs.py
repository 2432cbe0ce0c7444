"""The stages of gpu.py that run other programs: our tests, two processes on one device, the EasyOCR trainer's step."""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import subprocess
import sys

import torch
from gpu_stages import ROOT, Found, settings

from craft.config import dump_config
from craft.training.bench import Stopwatch
from craft.training.run_log import read_metrics


def stage_tests(options: argparse.Namespace) -> Found:
    chosen = [
        "tests/targets",
        "tests/ohem",
        "tests/models/test_compiled.py",
        "tests/datasets/test_loader.py",
    ]
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
