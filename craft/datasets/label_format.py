"""A label format: how it is recognised and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from craft.config import DatasetFormat, DatasetSettings
from craft.datasets.folders import FolderLayout
from craft.datasets.labels import DatasetReading


class Match(IntEnum):
    """How surely the names of files and folders show a format."""

    NONE = 0
    POSSIBLE = 1
    OFFICIAL = 2
    CERTAIN = 3


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """One entry of the registry in formats.py.

    Attributes:
        name: as settings name it.
        recognise: tells from what lies at a path, which exists, whether it is a dataset of this format.
        read: reads the dataset at a path that exists; raises ValueError only where all of it is unreadable.
        layout: of a format with one label file per image.
    """

    name: DatasetFormat
    recognise: Callable[[Path], Match]
    read: Callable[[DatasetSettings], DatasetReading]
    layout: FolderLayout | None = None


def folder_format(name: DatasetFormat, layout: FolderLayout) -> LabelFormat:
    """Make the format of datasets with one label file per image."""

    def recognise(path: Path) -> Match:
        return Match.OFFICIAL if layout.is_at(path) else Match.NONE

    return LabelFormat(name, recognise, layout.read, layout)
