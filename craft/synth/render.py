"""One scene by preset, seed and number."""

from __future__ import annotations

from craft.synth.full import render_full
from craft.synth.presets import GeneratorSettings, QuickstartSettings
from craft.synth.quickstart import render_quickstart
from craft.synth.rendered_scene import RenderedScene


def render_scene(settings: GeneratorSettings, seed: int, index: int) -> RenderedScene:
    """Draw one scene.

    Args:
        settings: settings of a preset, as `preset("quickstart")` returns them.
        seed: seed of the set, >= 0.
        index: number of the scene in the set, from 0.

    Returns:
        The scene; the same settings, seed, index and fonts give the same bytes, in any process and order.
    """
    if isinstance(settings, QuickstartSettings):
        return render_quickstart(settings, seed, index)
    return render_full(settings, seed, index)
