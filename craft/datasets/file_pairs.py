"""Images and label files of one name, and the numbers in their names."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from craft.datasets.labels import DatasetReading, ReadingBuilder
from craft.errors import Problem
from craft.images.reader import IMAGE_ENDINGS

_NOT_LABELS = frozenset({"classes", "labels", "license", "licence", "notes", "predefined_classes", "readme"})
_LABEL_PREFIXES = ("gt_", "poly_gt_", "")
_ZEROS = "000"  # before the names of CTW1500's test labels

Numbers = tuple[int, int] | None  # first and last scene number used, both included; None for all


@dataclass(frozen=True, slots=True)
class LabelledFolders:
    """Image folders and the folder of their labels."""

    images: tuple[Path, ...]
    labels: Path


class Pair(NamedTuple):
    """An image and its label file."""

    name: str
    image: Path
    label: Path


def pair_files(
    folders: LabelledFolders, *, numbers: Numbers, label_endings: tuple[str, ...]
) -> tuple[list[Pair], DatasetReading]:
    """Find each image's label: for img_12.jpg it is gt_img_12.txt, poly_gt_img_12.txt or img_12.txt, else 000img_12.txt.

    Args:
        numbers: of the scenes wanted; nothing is reported of the others.
        label_endings: of label files, lower case, the preferred one first.

    Returns:
        The pairs in the order of their numbers; and, without scenes, a problem for every image or label without a
        partner and every name that two files share, and a remark on files that are neither.
    """
    pairs: list[Pair] = []
    faults = ReadingBuilder()
    labels = _labels_by_stem(folders.labels, label_endings, faults)
    images = _images_by_name(folders, label_endings, faults)
    used: set[str] = set()
    for name in sorted(images, key=natural_key):
        candidates = [prefix + name for prefix in _LABEL_PREFIXES if prefix + name in labels]
        if not candidates and _ZEROS + name in labels:
            candidates = [_ZEROS + name]
        used.update(candidates)
        if _selected(name, images[name][0], numbers, faults):
            pairs += _pair(name, images[name], [labels[stem] for stem in candidates], folders.labels, faults)
    for stem in sorted(set(labels) - used, key=natural_key):
        if is_note(labels[stem]):
            what = "is taken for a note, not for a label"
            faults.problems.append(Problem(what, "rename it if it is one", where=str(labels[stem]), fatal=False))
            continue
        name = label_name(stem)
        if _selected(name, labels[stem], numbers, faults):
            searched = ", ".join(str(folder) for folder in folders.images)
            what = f"label without an image {name} in {searched}"
            faults.refuse(name, labels[stem], what, "add the image or delete the label")
    return pairs, faults.build()


def is_note(file: Path) -> bool:
    """Whether a text file is what download pages and labelling tools leave beside labels, such as classes.txt."""
    return file.stem.lower() in _NOT_LABELS


def label_name(stem: str) -> str:
    """Name of the scene that a label file belongs to, from its name without ending: gt_img_12 to img_12."""
    return next(stem[len(prefix) :] for prefix in _LABEL_PREFIXES if stem.startswith(prefix))


def scene_number(name: str) -> int | None:
    """The last whole number in a scene's name, 12 for img_12; None where there is none."""
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else None


def is_in_range(name: str, numbers: Numbers) -> bool:
    """Whether the number in a scene's name is one of those wanted."""
    if numbers is None:
        return True
    number = scene_number(name)
    return number is not None and numbers[0] <= number <= numbers[1]


def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key that puts img_9 before img_10."""
    return tuple((text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name))


def list_files(folder: Path) -> list[Path]:
    """The files of a folder, hidden ones left out, in the order of their names."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_file())


def _labels_by_stem(folder: Path, endings: tuple[str, ...], faults: ReadingBuilder) -> dict[str, Path]:
    labels: dict[str, Path] = {}
    files = [file for file in list_files(folder) if file.suffix.lower() in endings]
    for file in sorted(files, key=lambda file: endings.index(file.suffix.lower())):
        if file.stem in labels and file.suffix.lower() == labels[file.stem].suffix.lower():
            what = f"two labels of one name: {file.name} and {labels[file.stem].name}"
            faults.refuse(label_name(file.stem), file, what, "delete the wrong one")
        labels.setdefault(file.stem, file)
    return labels


def _images_by_name(
    folders: LabelledFolders, label_endings: tuple[str, ...], faults: ReadingBuilder
) -> dict[str, list[Path]]:
    images: dict[str, list[Path]] = {}
    for folder in folders.images:
        others = []
        for file in list_files(folder):
            if file.suffix.lower() in IMAGE_ENDINGS:
                images.setdefault(file.stem, []).append(file)
            elif not (folder == folders.labels and file.suffix.lower() in label_endings):
                others.append(file.name)
        if others:
            what = f"{len(others)} files have no image ending: {', '.join(others[:5])}"
            remedy = f"convert them to one of {' '.join(sorted(IMAGE_ENDINGS))} if they should be read"
            faults.problems.append(Problem(what, remedy, where=str(folder), fatal=False))
    return images


def _selected(name: str, file: Path, numbers: Numbers, faults: ReadingBuilder) -> bool:
    if numbers is not None and scene_number(name) is None:
        what = "the file name has no number to compare with `numbers`"
        faults.refuse(name, file, what, "rename the file, or leave `numbers` out")
        return False
    return is_in_range(name, numbers)


def _pair(name: str, images: list[Path], labels: list[Path], label_folder: Path, faults: ReadingBuilder) -> list[Pair]:
    if not labels:
        what = f"image without a label gt_{name} or {name} in {label_folder}"
        faults.refuse(name, images[0], what, "add one (empty for no words)")
        return []
    if len(images) > 1:
        what = f"second image of the name {name}, beside {images[0]}"
        faults.refuse(name, images[1], what, "rename or delete one of the two")
    elif len(labels) > 1:
        faults.refuse(name, labels[1], f"second label of {name}, beside {labels[0]}", "delete the wrong one")
    return [Pair(name, images[0], labels[0])]
