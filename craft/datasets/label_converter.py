"""Writes the labels of a dataset in another format, and counts what is lost."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from craft.config import DatasetSettings
from craft.datasets.formats import FORMATS
from craft.datasets.label_format import LabelWriter, SceneToWrite
from craft.datasets.reading import good_scenes
from craft.geometry import bounding_boxes, box_corners, quad_around
from craft.images.reader import image_size
from craft.images.tar_members import parse_member
from craft.scene import Scene, Word

WRITTEN_FORMATS = tuple(sorted(name for name, entry in FORMATS.items() if entry.writer is not None))


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written; `skipped` scenes had errors."""

    path: Path  # the label file, or the folder of label files
    scenes: int
    words: int
    skipped: int
    lost: dict[str, int]  # how many words lost what


def convert_labels(settings: DatasetSettings, out: Path, *, to: str, skip_errors: bool = False) -> Conversion:
    """Write a dataset's labels into the folder `out`, in the format `to`; images stay where they are and are named by path.

    Raises ValueError if labels are there already, the dataset has errors and `skip_errors` is False, or no scene is left.
    """
    writer = FORMATS[to].writer
    assert writer is not None, to
    path = out / writer.file if writer.file else out
    if path.is_file() or (writer.file is None and out.is_dir() and any(out.iterdir())):
        raise ValueError(f"{path}: already exists; remove it, or give another folder")
    scenes, skipped = good_scenes(settings, skip_errors=skip_errors, remedy="add --skip-errors")
    out.mkdir(parents=True, exist_ok=True)
    lost: Counter[str] = Counter()
    writer.write([_to_write(scene, out, writer, lost) for scene in scenes], path)
    words = sum(len(scene.words) for scene in scenes)
    return Conversion(path, len(scenes), words, skipped, {what: n for what, n in lost.items() if n})


def _to_write(scene: Scene, out: Path, writer: LabelWriter, lost: Counter[str]) -> SceneToWrite:
    if parse_member(scene.image_path) is not None:
        raise ValueError(
            f"{scene.image_path}: lies in a shard, which no other format can name; convert the dataset itself"
        )
    image = os.path.abspath(scene.image_path)
    try:
        relative = Path(os.path.relpath(image, os.path.abspath(out))).as_posix()
    except ValueError:  # on another drive of Windows
        relative = Path(image).as_posix()
    words = tuple(_reduced(word, writer, lost) for word in scene.words)
    return SceneToWrite(replace(scene, words=words), relative, image_size(scene.image_path))


def _reduced(word: Word, writer: LabelWriter, lost: Counter[str]) -> Word:
    """The word as the format holds it; what is lost is counted."""
    if writer.exact:
        return word
    if word.untranscribed:  # nobody marked it, so neither do we: it is read back as it was
        word = replace(word, dont_care=False)
    polygon, text = word.polygon_xy, word.text
    if not writer.polygons and len(polygon) != 4:
        polygon = quad_around(polygon)
        lost["polygons, written as quads"] += 1
    box = box_corners(bounding_boxes(polygon)).astype(np.float32)
    if not writer.slanted and not np.array_equal(polygon, box):
        polygon = box
        lost["slanted quads, written as upright boxes"] += 1
    lost["words with fractions of pixels, rounded"] += not writer.fractions and bool((polygon % 1).any())
    if text is not None and len(text.splitlines()) > 1:
        text = " ".join(text.split())
        lost["line breaks in texts"] += 1
    lost["texts of don't-care words"] += word.dont_care and text is not None
    lost["don't-care marks; other programs take these for words"] += word.dont_care and not writer.dont_care
    lost["words without a text, don't care where they are read"] += (
        not (word.dont_care or word.untranscribed) and text is None
    )
    lost["words' scripts"] += bool(word.script) and not writer.script
    lost["words' character boxes"] += word.character_quads_xy is not None and not writer.characters
    return replace(word, polygon_xy=polygon, text=text)
