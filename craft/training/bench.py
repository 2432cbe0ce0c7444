"""Times the parts of training with the settings of a run: loader, targets, loss, step without loader, and whole."""

from __future__ import annotations

import copy
import itertools
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from craft.config import Config, effective_settings
from craft.datasets.batch import Batch
from craft.datasets.collection import WeightedScenes
from craft.distributed.processes import Processes, start_processes, stop_processes, wait_for_all
from craft.models.craft import CRAFT
from craft.models.device import choose_precision
from craft.region.training import RegionTraining
from craft.training.batch import batch_targets
from craft.training.bench_report import BenchReport, summarise_times
from craft.training.datasets import read_training_sets
from craft.training.finite_check import FiniteWatch
from craft.training.loop import training_batches
from craft.training.meter import IntervalMeter
from craft.training.run_log import describe_environment
from craft.training.schedule import learning_rate_at
from craft.training.state import RunState, build_state
from craft.training.step import maps_loss, train_step
from craft.training.stopwatch import Stopwatch

_WARM_UP = 3  # calls before timing: memory is laid out, algorithms are chosen, parts are compiled
_BATCHES_KEPT = 4  # batches that the parts without loader go round
_MATRIX_SIDE = {"cuda": 8192, "cpu": 1024, "mps": 4096}
_MATRIX_REPEATS = 5


def bench(config: Config, *, steps: int) -> BenchReport:
    """Time training as `craft train` would do it, part by part. Nothing is kept of what was learnt.

    With several processes under torchrun every process does the same, and rates are those of all together.

    Args:
        config: the settings of a run; characters that a teacher would find are even splits here.
        steps: batches, and steps, timed of each part after the warm-up, > 0.

    Returns:
        The times, and what they were measured on.

    Raises:
        ValueError: `steps` is not positive, or settings, scenes or weights cannot be used.
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
    say: Callable[[str], None] = tqdm.write if processes.writes else (lambda _message: None)
    sets = read_training_sets(config.data, say=say)
    state = build_state(config, processes, say=say)
    watch = Stopwatch(processes.device)
    peak = _matrix_peak(choose_precision(config.training.precision, processes.device), watch)
    flop = training_flop(state.model, config.data.crop_size)
    rate = processes.world_size * config.training.batch_size
    step_rate = rate * config.optimizer.accumulate
    wait_for_all(processes)

    parts = []
    say(f"timing {steps} batches and steps of each part, on {processes.device}")
    seconds, kept, first = _time_loader(config, sets, state, processes, steps)
    parts.append(summarise_times("loader", seconds, images=rate))
    watch.forget_memory()
    parts.append(summarise_times("targets", _time_targets(kept, watch, steps), images=rate, memory=watch.peak_bytes()))
    watch.forget_memory()
    times = _time_loss(config, kept, processes, watch, steps)
    parts.append(summarise_times("loss", times, images=rate, memory=watch.peak_bytes()))
    regions = RegionTraining(config, state.model, sets, folder, processes) if config.region.enabled else None
    for name, batches in (
        ("step without loader", itertools.cycle(kept)),
        ("whole", training_batches(config, sets, state, processes)),
    ):
        watch.forget_memory()
        times, wait = _time_steps(config, state, batches, processes, regions, folder, steps)
        part = summarise_times(name, times, images=step_rate, memory=watch.peak_bytes(), data_wait=wait)
        parts.append(part.with_peak_share(flop * part.images_per_second / processes.world_size / peak))
    return BenchReport(
        parts=tuple(parts),
        peak_flops=peak,
        flop_per_image=flop,
        precision=str(choose_precision(config.training.precision, processes.device)).removeprefix("torch."),
        first_batch_seconds=first,
        host_peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        processes=processes.world_size,
        writes=processes.writes,
        environment=describe_environment(processes.device),
        settings=effective_settings(config),
    )


def training_flop(model: CRAFT, crop_size: int) -> int:
    """Floating-point operations of one crop, forward and backward, counted by torch on shapes alone.

    Args:
        model: a CRAFT; what is frozen has no gradient and counts as such. Its region path is left out.
        crop_size: side of the crop, pixels.

    Returns:
        Multiplications and additions of convolutions. What checkpointing computes again is not counted.
    """
    shapes = copy.deepcopy(model).to("meta")
    shapes.gradient_checkpointing = False
    images = torch.empty((1, 3, crop_size, crop_size), device="meta")
    with FlopCounterMode(display=False) as counter:
        maps, _features = shapes(images)
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
    config: Config, sets: list[WeightedScenes], state: RunState, processes: Processes, count: int
) -> tuple[list[float], list[Batch], float]:
    """Seconds of each batch, some batches to keep, and seconds until the first one."""
    watch = Stopwatch(torch.device("cpu"))
    batches: Iterator[Batch] = iter(())

    def start() -> None:
        nonlocal batches
        batches = training_batches(config, sets, state, processes)
        next(batches)

    (first,) = watch.time(start, count=1, warm_up=0)
    kept = [next(batches) for _ in range(_BATCHES_KEPT)]
    # What the loader processes made ready while the first batches were read would count as free.
    for _ in range(4 * config.data.workers):
        next(batches)
    return watch.time(lambda: next(batches), count=count, warm_up=0), kept, first


def _time_targets(kept: list[Batch], watch: Stopwatch, count: int) -> list[float]:
    turns = itertools.cycle(kept)
    return watch.time(lambda: batch_targets(next(turns), watch.device), count=count, warm_up=_WARM_UP)


def _time_loss(config: Config, kept: list[Batch], processes: Processes, watch: Stopwatch, count: int) -> list[float]:
    """Seconds of the loss and of its gradient, of score maps that are noise."""
    targets = batch_targets(kept[0], processes.device)
    generator = torch.Generator(device=processes.device).manual_seed(config.training.seed)
    scores = torch.rand(targets.maps.shape, device=processes.device, generator=generator).requires_grad_()

    def once() -> None:
        scores.grad = None
        maps_loss(scores, kept[0], targets, config, step=0).loss.backward()

    return watch.time(once, count=count, warm_up=_WARM_UP)


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
