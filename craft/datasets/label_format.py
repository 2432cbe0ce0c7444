"""A label format: how it is recognised, read and written, and what of a word it keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from craft.config import DatasetFormat, DatasetSettings
from craft.datasets.folders import FolderLayout
from craft.datasets.labels import DatasetReading
from craft.scene import Scene


class Match(IntEnum):
    """How surely the names of files and folders show a format."""

    NONE = 0
    POSSIBLE = 1
    OFFICIAL = 2
    CERTAIN = 3


class SceneToWrite(NamedTuple):
    """A scene whose words a format can hold; a word without a usable text has the text "###"."""

    scene: Scene
    image: str  # path of the image relative to the labels, with slashes
    size_hw: tuple[int, int]  # of the image


@dataclass(frozen=True, slots=True)
class LabelWriter:
    """How a format is written, and what of a word is lost."""

    write: Callable[[Sequence[SceneToWrite], Path], None]  # to `file` in the output folder, or to that folder
    file: str | None = None  # name of the one label file; None for one label file per image
    polygons: bool = True  # or four corners
    slanted: bool = True  # or upright boxes
    fractions: bool = True  # or whole pixels
    script: bool = False
    characters: bool = False
    dont_care: bool = True  # or every label is a word
    exact: bool = False  # everything of a word, whatever stands above


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """One entry of the registry in formats.py."""

    name: DatasetFormat  # as settings name it
    recognise: Callable[[Path], Match]  # whether what lies at an existing path is a dataset of this format
    read: Callable[[DatasetSettings], DatasetReading]  # raises ValueError only where all is unreadable
    layout: FolderLayout | None = None  # of a format with one label file per image
    resembles: Callable[[str], bool] | None = None  # whether a part of a label file looks like this format
    writer: LabelWriter | None = None


def folder_format(
    name: DatasetFormat,
    layout: FolderLayout,
    *,
    resembles: Callable[[str], bool] | None = None,
    writer: LabelWriter | None = None,
) -> LabelFormat:
    """Make the format of datasets with one label file per image."""

    def recognise(path: Path) -> Match:
        return Match.OFFICIAL if layout.is_at(path) else Match.NONE

    return LabelFormat(name, recognise, layout.read, layout, resembles, writer)
