"""Batches of training crops for one process, in an order that follows from (seed, epoch, position) alone."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator

import cv2
import torch
from torch.utils.data import DataLoader

from craft.config import AugmentSettings
from craft.datasets.batch import Batch, collate
from craft.datasets.colours import load_transforms
from craft.datasets.order import StreamSampler
from craft.datasets.scene_dataset import DatasetMix, SceneDataset
from craft.memory import keep_freed_memory
from craft.scene import Sample

_PREFETCH = 3  # batches that a loader process keeps ready
_PARENT_CHECK_SECONDS = 1.0


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
) -> Iterator[Batch]:
    """Start loading the batches of one process, without end; its loader processes end with it.

    The batches do not depend on `workers`, nor all processes' batches of a step together on `world_size`.

    Args:
        datasets: scenes, with the characters of their cared-for words, and weights.
        seed: >= 0, seed of the run.
        crop_size: side of the crops, pixels.
        augment: the random changes; None for plain crops.
        batch_size: crops per process and batch.
        workers: loader processes; 0 loads in this process, when a batch is asked for.
        start_position: samples that all processes together have used before, counted from the first epoch.
        world_size: number of training processes.
        rank: of this process.
        epoch_length: samples in an epoch; None as for `SceneDataset`.
        cache_bytes: most bytes of image files kept in memory on behalf of this process.

    Raises:
        ValueError: no dataset, an empty one, or a number out of range; later, from `next`, an image that cannot be read.
    """
    share = cache_bytes // max(1, workers)
    dataset = SceneDataset(
        datasets, seed=seed, crop_size=crop_size, augment=augment, epoch_length=epoch_length, cache_bytes=share
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
    return _start(dataset, sampler, workers)


def _start(dataset: SceneDataset, sampler: StreamSampler, workers: int) -> Iterator[Batch]:
    loader: DataLoader[Sample] = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=_PREFETCH if workers else None,
        # Without a generator of its own, the loader would draw from the global one, whose state a resumed run restores.
        generator=torch.Generator(),
    )
    batches = iter(loader)
    if workers:
        _end_at_exit(batches)
    return batches


_loaders: weakref.WeakSet[Iterator[Batch]] = weakref.WeakSet()  # those with processes


def _end_at_exit(batches: Iterator[Batch]) -> None:
    """Let a process exit while something, such as the traceback of an error, still holds its loader.

    At exit multiprocessing sends its children a SIGTERM, which ours ignore, and waits for them for ever. Exit functions
    run in reverse order: this one before multiprocessing's, and before torch's, which leaves loaders alone from then on.
    """
    _loaders.add(batches)
    atexit.unregister(_end_loaders)
    atexit.register(_end_loaders)


def _end_loaders() -> None:
    for batches in list(_loaders):
        batches._shutdown_workers()  # type: ignore[attr-defined]  # what torch does when a loader is deleted


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
    """End this process once its parent is gone.

    torch's own watch waits until the finished batches are read, which nobody does any more.
    """
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)
