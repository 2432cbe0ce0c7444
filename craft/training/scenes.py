"""The scenes that a configuration names: read, checked, with characters, ready for the loader or for validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from craft.config import DataSettings, SetSettings
from craft.datasets.reading import read_set
from craft.scene import Scene
from craft.targets.characters import with_characters

MESSAGES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class WeightedScenes:
    """One set's scenes and its share in the mix.

    Attributes:
        scenes: scenes without errors, with character quads.
        weight: share relative to the other sets.
    """

    scenes: tuple[Scene, ...]
    weight: float


def read_training_sets(settings: DataSettings, *, say: Callable[[str], None]) -> list[WeightedScenes]:
    """Read the training sets and give every cared-for word its characters.

    Args:
        settings: the sets, what to do about errors, where characters come from.
        say: told in a line a set how many scenes and words it has and how many were skipped.

    Returns:
        One entry a set.

    Raises:
        ValueError: no set is named, a set is empty, or one has errors and `on_error` is "fail".
    """
    if not settings.train:
        raise ValueError("data.train names no set; give one, such as --set 'data.train=[{path: FOLDER}]'")
    return [
        WeightedScenes(
            tuple(with_characters(scene) for scene in read_scenes(one, on_error=settings.on_error, say=say)), one.weight
        )
        for one in settings.train
    ]


def read_validation_scenes(settings: DataSettings, *, say: Callable[[str], None]) -> list[Scene]:
    """Read the scenes that are scored during training.

    Args:
        settings: the sets and what to do about errors.
        say: told in a line a set how many scenes and words it has.

    Returns:
        The scenes of all validation sets, in order; none where no set is named.

    Raises:
        ValueError: a set is empty, or has errors and `on_error` is "fail".
    """
    return [scene for one in settings.validation for scene in read_scenes(one, on_error=settings.on_error, say=say)]


def read_scenes(one: SetSettings, *, on_error: str, say: Callable[[str], None]) -> list[Scene]:
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
    skipped = f", {len(reading.bad_scenes)} scenes skipped for errors" if reading.bad_scenes else ""
    say(f"{one.path}: {len(scenes):,} scenes, {words:,} words ({ignored:,} don't care){skipped}")
    return scenes
