"""Settings of the generator's presets: typed, ranged and documented."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from craft.config import Settings


class QuickstartSettings(Settings):
    """The quickstart's preset. Frozen: its defaults do not change, so that results stay comparable."""

    preset: Literal["quickstart"] = "quickstart"
    size: int = Field(512, ge=64, multiple_of=4, description="Side of the square picture, pixels.")
    words: tuple[int, int] = Field((4, 14), description="Fewest and most words tried for a scene.")
    cap_height: tuple[float, float] = Field((11.0, 48.0), description="Range of the capitals' height, pixels.")
    rotation: float = Field(15.0, ge=0, le=180, description="Largest rotation of nine words in ten, degrees.")
    perspective: float = Field(
        0.15, ge=0, le=0.4, description="Largest change of size from a word's middle to its end."
    )
    unreadable: float = Field(0.06, ge=0, le=1, description="Share of words drawn too small to read: don't care.")
    shapes: int = Field(10, ge=0, description="Most flat shapes behind the text.")
    clutter: int = Field(6, ge=0, description="Most groups of repeated strokes.")


GeneratorSettings = QuickstartSettings

PRESETS = ("quickstart",)


def preset(name: str) -> GeneratorSettings:
    """The settings of a preset.

    Args:
        name: one of `PRESETS`.

    Returns:
        Its defaults; change them with `model_copy(update=...)`.

    Raises:
        ValueError: no such preset.
    """
    if name == "quickstart":
        return QuickstartSettings()
    raise ValueError(f"unknown preset {name!r}; use {' or '.join(PRESETS)}")
