"""Synthetic scenes rendered on the fly, for training. No torch."""

from __future__ import annotations

import numpy as np

from craft.config import DatasetSettings
from craft.datasets.labels import SetReading
from craft.datasets.scene_source import SceneSource
from craft.scene import Scene
from craft.synth.presets import GeneratorSettings, preset

DEFAULT_COUNT = 1_000_000


class DrawnScenes(SceneSource):
    """The scenes of a synthetic dataset, each rendered anew whenever it is asked for.

    Scene 0 is the one that `craft synth` writes as img_1 under the same preset, settings and seed, before JPEG.
    """

    in_order = True

    def __init__(self, settings: GeneratorSettings, *, seed: int, numbers: range) -> None:
        """Render nothing yet.

        Args:
            settings: settings of a preset.
            seed: seed of the dataset, >= 0.
            numbers: which scenes of the dataset these are, from 0.
        """
        super().__init__(numbers)
        self._settings = settings
        self._seed = seed

    def scene(self, number: int) -> Scene:
        """Render one scene."""
        from craft.synth.render import render_scene  # loads fonts and kernels: most datasets are read from files

        rendered = render_scene(self._settings, self._seed, number)
        where = f"scene {number} of seed {self._seed}, drawn by preset {self._settings.preset}"
        return Scene(where, rendered.words, f"img_{number + 1}", np.ascontiguousarray(rendered.image))


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
