"""The scenes that a configuration names: read, checked, with characters, ready for the loader or for validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from craft.config import DatasetSettings, DataSettings
from craft.datasets.collection import WeightedScenes, read_scenes
from craft.datasets.formats import format_of
from craft.datasets.scene_source import JoinedScenes
from craft.datasets.shards import open_shards
from craft.models.digest import weights_digest
from craft.models.weights import build_model, read_weights
from craft.scene import Scene
from craft.synth.source import SyntheticScenes, synthetic_scenes
from craft.targets.characters import with_characters
from craft.teacher.label_files import read_labels


def read_training_sets(settings: DataSettings, *, say: Callable[[str], None]) -> list[WeightedScenes]:
    """Read the training sets and give every cared-for word its characters.

    Args:
        settings: the sets, what to do about errors, where characters come from.
        say: told in a line a set how many scenes and words it has and how many were skipped.

    Returns:
        One entry a set.

    Raises:
        ValueError: no set is named, a set is empty, one has errors and `on_error` is "fail", or a label file is of
            other scenes or other weights.
    """
    if not settings.train:
        raise ValueError("data.train names no set; give one, such as --set 'data.train=[{path: FOLDER}]'")
    files = _label_files(settings)
    digest = None
    if settings.characters.weights is not None:
        digest = weights_digest(build_model(read_weights(settings.characters.weights)))
    sets = []
    for one, file in zip(settings.train, files, strict=True):
        if one.format == "synth":
            if file is not None:
                raise ValueError(f"{file}: {one.title} has exact characters; give null as its label file")
            sets.append(WeightedScenes(open_drawn(one, say=say), one.weight))
            continue
        if file is None and settings.characters.source != "teacher" and format_of(one).name == "shards":
            scenes = open_shards(one, prepare=with_characters)
            say(f"{one.path}: {len(scenes):,} scenes in shards, read while they are used")
            sets.append(WeightedScenes(scenes, one.weight))
            continue
        as_read = read_scenes(one, on_error=settings.on_error, echo=say)
        labelled: Sequence[Scene] = as_read
        if file is not None:
            labelled, origin = read_labels(Path(file), as_read, weights=digest)
            say(f"{file}: characters by {origin.weights}, mean confidence {origin.mean_confidence:.3f}")
        sets.append(WeightedScenes(tuple(with_characters(scene) for scene in labelled), one.weight, tuple(as_read)))
    return sets


def read_validation_scenes(settings: DataSettings, *, say: Callable[[str], None]) -> Sequence[Scene]:
    """Read the scenes that are scored during training.

    Args:
        settings: the sets and what to do about errors.
        say: told in a line a set how many scenes and words it has.

    Returns:
        The scenes of all validation sets, in order; none where no set is named. Those of a set that is drawn are
        drawn whenever they are asked for.

    Raises:
        ValueError: a set is empty, has errors and `on_error` is "fail", or is drawn without end.
    """
    sets: list[Sequence[Scene]] = []
    for one in settings.validation:
        if one.format == "synth":
            if one.count is None:
                raise ValueError(f"data.validation: {one.title} needs a count, all of which is scored each time")
            sets.append(open_drawn(one, say=say))
        else:
            sets.append(read_scenes(one, on_error=settings.on_error, echo=say))
    return JoinedScenes(sets)


def open_drawn(one: DatasetSettings, *, say: Callable[[str], None]) -> SyntheticScenes:
    """Make ready a set that is drawn.

    Args:
        one: the set, its format synth.
        say: told how many scenes there are.

    Returns:
        Its scenes, none of them kept.

    Raises:
        ValueError: the preset refuses the settings, or there is nothing to draw with.
    """
    scenes = synthetic_scenes(one)
    say(f"{one.title}: {len(scenes):,} scenes, drawn while they are used")
    return scenes


def _label_files(settings: DataSettings) -> tuple[str | None, ...]:
    """The label file of each training set, or None where its characters do not come from one."""
    characters = settings.characters
    if characters.source != "file":
        return (None,) * len(settings.train)
    if len(characters.files) != len(settings.train):
        raise ValueError(
            f"data.characters.files names {len(characters.files)} files for {len(settings.train)} training sets; give "
            "one per set, in their order, null where the set's labels have characters"
        )
    return characters.files
