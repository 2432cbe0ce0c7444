"""Labels the training words again with the moving average every so many steps, and puts the labels into effect later.

Labels made at one step are used from a fixed later step on, however long they took, so that runs repeat; they are in a
file before any checkpoint that needs them, so that runs resume bit for bit.
"""

import copy
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from craft.config import Config
from craft.datasets.reading import WeightedScenes
from craft.distributed.processes import Processes, gather_objects, share_buffers
from craft.models.device import choose_precision
from craft.models.weights import weights_digest
from craft.scene import Scene
from craft.targets.characters import with_characters
from craft.teacher.label_files import LabelCounts, Origin, origin_of, read_labels, write_labels
from craft.teacher.labeller import label_scenes

_SCENES_REHEARSED = 32  # labelled, to estimate the time of all

_Share = list[tuple[list[Scene], LabelCounts]]  # this process's scenes of every dataset, labelled


@dataclass(slots=True)
class _Labels:
    """Labels made at a step: in the making, or finished and in files."""

    step: int
    digest: str = ""
    share: Future[_Share] | None = None
    datasets: list[WeightedScenes] | None = None
    origins: tuple[Origin, ...] = ()


class Relabeller:
    """The training datasets with the characters in effect, `datasets`, and the labels that will replace them."""

    def __init__(
        self,
        config: Config,
        datasets: Sequence[WeightedScenes],
        folder: Path,
        processes: Processes,
        *,
        unreadable: Callable[[str], None] | None = None,
    ) -> None:
        """Start with the datasets as read: words are split evenly until the first labels take effect.

        Label files go to labels/ in the run folder. ValueError if the settings let no teacher ever label. `unreadable` as
        for `label_scenes`.
        """
        self._unreadable = unreadable
        self.datasets = list(datasets)
        self._characters = config.data.characters
        self._starts_taught = config.weights is not None
        if not self._starts_taught and not self._characters.refresh:
            raise ValueError(
                "data.characters.refresh: 0 keeps the labels of the run's first weights, but there are none; set "
                "weights, or set refresh to a number of steps"
            )
        self._as_read = [dataset.as_read for dataset in datasets]
        self._folder = folder / "labels"
        self._processes = processes
        self._precision = config.training.precision
        self._device = _spare_device(processes, loader_workers=config.data.workers)
        self._workers = max(1, min(8, _num_cores() // 2))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="teacher") if self._device is not None else None
        self._pending: _Labels | None = None
        self._saved_step = 0
        self._last_step = config.training.steps

    def resume(self, step: int) -> None:
        """Read the labels that the run had at a step; ValueError if their files are missing or of other scenes."""
        in_effect = self._in_effect(step - 1)
        if step > 0 and in_effect is not None:
            self.datasets = self._read_files(in_effect).datasets or self.datasets
        last = self._last_made(step - 1)
        if step > 0 and last is not None and self._effective(last) >= step:
            self._pending = self._read_files(last)
        self._saved_step = step

    def acts_at(self, step: int) -> bool:
        """Whether `advance` has something to do when this many steps are done."""
        due = self._pending is not None and self._effective(self._pending.step) == step
        return due or self._is_made_at(step)

    def advance(self, step: int, teacher: nn.Module, *, log: Callable[[str, int, dict[str, Any]], None]) -> bool:
        """Put due labels into effect, and begin labelling with a copy of the moving average when it is time.

        Every process calls it. `log` is told of labels under the first step that is trained with them. True where
        `datasets` has changed, so that loading must restart.
        """
        changed = self._put_into_effect(step, log)
        if self._is_made_at(step):
            self._begin(step, teacher)
            changed = self._put_into_effect(step, log) or changed
        return changed

    @property
    def labels_beside(self) -> bool:
        """Whether labels are made again while training goes on."""
        return self._pool is not None and 0 < self._characters.refresh < self._last_step

    def rehearse(self, teacher: nn.Module) -> tuple[int, float]:
        """Label a few scenes: how often a run waits for labels, and about how many seconds each time."""
        copied = copy.deepcopy(teacher).eval().requires_grad_(False)
        count = sum(map(len, self._as_read))
        every = -(-count // _SCENES_REHEARSED)
        self._label_share(copied, self._processes.device, every=count)  # compiles kernels
        start = time.perf_counter()
        self._label_share(copied, self._processes.device, every=every)
        seconds = (time.perf_counter() - start) * every
        made_at = (step for step in range(self._last_step) if self._is_made_at(step))
        return sum(self._pool is None or self._effective(step) == step for step in made_at), seconds

    def settle(self, step: int) -> None:
        """Write pending labels and remove unused ones, before a checkpoint at `step`. Every process calls it."""
        if self._pending is not None:
            self._finish(self._pending)
        needed = self._in_effect(self._saved_step - 1)  # by the last checkpoint and later ones
        if self._processes.writes and needed is not None:
            for path in self._folder.glob("step_*_set_*.jsonl"):
                if int(path.name.split("_")[1]) < needed:
                    path.unlink()
        self._saved_step = step

    def _is_made_at(self, step: int) -> bool:
        refresh = self._characters.refresh
        if step == 0:
            return self._starts_taught
        return bool(refresh and step % refresh == 0) and self._effective(step) < self._last_step

    def _effective(self, made_at: int) -> int:
        """Steps done when labels take effect; those of the first weights at once, since nothing is trained yet."""
        return made_at + self._characters.delay if made_at else 0

    def _last_made(self, step: int) -> int | None:
        """When the last labels were made, at a step or before; None for none."""
        refresh = self._characters.refresh
        if refresh and step >= refresh:
            return step // refresh * refresh
        return 0 if self._starts_taught and step >= 0 else None

    def _in_effect(self, step: int) -> int | None:
        """When the labels were made with which the step after `step` is trained; None for even splits."""
        made_at = self._last_made(step)
        while made_at is not None and self._effective(made_at) > step:
            made_at = self._last_made(made_at - 1)
        return made_at

    def _begin(self, step: int, teacher: nn.Module) -> None:
        """Copy the teacher, and label beside training where there is a spare device, else now."""
        copied = copy.deepcopy(teacher).eval().requires_grad_(False)
        share_buffers(copied, self._processes)
        self._pending = _Labels(step, weights_digest(copied))
        if self._pool is not None and self._effective(step) > step:
            assert self._device is not None
            self._pending.share = self._pool.submit(self._label_share, copied.to(self._device), self._device)
        else:
            self._pending.share = Future()
            self._pending.share.set_result(self._label_share(copied, self._processes.device))

    def _label_share(self, teacher: nn.Module, device: torch.device, *, every: int = 1) -> _Share:
        """Label this process's scenes of every dataset, or one of every so many."""
        rank, world_size = self._processes.rank, self._processes.world_size
        return [
            label_scenes(
                teacher,
                scenes[rank :: world_size * every],
                device=device,
                precision=choose_precision(self._precision, device),
                splitter=self._characters.splitter,
                height=self._characters.height,
                workers=self._workers,
                progress=self._processes.writes and self._pool is None,
                unreadable=self._unreadable,
            )
            for scenes in self._as_read
        ]

    def _finish(self, labels: _Labels) -> None:
        """Gather the labels of all processes and write them, once."""
        if labels.datasets is not None:
            return
        assert labels.share is not None
        shares = gather_objects(labels.share.result(), self._processes)
        splitter, height = self._characters.splitter, self._characters.height
        labels.datasets, origins = [], []
        for index, (dataset, scenes) in enumerate(zip(self.datasets, self._as_read, strict=True)):
            parts = [share[index][0] for share in shares]
            labelled = [parts[number % len(parts)][number // len(parts)] for number in range(len(scenes))]
            counts = _merge_counts([share[index][1] for share in shares])
            origin = origin_of(f"step {labels.step}", labels.digest, counts, splitter=splitter, height=height)
            origins.append(origin)
            labels.datasets.append(_with_labels(dataset, labelled))
            if self._processes.writes:
                self._folder.mkdir(exist_ok=True)
                write_labels(self._path(labels.step, index), scenes, labelled, origin)
        labels.origins, labels.share = tuple(origins), None

    def _put_into_effect(self, step: int, log: Callable[[str, int, dict[str, Any]], None]) -> bool:
        labels = self._pending
        if labels is None or self._effective(labels.step) != step:
            return False
        start = time.perf_counter()
        self._finish(labels)
        assert labels.datasets is not None
        self.datasets, self._pending = labels.datasets, None
        words = sum(origin.words for origin in labels.origins)
        means = {
            name: round(sum(getattr(origin, name) * origin.words for origin in labels.origins) / max(1, words), 4)
            for name in ("mean_confidence", "share_under_half")
        }
        seconds = {
            "seconds": round(sum(origin.seconds for origin in labels.origins), 3),
            "seconds_waited": round(time.perf_counter() - start, 3),
        }
        log("labels", step + 1, {"made_at": labels.step, "words": words, **means, **seconds})
        return True

    def _read_files(self, made_at: int) -> _Labels:
        datasets, origins = [], []
        for index, dataset in enumerate(self.datasets):
            labelled, origin = read_labels(self._path(made_at, index), dataset.as_read)
            datasets.append(_with_labels(dataset, labelled))
            origins.append(origin)
        return _Labels(made_at, origins[0].weights_digest, datasets=datasets, origins=tuple(origins))

    def _path(self, made_at: int, index: int) -> Path:
        return self._folder / f"step_{made_at:06d}_set_{index}.jsonl"


def _with_labels(dataset: WeightedScenes, labelled: Sequence[Scene]) -> WeightedScenes:
    if not dataset.as_read:  # rendered, with exact characters
        return dataset
    return replace(dataset, scenes=tuple(with_characters(scene) for scene in labelled))


def _merge_counts(counts: Sequence[LabelCounts]) -> LabelCounts:
    """Merge the counts of processes that worked at the same time."""
    return LabelCounts(
        words=sum(part.words for part in counts),
        confidence_sum=sum(part.confidence_sum for part in counts),
        under_half=sum(part.under_half for part in counts),
        seconds=max(part.seconds for part in counts),
    )


def _spare_device(processes: Processes, *, loader_workers: int) -> torch.device | None:
    """A device to label on beside training: a GPU that no process trains on, or spare cores; None where neither is."""
    num_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes.device.type == "cuda":
        index = (processes.device.index or 0) + num_local
        return torch.device("cuda", index) if index < torch.cuda.device_count() else None
    busy = num_local * (torch.get_num_threads() + loader_workers)
    return processes.device if processes.device.type == "cpu" and _num_cores() > busy else None


def _num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
