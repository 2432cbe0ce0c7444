"""The registry of label formats: one line per format, and its name in `craft.config.DatasetFormat`."""

from pathlib import Path

from craft.config import DatasetSettings
from craft.datasets import (
    coco,
    cvat,
    doctr,
    icdar,
    jsonlines,
    label_studio,
    labelme,
    line_labels,
    paddleocr,
    page_xml,
    shards,
    synthtext,
    totaltext,
    via,
)
from craft.datasets.file_pairs import list_files
from craft.datasets.label_format import LabelFormat, Match
from craft.datasets.tool_files import sample_of

# Where two formats are certain, as in a folder with shards beside a generator's scenes.jsonl, the first one counts.
_ALL = (
    *icdar.FORMATS,
    totaltext.FORMAT,
    *line_labels.FORMATS,
    synthtext.FORMAT,
    shards.FORMAT,
    jsonlines.FORMAT,
    label_studio.FORMAT,
    *coco.FORMATS,
    labelme.FORMAT,
    cvat.FORMAT,
    page_xml.FORMAT,
    via.FORMAT,
    doctr.FORMAT,
    paddleocr.FORMAT,
)
UNFINISHED = "unfinished.txt"
"""A file that lies in a dataset's folder while it is written."""

_LABEL_ENDINGS = (".json", ".xml", ".txt")
_FILES_SAMPLED = 20  # of a folder

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
        if proposal := _proposal(path):
            raise ValueError(f"{path}: {proposal}")
        raise ValueError(
            f"{path}: the format does not follow from the folder names (known: {official}); set format, images and labels"
        )
    found = [name for name, match in matches.items() if match == best]
    if len(found) > 1 and best != Match.CERTAIN:
        raise ValueError(f"{path}: holds folders of {' and '.join(found)}; choose one with format")
    return FORMATS[found[0]]


def has_splits(name: str) -> bool:
    """Whether `split` has an effect on a format, by folders or by what its files say."""
    return FORMATS[name].layout is not None or name == "cocotext"


def _datasets_below(path: Path) -> list[str]:
    """The folders one level below that are datasets."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    return [str(folder) for folder in folders if any(entry.recognise(folder) != Match.NONE for entry in _ALL)]


def _proposal(path: Path) -> str:
    """Say which format a label file at a path, or one level below, looks like; "" for none. Nobody is believed but the user."""
    folders = [path, *sorted(entry for entry in path.iterdir() if entry.is_dir())] if path.is_dir() else []
    for folder in folders or [path]:
        files = [file for file in list_files(folder) if file.suffix.lower() in _LABEL_ENDINGS] if folders else [path]
        for file in files[:_FILES_SAMPLED]:
            sample = sample_of(file)
            for entry in _ALL:
                if entry.resembles is not None and entry.resembles(sample):
                    where = "" if folder == path else f" and --labels {folder.name}"
                    return (
                        f"looks like {entry.name} ({file.name}): add --format {entry.name}{where}, or format: {entry.name} "
                        "in a configuration; the format is never guessed"
                    )
    return ""
