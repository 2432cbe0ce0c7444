"""Scenes that are rendered, read or unpacked when they are asked for, and the pixels of any scene. No torch."""

import copy
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar, Self, overload

import numpy as np
from numpy.typing import NDArray

from craft.images.reader import read_image
from craft.scene import Scene, Word


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


class PackedScenes(SceneSource):
    """Scenes as arrays, one scene unpacked at a time, without text and script, which no map needs.

    A forked process shares its parent's memory until one of them writes to it, and merely looking at a Python object
    writes its reference count. Hundreds of thousands of words as objects would be copied that way into every loader
    process; arrays are not.
    """

    def __init__(self, scenes: Sequence[Scene]) -> None:
        super().__init__(range(len(scenes)))
        words = [word for scene in scenes for word in scene.words]
        characters = [word.character_quads_xy for word in words]
        self._first_word = _offsets([len(scene.words) for scene in scenes])
        self._paths = _PackedText([scene.image_path for scene in scenes])
        self._names = _PackedText([scene.name for scene in scenes])
        self._sources = _PackedText([word.source for word in words])
        self._first_point = _offsets([len(word.polygon_xy) for word in words])
        self._points_xy = _joined([word.polygon_xy for word in words], (0, 2))
        self._has_characters = np.array([quads is not None for quads in characters], dtype=bool)
        self._first_character = _offsets([0 if quads is None else len(quads) for quads in characters])
        self._character_quads_xy = _joined([quads for quads in characters if quads is not None], (0, 4, 2))
        self._dont_care = np.array([word.dont_care for word in words], dtype=bool)
        self._confidence = np.array([word.confidence for word in words], dtype=np.float32)

    def scene(self, number: int) -> Scene:
        """Unpack one scene; its arrays are views that must not be written to."""
        words = range(self._first_word[number], self._first_word[number + 1])
        return Scene(self._paths[number], tuple(self._word(word) for word in words), self._names[number])

    def _word(self, index: int) -> Word:
        characters = None
        if self._has_characters[index]:
            characters = self._character_quads_xy[self._first_character[index] : self._first_character[index + 1]]
        return Word(
            polygon_xy=self._points_xy[self._first_point[index] : self._first_point[index + 1]],
            dont_care=bool(self._dont_care[index]),
            character_quads_xy=characters,
            confidence=float(self._confidence[index]),
            source=self._sources[index],
        )


class _PackedText:
    """Strings as one array of bytes."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        self._first = _offsets([len(text) for text in encoded])
        self._bytes = np.frombuffer(b"".join(encoded), dtype=np.uint8)

    def __getitem__(self, index: int) -> str:
        return self._bytes[self._first[index] : self._first[index + 1]].tobytes().decode("utf-8", "surrogateescape")


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)


def _joined(arrays: Sequence[NDArray[np.float32]], empty_shape: tuple[int, ...]) -> NDArray[np.float32]:
    joined = np.concatenate([np.zeros(empty_shape, dtype=np.float32), *arrays]).astype(np.float32, copy=False)
    joined.flags.writeable = False
    return joined
