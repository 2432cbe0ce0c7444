"""Datasets with one label file per image, in official folders or in any others that the user names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets.file_pairs import LabelledFolders, Numbers, pair_files
from craft.datasets.labels import DatasetReading, ReadingBuilder, Words, join_readings
from craft.errors import Problem
from craft.scene import Scene, Word


@dataclass(frozen=True, slots=True)
class OfficialFolders:
    """Folders of one part of an official dataset: the names they go by, the usual one first."""

    images: tuple[str, ...]
    labels: tuple[str, ...]

    def found_in(self, path: Path) -> tuple[tuple[Path, ...], list[Path]]:
        """The image folders and the label folders that are there."""
        images = tuple(path / folder for folder in self.images if (path / folder).is_dir())
        return images, [path / folder for folder in self.labels if (path / folder).is_dir()]


@dataclass(frozen=True)
class FolderLayout:
    """How a dataset with one label file per image is laid out."""

    name: str
    read_label_file: Callable[[Path], Words]  # gives an image's words and what is wrong with the others
    parts: Mapping[str, OfficialFolders]  # "train" and "validation", where they exist
    label_endings: tuple[str, ...] = (".txt",)  # lower case, the preferred one first
    remark: Callable[[list[Word]], list[Problem]] | None = None  # remarks on all words of a dataset together, or None

    def is_at(self, path: Path) -> bool:
        """Whether any of the official folders is there."""
        return any(any(part.found_in(path)) for part in self.parts.values())

    def read(self, settings: DatasetSettings) -> DatasetReading:
        """Read the official folders, or those that the settings name; ValueError if one is missing."""
        path, numbers = Path(settings.path), settings.numbers
        remarks: list[Problem] = []
        if settings.images is None and settings.labels is None:
            parts, remarks = self._official(path, settings.split)
        else:
            parts = [self._named(path, settings)]
        readings = [DatasetReading((), tuple(remarks))]
        taken: set[str] = set()
        for folders in parts:
            readings.append(self._read_part(folders, numbers, taken))
            taken.update(scene.name for scene in readings[-1].scenes)
        if self.remark is not None:
            words = [word for reading in readings for scene in reading.scenes for word in scene.words]
            readings.append(DatasetReading((), tuple(self.remark(words))))
        return join_readings(readings)

    def read_label_files(self, files: Iterable[tuple[str, str, Path]]) -> DatasetReading:
        """Read label files given as scene name, image path and label file."""
        builder = ReadingBuilder()
        for name, image, label in files:
            words, problems = self.read_label_file(label)
            builder.add(Scene(image_path=image, words=words, name=name), problems)
        return builder.build()

    def _official(self, path: Path, split: str) -> tuple[list[LabelledFolders], list[Problem]]:
        """The folders of each part that is there; for "all", a remark on each that lacks its images or its labels."""
        if split != "all" and split not in self.parts:
            raise ValueError(
                f"{path}: {self.name} has no {split} folders; give images and labels, or split the dataset by numbers"
            )
        found: list[LabelledFolders] = []
        remarks: list[Problem] = []
        for name in self.parts if split == "all" else [split]:
            part = self.parts[name]
            images, labels = part.found_in(path)
            if images and labels:
                found.append(LabelledFolders(images, labels[0]))
                continue
            missing = " or ".join(part.images if not images else part.labels)
            if split != "all":
                raise ValueError(
                    f"{path}: the {name} part of {self.name} lacks {missing}; unpack it there, or give images and labels"
                )
            if images or labels:
                what = f"{[*images, *labels][0].name} is there but {missing} is missing, so this part is not read"
                remarks.append(Problem(what, "unpack it there", where=str(path), fatal=False))
        if not found:
            raise ValueError(f"{path}: no part of {self.name} has both its images and its labels; unpack them there")
        return found, remarks

    def _named(self, path: Path, settings: DatasetSettings) -> LabelledFolders:
        """The folders that the user named; one that is not named is the official one, or else `path` itself."""
        part = self.parts.get(settings.split, OfficialFolders((), ()))
        official_images, official_labels = part.found_in(path)
        images = (path / settings.images,) if settings.images else official_images or (path,)
        labels = path / settings.labels if settings.labels else (official_labels or [path])[0]
        for folder, setting in ((images[0], "images"), (labels, "labels")):
            if not folder.is_dir():
                raise ValueError(f"{folder}: there is no such folder; correct {setting}, which is relative to path")
        return LabelledFolders(images, labels)

    def _read_part(self, folders: LabelledFolders, numbers: Numbers, taken: set[str]) -> DatasetReading:
        """Read one part; a name that an earlier part has taken gets its image folder's name before it."""

        def free_name(name: str, folder: Path) -> str:
            return f"{folder.name}_{name}" if name in taken else name

        pairs, faults = pair_files(folders, numbers=numbers, label_endings=self.label_endings)
        reading = self.read_label_files(
            (free_name(name, image.parent), str(image), label) for name, image, label in pairs
        )
        bad_names = frozenset(free_name(name, folders.images[0]) for name in faults.bad_scenes)
        return join_readings([replace(faults, bad_scenes=bad_names), reading])
