"""Synthetic scenes with exact characters."""

from craft.datasets.generator.rendered import RenderedScene
from craft.datasets.generator.rendering import render_scene
from craft.datasets.generator.settings import PRESETS, GeneratorSettings, preset
from craft.datasets.generator.sheet import write_sheet
from craft.datasets.generator.writing import SetSummary, write_set

__all__ = [
    "PRESETS",
    "GeneratorSettings",
    "RenderedScene",
    "SetSummary",
    "preset",
    "render_scene",
    "write_set",
    "write_sheet",
]
