"""The training loop: load, forward, loss, backward, finite check, step, log, evaluate, save."""

import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from craft.atomic_files import write_atomic
from craft.config import Config
from craft.datasets.batch import Batch
from craft.datasets.loader import LOST_WORKER, has_lost_worker
from craft.detection.detector import Detector
from craft.distributed.processes import (
    any_process,
    gather_objects,
    share_buffers,
    start_processes,
    stop_processes,
    wait_for_all,
)
from craft.models.device import choose_precision
from craft.models.inference import evaluation_mode
from craft.ohem.loss import PixelLoss
from craft.targets.heatmaps import Targets
from craft.training.batch import CHARACTERS, batch_digest
from craft.training.checkpoint import CHECKPOINT, PREVIOUS_CHECKPOINT
from craft.training.preview import write_found_words, write_map_image
from craft.training.progress import RunProgress
from craft.training.report import FOUND, write_report
from craft.training.run import Run, start_run, training_batches
from craft.training.run_log import read_metrics
from craft.training.schedule import learning_rate_at
from craft.training.signals import stop_on_signals
from craft.training.state import save_snapshot, save_state, save_weights
from craft.training.step import OUT_OF_MEMORY, out_of_memory_advice, train_step
from craft.training.validation import validate


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """How a run ended."""

    step: int  # optimizer steps done
    finished: bool  # False where a signal ended the run, after a checkpoint was saved; True where its patience ran out
    best_hmean: float  # best H-mean validated; -1 where nothing was validated
    writes: bool  # True in the one process that writes files and messages
    signal: int = 0  # the number of the signal that ended the run early; 0 where none did


def train(config: Config, folder: Path, *, resume: bool = False) -> TrainOutcome:
    """Train a network as the settings say and write everything about the run to a folder.

    Args:
        config: the settings.
        folder: run folder: config.yaml, environment.jsonl, metrics.jsonl, maps/, last.pt, best.safetensors, scores.json.
        resume: continue the run in the folder from its last checkpoint; on the CPU the result is bit-identical.

    Raises:
        ValueError: settings, scenes or weights that cannot be used.
        FloatingPointError: the loss was not finite; the batch was saved.
        MemoryError: the device's memory does not hold a batch; the message has smaller ones for the same steps.
    """
    processes = start_processes(config.training.device)
    try:
        with stop_on_signals() as signals:
            return _train(start_run(config, folder, processes, resume=resume), signals)
    except OUT_OF_MEMORY as error:
        raise MemoryError(out_of_memory_advice(config, processes.device)) from error
    except RuntimeError as error:
        if has_lost_worker(error):
            raise ValueError(LOST_WORKER) from error
        raise
    finally:
        stop_processes(processes)


def _train(run: Run, signals: list[int]) -> TrainOutcome:
    config, state, processes = run.config, run.state, run.processes
    steps = config.training.steps
    every = config.training.validate_every if run.validation else None
    with run.meter.paused():
        _validate_if_missed(run)
    progress = RunProgress(steps=steps, done=state.step, validate_every=every, shown=processes.writes)
    stopped = False
    while not (run.is_over or stopped):
        rate = learning_rate_at(state.step, steps=steps, settings=config.optimizer)
        with run.meter.paused():
            _relabel(run)
            _bootstrap(run)
        batch, targets, loss = train_step(
            config, state, run.batches, processes, run.meter, run.watch, rate, run.regions
        )
        progress.update()
        if run.is_due(config.training.log_every):
            progress.set_postfix(loss=f"{_log(run, rate):.4f}", refresh=False)
        # Processes agree on stopping only now and then, since asking each other makes the devices wait.
        if processes.world_size == 1 or state.step % config.training.log_every == 0:
            stopped = any_process(bool(signals), processes)
        with run.meter.paused():
            if processes.writes:
                _record(run, batch, targets, loss)
            validates = bool(run.validation) and run.is_due(config.training.validate_every)
            # Saved first: a validation that dies loses no step, and a resumed run validates before it goes on.
            if stopped or validates or run.is_due(config.training.save_every):
                _save_checkpoint(run)
            if validates and (not stopped or state.step == steps):
                with progress.validating():
                    _evaluate(run)
    progress.close()
    return _finish(run, signals)


def _relabel(run: Run) -> None:
    """Let the teacher label the training words, or put its labels into effect, when it is time."""
    relabeller, state = run.relabeller, run.state
    if relabeller is None or not relabeller.acts_at(state.step):
        return
    if relabeller.advance(state.step, state.validated_model, log=run.log.write):
        run.batches = run.unreadable.watch(training_batches(run.config, relabeller.datasets, state, run.processes))
        if run.regions is not None:
            run.regions.datasets = relabeller.datasets


def _bootstrap(run: Run) -> None:
    """Collect false positives for the region head's bootstrapping when it is time."""
    if run.regions is not None and run.regions.collects_before(run.state.step):
        run.log.write("bootstrap", run.state.step, run.regions.collect(run.state.model, run.state.step))


def _log(run: Run, rate: float) -> float:
    """Write the means since the last line; gives the mean loss."""
    means = run.meter.read()
    values: dict[str, float | None] = {**means, "learning_rate": rate}
    if run.regions is not None:
        values |= run.regions.meter.read()
    run.log.write("train", run.state.step, values)
    return means["loss"]


def _record(run: Run, batch: Batch, targets: Targets, loss: PixelLoss) -> None:
    """Write digests of the first and last batch, snapshots, and images of maps and RoIs, when they are due."""
    config, state = run.config, run.state
    if state.step in (1, config.training.steps):
        digests = {"digest": batch_digest(batch), "words": batch_digest(batch, leave_out=CHARACTERS)}
        run.log.write("batch", state.step, {**digests, "scenes": batch.names})
    if state.step in config.training.snapshots:
        save_snapshot(state, run.folder, config)
    if state.step % config.training.pictures_every == 0:
        precision = choose_precision(config.training.precision, run.processes.device)
        model, maps = state.validated_model, run.folder / "maps"
        write_map_image(maps, state.step, model, batch, targets, loss.weights, precision=precision)
        if run.regions is not None:
            run.regions.write_figure(state.model, state.step)


def _evaluate(run: Run) -> None:
    """Score the validated model; the best so far is kept as best.safetensors."""
    state, processes = run.state, run.processes
    run.watch.check(wait=True)
    start = time.perf_counter()
    share_buffers(state.validated_model, processes)
    unreadable = run.unreadable.add if run.config.data.on_error == "skip" else None
    scores = validate(
        state.validated_model, run.validation, run.config.detection, processes=processes, unreadable=unreadable
    )
    values = {
        "precision": scores.precision,
        "recall": scores.recall,
        "hmean": scores.hmean,
        "average_precision": scores.average_precision,
        "scenes": len(run.validation),
        "seconds": round(time.perf_counter() - start, 3),
    }
    if processes.writes:
        tqdm.write(
            f"step {state.step}: precision {scores.precision:.3f}, recall {scores.recall:.3f}, H-mean {scores.hmean:.3f}"
        )
    if scores.hmean > state.best_hmean:
        state.best_hmean, state.stale = scores.hmean, 0
        if processes.writes:
            save_weights(state, run.folder / "best.safetensors", run.config)
            best = json.dumps({"step": state.step, **values}, indent=2)
            write_atomic(run.folder / "scores.json", best + "\n")
    else:
        state.stale += 1
    # Last: a run that dies before this line validates again when it is resumed.
    run.log.write("validation", state.step, values)
    if processes.writes:
        with evaluation_mode(state.validated_model):
            detector = Detector(state.validated_model, run.config.detection, device=str(processes.device))
            write_found_words(run.folder / FOUND, state.step, detector, run.validation)
        write_report(run.folder)


def _validate_if_missed(run: Run) -> None:
    """Take up what the log says of validations, and make up for one that died after its step was saved."""
    state, best, stale, missed = run.state, -1.0, 0, False
    if run.processes.writes and run.validation and state.step > 0:
        lines = read_metrics(run.folder / "metrics.jsonl", kind="validation")
        hmeans = [float(line["hmean"]) for line in lines]
        best = max(hmeans, default=-1.0)
        stale = hmeans[::-1].index(best) if hmeans else 0
        missed = run.is_due(run.config.training.validate_every) and all(line["step"] != state.step for line in lines)
    best, state.stale, missed = gather_objects((best, stale, missed), run.processes)[0]
    state.best_hmean = max(state.best_hmean, best)
    if missed:
        _evaluate(run)


def _save_checkpoint(run: Run) -> None:
    run.watch.check(wait=True)
    if run.relabeller is not None:
        run.relabeller.settle(run.state.step)
    if run.processes.writes:
        save_state(run.state, run.folder / CHECKPOINT, run.config)


def _finish(run: Run, signals: list[int]) -> TrainOutcome:
    run.log.close()
    if summary := run.unreadable.summary():
        tqdm.write(summary)
    finished = run.is_over
    if finished and run.processes.writes and run.state.step < run.config.training.steps:
        tqdm.write(
            f"stopped early: no better H-mean in {run.state.stale} validations; best.safetensors is the best, "
            "last.safetensors the last"
        )
    if run.processes.writes and finished:
        save_weights(run.state, run.folder / "last.safetensors", run.config)
        if not run.validation:
            save_weights(run.state, run.folder / "best.safetensors", run.config)
        (run.folder / PREVIOUS_CHECKPOINT).unlink(missing_ok=True)
    wait_for_all(run.processes)
    ended_by = 0 if finished else (signals[0] if signals else int(signal.SIGTERM))  # of another process, perhaps
    return TrainOutcome(run.state.step, finished, run.state.best_hmean, run.processes.writes, ended_by)
