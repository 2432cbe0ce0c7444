"""The datasets that a configuration names, with characters, ready for the loader or for validation."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from craft.config import DatasetSettings, DataSettings
from craft.datasets.batch import Batch
from craft.datasets.formats import format_of
from craft.datasets.reading import WeightedScenes, read_scenes
from craft.datasets.scene_source import JoinedScenes
from craft.datasets.shards import open_shards
from craft.errors import Problem
from craft.models.weights import build_model, read_weights, weights_digest
from craft.scene import Scene
from craft.synth.source import SyntheticScenes, synthetic_scenes
from craft.targets.characters import with_characters
from craft.teacher.label_files import read_labels

Echo = Callable[[str], None]
_SCENES_TRIED = 32  # of a rendered dataset, in search of a word


def read_training_datasets(settings: DataSettings, *, echo: Echo) -> list[WeightedScenes]:
    """Read the training datasets and give every cared-for word its characters.

    `echo` is called with a line per dataset: its scenes, words, and what was skipped. Raises ValueError if no dataset
    is named, none has a readable word, one is empty, one has errors and `on_error` is "fail", or a label file belongs
    to other scenes or other weights.
    """
    if not settings.train:
        raise ValueError("data.train names no dataset; give one, such as --set 'data.train=[{path: FOLDER}]'")
    files = _label_files(settings)
    digest = None
    if settings.characters.weights is not None:
        digest = weights_digest(build_model(read_weights(settings.characters.weights)))
    datasets = [
        _training_dataset(dataset, settings, file, digest, echo)
        for dataset, file in zip(settings.train, files, strict=True)
    ]
    if not any(map(_has_readable_word, datasets)):
        paths = ", ".join(dataset.title for dataset in settings.train)
        raise ValueError(
            f"{paths}: no readable word, so there is nothing to learn; add transcriptions to the labels, or let a network "
            "count characters: craft label --boxes-only"
        )
    return datasets


def _has_readable_word(dataset: WeightedScenes) -> bool:
    """Whether a dataset has a word to learn from; of one that is rendered, whether its first scenes have."""
    scenes = dataset.scenes
    part = islice(scenes, _SCENES_TRIED) if isinstance(scenes, SyntheticScenes) else iter(scenes)
    try:
        return any(not word.dont_care for scene in part for word in scene.words)
    except Problem:  # a damaged shard, which the loader names
        return True


def _training_dataset(
    dataset: DatasetSettings, settings: DataSettings, file: str | None, digest: str | None, echo: Echo
) -> WeightedScenes:
    if dataset.format == "synth":
        if file is not None:
            raise ValueError(f"{file}: {dataset.title} has exact characters; give null as its label file")
        return WeightedScenes(open_synthetic(dataset, echo=echo), dataset.weight)
    if file is None and settings.characters.source != "teacher" and format_of(dataset).name == "shards":
        scenes = open_shards(dataset, prepare=with_characters)
        echo(f"{dataset.path}: {len(scenes):,} scenes in shards, read while they are used")
        return WeightedScenes(scenes, dataset.weight)
    as_read = read_scenes(dataset, on_error=settings.on_error, echo=echo)
    labelled: Sequence[Scene] = as_read
    if file is not None:
        labelled, origin = read_labels(Path(file), as_read, weights=digest)
        echo(f"{file}: characters by {origin.weights}, mean confidence {origin.mean_confidence:.3f}")
    return WeightedScenes(tuple(with_characters(scene) for scene in labelled), dataset.weight, tuple(as_read))


def read_validation_scenes(settings: DataSettings, *, echo: Echo) -> Sequence[Scene]:
    """Read the scenes of all validation datasets, in order; none where no dataset is named.

    Synthetic scenes are rendered whenever they are asked for. Raises ValueError if a dataset is empty, has errors and
    `on_error` is "fail", or is synthetic without a count.
    """
    parts: list[Sequence[Scene]] = []
    for dataset in settings.validation:
        if dataset.format == "synth":
            if dataset.count is None:
                raise ValueError(f"data.validation: {dataset.title} needs a count, all of which is scored each time")
            parts.append(open_synthetic(dataset, echo=echo))
        else:
            parts.append(read_scenes(dataset, on_error=settings.on_error, echo=echo))
    return JoinedScenes(parts)


def open_synthetic(dataset: DatasetSettings, *, echo: Echo) -> SyntheticScenes:
    """Prepare a synthetic dataset, whose scenes are rendered on the fly.

    Raises ValueError if the preset refuses the settings, or fonts or backgrounds are missing.
    """
    scenes = synthetic_scenes(dataset)
    echo(f"{dataset.title}: {len(scenes):,} scenes, rendered on the fly")
    if scenes.remark is not None:
        echo(f"{dataset.title}: {scenes.remark}")
    return scenes


def _label_files(settings: DataSettings) -> tuple[str | None, ...]:
    """The label file of each training dataset, or None where its characters do not come from one."""
    characters = settings.characters
    if characters.source != "file":
        return (None,) * len(settings.train)
    if len(characters.files) != len(settings.train):
        raise ValueError(
            f"data.characters.files names {len(characters.files)} files for {len(settings.train)} training datasets; "
            "give one per dataset, in order, null where the dataset's labels have characters"
        )
    return characters.files


class UnreadableImages:
    """Counts images that were passed over and names each the first time, in the process that met it."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._named: set[str] = set()
        self.count = 0

    def add(self, what: str) -> None:
        """Count an image that was passed over; `what` names it and says what is wrong with it."""
        self.count += 1
        if what not in self._named:
            self._named.add(what)
            self._echo(f"skipped: {what}")

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, and count the images that were passed over for each."""
        for batch in batches:
            for what in batch.unreadable:
                self.add(what)
            yield batch

    def summary(self) -> str:
        """One sentence for the end of the run; empty where every image could be read."""
        if not self.count:
            return ""
        return f"{len(self._named)} images could not be read and were skipped {self.count} times in all"
