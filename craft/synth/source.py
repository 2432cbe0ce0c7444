"""Synthetic scenes rendered on the fly, for training. No torch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import overload

import numpy as np
from numpy.typing import NDArray

from craft.config import DatasetSettings
from craft.datasets.labels import SetReading
from craft.images.reader import read_image
from craft.scene import Scene
from craft.synth.presets import GeneratorSettings, preset

DEFAULT_COUNT = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class DrawnScene(Scene):
    """A scene that brings its picture along; its `image_path` says in words where it is from.

    Attributes:
        image: (H, W, 3) uint8, RGB.
    """

    image: NDArray[np.uint8]


class DrawnScenes(Sequence[Scene]):
    """The scenes of a synthetic set, each drawn anew whenever it is asked for; nothing grows with their number.

    Scene 0 is the one that `craft synth` writes as img_1 under the same preset, settings and seed, before JPEG.
    """

    def __init__(self, settings: GeneratorSettings, *, seed: int, numbers: range) -> None:
        """Draw nothing yet.

        Args:
            settings: settings of a preset.
            seed: seed of the set, >= 0.
            numbers: which scenes of the set these are, from 0.
        """
        self._settings = settings
        self._seed = seed
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> DrawnScene: ...

    @overload
    def __getitem__(self, index: slice) -> DrawnScenes: ...

    def __getitem__(self, index: int | slice) -> DrawnScene | DrawnScenes:
        """Draw one scene, or name some of them without drawing."""
        if isinstance(index, slice):
            return DrawnScenes(self._settings, seed=self._seed, numbers=self._numbers[index])
        from craft.synth.render import render_scene  # loads fonts and kernels: most datasets are read from files

        number = self._numbers[index]
        rendered = render_scene(self._settings, self._seed, number)
        where = f"scene {number} of seed {self._seed}, drawn by preset {self._settings.preset}"
        image = np.ascontiguousarray(rendered.image)
        return DrawnScene(image_path=where, words=rendered.words, name=f"img_{number + 1}", image=image)


class JoinedScenes(Sequence[Scene]):
    """Several sets one after another; a scene is asked for from its own set, and only when it is wanted."""

    def __init__(self, sets: Sequence[Sequence[Scene]], *, places: range | None = None) -> None:
        """Join sets.

        Args:
            sets: the sets in their order.
            places: which places of the row these are; None for all.
        """
        self._sets = sets
        self._ends = list(accumulate(len(scenes) for scenes in sets))
        self._places = range(self._ends[-1] if self._ends else 0) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> JoinedScenes: ...

    def __getitem__(self, index: int | slice) -> Scene | JoinedScenes:
        """Ask a set for one scene, or name some of them without asking."""
        if isinstance(index, slice):
            return JoinedScenes(self._sets, places=self._places[index])
        place = self._places[index]
        chosen = bisect_right(self._ends, place)
        return self._sets[chosen][place - self._ends[chosen] + len(self._sets[chosen])]


def drawn_scenes(settings: DatasetSettings) -> DrawnScenes:
    """The scenes of a set whose format is synth.

    Args:
        settings: of the set; DEFAULT_COUNT scenes where it names no `count`, seed 0 where it names none.

    Returns:
        The scenes. The first was drawn as a trial, which opened the fonts: loader processes that are forked later
        share them.

    Raises:
        ValueError: the preset does not know one of the settings, a value is out of range, or there are no fonts or
            photographs to draw with.
    """
    assert settings.preset is not None, "settings with format synth name a preset"
    try:
        chosen = preset(settings.preset, settings.settings)
        scenes = DrawnScenes(chosen, seed=settings.seed or 0, numbers=range(settings.count or DEFAULT_COUNT))
        scenes[0]
    except ValueError as error:
        raise ValueError(f"{settings.title}: {error}") from None
    return scenes


def read_drawn(settings: DatasetSettings) -> SetReading:
    """Draw every scene of a set whose format is synth and keep its words, for counting them.

    Args:
        settings: of the set.

    Returns:
        The scenes without their pictures.

    Raises:
        ValueError: as `drawn_scenes` does.
    """
    plain = (Scene(scene.image_path, scene.words, scene.name) for scene in drawn_scenes(settings))
    return SetReading(tuple(plain))


def picture_of(scene: Scene) -> NDArray[np.uint8]:
    """The picture of a scene: the one it brings along, or that of its file.

    Args:
        scene: from a reader or drawn.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: the file cannot be read; the message names it.
    """
    return scene.image if isinstance(scene, DrawnScene) else read_image(scene.image_path)
