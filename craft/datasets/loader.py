"""Batches of training crops for one process, in an order that follows from (seed, epoch, position) alone."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from craft.config import AugmentSettings
from craft.datasets.augment import make_sample
from craft.datasets.colours import load_transforms
from craft.datasets.order import DRAWN_PER_EPOCH, StreamSampler, default_epoch_length, epoch_order, sample_seed
from craft.datasets.packed_labels import PackedScenes
from craft.datasets.scene_source import SceneSource
from craft.images.reader import EncodedPicture
from craft.images.tar_members import parse_member, read_member
from craft.memory import keep_freed_memory
from craft.scene import Sample, Scene

SceneSets = Sequence[tuple[Sequence[Scene], float]]
"""Sets to mix: the scenes of each, with the characters of their cared-for words, and its weight, > 0."""

_PREFETCH = 3  # batches that a loader process keeps ready
_PARENT_CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops of one step and the words in them; all coordinates are pixels of the crops.

    Attributes:
        images: (B, 3, H, W) uint8, RGB, on the CPU, in channels-last memory.
        character_quads_xy: (C, 4, 2) float32, characters of cared-for words, neighbours next to each other.
        character_word: (C,) int64, index of each character's word among the batch's words.
        strip_quads_xy: (S, 4, 2) float32, quads that together cover the words.
        strip_word: (S,) int64, index of each strip's word among the batch's words.
        word_image: (N,) int64, index of each word's crop.
        word_confidence: (N,) float32, 0 to 1, and 0 for a don't-care word.
        seeds: (B,) int64, each crop's own number.
        names: the crops' scenes.
    """

    images: Tensor
    character_quads_xy: NDArray[np.float32]
    character_word: NDArray[np.int64]
    strip_quads_xy: NDArray[np.float32]
    strip_word: NDArray[np.int64]
    word_image: NDArray[np.int64]
    word_confidence: NDArray[np.float32]
    seeds: Tensor
    names: list[str]

    def pin_memory(self) -> Batch:
        """The same batch with its tensors in page-locked memory, for copies that the host does not wait for."""
        return replace(self, images=self.images.pin_memory(), seeds=self.seeds.pin_memory())


def collate(samples: Sequence[Sample]) -> Batch:
    """Put crops of one size together into a batch.

    Args:
        samples: at least one, all with images of one size.

    Returns:
        The batch. In a loader process its pixels are written straight into memory shared with the training process.
    """
    size = (len(samples), *samples[0].image.shape)
    if get_worker_info() is None:
        images = torch.from_numpy(np.empty(size, dtype=np.uint8))  # numpy asks for huge pages, which cost less when new
    else:
        images = torch.empty(size, dtype=torch.uint8).share_memory_()
    np.stack([sample.image for sample in samples], out=images.numpy())
    word_counts = [len(sample.word_confidence) for sample in samples]
    first_words = np.concatenate([[0], np.cumsum(word_counts)[:-1]]).astype(np.int64)
    return Batch(
        images=images.permute(0, 3, 1, 2),  # (B, 3, H, W)
        character_quads_xy=np.concatenate([sample.character_quads_xy for sample in samples]),
        character_word=np.concatenate(
            [sample.character_word + first for sample, first in zip(samples, first_words, strict=True)]
        ),
        strip_quads_xy=np.concatenate([sample.strip_quads_xy for sample in samples]),
        strip_word=np.concatenate(
            [sample.strip_word + first for sample, first in zip(samples, first_words, strict=True)]
        ),
        word_image=np.repeat(np.arange(len(samples), dtype=np.int64), word_counts),
        word_confidence=np.concatenate([sample.word_confidence for sample in samples]),
        seeds=torch.tensor([sample.seed for sample in samples], dtype=torch.int64),
        names=[sample.name for sample in samples],
    )


class SceneDataset(Dataset[Sample]):
    """Training crops by (epoch, position); the same pair always gives the same crop."""

    def __init__(
        self,
        sets: SceneSets,
        *,
        seed: int,
        crop_size: int,
        augment: AugmentSettings | None,
        epoch_length: int | None = None,
        cache_bytes: int = 0,
    ) -> None:
        """Pack the scenes, but for those that are drawn.

        Args:
            sets: scenes and weights.
            seed: >= 0, seed of the run.
            crop_size: side of the crops, pixels.
            augment: the random changes; None for plain crops.
            epoch_length: samples in an epoch; None for as many as there are scenes, at most DRAWN_PER_EPOCH of a set
                that is drawn.
            cache_bytes: picture files kept in memory, at most this many bytes in each loader process.

        Raises:
            ValueError: no set, an empty set, or a weight that is not positive.
        """
        if not sets:
            raise ValueError("no training set; name at least one")
        self._sets = [scenes if isinstance(scenes, SceneSource) else PackedScenes(scenes) for scenes, _ in sets]
        self._weights = [weight for _, weight in sets]
        sizes = [min(len(scenes), DRAWN_PER_EPOCH) if scenes.in_order else len(scenes) for scenes in self._sets]
        self.epoch_length = default_epoch_length(sizes) if epoch_length is None else epoch_length
        self._seed = seed
        self._crop_size = crop_size
        self._augment = augment
        self._files = _FileCache(cache_bytes)
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._order(0)

    def __len__(self) -> int:
        return self.epoch_length

    def scene(self, epoch: int, position: int) -> Scene:
        """The scene that stands at a position of an epoch."""
        set_index, scene_index = self._order(epoch)[position]
        return self._sets[set_index][int(scene_index)]

    def __getitem__(self, place: tuple[int, int]) -> Sample:
        """Read or draw the scene at (epoch, position) and cut its crop.

        Args:
            place: epoch and position in it.

        Returns:
            The sample.

        Raises:
            ValueError: the picture cannot be read; the message names the file.
        """
        epoch, position = place
        scene = self.scene(epoch, position)
        image: NDArray[np.uint8] | EncodedPicture
        if scene.image is not None:
            image = scene.image
        else:
            image = EncodedPicture(self._files.read(scene.image_path), name=scene.image_path)
        return make_sample(
            image,
            scene.words,
            seed=sample_seed(self._seed, epoch, position),
            crop_size=self._crop_size,
            settings=self._augment,
            name=scene.name,
        )

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            sizes = [len(scenes) for scenes in self._sets]
            order = epoch_order(
                self._seed,
                epoch,
                sizes,
                self._weights,
                self.epoch_length,
                in_turn=[scenes.in_order for scenes in self._sets],
            )
            # Batches around the end of an epoch need two orders; older ones are dropped.
            self._orders = {kept: self._orders[kept] for kept in self._orders if kept == epoch - 1} | {epoch: order}
        return self._orders[epoch]


def build_loader(
    sets: SceneSets,
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
    """Start loading the batches of one process, without end.

    Args:
        sets: scenes, with the characters of their cared-for words, and weights.
        seed: >= 0, seed of the run.
        crop_size: side of the crops, pixels.
        augment: the random changes; None for plain crops.
        batch_size: crops per process and batch.
        workers: loader processes; 0 loads in this process, when a batch is asked for.
        start_position: samples that all processes together have used before, counted from the first epoch.
        world_size: number of training processes.
        rank: this one.
        epoch_length: samples in an epoch; None as for `SceneDataset`.
        cache_bytes: picture files kept in memory, at most this many bytes on behalf of this process.

    Returns:
        The batches, pinned where there is a CUDA device. They do not depend on `workers`; all processes' batches of
        a step together do not depend on `world_size`. Its loader processes end with it.

    Raises:
        ValueError: no set, an empty set, or a number out of range; later, from `next`, a picture that cannot be read.
    """
    dataset = SceneDataset(
        sets,
        seed=seed,
        crop_size=crop_size,
        augment=augment,
        epoch_length=epoch_length,
        cache_bytes=cache_bytes // max(1, workers),
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
    loader: DataLoader[Sample] = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=_PREFETCH if workers else None,
        # A generator of its own: the loader would else draw from the global one, whose state a resumed run restores.
        generator=torch.Generator(),
    )
    batches = iter(loader)
    if workers:
        _end_at_exit(batches)
    return batches


class _FileCache:
    """Bytes of picture files, kept until a limit is reached; what came first stays.

    Scenes come in random order, so that no choice of files to keep is better than another, and replacing none of them
    means that a set larger than the limit still finds its share.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes
        self._files: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        kept = self._files.get(path)
        if kept is not None:
            return kept
        try:
            member = parse_member(path)
            content = Path(path).read_bytes() if member is None else read_member(member)
        except OSError as error:
            raise ValueError(
                f"{path}: cannot be read ({error.strerror}); it was there when the set was read: has it been moved?"
            ) from None
        if len(content) <= self._free_bytes:
            self._files[path] = content
            self._free_bytes -= len(content)
        return content


_loaders: weakref.WeakSet[Iterator[Batch]] = weakref.WeakSet()  # those with processes


def _end_at_exit(batches: Iterator[Batch]) -> None:
    """See to it that a process that leaves while something holds its loader, as an error's traceback does, can leave.

    At exit multiprocessing sends its children a SIGTERM, which ours ignore, and waits for them for ever. What was registered
    last is done first: this before multiprocessing's end, and before torch's, which lets loaders be from then on.
    """
    _loaders.add(batches)
    atexit.unregister(_end_loaders)
    atexit.register(_end_loaders)


def _end_loaders() -> None:
    for batches in list(_loaders):
        batches._shutdown_workers()  # type: ignore[attr-defined]  # what torch does when a loader is deleted


def _start_worker(worker_id: int) -> None:
    """Make a process a loader process."""
    # The collector of garbage would else mark every object it finds, also the training process's labels: each mark
    # turns a page of shared memory into a copy.
    gc.freeze()
    keep_freed_memory()
    cv2.setNumThreads(0)
    # Ctrl-C, and a cluster's SIGTERM, reach the loaders too: the training process finishes its step, saves and
    # leaves, and its loaders end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this process once its parent is gone, however that ended.

    torch's own watch lets a loader process leave its loop, but not before the batches it has ready are read, which
    nobody does any more: it would stay for ever.
    """
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)
