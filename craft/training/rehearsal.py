"""What can be known of a run before it starts: what it takes (--dry-run), and which learning rate (--find-learning-rate)."""

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from craft.atomic_files import write_atomic
from craft.config import Config
from craft.datasets.batch import Batch
from craft.datasets.loader import BATCHES_AHEAD
from craft.distributed.processes import any_process, start_processes, stop_processes
from craft.models.device import choose_precision, peak_memory_bytes
from craft.ohem.loss import PixelLoss
from craft.targets.heatmaps import Targets
from craft.training.bench import Stopwatch
from craft.training.checkpoint import CHECKPOINT
from craft.training.preview import SCENES_SHOWN, write_map_image
from craft.training.run import Run, start_run
from craft.training.run_folder import check_run_folder
from craft.training.state import save_state, save_weights
from craft.training.step import train_step
from craft.training.validation import validate

_Result = TypeVar("_Result")

_STEPS = 3  # timed
_SETTLING_SECONDS = 30.0  # at most, for batches that the loader had ready
_SCENES = 4  # validated, to estimate the time of all
_LOWEST, _HIGHEST = 1e-6, 1.0  # learning rates tried
_SMOOTHING = 0.9
_DIVERGED = 4.0  # times the lowest loss


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run will take."""

    device: str
    memory_bytes: int
    images_per_second: float
    seconds: dict[str, float]  # of each part of the run
    left_out: tuple[str, ...]  # what `seconds` does not count
    folder_bytes: int
    data_wait: float  # share of a step's time spent waiting for the loader
    writes: bool


def dry_run(config: Config, folder: Path) -> DryRun:
    """Read everything that a run in `folder` would read, do a few steps, and leave nothing behind.

    Raises as `train`.
    """

    check_run_folder(folder, config, resume=False)
    start = time.perf_counter()

    def rehearse(run: Run, scratch: Path) -> DryRun:
        watch = Stopwatch(run.processes.device)
        last = _step(run, 0.0)  # lays out memory, chooses algorithms, compiles
        watch.synchronise()
        started = time.perf_counter() - start
        _settle(run)
        run.meter.read()
        times = watch.time(lambda: _step(run, 0.0), count=_STEPS, warm_up=0)
        means = run.meter.read()
        each = sum(times) / len(times)
        crops = config.training.batch_size * config.optimizer.accumulate * run.processes.world_size
        seconds = {"start": started, f"steps ({config.training.steps:,})": each * config.training.steps}
        written, folder_bytes = _writing(run, scratch, last)
        return DryRun(
            device=str(run.processes.device),
            memory_bytes=peak_memory_bytes(run.processes.device),
            images_per_second=crops / each,
            seconds=seconds | _labelling_seconds(run) | _validation_seconds(run) | written,
            left_out=_left_out(run),
            folder_bytes=folder_bytes,
            data_wait=means["data_wait"],
            writes=run.processes.writes,
        )

    return _rehearse(config, rehearse)


@dataclass(frozen=True, slots=True)
class LearningRateCurve:
    """The loss at rising learning rates."""

    rates: list[float]
    losses: list[float]  # smoothed
    suggestion: float | None  # where the loss falls fastest; None where it never falls
    writes: bool


def find_learning_rate(config: Config, out: Path, *, steps: int = 100) -> LearningRateCurve:
    """Train `steps` steps at rates rising from 1e-6 to 1, and write learning_rate.png and .json to the folder `out`.

    The rate is raised by a constant factor until the smoothed loss exceeds four times its lowest. Weights are not kept.
    Raises as `train`, and ValueError with several processes.

    Source: Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017; the smoothed curve and the steepest
        descent are fastai's.
    """

    def rehearse(run: Run, _scratch: Path) -> LearningRateCurve:
        if run.processes.world_size > 1:
            raise ValueError("the learning rate is looked for in one process; leave torchrun out")
        rates: list[float] = []
        losses: list[float] = []
        average = 0.0
        for step in tqdm(range(steps), desc="learning rate", disable=not run.processes.writes):
            rate = _LOWEST * (_HIGHEST / _LOWEST) ** (step / max(1, steps - 1))
            try:
                loss = float(_step(run, rate)[2].loss.detach())
            except FloatingPointError:
                break
            average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
            smoothed = average / (1 - _SMOOTHING ** (step + 1))
            settled = losses[steps // 10 :]  # before that a crop without text can be the lowest loss
            if not math.isfinite(loss) or smoothed > _DIVERGED * min([*settled, smoothed]):
                break
            rates.append(rate)
            losses.append(smoothed)
        curve = LearningRateCurve(rates, losses, _steepest(rates, losses), run.processes.writes)
        if run.processes.writes:
            _write_curve(curve, out, config.optimizer.learning_rate)
        return curve

    return _rehearse(config, rehearse)


def format_dry_run(found: DryRun) -> str:
    """Say what a run will take, a line each."""
    bound = f"; {found.data_wait:.0%} of it waiting for data, raise data.workers" if found.data_wait > 0.1 else ""
    parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in found.seconds.items())
    lines = [
        f"device         {found.device}",
        f"memory         {found.memory_bytes / 2**30:.2f} GiB at its peak",
        f"speed          {found.images_per_second:.2f} images/s{bound}",
        f"time           {duration(sum(found.seconds.values()))}: {parts}",
        *(f"not counted    {what}" for what in found.left_out),
        f"run folder     {found.folder_bytes / 2**20:,.0f} MiB at its end",
    ]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Say a time in the two largest units."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole, minutes, hours = round(seconds), round(seconds / 60), round(seconds / 3600)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{hours // 24} days {hours % 24} h"


def _rehearse(config: Config, rehearse: Callable[[Run, Path], _Result]) -> _Result:
    """Start a run in a folder that is removed afterwards."""
    training = config.training.model_copy(update={"tensorboard": False, "loggers": (), "snapshots": ()})
    config = config.model_copy(update={"training": training})
    processes = start_processes(config.training.device)
    try:
        with tempfile.TemporaryDirectory(prefix="craft-rehearsal-") as scratch:
            run = start_run(config, Path(scratch), processes, resume=False)
            try:
                return rehearse(run, Path(scratch))
            finally:
                run.log.close()
    finally:
        stop_processes(processes)


def _step(run: Run, rate: float) -> tuple[Batch, Targets, PixelLoss]:
    return train_step(run.config, run.state, run.batches, run.processes, run.meter, run.watch, rate, run.regions)


def _settle(run: Run) -> None:
    """Do the steps whose batches the loader had ready: only later ones take as long as those of a long run."""
    deadline = time.perf_counter() + _SETTLING_SECONDS
    for _ in range(run.config.data.workers * BATCHES_AHEAD):
        if any_process(time.perf_counter() > deadline, run.processes):
            return
        _step(run, 0.0)


def _due(run: Run, every: int) -> set[int]:
    """The steps at which something is due that is done every so many steps, and after the last."""
    steps = run.config.training.steps
    return {*range(every, steps + 1, every), steps}


def _validation_seconds(run: Run) -> dict[str, float]:
    """Seconds of all validations with their drawings of found words, from a few scenes throughout the datasets."""
    count = len(run.validation)
    if not count:
        return {}
    scenes = run.validation[:: -(-count // _SCENES)]
    validate(run.state.validated_model, scenes[:1], run.config.detection, processes=run.processes)  # compiles kernels
    start = time.perf_counter()
    validate(run.state.validated_model, scenes, run.config.detection, processes=run.processes)
    each = (time.perf_counter() - start) / len(scenes)
    times = len(_due(run, run.config.training.validate_every))
    return {f"validations ({times}, of {count:,} scenes)": times * each * (count + min(count, SCENES_SHOWN))}


def _labelling_seconds(run: Run) -> dict[str, float]:
    """Seconds of the teacher's labellings for which training waits."""
    if run.relabeller is None:
        return {}
    times, seconds = run.relabeller.rehearse(run.state.validated_model)
    return {f"labellings ({times})": times * seconds} if times else {}


def _left_out(run: Run) -> tuple[str, ...]:
    """What the time of a run leaves out."""
    training = run.config.training
    reasons = {
        "validation: data.validation names no dataset": not len(run.validation),
        "labelling beside training, on a spare core or GPU": run.relabeller is not None
        and run.relabeller.labels_beside,
        "collecting false positives (region.sampler: bootstrap)": run.regions is not None
        and run.regions.bank is not None,
        "an early end (training.patience)": training.patience > 0 and len(run.validation) > 0,
    }
    return tuple(what for what, applies in reasons.items() if applies)


def _writing(run: Run, scratch: Path, last: tuple[Batch, Targets, PixelLoss]) -> tuple[dict[str, float], int]:
    """Seconds and bytes of checkpoints, weights, snapshots and images of maps, from writing one of each."""
    training = run.config.training
    start = time.perf_counter()
    save_state(run.state, scratch / CHECKPOINT, run.config)
    saving = time.perf_counter() - start
    save_weights(run.state, scratch / "weights", run.config)
    batch, targets, loss = last
    precision = choose_precision(training.precision, run.processes.device)
    start = time.perf_counter()
    write_map_image(scratch / "maps", 1, run.state.validated_model, batch, targets, loss.weights, precision=precision)
    drawing = time.perf_counter() - start
    image = sum(path.stat().st_size for path in (scratch / "maps").iterdir())
    weights = (scratch / "weights").stat().st_size
    images = training.steps // training.pictures_every
    saves = _due(run, training.save_every)
    if len(run.validation):
        saves |= _due(run, training.validate_every)
    name = f"checkpoints ({len(saves)})" + (f" and images of maps ({images})" if images else "")
    seconds = {name: len(saves) * saving + images * drawing}
    return seconds, (scratch / CHECKPOINT).stat().st_size + (2 + len(training.snapshots)) * weights + images * image


def _steepest(rates: list[float], losses: list[float]) -> float | None:
    """The rate at which the smoothed loss falls fastest per decade."""
    if len(rates) < 3:
        return None
    slopes = np.gradient(np.array(losses), np.log10(rates))
    steepest = int(slopes.argmin())
    return rates[steepest] if slopes[steepest] < 0 else None


def _write_curve(curve: LearningRateCurve, out: Path, configured: float) -> None:
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    content = {"rates": curve.rates, "losses": curve.losses, "suggestion": curve.suggestion}
    write_atomic(out / "learning_rate.json", json.dumps(content, indent=1) + "\n")
    figure = Figure(figsize=(7.0, 4.0), dpi=150, layout="constrained")
    axis = figure.subplots()
    axis.plot(curve.rates, curve.losses, color="#3564d9")
    marks = ((curve.suggestion, "steepest", "#2a9d6f"), (configured, "configured", "#6b7280"))
    for rate, name, colour in marks:
        if rate is not None:
            axis.axvline(rate, color=colour, linestyle="--", label=f"{name}: {rate:.1e}")
    axis.set_xscale("log")
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss, smoothed")
    axis.legend()
    axis.grid(alpha=0.25)
    figure.savefig(out / "learning_rate.png")
