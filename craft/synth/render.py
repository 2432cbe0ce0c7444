"""One scene by preset, seed and index."""

from craft.synth.full import render_full
from craft.synth.presets import GeneratorSettings, QuickstartSettings
from craft.synth.quickstart import render_quickstart
from craft.synth.rendered_scene import RenderedScene


def render_scene(settings: GeneratorSettings, seed: int, index: int) -> RenderedScene:
    """Render scene `index`, from 0, of a dataset; the same fonts give the same bytes in any process and order."""
    if isinstance(settings, QuickstartSettings):
        return render_quickstart(settings, seed, index)
    return render_full(settings, seed, index)
