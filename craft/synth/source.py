"""Synthetic scenes rendered on the fly, for training. No torch."""

import numpy as np

from craft.config import DatasetSettings
from craft.datasets.labels import DatasetReading
from craft.datasets.scene_source import SceneSource
from craft.errors import Problem
from craft.scene import Scene
from craft.synth.presets import GeneratorSettings, QuickstartSettings, preset

DEFAULT_COUNT = 1_000_000


class SyntheticScenes(SceneSource):
    """The scenes `numbers` of a synthetic dataset, each rendered anew whenever it is asked for.

    Scene 0 is the one that `craft synth` writes as img_1 under the same preset, settings and seed, before JPEG.
    """

    in_order = True

    def __init__(self, settings: GeneratorSettings, *, seed: int, numbers: range) -> None:
        super().__init__(numbers)
        self._settings = settings
        self._seed = seed

    @property
    def remark(self) -> str | None:
        """Which scripts are left out for want of a font, or None."""
        return missing_scripts_remark(self._settings)

    def scene(self, number: int) -> Scene:
        """Render one scene."""
        from craft.synth.render import render_scene  # loads fonts and kernels: most datasets are read from files

        rendered = render_scene(self._settings, self._seed, number)
        origin = f"scene {number} of seed {self._seed}, rendered by preset {self._settings.preset}"
        return Scene(origin, rendered.words, f"img_{number + 1}", np.ascontiguousarray(rendered.image))


def synthetic_scenes(settings: DatasetSettings) -> SyntheticScenes:
    """Return the scenes of a dataset with format synth: by default DEFAULT_COUNT of them, with seed 0.

    The first is rendered as a trial, which also opens the fonts: loader processes that are forked later share them.
    """
    assert settings.preset is not None, "settings with format synth name a preset"
    try:
        chosen = preset(settings.preset, settings.settings)
        scenes = SyntheticScenes(chosen, seed=settings.seed or 0, numbers=range(settings.count or DEFAULT_COUNT))
        scenes[0]
    except ValueError as error:
        raise ValueError(f"{settings.title}: {error}") from None
    return scenes


def missing_scripts_remark(settings: GeneratorSettings) -> str | None:
    """Say which scripts of a preset are left out for want of a font; None if none is."""
    from craft.synth.fonts import font_pool, missing_fonts_remark

    if isinstance(settings, QuickstartSettings):
        return None
    pool = font_pool(settings.font_folders, system=settings.system_fonts, only=settings.families)
    return missing_fonts_remark(pool, settings.scripts)


def read_synthetic(settings: DatasetSettings) -> DatasetReading:
    """Render every scene of a dataset with format synth and keep its words, without images, for `craft check`."""
    scenes = synthetic_scenes(settings)
    plain = (Scene(scene.image_path, scene.words, scene.name) for scene in scenes)
    remarks = () if scenes.remark is None else (Problem(scenes.remark, where=settings.title, fatal=False),)
    return DatasetReading(tuple(plain), remarks)
