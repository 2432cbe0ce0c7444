"""Times the parts of training with the settings of a run: loader, targets, loss, step without loader, whole step."""

from __future__ import annotations

import copy
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from craft.config import Config, effective_settings
from craft.datasets.batch import Batch
from craft.distributed.processes import Processes, start_processes, stop_processes, wait_for_all
from craft.memory import peak_memory_bytes
from craft.models.craft import CRAFT
from craft.models.device import choose_precision, computes_bf16
from craft.region.training import RegionTraining
from craft.training.batch import batch_targets
from craft.training.bench_report import BenchReport, summarise_times
from craft.training.datasets import UnreadableImages, read_training_datasets
from craft.training.finite_check import FiniteWatch
from craft.training.meter import IntervalMeter
from craft.training.run import training_batches
from craft.training.run_log import describe_environment
from craft.training.schedule import learning_rate_at
from craft.training.state import RunState, build_state
from craft.training.step import maps_loss, train_step

_WARM_UP = 3  # calls before timing: memory is laid out, algorithms are chosen, parts are compiled
_BATCHES_KEPT = 4  # batches that the parts without loader cycle through
_MATRIX_SIDE = {"cuda": 8192, "cpu": 1024, "mps": 4096}
_MATRIX_REPEATS = 5


def bench(config: Config, *, steps: int) -> BenchReport:
    """Time training as `craft train` would do it, part by part, without keeping the result.

    With several processes under torchrun each does the same, and rates are those of all together. Characters that a
    teacher would find are even splits here. `steps` batches or steps of each part are timed after the warm-up. Raises
    ValueError if it is not positive, or settings, scenes or weights cannot be used.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; time at least 1")
    processes = start_processes(config.training.device)
    try:
        with tempfile.TemporaryDirectory(prefix="craft-bench-") as folder:
            return _bench(config, steps, processes, Path(folder))
    finally:
        stop_processes(processes)


def _bench(config: Config, steps: int, processes: Processes, folder: Path) -> BenchReport:
    echo: Callable[[str], None] = tqdm.write if processes.writes else (lambda _message: None)
    datasets = read_training_datasets(config.data, echo=echo)
    state = build_state(config, processes, echo=echo)
    watch = Stopwatch(processes.device)
    peak = _matrix_peak(choose_precision(config.training.precision, processes.device), watch)
    flop = training_flop(state.model, config.data.crop_size)
    rate = processes.world_size * config.training.batch_size
    wait_for_all(processes)
    echo(f"timing {steps} batches and steps of each part, on {processes.device}")
    unreadable = UnreadableImages(echo)

    def load() -> Iterator[Batch]:
        return unreadable.watch(training_batches(config, datasets, state, processes))

    seconds, kept, first = _time_loader(load, steps, workers=config.data.workers)
    parts = [summarise_times("loader", seconds, images=rate)]
    turns = itertools.cycle(kept)
    loss = _loss_of_noise(config, kept[0], watch.device)
    for name, work in (("targets", lambda: batch_targets(next(turns), watch.device)), ("loss", loss)):
        watch.reset_peak()
        seconds = watch.time(work, count=steps, warm_up=_WARM_UP)
        parts.append(summarise_times(name, seconds, images=rate, memory=watch.peak_bytes()))
    regions = RegionTraining(config, state.model, datasets, folder, processes) if config.region.enabled else None
    for name, batches in (("step without loader", itertools.cycle(kept)), ("whole", load())):
        watch.reset_peak()
        seconds, wait = _time_steps(config, state, batches, processes, regions, folder, steps)
        images = rate * config.optimizer.accumulate
        part = summarise_times(name, seconds, images=images, memory=watch.peak_bytes(), data_wait=wait)
        parts.append(replace(part, peak_share=flop * part.images_per_second / processes.world_size / peak))
    if summary := unreadable.summary():
        echo(summary)
    return BenchReport(
        parts=tuple(parts),
        peak_flops=peak,
        flop_per_image=flop,
        precision=str(choose_precision(config.training.precision, processes.device)).removeprefix("torch."),
        first_batch_seconds=first,
        host_peak_bytes=peak_memory_bytes(),
        device_bytes=torch.cuda.mem_get_info(processes.device)[1] if processes.device.type == "cuda" else None,
        native_bf16=computes_bf16(processes.device),
        processes=processes.world_size,
        writes=processes.writes,
        environment=describe_environment(processes.device),
        settings=effective_settings(config),
    )


def training_flop(model: CRAFT, crop_size: int) -> int:
    """Count the floating-point operations of one crop of this side, forward and backward, on shapes alone.

    Multiplications and additions of convolutions; frozen layers have no gradient and count as such. The region path and
    what checkpointing recomputes are not counted.
    """
    shapes = copy.deepcopy(model).to("meta")
    shapes.gradient_checkpointing = False
    images = torch.empty((1, 3, crop_size, crop_size), device="meta")
    with FlopCounterMode(display=False) as counter:
        maps, _levels = shapes(images)
        if maps.requires_grad:
            maps.sum().backward()
    return counter.get_total_flops()


def _matrix_peak(precision: torch.dtype, watch: Stopwatch) -> float:
    """Operations per second of a large matrix product on the device."""
    side = _MATRIX_SIDE.get(watch.device.type, _MATRIX_SIDE["cpu"])
    left, right = (torch.randn((side, side), device=watch.device, dtype=precision) for _ in range(2))
    seconds = watch.time(lambda: torch.mm(left, right), count=_MATRIX_REPEATS, warm_up=2)
    return 2 * side**3 / min(seconds)


def _time_loader(
    load: Callable[[], Iterator[Batch]], count: int, *, workers: int
) -> tuple[list[float], list[Batch], float]:
    """Seconds of each batch, some batches to keep, and seconds until the first one."""
    watch = Stopwatch(torch.device("cpu"))
    batches: Iterator[Batch] = iter(())

    def start() -> None:
        nonlocal batches
        batches = load()
        next(batches)

    (first,) = watch.time(start, count=1, warm_up=0)
    kept = [next(batches) for _ in range(_BATCHES_KEPT)]
    # Batches that the loader processes prepared while the first ones were read would count as free.
    for _ in range(4 * workers):
        next(batches)
    return watch.time(lambda: next(batches), count=count, warm_up=0), kept, first


def _loss_of_noise(config: Config, batch: Batch, device: torch.device) -> Callable[[], object]:
    """The computation of the loss and its gradient, for score maps of noise."""
    targets = batch_targets(batch, device)
    generator = torch.Generator(device=device).manual_seed(config.training.seed)
    scores = torch.rand(targets.maps.shape, device=device, generator=generator).requires_grad_()

    def once() -> None:
        scores.grad = None
        maps_loss(scores, batch, targets, config, step=0).loss.backward()

    return once


def _time_steps(
    config: Config,
    state: RunState,
    batches: Iterator[Batch],
    processes: Processes,
    regions: RegionTraining | None,
    folder: Path,
    count: int,
) -> tuple[list[float], float]:
    """Seconds of each step, and the share of them spent waiting for data."""
    meter, finite = IntervalMeter(processes), FiniteWatch(folder, processes.device)

    def once() -> None:
        rate = learning_rate_at(state.step, steps=config.training.steps, settings=config.optimizer)
        train_step(config, state, batches, processes, meter, finite, rate, regions)

    watch = Stopwatch(processes.device)
    warm_up = _WARM_UP + 4 * config.data.workers  # as many as the loader has ready
    watch.time(once, count=1, warm_up=warm_up - 1)
    meter.read()
    seconds = watch.time(once, count=count, warm_up=0)
    return seconds, meter.read()["data_wait"]


class Stopwatch:
    """Measures calls one by one: by the device's own clock on CUDA, where the host runs ahead, else by the host's."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def time(self, work: Callable[[], object], *, count: int, warm_up: int) -> list[float]:
        """Call `work` `warm_up` times, then measure `count` calls in seconds.

        On CUDA, calls are queued one after another, as in training, and measured by events.
        """
        for _ in range(warm_up):
            work()
        self.synchronise()
        if self.device.type != "cuda":
            return [self._on_host(work) for _ in range(count)]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        events[0].record()
        for event in events[1:]:
            work()
            event.record()
        self.synchronise()
        return [before.elapsed_time(after) / 1e3 for before, after in itertools.pairwise(events)]

    def synchronise(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def reset_peak(self) -> None:
        """Measure the device's peak memory from here on."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_bytes(self) -> int | None:
        """The most memory that tensors took on a CUDA device since `reset_peak`; None elsewhere."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def _on_host(self, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        self.synchronise()
        return time.perf_counter() - start
