"""The stages of gpu.py: each yields what it finds, name by name, so that a stage that is stopped leaves what it had."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from craft.config import Config, dump_config, validate_config
from craft.datasets.batch import Batch
from craft.distributed.processes import Processes
from craft.ohem.loss import pixel_loss
from craft.ohem.top_k import top_k_weights, top_k_weights_by_bisection
from craft.targets.heatmaps import draw_targets
from craft.training.batch import batch_targets
from craft.training.bench import Stopwatch
from craft.training.datasets import read_training_datasets
from craft.training.finite_check import FiniteWatch
from craft.training.loop import train
from craft.training.meter import IntervalMeter
from craft.training.run import training_batches
from craft.training.run_log import read_metrics
from craft.training.state import RunState, build_state
from craft.training.step import maps_loss, train_step

Found = Iterator[tuple[str, Any]]
ROOT = Path(__file__).parents[2]


def settings(options: argparse.Namespace, **changes: dict[str, Any]) -> Config:
    """The settings of `configs/icdar2015.yaml` where they matter to speed; a very small form of them for --tiny."""
    values: dict[str, dict[str, Any]] = {
        "data": {"train": [{"path": str(options.data)}], "crop_size": 768, "workers": options.workers},
        "model": {},
        "optimizer": {"learning_rate": 1e-4, "warmup_steps": 5},
        "training": {"steps": 1000, "batch_size": 16, "device": options.device, "log_every": 1, "precision": "bf16"},
    }
    for section, given in changes.items():
        values.setdefault(section, {}).update(given)
    if options.tiny:
        values["data"].update(crop_size=64)
        values["model"].update(width=0.0625)
        values["training"].update(batch_size=2, precision="fp32", compile=False)
    return validate_config(values, where="gpu.py")


def stage_agreement(options: argparse.Namespace) -> Found:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    small = {"data": {"crop_size": 256}, "model": {"width": 0.25}}
    batch = next(batches_of(settings(options, **small), "cpu"))
    device = torch.device(options.device)
    there, here = batch_targets(batch, device), batch_targets(batch, torch.device("cpu"))
    apart = [float((one.cpu() - other).abs().max()) for one, other in zip(fields(there), fields(here), strict=True)]
    yield "targets, greatest difference of maps and confidence", apart
    scores = torch.rand(here.maps.shape, generator=torch.Generator().manual_seed(0))
    losses = [
        float(pixel_loss(scores.to(one.maps.device), *fields(one), batch.seeds.to(one.maps.device), **RULE).loss)
        for one in (there, here)
    ]
    yield "loss, device and CPU", losses
    steps, seeds = (3, (0,)) if options.tiny else (60, (0, 1))
    curves: dict[str, list[list[float]]] = {}
    for name, precision, compiled in (("plain fp32", "fp32", False), ("bf16", "bf16", False), ("fast", "bf16", True)):
        curves[name] = []
        for seed in seeds:
            training = {"steps": steps, "batch_size": 4, "seed": seed, "precision": precision, "compile": compiled}
            config = settings(options, **small, training=training)
            curves[name].append(curve(config, options.out / "agreement" / f"{name}_{seed}".replace(" ", "_")))
        yield (
            f"loss of the second half, {name}, by seed",
            [sum(one[steps // 2 :]) / (steps - steps // 2) for one in curves[name]],
        )
    first = curve(settings(options, **small, training={**training, "steps": 1, "seed": 0, "precision": "fp32",
                  "compile": False, "device": "cpu"}), options.out / "agreement" / "cpu")[0]  # fmt: skip
    yield "first loss, plain fp32 on the device and on the CPU", [curves["plain fp32"][0][0], first]
    yield "curves", curves
    close = abs(curves["plain fp32"][0][0] / first - 1) < 1e-3 and abs(losses[0] / losses[1] - 1) < 1e-5
    yield "failed", not close or max(apart) > 1e-5


RULE: dict[str, Any] = {"rule": "hardest", "ratio": 3.0, "min_negatives": 512}


def fields(targets: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return targets.maps, targets.confidence


def curve(config: Config, folder: Path) -> list[float]:
    train(config, folder)
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl", kind="train")]


def batches_of(config: Config, device: str) -> Iterator[Batch]:
    _state, batches = start(config, device)
    return batches


def start(config: Config, device: str) -> tuple[RunState, Iterator[Batch]]:
    processes = Processes(0, 1, torch.device(device))
    state = build_state(config, processes, echo=print)
    return state, training_batches(config, read_training_datasets(config.data, echo=print), state, processes)


def stage_bench(options: argparse.Namespace) -> Found:
    deadline = time.monotonic() + 60 * options.minutes - 5
    compiled, checkpointing = "training.compile=true", "model.gradient_checkpointing=true"
    variants = {
        "16": [],
        "16_compiled": [compiled],
        "8": ["training.batch_size=8"],
        "32": ["training.batch_size=32"],
        "16_checkpointing": [checkpointing],
        "8_compiled": ["training.batch_size=8", compiled],
        "16_compiled_checkpointing": [compiled, checkpointing],
    }
    path = options.out / "bench.yaml"
    path.write_text(dump_config(settings(options)), encoding="utf-8")
    for name, changes in {"tiny": []}.items() if options.tiny else variants.items():
        out = options.out / "bench" / name
        command = [
            sys.executable,
            "-m",
            "craft",
            "bench",
            str(path),
            "--out",
            str(out),
            "--steps",
            "2" if options.tiny else "12",
        ]
        for change in changes:
            command += ["--set", change]
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=max(1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            yield name, "no time left"
            return
        if done.returncode:
            yield name, f"failed with status {done.returncode}"
            yield "failed", True
            continue
        report = json.loads((out / "bench.json").read_text(encoding="utf-8"))
        yield name, {part["name"]: round(part["images_per_second"], 1) for part in report["parts"]}


def stage_profile(options: argparse.Namespace) -> Found:
    config, device = settings(options), torch.device(options.device)
    state, batches = start(config, options.device)
    once, kept = stepper(config, state, batches, options.out)
    for _ in range(5):
        once()
    watch, count = Stopwatch(device), 3 if options.tiny else 20
    step = sorted(watch.time(once, count=count, warm_up=2))[count // 2]
    yield "step, milliseconds", 1e3 * step
    targets = batch_targets(kept, device)
    scores = torch.rand_like(targets.maps).requires_grad_()
    parts: dict[str, Callable[[], object]] = {
        "loss": lambda: maps_loss(scores, kept, targets, config, step=0).loss.backward()
    }
    for form in ("triton", "cpu") if device.type == "cuda" else ("cpu",):
        parts[f"targets, {form}"] = lambda form=form: targets_by(kept, device, form)
    keys = scores.detach().contiguous().view(-1, scores.shape[2] * scores.shape[3]).view(torch.int32)
    candidates, num_kept = keys > keys.median(), torch.full((len(keys),), 10_000, device=device)
    for form, rank in (("kernel", top_k_weights), ("tensor operations", top_k_weights_by_bisection)):
        parts[f"ranking, {form}"] = lambda rank=rank: rank(keys, candidates, num_kept)
    for name, work in parts.items():
        median = sorted(watch.time(work, count=count, warm_up=3))[count // 2]
        yield name, {"milliseconds": 1e3 * median, "of the step": median / step, "kernels": num_kernels(work, device)}
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(3):
            once()
        watch.synchronise()
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    table = profile.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=90)
    (options.out / "profile.txt").write_text(table, encoding="utf-8")
    profile.export_chrome_trace(str(options.out / "profile.trace.json.gz"))
    yield "kernels by time", "profile.txt, and profile.trace.json.gz for a viewer"


def targets_by(batch: Batch, device: torch.device, form: str) -> object:
    _, _, height, width = batch.images.shape
    names = ("character_quads_xy", "character_word", "strip_quads_xy", "strip_word", "word_image", "word_confidence")
    size = {"batch_size": len(batch.images), "map_size_hw": (height // 2, width // 2)}
    return draw_targets(*(getattr(batch, name) for name in names), **size, device=device, painter=form)  # type: ignore[arg-type]


def num_kernels(work: Callable[[], object], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profile.events())


def stepper(
    config: Config, state: RunState, batches: Iterator[Batch], folder: Path
) -> tuple[Callable[[], object], Batch]:
    """A step on batches kept in memory, and one of these batches."""
    processes = Processes(0, 1, next(state.model.parameters()).device)
    meter, watch = IntervalMeter(processes), FiniteWatch(folder, processes.device)
    kept = [next(batches) for _ in range(2)]
    turns = itertools.cycle(kept)
    return lambda: train_step(config, state, turns, processes, meter, watch, 1e-4, None), kept[0]


def stage_largest(options: argparse.Namespace) -> Found:
    sizes = (2, 4) if options.tiny else (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320)
    for checkpointing in (False, True):
        name = "with checkpointing" if checkpointing else "without checkpointing"
        config = settings(options, model={"gradient_checkpointing": checkpointing}, data={"workers": 0})
        state, batches = start(config, options.device)
        _once, batch = stepper(config, state, batches, options.out)
        fits: dict[int, float | None] = {}
        for size in sizes:
            try:
                fits[size] = peak_of(config, state, repeated(batch, size), options)
            except torch.cuda.OutOfMemoryError:
                break
            finally:
                state.optimizer.zero_grad(set_to_none=True)
                if options.device == "cuda":
                    torch.cuda.empty_cache()
            yield f"peak memory by batch, GiB, {name}", fits
        yield f"largest batch tried that fits, {name}", max(fits)
        del state, batches, batch


def repeated(batch: Batch, size: int) -> Batch:
    """A batch of `size` crops: the given ones over and over, with the words of the first round alone."""
    places = torch.arange(size) % len(batch.images)
    names = [batch.names[place] for place in places.tolist()]
    images = batch.images.permute(0, 2, 3, 1)[places].permute(0, 3, 1, 2)
    parts = {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    return Batch(**{**parts, "images": images, "seeds": batch.seeds[places], "names": names})


def peak_of(config: Config, state: RunState, batch: Batch, options: argparse.Namespace) -> float | None:
    once, _ = stepper(config, state, itertools.repeat(batch), options.out)
    watch = Stopwatch(torch.device(options.device))
    watch.reset_peak()
    watch.time(once, count=1, warm_up=1)
    peak = watch.peak_bytes()
    return None if peak is None else round(peak / 2**30, 2)
