"""A labelled dataset from its settings: its labels read, its images' headers checked, its problems gathered; and the
dataset refused for them, or read without the scenes that have errors. No torch."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from craft.config import DatasetSettings
from craft.datasets.file_pairs import is_in_range, is_note, label_name, list_files, natural_key
from craft.datasets.formats import FORMATS, format_of
from craft.datasets.jsonlines import is_generated
from craft.datasets.labels import DatasetReading, join_readings, words_outside
from craft.errors import Problem, list_problems
from craft.geometry import quad_sides
from craft.images.reader import image_size, read_image
from craft.scene import Scene

_LONG_TEXT = 3  # characters; fewer are often taller than wide
_LEAST_SHARE = 0.1  # of a dataset's long words
_THREADS = 8
_IMAGES_AT_ONCE = 4096


def remarks_on(scenes: Sequence[Scene], *, where: str) -> list[Problem]:
    """Remark on what makes every scene of a dataset useless, though no label is wrong by itself."""
    words = [word for scene in scenes for word in scene.words]
    remarks = []
    if scenes and all(word.dont_care for word in words):
        found = f"all {len(words):,} are don't care" if words else "there are none"
        what = f"no word can be read: {found}"
        remedy = "there is nothing to learn from it; add transcriptions to its labels"
        if any(word.untranscribed for word in words):
            remedy += ", or let a network count the characters: craft label --boxes-only"
        remarks.append(Problem(what, remedy, where=where, fatal=False))
    long = [word for word in words if len(word.text or "") >= _LONG_TEXT and len(word.polygon_xy) == 4]
    if not long:
        return remarks
    quads = np.stack([word.polygon_xy for word in long])  # (N, 4, 2)
    widths, heights = quad_sides(quads)
    along = (quads[:, 1] - quads[:, 0]) + (quads[:, 2] - quads[:, 3])
    turned = (2 * widths < heights) & (np.abs(along[:, 1]) > np.abs(along[:, 0]))
    if turned.sum() > _LEAST_SHARE * len(long):
        first = long[int(np.argmax(turned))]
        what = f"{turned.sum():,} of {len(long):,} words are read along their short side, such as {first.text!r}"
        remedy = "let each quad start at the top-left corner of its text and run clockwise"
        remarks.append(Problem(what, remedy, where=first.source or where, fatal=False))
    return remarks


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
