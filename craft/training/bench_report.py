"""The report of `craft bench`: a table for people and JSON for programs."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from craft.atomic_files import write_atomic

_MOST_WAITING = 0.1  # of a step's time; above it, the loader is too slow
_HEADROOM = 1.2  # of the loader's rate over that of the steps, since both vary
_FILLED = 0.9  # of the device's memory, at most
_COLUMNS = ("part", "images/s", "ms, median", "ms, 5 to 95 %", "of peak", "data wait", "memory")


@dataclass(frozen=True, slots=True)
class PartTime:
    """The time of one part of training."""

    name: str
    images_per_second: float  # of all processes together
    milliseconds: float  # median of a batch, or of a step for parts that are steps
    milliseconds_low: float  # 5th percentile
    milliseconds_high: float  # 95th percentile
    count: int  # batches or steps timed
    peak_share: float | None = None  # of the measured peak, by the network's arithmetic; None for parts without it
    data_wait: float | None = None  # share of the time spent waiting for the loader; None for parts that are no steps
    memory_bytes: int | None = None  # peak memory of the CUDA device while the part ran; None elsewhere


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The times of all parts, and what they were measured on."""

    parts: tuple[PartTime, ...]
    peak_flops: float  # operations per second of a large matrix product in the precision used, one process alone
    flop_per_image: int  # operations of the network for one crop, forward and backward
    precision: str
    first_batch_seconds: float  # from starting the loader to its first batch
    host_peak_bytes: int  # peak memory of this process on the host, without its loader processes
    device_bytes: int | None  # memory of the CUDA device; None elsewhere
    native_bf16: bool  # whether the device computes in bf16 natively
    processes: int  # number of training processes
    writes: bool  # True in the one process that writes files and messages
    environment: dict[str, Any]  # versions, machine, command and commit
    settings: dict[str, Any]  # the run's settings that have an effect

    def part(self, name: str) -> PartTime:
        """Find a part by name."""
        return next(part for part in self.parts if part.name == name)


def summarise_times(
    name: str, seconds: Sequence[float], *, images: int, memory: int | None = None, data_wait: float | None = None
) -> PartTime:
    """Summarise the seconds of each batch or step of a part by median, spread and rate.

    `images` are crops per batch or step, over all processes; `memory` is in bytes and `data_wait` a share, None where
    they do not apply.
    """
    low, middle, high = (float(value) for value in 1e3 * np.percentile(seconds, [5, 50, 95]))
    rate = images * len(seconds) / max(sum(seconds), 1e-9)
    return PartTime(name, rate, middle, low, high, len(seconds), data_wait=data_wait, memory_bytes=memory)


def format_bench(report: BenchReport) -> str:
    """Format a report as a Markdown table with its explanation below, without a final line end."""
    rows = [_COLUMNS, *(_row(part) for part in report.parts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    step, whole = report.part("step without loader"), report.part("whole")
    batch = step.milliseconds / report.settings["optimizer"]["accumulate"]
    shares = ", ".join(f"{name} {report.part(name).milliseconds / batch:.2%}" for name in ("targets", "loss"))
    environment = report.environment
    device = environment["gpu"] or f"{environment['processor']}, {environment['threads']} threads"
    crop, width = report.settings["data"]["crop_size"], report.settings["model"]["width"]
    return "\n".join(
        [
            *lines,
            "",
            f"Of the step without loader: {shares}. Whole: {whole.images_per_second / step.images_per_second:.1%} of its rate.",
            f"Peak: {report.peak_flops / 1e12:.3g} TFLOP/s, measured here with a large {report.precision} product. Network: "
            f"{report.flop_per_image / 1e9:.4g} GFLOP per crop of {crop} x {crop} at width {width:g}, forward and backward.",
            f"First batch after {report.first_batch_seconds:.2f} s. Peak memory of this process on the host: "
            f"{report.host_peak_bytes / 2**20:,.0f} MiB.",
            f"{device}; {report.processes} processes of {report.settings['training']['batch_size']} crops; torch "
            f"{environment['torch']}, commit {environment['commit']}.",
            "",
            *(f"- {sentence}" for sentence in advise(report)),
        ]
    )


def advise(report: BenchReport) -> list[str]:
    """Say in a sentence each what bounds the run, and how to choose workers, batch and precision on this machine."""
    return [_bound(report), _workers(report), _batch(report), _precision(report)]


def _bound(report: BenchReport) -> str:
    step, waiting = report.part("step without loader"), report.part("whole").data_wait or 0.0
    if waiting > _MOST_WAITING:
        return f"Bound by the loader: training waits for it {waiting:.0%} of the time."
    batch = step.milliseconds / report.settings["optimizer"]["accumulate"]
    parts = {name: report.part(name).milliseconds / batch for name in ("targets", "loss")}
    network = 1 - sum(parts.values())
    return f"Bound by the step, which spends {network:.0%} of its time in the network; the loader keeps up."


def _workers(report: BenchReport) -> str:
    workers, cores = report.settings["data"]["workers"], report.environment["cores"]
    step, loader = report.part("step without loader"), report.part("loader")
    each = loader.images_per_second / report.processes / max(workers, 1)
    needed = max(1, math.ceil(_HEADROOM * step.images_per_second / report.processes / each))
    if workers == 0:
        share = step.images_per_second / loader.images_per_second
        return (
            f"Workers: loading in the training process adds {share:.0%} to each step; data.workers: {needed} loads beside it "
            f"where a core is free ({cores} here)."
        )
    if needed > workers:
        room = (
            ""
            if needed * report.processes < cores
            else f", but this machine has {cores} cores; smaller images help too"
        )
        return f"Workers: raise data.workers from {workers} to {needed}{room}."
    if needed < workers:
        return f"Workers: {needed} of {workers} would do; lower data.workers where other work needs the cores."
    return f"Workers: {workers} are right."


def _batch(report: BenchReport) -> str:
    used, batch = report.part("step without loader").memory_bytes, report.settings["training"]["batch_size"]
    if used is None or report.device_bytes is None:
        return f"Batch: {batch} crops; only a CUDA device says how many would fit."
    most = int(batch * _FILLED * report.device_bytes / used)
    if most <= batch:
        return f"Batch: {batch} crops fill the device's memory; fewer, with optimizer.accumulate, train the same steps."
    return f"Batch: about {most} crops would fit ({used / report.device_bytes:.0%} of the memory is used by {batch})."


def _precision(report: BenchReport) -> str:
    if report.native_bf16 and report.precision == "float32":
        return "Precision: the device computes in bf16 natively; set training.precision to bf16 for faster steps."
    if not report.native_bf16 and report.precision == "bfloat16":
        return "Precision: the device only imitates bf16; set training.precision to fp32."
    return f"Precision: {report.precision} is right for this device."


def write_bench(report: BenchReport, folder: Path) -> None:
    """Write a report as bench.json and bench.md into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = asdict(report)
    del contents["writes"]
    for name, text in (("bench.json", json.dumps(contents, indent=2)), ("bench.md", format_bench(report))):
        write_atomic(folder / name, text + "\n")


def _row(part: PartTime) -> tuple[str, ...]:
    return (
        part.name,
        f"{part.images_per_second:,.1f}",
        f"{part.milliseconds:,.2f}",
        f"{part.milliseconds_low:,.2f} to {part.milliseconds_high:,.2f}",
        "" if part.peak_share is None else f"{part.peak_share:.1%}",
        "" if part.data_wait is None else f"{part.data_wait:.1%}",
        "" if part.memory_bytes is None else f"{part.memory_bytes / 2**30:.2f} GiB",
    )
