"""The registry of label formats: one line per format, and its name in `craft.config.DatasetFormat`."""

from __future__ import annotations

from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets import icdar, jsonlines, shards, synthtext, totaltext
from craft.datasets.label_format import LabelFormat, Match

# Where two formats are certain, as in a folder with shards beside a generator's scenes.jsonl, the first one counts.
_ALL = (
    *icdar.FORMATS,
    totaltext.FORMAT,
    synthtext.FORMAT,
    shards.FORMAT,
    jsonlines.FORMAT,
)
UNFINISHED = "unfinished.txt"
"""A file that lies in a dataset's folder while it is written."""

FORMATS: dict[str, LabelFormat] = {entry.name: entry for entry in _ALL}


def format_of(settings: DatasetSettings) -> LabelFormat:
    """The format of a dataset: as named, or as the names of its files and folders show it.

    Raises ValueError if the path does not exist, or the names are those of no official dataset, or of several.
    """
    path = Path(settings.path)
    if not path.exists():
        raise ValueError(f"{path}: there is no such file or folder; correct the dataset's path")
    if (path / UNFINISHED).is_file():
        what = "is unfinished: craft synth writes it or was interrupted"
        raise ValueError(f"{path}: {what}; wait, or run the same command again, or remove the folder")
    if settings.format is not None:
        return FORMATS[settings.format]
    matches = {entry.name: entry.recognise(path) for entry in _ALL}
    best = max(matches.values())
    if best == Match.NONE:
        official = ", ".join(
            part.images[0] for entry in _ALL if entry.layout is not None for part in entry.layout.parts.values()
        )
        if below := _datasets_below(path):
            raise ValueError(f"{path}: holds datasets rather than being one; give {' or '.join(below)}")
        raise ValueError(
            f"{path}: the format does not follow from the folder names (known: {official}); set format, images and labels"
        )
    found = [name for name, match in matches.items() if match == best]
    if len(found) > 1 and best != Match.CERTAIN:
        raise ValueError(f"{path}: holds folders of {' and '.join(found)}; choose one with format")
    return FORMATS[found[0]]


def _datasets_below(path: Path) -> list[str]:
    """The folders one level below that are datasets."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    return [str(folder) for folder in folders if any(entry.recognise(folder) != Match.NONE for entry in _ALL)]
