"""A labelled set from its settings: picks the reader, gathers what is wrong, looks at every picture's header."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets import totaltext
from craft.datasets.folders import (
    LabelledFolders,
    Pairing,
    custom_folders,
    find_format,
    label_name,
    list_files,
    natural_key,
    official_folders,
    pair_files,
    scene_number,
)
from craft.datasets.icdar import ICDAR_FORMATS, read_label_file, script_remarks
from craft.datasets.jsonlines import read_scenes
from craft.datasets.labels import SetReading, join_readings, words_outside
from craft.datasets.shards import read_shards
from craft.datasets.synthtext import read_synthtext
from craft.images.reader import image_size, read_image
from craft.scene import Problem, Scene, Word

__all__ = ["SetReading", "read_set", "read_truth", "set_format"]

_THREADS = 8
_PICTURES_AT_ONCE = 4096
_PROBLEMS_SHOWN = 10


def read_set(settings: DatasetSettings, *, check_images: bool = True, decode: bool = False) -> SetReading:
    """Read a labelled set.

    Args:
        settings: where it is and which part of it. `numbers` go by the last number in a scene's name ("img_12"), for
            SynthText by the place in the file, counted from 1.
        check_images: look at every picture's header, and remark on words outside their picture.
        decode: read every picture's pixels instead of its header alone.

    Returns:
        Its scenes and everything wrong with them. Only what makes the whole set unreadable is raised.

    Raises:
        ValueError: the path or a folder does not exist, the format does not follow from the folders' names, or it is
            synth, which has no files.
    """
    if settings.format == "synth":
        raise ValueError(
            f"{settings.title}: scenes that are drawn while they are used serve training and validation only; write "
            "them with craft synth, and name the folder"
        )
    path = Path(settings.path)
    format = set_format(settings)
    if format == "jsonl":
        reading = _read_jsonl(settings, path)
    elif format == "shards":
        reading = read_shards(settings)
    elif format == "synthtext":
        reading = _read_synthtext(settings, path)
    else:
        reading = _read_folders(settings, path, format)
    if not reading.scenes and not reading.problems:
        remedy = "correct the path or numbers" if settings.numbers else "correct the path"
        reading = SetReading((), (Problem(str(path), f"no scenes for format {format}", remedy),))
    return with_image_problems(reading, decode=decode) if check_images else reading


def set_format(settings: DatasetSettings) -> str:
    """The format of a set: as named, or from the names of its folders.

    Args:
        settings: of the set.

    Returns:
        "icdar2017", "jsonl", ...

    Raises:
        ValueError: the path does not exist, or the format is not named and does not follow.
    """
    if settings.format is None:
        return find_format(Path(settings.path))
    if not Path(settings.path).exists():
        raise ValueError(f"{settings.path}: there is no such file or folder; correct the path of the set")
    return settings.format


def read_truth(settings: DatasetSettings) -> tuple[Scene, ...]:
    """Read the truth of an evaluation, where the labels count and pictures need not be there.

    Args:
        settings: of a labelled set, or `path` is a folder of label files alone (gt_img_12.txt or img_12.txt), or a
            .jsonl file, whatever `format` says.

    Returns:
        Its scenes in the order of their numbers, named as their pictures ("img_12"). Scenes from label files alone
        have an empty image path.

    Raises:
        ValueError: there is no such folder, it holds no labels, or a label is wrong; the message says where.
    """
    path = Path(settings.path)
    if path.is_file() and path.suffix.lower() == ".jsonl":
        settings = settings.model_copy(update={"format": "jsonl"})
    endings = _label_endings(settings.format or "")
    labels: dict[str, Path] = {}
    if path.is_dir() and settings.images is None and settings.labels is None:
        labels = {label_name(file.stem): file for file in list_files(path) if file.suffix.lower() in endings}
    if labels and settings.format != "jsonl":
        if settings.format is None:
            raise ValueError(f"{path}: the format of label files alone is not guessed; name it, such as icdar2015")
        names = [name for name in sorted(labels, key=natural_key) if _in_range(name, settings.numbers)]
        reading = _read_labels([(name, "", labels[name]) for name in names], settings.format)
    else:
        reading = read_set(settings, check_images=False)
    if reading.errors:
        shown = [f"  {problem}" for problem in reading.errors[:_PROBLEMS_SHOWN]]
        raise ValueError("\n".join([f"{path}: {len(reading.errors)} errors in the truth; mend them first", *shown]))
    return reading.scenes


def with_image_problems(reading: SetReading, *, decode: bool = False) -> SetReading:
    """Look at the pictures of a set.

    Args:
        reading: of the set.
        decode: read the pixels, which finds files that were cut; otherwise only headers are read.

    Returns:
        The reading with a problem for each unreadable picture, whose scene is bad, and a remark for each word that
        lies outside its picture.
    """
    problems = list(reading.problems)
    bad_names = set(reading.bad_scenes)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for scene, size in _sizes(pool, reading.scenes, decode=decode):
            if isinstance(size, Problem):
                problems.append(size)
                bad_names.add(scene.name)
            else:
                problems.extend(words_outside(scene, size_hw=size))
    return SetReading(reading.scenes, tuple(problems), frozenset(bad_names))


def _sizes(
    pool: ThreadPoolExecutor, scenes: Iterable[Scene], *, decode: bool
) -> Iterable[tuple[Scene, tuple[int, int] | Problem]]:
    remaining = iter(scenes)
    while block := list(islice(remaining, _PICTURES_AT_ONCE)):  # a future each for all of SynthText would fill memory
        yield from zip(block, pool.map(lambda scene: _size_or_problem(scene, decode=decode), block), strict=True)


def _size_or_problem(scene: Scene, *, decode: bool) -> tuple[int, int] | Problem:
    try:
        if decode:
            height, width, _ = read_image(scene.image_path).shape
            return height, width
        return image_size(scene.image_path)
    except ValueError as error:
        what, _, remedy = str(error).removeprefix(f"{scene.image_path}: ").partition("; ")
        return Problem(scene.image_path, what, remedy)


def _read_jsonl(settings: DatasetSettings, path: Path) -> SetReading:
    if path.is_dir():
        path = path / (settings.labels or "scenes.jsonl")
        if not path.is_file():
            raise ValueError(f"{path}: there is no such file; give the .jsonl file as path, or its name as labels")
    images = Path(settings.path) / settings.images if settings.images else None
    return read_scenes(path, image_folder=images, wanted=lambda name: _in_range(name, settings.numbers))


def _read_synthtext(settings: DatasetSettings, path: Path) -> SetReading:
    folder = path if path.is_dir() else path.parent
    path = folder / (settings.labels or "gt.mat") if path.is_dir() else path
    first, last = settings.numbers or (1, 1 << 62)
    images = folder / settings.images if settings.images else folder
    return read_synthtext(path, image_folder=images, wanted=lambda number: first <= number <= last)


def _read_folders(settings: DatasetSettings, path: Path, format: str) -> SetReading:
    """Read one label file a picture, from the official folders or those that were named."""
    remarks: list[Problem] = []
    if settings.images is None and settings.labels is None:
        parts, remarks = official_folders(path, format=format, split=settings.split)
    else:
        parts = [
            custom_folders(path, format=format, split=settings.split, images=settings.images, labels=settings.labels)
        ]
    readings = [SetReading((), tuple(remarks))]
    taken: set[str] = set()
    for folders in parts:
        reading = _read_part(folders, format, settings.numbers, taken)
        taken.update(scene.name for scene in reading.scenes)
        readings.append(reading)
    joined = join_readings(readings)
    if format in ICDAR_FORMATS:
        words = [word for scene in joined.scenes for word in scene.words]
        joined = join_readings([joined, SetReading((), tuple(script_remarks(words, format=format)))])
    return joined


def _read_part(folders: LabelledFolders, format: str, numbers: tuple[int, int] | None, taken: set[str]) -> SetReading:
    """Read one part of a set; a name that an earlier part has taken gets its picture folder's name before it."""
    pairing: Pairing = pair_files(folders, numbers=numbers, label_endings=_label_endings(format))
    reading = _read_labels(
        [(_free_name(pair.name, pair.image, taken), str(pair.image), pair.label) for pair in pairing.pairs], format
    )
    bad_names = {_free_name(name, folders.images[0] / name, taken) for name in pairing.bad_names}
    return join_readings([SetReading((), tuple(pairing.problems), frozenset(bad_names)), reading])


def _free_name(name: str, image: Path, taken: set[str]) -> str:
    return f"{image.parent.name}_{name}" if name in taken else name


def _read_labels(files: Iterable[tuple[str, str, Path]], format: str) -> SetReading:
    """Read label files given as name, picture and label."""
    scenes: list[Scene] = []
    problems: list[Problem] = []
    bad_names: set[str] = set()
    for name, image, label in files:
        words, found = _read_label(label, format)
        scenes.append(Scene(image_path=image, words=words, name=name))
        problems.extend(found)
        if found:
            bad_names.add(name)
    return SetReading(tuple(scenes), tuple(problems), frozenset(bad_names))


def _read_label(label: Path, format: str) -> tuple[tuple[Word, ...], tuple[Problem, ...]]:
    if format == "totaltext":
        return totaltext.read_label_file(label)
    return read_label_file(label, format=format)


def _label_endings(format: str) -> tuple[str, ...]:
    return (".txt", ".mat") if format == "totaltext" else (".txt",)


def _in_range(name: str, numbers: tuple[int, int] | None) -> bool:
    if numbers is None:
        return True
    number = scene_number(name)
    return number is not None and numbers[0] <= number <= numbers[1]
