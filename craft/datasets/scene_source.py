"""Scenes that are rendered or read when they are asked for, and the pixels of any scene. No torch."""

from __future__ import annotations

import copy
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar, Self, overload

import numpy as np
from numpy.typing import NDArray

from craft.images.reader import read_image
from craft.scene import Scene


class SceneSource(Sequence[Scene]):
    """A sequence of scenes that are made one at a time and not kept; so is a slice of it."""

    in_order: ClassVar[bool] = False
    """True where training takes the scenes in the order of their numbers, since each is as random as the next."""

    def __init__(self, numbers: range) -> None:
        """Name the scenes by the numbers that `scene` is called with."""
        self._numbers = numbers

    @abstractmethod
    def scene(self, number: int) -> Scene:
        """Make one scene."""

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Scene | Self:
        """Make one scene, or name some of them."""
        if isinstance(index, slice):
            part = copy.copy(self)
            part._numbers = self._numbers[index]
            return part
        return self.scene(self._numbers[index])


class JoinedScenes(SceneSource):
    """Several datasets one after another."""

    def __init__(self, datasets: Sequence[Sequence[Scene]]) -> None:
        self._datasets = datasets
        self._ends = list(accumulate(len(scenes) for scenes in datasets))
        super().__init__(range(self._ends[-1] if self._ends else 0))

    def scene(self, number: int) -> Scene:
        """Ask the dataset that holds the scene for it."""
        chosen = bisect_right(self._ends, number)
        return self._datasets[chosen][number - self._ends[chosen] + len(self._datasets[chosen])]


def read_scene_image(scene: Scene) -> NDArray[np.uint8]:
    """Give the pixels of a scene, its own or those of its file, as (H, W, 3) RGB; ValueError names a bad file."""
    return read_image(scene.image_path) if scene.image is None else scene.image
