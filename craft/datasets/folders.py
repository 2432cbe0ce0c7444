"""Folders of labelled sets: which ones the official sets have, and which picture belongs to which label."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from craft.datasets.shards import is_packed
from craft.images.reader import PICTURE_ENDINGS
from craft.scene import Problem


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of an official set: the names its folders go by, the first one the usual one."""

    images: tuple[str, ...]
    labels: tuple[str, ...]


_LAYOUTS: dict[str, dict[str, _Part]] = {
    "icdar2013": {
        "train": _Part(("Challenge2_Training_Task12_Images",), ("Challenge2_Training_Task1_GT",)),
        "validation": _Part(("Challenge2_Test_Task12_Images",), ("Challenge2_Test_Task1_GT",)),
    },
    "icdar2015": {
        "train": _Part(("ch4_training_images",), ("ch4_training_localization_transcription_gt",)),
        "validation": _Part(
            ("ch4_test_images",), ("Challenge4_Test_Task1_GT", "ch4_test_localization_transcription_gt")
        ),
    },
    "icdar2017": {
        "train": _Part(
            tuple(f"ch8_training_images_{number}" for number in range(1, 9)),
            ("ch8_training_localization_transcription_gt_v2",),
        ),
        "validation": _Part(("ch8_validation_images",), ("ch8_validation_localization_transcription_gt_v2",)),
    },
    "icdar2019": {"train": _Part(("ImagesPart1", "ImagesPart2"), ("train_gt_t13",))},
    "totaltext": {
        "train": _Part(
            ("Images/Train",), ("Groundtruth/Polygon/Train", "Polygon/Train", "txt_format/Train", "gt/Train")
        ),
        "validation": _Part(
            ("Images/Test",), ("Groundtruth/Polygon/Test", "Polygon/Test", "txt_format/Test", "gt/Test")
        ),
    },
}
_LABEL_PREFIXES = ("gt_", "poly_gt_", "")


@dataclass(frozen=True, slots=True)
class LabelledFolders:
    """Folders that belong together: pictures, and the folder of their labels."""

    images: tuple[Path, ...]
    labels: Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its label."""

    name: str
    image: Path
    label: Path


@dataclass(slots=True)
class Pairing:
    """Pairs in the order of their numbers, and what has no partner."""

    pairs: list[Pair] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad_names: set[str] = field(default_factory=set)


def find_format(path: Path) -> str:
    """Tell a set's format from the names of its files and folders.

    What `craft synth` wrote is read from its scenes.jsonl, which has the characters too.

    Args:
        path: folder of the set, a .jsonl file or a .mat file.

    Returns:
        The format's name.

    Raises:
        ValueError: the path does not exist, or its names are those of no official set, or of several.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder; correct the path of the set")
    if path.suffix.lower() in (".jsonl", ".mat") and path.is_file():
        return {".jsonl": "jsonl", ".mat": "synthtext"}[path.suffix.lower()]
    if is_packed(path):
        return "shards"
    if is_generated(path):
        return "jsonl"
    found = [
        name
        for name, parts in _LAYOUTS.items()
        if any((path / folder).is_dir() for part in parts.values() for folder in (*part.images, *part.labels))
    ]
    if (path / "gt.mat").is_file():
        found.append("synthtext")
    if not found and (path / "scenes.jsonl").is_file():
        found.append("jsonl")
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{path}: holds folders of {' and '.join(found)}; say which with format")
    official = ", ".join(part.images[0] for parts in _LAYOUTS.values() for part in parts.values())
    raise ValueError(
        f"{path}: the format does not follow from its folders (known: {official}); set format, images and labels"
    )


def is_generated(path: Path) -> bool:
    """Whether `craft synth` wrote a folder: its scenes.jsonl has the characters that its ICDAR label files lack.

    Args:
        path: folder of a set.

    Returns:
        Whether it holds scenes.jsonl and generator.json.
    """
    return (path / "scenes.jsonl").is_file() and (path / "generator.json").is_file()


def official_folders(path: Path, *, format: str, split: str) -> tuple[list[LabelledFolders], list[Problem]]:
    """Find the folders of an official set.

    Args:
        path: folder of the set.
        format: a format with official folders.
        split: "train", "validation" or "all".

    Returns:
        The folders of each part of the split that is there; and, for "all", a remark on each part of which only the
        pictures or only the labels are there.

    Raises:
        ValueError: `split` names a part that is not there, or nothing is there.
    """
    parts = _LAYOUTS[format]
    if split != "all" and split not in parts:
        raise ValueError(f"{path}: {format} has no {split} folders; give images and labels, or part the set by numbers")
    found: list[LabelledFolders] = []
    remarks: list[Problem] = []
    for name in parts if split == "all" else [split]:
        part = parts[name]
        images = tuple(path / folder for folder in part.images if (path / folder).is_dir())
        labels = [path / folder for folder in part.labels if (path / folder).is_dir()]
        if images and labels:
            found.append(LabelledFolders(images, labels[0]))
            continue
        missing = " or ".join(part.images if not images else part.labels)
        if split != "all":
            raise ValueError(
                f"{path}: the {name} part of {format} lacks {missing}; unpack it there, or give images and labels"
            )
        if images or labels:
            there = [*images, *labels][0].name
            remarks.append(
                Problem(str(path), f"{there} is there, {missing} is not; not read", "unpack it there", fatal=False)
            )
    if not found:
        raise ValueError(f"{path}: no part of {format} has both its pictures and its labels; unpack them there")
    return found, remarks


def custom_folders(path: Path, *, format: str, split: str, images: str | None, labels: str | None) -> LabelledFolders:
    """Folders that the user named; where only one is named, the other is the official one, or else `path` itself.

    Args:
        path: folder of the set.
        format: format of the labels.
        split: which official folder stands for one that is not named.
        images: picture folder inside `path`, or None.
        labels: label folder inside `path`, or None.

    Returns:
        The folders.

    Raises:
        ValueError: one does not exist.
    """
    part = _LAYOUTS.get(format, {}).get(split, _Part((), ()))
    official_images = tuple(path / folder for folder in part.images if (path / folder).is_dir())
    official_labels = [path / folder for folder in part.labels if (path / folder).is_dir()]
    image_folders = (path / images,) if images else official_images or (path,)
    label_folder = path / labels if labels else (official_labels or [path])[0]
    for folder, setting in ((image_folders[0], "images"), (label_folder, "labels")):
        if not folder.is_dir():
            raise ValueError(f"{folder}: there is no such folder; correct {setting}, which is taken inside path")
    return LabelledFolders(image_folders, label_folder)


def pair_files(
    folders: LabelledFolders, *, numbers: tuple[int, int] | None, label_endings: tuple[str, ...] = (".txt",)
) -> Pairing:
    """Find each picture's label: for img_12.jpg it is gt_img_12.txt, poly_gt_img_12.txt or img_12.txt.

    Args:
        folders: where pictures and labels are.
        numbers: first and last scene number used, both included; None for all.
        label_endings: endings of label files, lower case, the preferred one first.

    Returns:
        Pairs in the order of their numbers; a problem for every picture without a label, label without a picture and
        name that two files share; a remark on files that are neither.
    """
    pairing = Pairing()
    labels = _labels_by_stem(folders.labels, label_endings, pairing)
    images = _images_by_name(folders, label_endings, pairing)
    used: set[str] = set()
    for name in sorted(images, key=natural_key):
        candidates = [prefix + name for prefix in _LABEL_PREFIXES if prefix + name in labels]
        used.update(candidates)
        if not _selected(name, images[name][0], numbers, pairing):
            continue
        _pair(name, images[name], [labels[stem] for stem in candidates], folders.labels, pairing)
    for stem in sorted(set(labels) - used, key=natural_key):
        name = label_name(stem)
        if _selected(name, labels[stem], numbers, pairing):
            looked = ", ".join(str(folder) for folder in folders.images)
            pairing.problems.append(
                Problem(
                    str(labels[stem]),
                    f"label without a picture {name} in {looked}",
                    "add the picture or delete the label",
                )
            )
            pairing.bad_names.add(name)
    return pairing


def label_name(stem: str) -> str:
    """Name of the scene that a label file belongs to, from its name without ending: gt_img_12 to img_12."""
    return next(stem[len(prefix) :] for prefix in _LABEL_PREFIXES if stem.startswith(prefix))


def scene_number(name: str) -> int | None:
    """The last whole number in a scene's name, 12 for img_12; None where there is none."""
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else None


def natural_key(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key that puts img_9 before img_10."""
    return tuple((text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name))


def list_files(folder: Path) -> list[Path]:
    """The files of a folder, hidden ones left out, in the order of their names."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_file())


def _labels_by_stem(folder: Path, endings: tuple[str, ...], pairing: Pairing) -> dict[str, Path]:
    labels: dict[str, Path] = {}
    files = [file for file in list_files(folder) if file.suffix.lower() in endings]
    for file in sorted(files, key=lambda file: endings.index(file.suffix.lower())):
        if file.stem in labels and file.suffix.lower() == labels[file.stem].suffix.lower():
            what = f"two labels of one name: {file.name} and {labels[file.stem].name}"
            pairing.problems.append(Problem(str(file), what, "delete the wrong one"))
            pairing.bad_names.add(label_name(file.stem))
        labels.setdefault(file.stem, file)
    return labels


def _images_by_name(
    folders: LabelledFolders, label_endings: tuple[str, ...], pairing: Pairing
) -> dict[str, list[Path]]:
    images: dict[str, list[Path]] = {}
    for folder in folders.images:
        others = []
        for file in list_files(folder):
            if file.suffix.lower() in PICTURE_ENDINGS:
                images.setdefault(file.stem, []).append(file)
            elif not (folder == folders.labels and file.suffix.lower() in label_endings):
                others.append(file.name)
        if others:
            what = f"{len(others)} files are no pictures by their endings: {', '.join(others[:5])}"
            remedy = f"convert them to one of {' '.join(sorted(PICTURE_ENDINGS))} if they should be read"
            pairing.problems.append(Problem(str(folder), what, remedy, fatal=False))
    return images


def _selected(name: str, file: Path, numbers: tuple[int, int] | None, pairing: Pairing) -> bool:
    if numbers is None:
        return True
    number = scene_number(name)
    if number is None:
        pairing.problems.append(
            Problem(str(file), "no number in its name to compare with numbers", "rename it, or leave numbers out")
        )
        pairing.bad_names.add(name)
        return False
    return numbers[0] <= number <= numbers[1]


def _pair(name: str, images: list[Path], labels: list[Path], label_folder: Path, pairing: Pairing) -> None:
    problem = None
    if not labels:
        problem = Problem(
            str(images[0]),
            f"picture without a label gt_{name} or {name} in {label_folder}",
            "add one (empty for no words)",
        )
    elif len(images) > 1:
        problem = Problem(
            str(images[1]), f"second picture of the name {name}, beside {images[0]}", "rename or delete one of the two"
        )
    elif len(labels) > 1:
        problem = Problem(str(labels[1]), f"second label of {name}, beside {labels[0]}", "delete the wrong one")
    if problem is not None:
        pairing.problems.append(problem)
        pairing.bad_names.add(name)
    if labels:
        pairing.pairs.append(Pair(name, images[0], labels[0]))
