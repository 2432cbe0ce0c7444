"""A labelled dataset from its settings: its labels read, its images' headers checked, its problems gathered."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets.file_pairs import is_in_range, is_note, label_name, list_files, natural_key
from craft.datasets.formats import FORMATS, format_of
from craft.datasets.labels import DatasetReading, join_readings, words_outside
from craft.datasets.remarks import remarks_on
from craft.errors import Problem, list_problems
from craft.images.reader import image_size, read_image
from craft.scene import Scene

_THREADS = 8
_IMAGES_AT_ONCE = 4096


def read_dataset(settings: DatasetSettings, *, check_images: bool = True, decode: bool = False) -> DatasetReading:
    """Read a labelled dataset and everything wrong with it.

    Args:
        settings: where it is and which part of it. `numbers` go by the last number in a scene's name ("img_12"); for
            SynthText and shards they are positions, counted from 1.
        check_images: read every image's header, look whether the file has its end, and remark on words outside their image.
        decode: read every image's pixels instead of its header alone.

    Raises ValueError if the whole dataset is unreadable, or its format is synth, which has no files.
    """
    if settings.format == "synth":
        raise ValueError(
            f"{settings.title}: scenes rendered on the fly can only be used for training and validation; write them to "
            "a folder with craft synth, and give that folder"
        )
    format = format_of(settings)
    reading = format.read(settings)
    if not reading.scenes and not reading.problems:
        remedy = "correct the path or numbers" if settings.numbers else "correct the path"
        problem = Problem(f"no scenes for format {format.name}", remedy, where=str(Path(settings.path)))
        reading = DatasetReading((), (problem,))
    remarks = DatasetReading((), tuple(remarks_on(reading.scenes, where=settings.path)))
    reading = join_readings([reading, remarks])
    return with_image_problems(reading, decode=decode) if check_images else reading


def read_truth(settings: DatasetSettings) -> tuple[Scene, ...]:
    """Read the ground truth of an evaluation, in the order of its numbers, which needs labels but no images.

    The path is that of a labelled dataset, of a folder of label files alone (gt_img_12.txt or img_12.txt), or of a
    .jsonl file, whatever `format` says. ValueError says where a label is missing or wrong.
    """
    path = Path(settings.path)
    if path.is_file() and path.suffix.lower() == ".jsonl":
        settings = settings.model_copy(update={"format": "jsonl"})
    layout = FORMATS[settings.format].layout if settings.format in FORMATS else None
    labels: dict[str, Path] = {}
    official = layout is not None and layout.is_at(path)  # text files beside its folders are no labels
    if path.is_dir() and not official and settings.images is None and settings.labels is None:
        endings = layout.label_endings if layout is not None else (".txt",)
        files = [file for file in list_files(path) if file.suffix.lower() in endings and not is_note(file)]
        labels = {label_name(file.stem): file for file in files}
    if labels and settings.format is None:
        raise ValueError(f"{path}: the format of label files alone is never guessed; name it, such as icdar2015")
    if labels and layout is not None:
        names = [name for name in sorted(labels, key=natural_key) if is_in_range(name, settings.numbers)]
        reading = layout.read_label_files((name, "", labels[name]) for name in names)
    else:
        reading = read_dataset(settings, check_images=False)
    if errors := reading.errors:
        raise ValueError(list_problems(f"{path}: {len(errors)} errors in the ground truth; fix them first", errors))
    return reading.scenes


def with_image_problems(reading: DatasetReading, *, decode: bool = False) -> DatasetReading:
    """Add a problem for each unreadable image, whose scene is bad, and a remark for each word outside its image."""
    problems = list(reading.problems)
    bad_names = set(reading.bad_scenes)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for scene, size in _sizes(pool, reading.scenes, decode=decode):
            if isinstance(size, Problem):
                problems.append(size)
                bad_names.add(scene.name)
            else:
                problems.extend(words_outside(scene, size_hw=size))
    return DatasetReading(reading.scenes, tuple(problems), frozenset(bad_names))


def _sizes(
    pool: ThreadPoolExecutor, scenes: Iterable[Scene], *, decode: bool
) -> Iterable[tuple[Scene, tuple[int, int] | Problem]]:
    remaining = iter(scenes)
    while block := list(islice(remaining, _IMAGES_AT_ONCE)):  # a future each for all of SynthText would fill memory
        yield from zip(block, pool.map(lambda scene: _size_or_problem(scene, decode=decode), block), strict=True)


def _size_or_problem(scene: Scene, *, decode: bool) -> tuple[int, int] | Problem:
    try:
        if decode:
            height, width, _ = read_image(scene.image_path).shape
            return height, width
        return image_size(scene.image_path)
    except Problem as problem:
        return problem.at(scene.image_path)
