"""One dataset to train on or to score: refused, or read without the scenes that have errors. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets.jsonlines import is_generated
from craft.datasets.reading import read_dataset
from craft.errors import list_problems
from craft.scene import Scene


@dataclass(frozen=True, slots=True)
class WeightedScenes:
    """One dataset's scenes and its share in the mix."""

    scenes: Sequence[Scene]  # scenes without errors, with character quads
    weight: float  # share relative to the other datasets
    as_read: tuple[Scene, ...] = ()  # the same, with characters from labels alone; none if scenes are read on the fly


def good_scenes(
    settings: DatasetSettings, *, skip_errors: bool, remedy: str, decode: bool = False
) -> tuple[tuple[Scene, ...], int]:
    """Read a dataset's scenes without errors, and count the others.

    `decode` reads every image's pixels to find errors, not its header and end alone. Raises ValueError if there are errors
    and `skip_errors` is False, with the `remedy`, or no scene is left.
    """
    path = settings.path
    reading = read_dataset(settings, decode=decode)
    if (errors := reading.errors) and not skip_errors:
        heading = f"{path}: {len(errors)} errors; fix them, or {remedy}"
        raise ValueError(list_problems(heading, errors, see=f"craft check {path}"))
    if not reading.good_scenes:
        raise ValueError(f"{path}: no scene to read; check path, format and numbers, or run: craft check {path}")
    return reading.good_scenes, len(reading.bad_scenes)


def read_scenes(
    settings: DatasetSettings, *, on_error: str, echo: Callable[[str], None], decode: bool = False
) -> list[Scene]:
    """Read one dataset, refusing it or leaving scenes out where its labels or images have errors.

    Raises ValueError as `good_scenes` does; `on_error` is "fail" or "skip".
    """
    path, skips = settings.path, on_error != "fail"
    scenes, num_bad = good_scenes(settings, skip_errors=skips, remedy="set data.on_error: skip", decode=decode)
    words = [word for scene in scenes for word in scene.words]
    ignored = sum(word.dont_care for word in words)
    known = sum(word.character_quads_xy is not None and not word.dont_care for word in words)
    skipped = f", {num_bad} scenes skipped for errors" if num_bad else ""
    counts = f"{len(scenes):,} scenes, {len(words):,} words ({ignored:,} don't care, {known:,} with characters)"
    echo(f"{path}: {counts}{skipped}")
    if words and ignored == len(words):
        echo(f"{path}: no word can be read, so only its background and don't-care masks count")
    if not known and settings.format is not None and is_generated(Path(path)):
        echo(
            f"{path}: scenes.jsonl has every character, which {settings.format} leaves out; remove `format` to use them"
        )
    return list(scenes)
