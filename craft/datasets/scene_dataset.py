"""Training crops by epoch and position: which scene, which file, which crop of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from craft.config import AugmentSettings, OnError
from craft.datasets.augment import make_sample
from craft.datasets.order import IN_ORDER_PER_EPOCH, epoch_order, sample_seed
from craft.datasets.scene_source import PackedScenes, SceneSource
from craft.errors import Problem, refuse_device
from craft.images.reader import EncodedImage
from craft.images.tar_members import parse_member, read_member
from craft.scene import Sample, Scene

DatasetMix = Sequence[tuple[Sequence[Scene], float]]
"""Datasets to mix: the scenes of each, with the characters of their cared-for words, and its weight, > 0."""

_MOST_UNREADABLE = 32  # images in a row that are passed over; more than that is a disk that has gone, not a bad file


class SceneDataset(Dataset[Sample]):
    """Training crops by (epoch, position); the same pair always gives the same crop."""

    def __init__(
        self,
        datasets: DatasetMix,
        *,
        seed: int,
        crop_size: int,
        augment: AugmentSettings | None,
        epoch_length: int | None = None,
        cache_bytes: int = 0,
        on_error: OnError = "fail",
    ) -> None:
        """Pack the scenes that are in memory; arguments as in `build_loader`.

        Without `epoch_length` an epoch is as long as all scenes, at most IN_ORDER_PER_EPOCH of a synthetic dataset.
        """
        if not datasets:
            raise ValueError("no training dataset; name at least one")
        self._datasets = [scenes if isinstance(scenes, SceneSource) else PackedScenes(scenes) for scenes, _ in datasets]
        self._weights = [weight for _, weight in datasets]
        if epoch_length is None:
            epoch_length = sum(
                min(len(scenes), IN_ORDER_PER_EPOCH) if scenes.in_order else len(scenes) for scenes in self._datasets
            )
        self.epoch_length = epoch_length
        self._seed = seed
        self._crop_size = crop_size
        self._augment = augment
        self._files = _FileCache(cache_bytes)
        self._on_error = on_error
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._order(0)

    def __len__(self) -> int:
        return self.epoch_length

    def scene(self, epoch: int, position: int) -> Scene:
        """The scene at a position of an epoch."""
        dataset, scene = self._order(epoch)[position]
        return self._datasets[dataset][int(scene)]

    def __getitem__(self, index: tuple[int, int]) -> Sample:
        """Read or render the scene at (epoch, position) and cut its crop; ValueError names an unreadable file."""
        epoch, position = index
        unreadable: list[str] = []
        while True:
            scene = self.scene(epoch, (position + len(unreadable)) % self.epoch_length)
            try:
                sample = self._crop(scene, seed=sample_seed(self._seed, epoch, position))
            except Problem as problem:
                if self._on_error == "fail":
                    raise problem.skippable() from None
                unreadable.append(str(problem))
                if len(unreadable) == _MOST_UNREADABLE:
                    what = f"{_MOST_UNREADABLE} images in a row cannot be read, the last: {problem}"
                    raise ValueError(f"{what}; check the dataset with craft check, and its disk") from None
                continue
            return replace(sample, unreadable=tuple(unreadable)) if unreadable else sample

    def _crop(self, scene: Scene, *, seed: int) -> Sample:
        image: NDArray[np.uint8] | EncodedImage
        if scene.image is not None:
            image = scene.image
        else:
            image = EncodedImage(self._files.read(scene.image_path), name=scene.image_path)
        return make_sample(
            image, scene.words, seed=seed, crop_size=self._crop_size, settings=self._augment, name=scene.name
        )

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            sizes = [len(scenes) for scenes in self._datasets]
            in_order = [scenes.in_order for scenes in self._datasets]
            order = epoch_order(self._seed, epoch, sizes, self._weights, self.epoch_length, in_order=in_order)
            # Batches around the end of an epoch need two orders; older ones are dropped.
            self._orders = {kept: self._orders[kept] for kept in self._orders if kept == epoch - 1} | {epoch: order}
        return self._orders[epoch]


class _FileCache:
    """Bytes of image files, kept until a limit is reached; none is replaced, since scenes come in random order."""

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes
        self._files: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        kept = self._files.get(path)
        if kept is not None:
            return kept
        try:
            member = parse_member(path)
            if member is None:
                refuse_device(path, "give an image file")
            content = Path(path).read_bytes() if member is None else read_member(member)
        except OSError as error:
            remedy = "it was there when the dataset was read: has it been moved?"
            raise Problem(f"cannot be read ({error.strerror})", remedy, where=path) from None
        if len(content) <= self._free_bytes:
            self._files[path] = content
            self._free_bytes -= len(content)
        return content
