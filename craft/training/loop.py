"""The training loop: load, forward, loss, backward, finite check, step, log, evaluate, save."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from craft.config import Config
from craft.datasets.batch import Batch
from craft.datasets.collection import WeightedScenes
from craft.datasets.loader import build_loader
from craft.distributed.processes import (
    Processes,
    any_process,
    share_buffers,
    start_processes,
    stop_processes,
    wait_for_all,
)
from craft.models.digest import weights_digest
from craft.models.weights import save_safetensors
from craft.region.training import RegionTraining
from craft.scene import Scene
from craft.teacher.relabeller import Relabeller
from craft.training.batch import CHARACTERS, batch_digest
from craft.training.datasets import read_training_sets, read_validation_scenes
from craft.training.finite_check import FiniteWatch
from craft.training.meter import IntervalMeter
from craft.training.preview import write_map_pictures
from craft.training.run_folder import open_run_folder
from craft.training.run_log import RunLog
from craft.training.schedule import learning_rate_at
from craft.training.signals import stop_on_signals
from craft.training.state import RunState, build_state, network_metadata, restore_state, save_snapshot, save_state
from craft.training.step import train_step
from craft.training.validation import validate


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """How a run ended.

    Attributes:
        step: optimizer steps done.
        finished: False where a signal ended the run early; what was done is saved.
        best_hmean: best H-mean validated; -1 where nothing was validated.
        writes: True in the one process that speaks and writes.
    """

    step: int
    finished: bool
    best_hmean: float
    writes: bool


def train(config: Config, folder: Path, *, resume: bool = False) -> TrainOutcome:
    """Train a network as the settings say and leave everything about it in a folder.

    Args:
        config: the settings.
        folder: run folder: config.yaml, environment.jsonl, metrics.jsonl, maps/, last.pt, best.safetensors, scores.json.
        resume: continue the run in the folder from its last checkpoint, bit for bit on the CPU.

    Returns:
        How the run ended.

    Raises:
        ValueError: settings, scenes or weights that cannot be used.
        FloatingPointError: the loss was not finite; the batch was saved.
    """
    processes = start_processes(config.training.device)
    try:
        with stop_on_signals() as stop:
            return _train(config, folder, processes, stop, resume=resume)
    finally:
        stop_processes(processes)


def _train(config: Config, folder: Path, processes: Processes, stop: list[int], *, resume: bool) -> TrainOutcome:
    say: Callable[[str], None] = tqdm.write if processes.writes else (lambda _message: None)
    settings = config.training
    continues = resume and (folder / "last.pt").exists()
    if processes.writes:
        open_run_folder(folder, config, resume=resume, device=processes.device, processes=processes.world_size)
    wait_for_all(processes)

    sets = read_training_sets(config.data, say=say)
    validation = read_validation_scenes(config.data, say=say)
    state = build_state(config, processes, say=say)
    if continues:
        restore_state(state, folder / "last.pt", processes)
        say(f"{folder}: continues after step {state.step}")
    log = RunLog(folder, writes=processes.writes, after_step=state.step, tensorboard=settings.tensorboard)
    teaching = Relabeller(config, sets, folder, processes) if config.data.characters.source == "teacher" else None
    if teaching is not None:
        teaching.resume(state.step)
        sets = teaching.datasets
    batches = training_batches(config, sets, state, processes)
    meter, watch = IntervalMeter(processes), FiniteWatch(folder, processes.device)
    regions = RegionTraining(config, state.model, sets, folder, processes) if config.region.enabled else None
    if regions is not None:
        regions.resume(state.step)
    progress = tqdm(total=settings.steps, initial=state.step, desc="train", disable=not processes.writes)
    if state.step == 0 and processes.writes:
        # A region path is left out: runs with and without one start from the same maps.
        log.write("start", 0, {"weights": weights_digest(state.model, leave_out="region.")})

    stopped = False
    while state.step < settings.steps and not stopped:
        rate = learning_rate_at(state.step, steps=settings.steps, settings=config.optimizer)
        if teaching is not None and teaching.acts_at(state.step):
            pause = time.perf_counter()
            if teaching.advance(state.step, state.validated_model, log=log.write):
                batches = training_batches(config, teaching.datasets, state, processes)
            meter.skip(time.perf_counter() - pause)
        if regions is not None and regions.collects_before(state.step):
            pause = time.perf_counter()
            log.write("bootstrap", state.step, regions.collect(state.model, state.step))
            meter.skip(time.perf_counter() - pause)
        batch, targets, loss = train_step(config, state, batches, processes, meter, watch, rate, regions)
        progress.update()

        if state.step % settings.log_every == 0 or state.step == settings.steps:
            values: dict[str, float | None] = {**meter.read(), "learning_rate": rate}
            if regions is not None:
                values |= regions.meter.read()
            log.write("train", state.step, values)
            progress.set_postfix(loss=f"{values['loss']:.4f}", refresh=False)
        # Processes agree on stopping only now and then, since asking each other makes the devices wait.
        if processes.world_size == 1 or state.step % settings.log_every == 0:
            stopped = any_process(bool(stop), processes)

        pause = time.perf_counter()
        if state.step in (1, settings.steps) and processes.writes:
            digests = {"digest": batch_digest(batch), "words": batch_digest(batch, leave_out=CHARACTERS)}
            log.write("batch", state.step, {**digests, "scenes": batch.names})
        if state.step in settings.snapshots and processes.writes:
            save_snapshot(state, folder, config)
        if state.step % settings.pictures_every == 0 and processes.writes:
            write_map_pictures(folder / "maps", state.step, state.validated_model, batch, targets, loss.weights)
            if regions is not None:
                regions.write_figure(state.model, state.step)
        if validation and (state.step % settings.validate_every == 0 or state.step == settings.steps):
            watch.check(wait=True)
            _evaluate(config, state, validation, folder, processes, log)
        if state.step % settings.save_every == 0 or state.step == settings.steps or stopped:
            watch.check(wait=True)
            if teaching is not None:
                teaching.settle(state.step)
            if processes.writes:
                save_state(state, folder / "last.pt", config)
        meter.skip(time.perf_counter() - pause)

    progress.close()
    log.close()
    finished = state.step >= settings.steps
    if processes.writes and finished:
        _save_weights(state, folder / "last.safetensors", config)
        if not validation:
            _save_weights(state, folder / "best.safetensors", config)
    wait_for_all(processes)
    return TrainOutcome(step=state.step, finished=finished, best_hmean=state.best_hmean, writes=processes.writes)


def _evaluate(
    config: Config, state: RunState, scenes: Sequence[Scene], folder: Path, processes: Processes, log: RunLog
) -> None:
    """Score the validated model; the best so far is kept as best.safetensors."""
    start = time.perf_counter()
    share_buffers(state.validated_model, processes)
    scores = validate(state.validated_model, scenes, config.detection, processes=processes)
    values = {
        "precision": scores.precision,
        "recall": scores.recall,
        "hmean": scores.hmean,
        "average_precision": scores.average_precision,
        "scenes": len(scenes),
        "seconds": round(time.perf_counter() - start, 3),
    }
    log.write("validation", state.step, values)
    if processes.writes:
        tqdm.write(
            f"step {state.step}: precision {scores.precision:.3f}, recall {scores.recall:.3f}, H-mean {scores.hmean:.3f}"
        )
    if scores.hmean > state.best_hmean:
        state.best_hmean = scores.hmean
        if processes.writes:
            _save_weights(state, folder / "best.safetensors", config)
            best = json.dumps({"step": state.step, **values}, indent=2)
            (folder / "scores.json").write_text(best + "\n", encoding="utf-8")


def _save_weights(state: RunState, path: Path, config: Config) -> None:
    detection = config.detection.model_dump(mode="json")
    metadata = {"step": state.step, **network_metadata(config), "detection": detection}
    save_safetensors(state.validated_model, path, metadata)


def training_batches(
    config: Config, sets: Sequence[WeightedScenes], state: RunState, processes: Processes
) -> Iterator[Batch]:
    """Start loading this process's batches from where the run stands.

    Args:
        config: the run's settings.
        sets: the training sets.
        state: of the run; its step says where.
        processes: this process's place.

    Returns:
        The batches, without end.
    """
    global_batch = config.training.batch_size * processes.world_size
    return iter(
        build_loader(
            [(one.scenes, one.weight) for one in sets],
            seed=config.training.seed,
            crop_size=config.data.crop_size,
            augment=config.augment,
            batch_size=config.training.batch_size,
            workers=config.data.workers,
            start_position=state.step * config.optimizer.accumulate * global_batch,
            world_size=processes.world_size,
            rank=processes.rank,
            cache_bytes=config.data.cache_mebibytes << 20,
        )
    )
