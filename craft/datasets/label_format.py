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
    """One entry of the registry in formats.py."""

    name: DatasetFormat  # as settings name it
    recognise: Callable[[Path], Match]  # whether what lies at an existing path is a dataset of this format
    read: Callable[[DatasetSettings], DatasetReading]  # raises ValueError only where all is unreadable
    layout: FolderLayout | None = None  # of a format with one label file per image


def folder_format(name: DatasetFormat, layout: FolderLayout) -> LabelFormat:
    """Make the format of datasets with one label file per image."""

    def recognise(path: Path) -> Match:
        return Match.OFFICIAL if layout.is_at(path) else Match.NONE

    return LabelFormat(name, recognise, layout.read, layout)
