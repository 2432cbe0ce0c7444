"""Batches of training crops for one process, in an order that follows from (seed, epoch, position) alone."""

import atexit
import gc
import os
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

import cv2
import torch
from torch.utils.data import DataLoader

from craft.config import AugmentSettings, OnError
from craft.datasets.batch import Batch, collate
from craft.datasets.colours import load_transforms
from craft.datasets.order import StreamSampler
from craft.datasets.scene_dataset import DatasetMix, SceneDataset
from craft.memory import keep_freed_memory
from craft.scene import Sample

BATCHES_AHEAD = 3  # that a loader process keeps ready, at most
_PARENT_CHECK_SECONDS = 1.0
_SHARED_MEMORY = Path("/dev/shm")  # where loader processes of Linux hand over batches


def build_loader(
    datasets: DatasetMix,
    *,
    seed: int,
    crop_size: int,
    augment: AugmentSettings | None,
    batch_size: int,
    workers: int,
    start_position: int,
    world_size: int = 1,
    rank: int = 0,
    epoch_length: int | None = None,
    cache_bytes: int = 0,
    on_error: OnError = "fail",
) -> Iterator[Batch]:
    """Start loading the batches of one process, without end; its loader processes end with it.

    The batches do not depend on `workers`, nor all processes' batches of a step together on `world_size`. Raises
    ValueError if there is no dataset, an empty one, or a number out of range; later, from `next`, if a file cannot be
    read.

    Args:
        datasets: scenes, with the characters of their cared-for words, and weights.
        augment: the random changes; None for plain crops.
        batch_size: crops per process and batch.
        workers: loader processes; 0 loads in this process, when a batch is asked for.
        start_position: samples that all processes together have used before, counted from the first epoch.
        epoch_length: samples in an epoch; None as for `SceneDataset`.
        cache_bytes: most bytes of image files kept in memory on behalf of this process.
        on_error: "skip" passes over images that cannot be read; the batches name them.
    """
    share = cache_bytes // max(1, workers)
    dataset = SceneDataset(
        datasets,
        seed=seed,
        crop_size=crop_size,
        augment=augment,
        epoch_length=epoch_length,
        cache_bytes=share,
        on_error=on_error,
    )
    sampler = StreamSampler(
        epoch_length=dataset.epoch_length,
        start_position=start_position,
        batch_size=batch_size,
        world_size=world_size,
        rank=rank,
    )
    if augment is not None:
        load_transforms(augment)
    prefetch = batches_ahead(workers, batch_bytes=batch_size * 3 * crop_size**2) if workers else None
    return _start(dataset, sampler, workers, prefetch)


def batches_ahead(workers: int, *, batch_bytes: int) -> int:
    """How many batches each loader process may keep ready, so that all of them fit into shared memory.

    Raises ValueError if not even one per process fits, as in a container with 64 MB of /dev/shm.
    """
    if not _SHARED_MEMORY.is_dir():  # macOS and Windows keep it elsewhere
        return BATCHES_AHEAD
    free_bytes = shutil.disk_usage(_SHARED_MEMORY).free
    in_use = 2  # batches that training holds or is about to
    possible = (int(0.9 * free_bytes) // batch_bytes - in_use) // workers
    if possible < 1:
        raise ValueError(
            f"{_SHARED_MEMORY} has {free_bytes / 2**20:.0f} MiB free, but {workers} loader processes need "
            f"{(workers + in_use) * batch_bytes / 0.9 / 2**20:.0f} MiB for their batches; set data.workers: 0 or a smaller batch, "
            "or give the container more shared memory (docker run --shm-size=2g)"
        )
    return min(BATCHES_AHEAD, possible)


def _start(dataset: SceneDataset, sampler: StreamSampler, workers: int, prefetch: int | None) -> Iterator[Batch]:
    loader: DataLoader[Sample] = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=prefetch,
        # Without a generator of its own, the loader would draw from the global one, whose state a resumed run restores.
        generator=torch.Generator(),
    )
    return _Batches(loader) if workers else iter(loader)


class _Batches(Iterator[Batch]):
    """The batches of a loader with processes, which end with this object or with the training process.

    torch ends the processes in `__del__` of its iterator. Where the garbage collector finds the iterator in a cycle, as
    after an error whose traceback held it, the queues to the processes are closed before that: the processes are never
    told, and they ignore the SIGTERM that follows. So torch's iterator is held from outside until they have ended.
    """

    def __init__(self, loader: DataLoader[Sample]) -> None:
        self._batches = iter(loader)
        self.end = weakref.finalize(self, _end_processes, self._batches)
        self.end.atexit = False  # finalizers may run after torch's exit function, from where on it ends nothing
        # At exit multiprocessing sends its children a SIGTERM, which ours ignore, and waits for them for ever. Exit
        # functions run in reverse order: this one before multiprocessing's and torch's.
        _loaders.add(self)
        atexit.unregister(_end_loaders)
        atexit.register(_end_loaders)

    def __next__(self) -> Batch:
        try:
            return next(self._batches)
        except (RuntimeError, EOFError, OSError) as error:  # OSError: the connection to a dead process breaks
            processes = self._batches._workers  # type: ignore[attr-defined]  # torch offers no public way
            if not has_lost_worker(error) and not wait([process.sentinel for process in processes], timeout=2):
                raise
            raise ValueError(LOST_WORKER) from error


LOST_WORKER = (
    "a loader process ended; was memory short? add --resume to go on from the last checkpoint, with fewer data.workers"
)


def has_lost_worker(error: BaseException) -> bool:
    """Whether an error is torch's about a loader process that died; its signal handler raises it anywhere."""
    return isinstance(error, RuntimeError) and "DataLoader worker (pid" in str(error)


_loaders: weakref.WeakSet[_Batches] = weakref.WeakSet()


def _end_loaders() -> None:
    for batches in list(_loaders):
        batches.end()


def _end_processes(batches: Iterator[Batch]) -> None:
    batches._shutdown_workers()  # type: ignore[attr-defined]  # torch offers no public way
    for process in batches._workers:  # type: ignore[attr-defined]
        process.kill()  # one that does not answer within torch's five seconds


def _start_worker(worker_id: int) -> None:
    # Otherwise the garbage collector would mark every object it finds, the training process's labels too: each mark
    # turns a page of shared memory into a copy.
    gc.freeze()
    keep_freed_memory()
    cv2.setNumThreads(0)
    # Ctrl-C, and a cluster's SIGTERM, reach the loaders too: the training process finishes its step, saves a checkpoint
    # and exits, and its loaders end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this process once its parent is gone; torch's own watch waits for somebody to read the finished batches."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)
