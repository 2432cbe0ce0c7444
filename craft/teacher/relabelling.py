"""Labels the training words anew with the moving average, every so many steps, and says when the labels take effect.

A labelling made at one step is used from a fixed later step on, however long it took, so that runs repeat; it is in a
file before any checkpoint that needs it, so that they resume bit for bit.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from craft.config import Config
from craft.datasets.collection import WeightedScenes
from craft.distributed.processes import Processes, gather_objects, share_buffers
from craft.models.device import choose_precision
from craft.models.digest import weights_digest
from craft.scene import Scene
from craft.targets.characters import with_characters
from craft.teacher.label_files import Origin, origin_of, read_labels, write_labels
from craft.teacher.labelling import LabelCounts, label_scenes

_Share = list[tuple[list[Scene], LabelCounts]]  # this process's scenes of every set, labelled


@dataclass(slots=True)
class _Labelling:
    """Labels on their way: made at a step, perhaps not done, or done and in files."""

    step: int
    digest: str = ""
    share: Future[_Share] | None = None
    sets: list[WeightedScenes] | None = None
    origins: tuple[Origin, ...] = ()


class Relabelling:
    """The training sets with the characters that are in effect, and those that will be.

    Attributes:
        sets: what to train on now.
    """

    def __init__(self, config: Config, sets: Sequence[WeightedScenes], folder: Path, processes: Processes) -> None:
        """Take the place of the sets as read, with even splits until the first labels take effect.

        Args:
            config: the run's settings.
            sets: as read, in every process the same.
            folder: the run folder; label files go to labels/ in it.
            processes: this process's place.

        Raises:
            ValueError: the settings let no teacher ever label.
        """
        self.sets = list(sets)
        self._characters = config.data.characters
        self._starts_taught = config.weights is not None
        if not self._starts_taught and not self._characters.refresh:
            raise ValueError(
                "data.characters.refresh: 0 keeps the labels of the run's first weights, but there are none; set "
                "weights, or refresh to a number of steps"
            )
        self._as_read = [one.as_read for one in sets]
        self._folder = folder / "labels"
        self._processes = processes
        self._precision = config.training.precision
        self._device = _spare_device(processes, loader_workers=config.data.workers)
        self._workers = max(1, min(8, _num_cores() // 2))
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="teacher") if self._device is not None else None
        self._pending: _Labelling | None = None
        self._saved_step = 0
        self._last_step = config.training.steps

    def resume(self, step: int) -> None:
        """Take up the labels that a run had at a step, from its files.

        Args:
            step: optimizer steps done; 0 does nothing.

        Raises:
            ValueError: the files are missing or of other scenes.
        """
        in_effect = self._in_effect(step - 1)
        if step > 0 and in_effect is not None:
            self.sets = self._from_files(in_effect).sets or self.sets
        last = self._last_made(step - 1)
        if step > 0 and last is not None and self._effective(last) >= step:
            self._pending = self._from_files(last)
        self._saved_step = step

    def acts_at(self, step: int) -> bool:
        """Whether `advance` has something to do when this many steps are done."""
        due = self._pending is not None and self._effective(self._pending.step) == step
        return due or self._is_made_at(step)

    def advance(self, step: int, teacher: nn.Module, *, log: Callable[[str, int, dict[str, Any]], None]) -> bool:
        """Put labels into effect that are due, and begin a labelling that is. Every process calls it.

        Args:
            step: optimizer steps done.
            teacher: the moving average, which is copied.
            log: told of labels that take effect, under the first step that is trained with them.

        Returns:
            True where `sets` has changed, so that loading has to begin anew.
        """
        changed = self._put_into_effect(step, log)
        if self._is_made_at(step):
            self._begin(step, teacher)
            changed = self._put_into_effect(step, log) or changed
        return changed

    def settle(self, step: int) -> None:
        """Wait for labels on their way and write them, before a checkpoint is. Every process calls it.

        Args:
            step: optimizer steps done, at which the checkpoint is written.
        """
        if self._pending is not None:
            self._finish(self._pending)
        if self._processes.writes:
            self._remove_unused()
        self._saved_step = step

    def _is_made_at(self, step: int) -> bool:
        refresh = self._characters.refresh
        if step == 0:
            return self._starts_taught
        return bool(refresh and step % refresh == 0) and self._effective(step) < self._last_step

    def _effective(self, made_at: int) -> int:
        """Steps done when labels take effect; the first weights' at once, since nothing is trained yet."""
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
        """Copy the teacher, and label beside training where there is something to do it on, else now."""
        copied = copy.deepcopy(teacher).eval().requires_grad_(False)
        share_buffers(copied, self._processes)
        self._pending = _Labelling(step, weights_digest(copied))
        if self._pool is not None and self._effective(step) > step:
            assert self._device is not None
            self._pending.share = self._pool.submit(self._label_share, copied.to(self._device), self._device)
        else:
            self._pending.share = Future()
            self._pending.share.set_result(self._label_share(copied, self._processes.device))

    def _label_share(self, teacher: nn.Module, device: torch.device) -> _Share:
        """Label this process's scenes of every set."""
        rank, world_size = self._processes.rank, self._processes.world_size
        label = partial(
            label_scenes,
            teacher,
            device=device,
            precision=choose_precision(self._precision, device),
            splitter=self._characters.splitter,
            height=self._characters.height,
            workers=self._workers,
            progress=self._processes.writes and self._pool is None,
        )
        return [label(scenes[rank::world_size]) for scenes in self._as_read]

    def _finish(self, labelling: _Labelling) -> None:
        """Bring the labels of all processes together, and write them."""
        if labelling.sets is not None:
            return
        assert labelling.share is not None
        shares = gather_objects(labelling.share.result(), self._processes)
        labelling.sets, origins = [], []
        for index, (one, scenes) in enumerate(zip(self.sets, self._as_read, strict=True)):
            parts = [share[index][0] for share in shares]
            labelled = [parts[place % len(parts)][place // len(parts)] for place in range(len(scenes))]
            counts = _together([share[index][1] for share in shares])
            origins.append(
                origin_of(
                    f"step {labelling.step}",
                    labelling.digest,
                    counts,
                    splitter=self._characters.splitter,
                    height=self._characters.height,
                )
            )
            labelling.sets.append(_complete(one, labelled))
            if self._processes.writes:
                self._folder.mkdir(exist_ok=True)
                write_labels(self._path(labelling.step, index), scenes, labelled, origins[-1])
        labelling.origins, labelling.share = tuple(origins), None

    def _put_into_effect(self, step: int, log: Callable[[str, int, dict[str, Any]], None]) -> bool:
        labelling = self._pending
        if labelling is None or self._effective(labelling.step) != step:
            return False
        start = time.perf_counter()
        self._finish(labelling)
        assert labelling.sets is not None
        self.sets, self._pending = labelling.sets, None
        words = sum(origin.words for origin in labelling.origins)
        means = {
            name: round(sum(getattr(origin, name) * origin.words for origin in labelling.origins) / max(1, words), 4)
            for name in ("mean_confidence", "share_under_half")
        }
        seconds = {
            "seconds": round(sum(origin.seconds for origin in labelling.origins), 3),
            "seconds_waited": round(time.perf_counter() - start, 3),
        }
        log("labels", step + 1, {"made_at": labelling.step, "words": words, **means, **seconds})
        return True

    def _from_files(self, made_at: int) -> _Labelling:
        sets, origins = [], []
        for index, one in enumerate(self.sets):
            path = self._path(made_at, index)
            labelled, origin = read_labels(path, one.as_read)
            sets.append(_complete(one, labelled))
            origins.append(origin)
        return _Labelling(made_at, origins[0].weights_digest, sets=sets, origins=tuple(origins))

    def _path(self, made_at: int, index: int) -> Path:
        return self._folder / f"step_{made_at:06d}_set_{index}.jsonl"

    def _remove_unused(self) -> None:
        """Remove labels that neither the last checkpoint nor any later one needs."""
        needed = self._in_effect(self._saved_step - 1)
        for path in self._folder.glob("step_*_set_*.jsonl"):
            if needed is not None and int(path.name.split("_")[1]) < needed:
                path.unlink()


def _complete(one: WeightedScenes, labelled: Sequence[Scene]) -> WeightedScenes:
    if not one.as_read:  # drawn, with exact characters
        return one
    return replace(one, scenes=tuple(with_characters(scene) for scene in labelled))


def _together(counts: Sequence[LabelCounts]) -> LabelCounts:
    """Counts of processes that worked at the same time."""
    return LabelCounts(
        words=sum(one.words for one in counts),
        confidence_sum=sum(one.confidence_sum for one in counts),
        under_half=sum(one.under_half for one in counts),
        seconds=max(one.seconds for one in counts),
    )


def _spare_device(processes: Processes, *, loader_workers: int) -> torch.device | None:
    """Where a teacher can work beside training: a GPU that no process trains on, or spare cores; None where neither is."""
    num_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes.device.type == "cuda":
        index = (processes.device.index or 0) + num_local
        return torch.device("cuda", index) if index < torch.cuda.device_count() else None
    busy = num_local * (torch.get_num_threads() + loader_workers)
    return processes.device if processes.device.type == "cpu" and _num_cores() > busy else None


def _num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
