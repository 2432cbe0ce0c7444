"""A run from its settings: what is read and built before the first step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from craft.config import Config
from craft.datasets.batch import Batch
from craft.datasets.loader import build_loader
from craft.datasets.reading import WeightedScenes
from craft.distributed.processes import Processes, wait_for_all
from craft.models.weights import weights_digest
from craft.region.training import RegionTraining
from craft.scene import Scene
from craft.teacher.relabeller import Relabeller
from craft.training.checkpoint import CHECKPOINT
from craft.training.datasets import UnreadableImages, read_training_datasets, read_validation_scenes
from craft.training.finite_check import FiniteWatch
from craft.training.meter import IntervalMeter
from craft.training.run_folder import check_run_folder, open_run_folder
from craft.training.run_log import RunLog, check_loggers
from craft.training.state import RunState, build_state, restore_state


@dataclass(slots=True)
class Run:
    """What the loop works with."""

    config: Config
    folder: Path
    processes: Processes
    state: RunState
    validation: Sequence[Scene]
    batches: Iterator[Batch]
    relabeller: Relabeller | None
    regions: RegionTraining | None
    log: RunLog
    meter: IntervalMeter
    watch: FiniteWatch
    unreadable: UnreadableImages

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or patience has run out."""
        training = self.config.training
        return self.state.step >= training.steps or 0 < training.patience <= self.state.stale

    def is_due(self, every: int) -> bool:
        """Whether the step just done is the last or a multiple of `every`."""
        return self.state.step % every == 0 or self.state.step == self.config.training.steps


def start_run(config: Config, folder: Path, processes: Processes, *, resume: bool) -> Run:
    """Read and build everything that a run needs, and open its folder; raises as `train`."""
    echo: Callable[[str], None] = tqdm.write if processes.writes else (lambda _message: None)
    continues = check_run_folder(folder, config, resume=resume, processes=processes.world_size)
    check_loggers(config.training.all_loggers)
    datasets = read_training_datasets(config.data, echo=echo)
    validation = read_validation_scenes(config.data, echo=echo)
    state = build_state(config, processes, echo=echo)
    if continues:
        restore_state(state, folder / CHECKPOINT, processes)
        echo(f"{folder}: continues after step {state.step}")
    if processes.writes:  # only now that everything could be read: what fails before leaves no run folder behind
        open_run_folder(folder, config, resume=resume, device=processes.device, processes=processes.world_size)
    wait_for_all(processes)
    after_step = state.step if continues else -1
    log = RunLog(folder, writes=processes.writes, after_step=after_step, loggers=config.training.all_loggers)
    unreadable = UnreadableImages(tqdm.write)
    relabeller = None
    if config.data.characters.source == "teacher":
        skipped = unreadable.add if config.data.on_error == "skip" else None
        relabeller = Relabeller(config, datasets, folder, processes, unreadable=skipped)
        relabeller.resume(state.step)
        datasets = relabeller.datasets
    batches = unreadable.watch(training_batches(config, datasets, state, processes))
    meter, watch = IntervalMeter(processes), FiniteWatch(folder, processes.device)
    regions = RegionTraining(config, state.model, datasets, folder, processes) if config.region.enabled else None
    if regions is not None:
        regions.resume(state.step)
    if not continues and processes.writes:
        # Without the region path: runs with and without one start from the same maps.
        log.write("start", 0, {"weights": weights_digest(state.model, leave_out="region.")})
    return Run(
        config, folder, processes, state, validation, batches, relabeller, regions, log, meter, watch, unreadable
    )


def training_batches(
    config: Config, datasets: Sequence[WeightedScenes], state: RunState, processes: Processes
) -> Iterator[Batch]:
    """Start loading this process's batches, without end, from the step that the run has reached."""
    global_batch = config.training.batch_size * processes.world_size
    return iter(
        build_loader(
            [(dataset.scenes, dataset.weight) for dataset in datasets],
            seed=config.training.seed,
            crop_size=config.data.crop_size,
            augment=config.augment,
            batch_size=config.training.batch_size,
            workers=config.data.workers,
            start_position=state.step * config.optimizer.accumulate * global_batch,
            world_size=processes.world_size,
            rank=processes.rank,
            cache_bytes=config.data.cache_mebibytes << 20,
            on_error=config.data.on_error,
        )
    )
