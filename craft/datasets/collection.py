"""Scenes to train on or to score: one dataset, refused or read without the scenes that have errors. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets.folders import is_generated
from craft.datasets.reading import read_set
from craft.scene import Scene

MESSAGES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class WeightedScenes:
    """One set's scenes and its share in the mix.

    Attributes:
        scenes: scenes without errors, with character quads.
        weight: share relative to the other sets.
        as_read: the same scenes with those characters only that their labels gave; none of a set that is drawn, whose
            characters are exact, nor of one that is read while it is used.
    """

    scenes: Sequence[Scene]
    weight: float
    as_read: tuple[Scene, ...] = ()


def read_scenes(one: DatasetSettings, *, on_error: str, say: Callable[[str], None]) -> list[Scene]:
    """Read one set, refusing it or leaving scenes out where its labels or images have errors.

    Args:
        one: the set.
        on_error: "fail" or "skip".
        say: told what was read and what was left out.

    Returns:
        The scenes without errors.

    Raises:
        ValueError: there are errors and `on_error` is "fail", or no scene is left.
    """
    reading = read_set(one)
    errors = [problem for problem in reading.problems if problem.fatal]
    if errors and on_error == "fail":
        shown = [f"  {problem}" for problem in errors[:MESSAGES_SHOWN]]
        if len(errors) > MESSAGES_SHOWN:
            shown.append(f"  ... and {len(errors) - MESSAGES_SHOWN} more: craft check {one.path}")
        raise ValueError(
            "\n".join([f"{one.path}: {len(errors)} errors; mend them, or set data.on_error: skip", *shown])
        )
    scenes = [scene for scene in reading.scenes if scene.name not in reading.bad_scenes]
    if not scenes:
        raise ValueError(
            f"{one.path}: no scene to read; check path, format and numbers, or run: craft check {one.path}"
        )
    words = sum(len(scene.words) for scene in scenes)
    ignored = sum(word.dont_care for scene in scenes for word in scene.words)
    known = sum(word.character_quads_xy is not None and not word.dont_care for scene in scenes for word in scene.words)
    skipped = f", {len(reading.bad_scenes)} scenes skipped for errors" if reading.bad_scenes else ""
    say(
        f"{one.path}: {len(scenes):,} scenes, {words:,} words ({ignored:,} don't care, {known:,} with characters){skipped}"
    )
    if not known and one.format is not None and is_generated(Path(one.path)):
        say(f"{one.path}: scenes.jsonl has every character, which {one.format} leaves out; remove `format` to use them")
    return scenes
