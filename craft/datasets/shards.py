"""Datasets packed into tar files and read in place: any scene at any time, without unpacking. No torch.

Shards follow WebDataset's convention: NAME.json and NAME.jpg (or .png, ...) next to each other, the label one scene in
the JSON Lines format (jsonlines.py). Beside them lie shards.json, which lists the shards and their sizes, and
shards.npy, which says where each scene's members lie, so that order and resuming are those of a folder of files.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.config import DatasetSettings
from craft.datasets.jsonlines import scene_of_line
from craft.datasets.label_format import LabelFormat, Match
from craft.datasets.labels import DatasetReading, ReadingBuilder
from craft.datasets.scene_source import SceneSource
from craft.errors import Problem, refuse_device
from craft.images.tar_members import REMEDY, Member, read_member
from craft.scene import Scene

SHARD_LIST, SCENE_INDEX = "shards.json", "shards.npy"
VERSION = 1
_SHARD_NAME = re.compile(r"[^/\\]+\.tar")
# Columns of the index: which shard; where the label's header begins, its bytes and their CRC-32; the image's likewise.
COLUMNS = ("shard", "label_start", "label_bytes", "label_sum", "picture_start", "picture_bytes", "picture_sum")


class ShardScenes(SceneSource):
    """The scenes of a packed dataset, whose images are members of shards; in memory are a few numbers per scene."""

    def __init__(
        self,
        folder: Path,
        shards: Sequence[str],
        index: NDArray[np.int64],
        *,
        prepare: Callable[[Scene], Scene] | None = None,
    ) -> None:
        """Read nothing yet; `index` is (N, 7), the scenes' rows of the index; `prepare` is done to each scene read."""
        super().__init__(range(len(index)))
        self._folder = folder
        self._shards = list(shards)
        self._index = index
        self._prepare = prepare

    def scene(self, number: int) -> Scene:
        """Read one scene's label."""
        scene, problems = self.read(number)
        if problems:
            raise problems[0]
        return scene if self._prepare is None else self._prepare(scene)

    def read(self, number: int) -> tuple[Scene, list[Problem]]:
        """Read one scene's label without preparing it, and what is wrong with those of its words that are left out."""
        shard, *label, start, size, checksum = self._index[number].tolist()
        path = str(self._folder / self._shards[shard])
        try:
            line = read_member(Member(path, *label)).decode("utf-8")
        except UnicodeDecodeError:
            raise Problem("the label is not UTF-8", REMEDY, where=f"{path}:{label[0]}") from None
        return scene_of_line(
            line, f"{path}:{label[0]}", locate=lambda name: str(Member(path, start, size, checksum, name))
        )


def open_shards(settings: DatasetSettings, *, prepare: Callable[[Scene], Scene] | None = None) -> ShardScenes:
    """Open a packed dataset, whose `numbers` are positions, counted from 1, to `prepare` each scene that is read.

    Raises ValueError if the folder holds no packed dataset, or one of another version; or a shard is missing or has
    another size than when it was written.
    """
    folder = Path(settings.path)
    contents = _read_list(folder)
    for shard in contents["shards"]:
        path = folder / shard["name"]
        found = path.stat().st_size if path.is_file() else None
        if found != shard["bytes"]:
            fault = "is missing" if found is None else f"has {found:,} bytes of {shard['bytes']:,}"
            raise Problem(fault, REMEDY, where=str(path))
    where = str(folder / SCENE_INDEX)
    refuse_device(where, REMEDY)
    try:
        index = np.load(where, mmap_mode="r")
    except Exception as error:  # numpy meets damaged headers with errors of many kinds
        raise Problem(f"cannot be read ({error or type(error).__name__})", REMEDY, where=where) from None
    expected = (contents["scenes"], len(COLUMNS))
    if index.shape != expected or index.dtype != np.int64:
        raise Problem(f"holds {index.dtype} {index.shape}, expected int64 {expected}", REMEDY, where=where)
    _check_index(index, [shard["bytes"] for shard in contents["shards"]], where)
    if settings.numbers is not None:
        index = index[max(0, settings.numbers[0] - 1) : settings.numbers[1]]
    if len(index) == 0:
        raise ValueError(f"{folder}: has no scene of numbers {settings.numbers}; it has {contents['scenes']}")
    return ShardScenes(folder, [shard["name"] for shard in contents["shards"]], index, prepare=prepare)


def read_shards(settings: DatasetSettings) -> DatasetReading:
    """Read every label of a packed dataset; raises as `open_shards`."""
    builder, packed = ReadingBuilder(), open_shards(settings)
    for index in range(len(packed)):
        try:
            builder.add(*packed.read(index))
        except Problem as problem:
            builder.problems.append(problem.at(settings.path))
            builder.bad_names.add(f"scene {index + 1}")
    return builder.build()


def _read_list(folder: Path) -> dict[str, Any]:
    path = folder / SHARD_LIST
    refuse_device(path, REMEDY)
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise Problem(what, "give a folder that craft pack wrote", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise Problem(f"not JSON ({error})", REMEDY, where=str(path)) from None
    version = contents.get("version") if isinstance(contents, dict) else None
    if isinstance(contents, dict) and version != VERSION:
        what = f"has version {version}, but this release reads version {VERSION}"
        raise Problem(what, "pack the dataset again", where=str(path))
    if not _is_list_of_shards(contents):
        raise Problem("is not a list of shards as craft pack writes it", REMEDY, where=str(path))
    return contents


def _is_list_of_shards(contents: Any) -> bool:
    if not isinstance(contents, dict) or type(contents.get("scenes")) is not int:
        return False
    shards = contents.get("shards")
    return isinstance(shards, list) and all(
        isinstance(shard, dict)
        and isinstance(shard.get("name"), str)
        and _SHARD_NAME.fullmatch(shard["name"]) is not None
        and type(shard.get("bytes")) is int
        for shard in shards
    )


def _check_index(index: NDArray[np.int64], shard_bytes: Sequence[int], where: str) -> None:
    """Refuse rows that point outside their shard."""
    shards, starts, sizes = index[:, 0], index[:, [1, 4]], index[:, [2, 5]]
    good = (shards >= 0) & (shards < len(shard_bytes)) & (starts >= 0).all(axis=1) & (sizes >= 0).all(axis=1)
    ends = np.array([*shard_bytes, 0], dtype=np.int64)[np.where(good, shards, -1)]
    good &= ((starts <= ends[:, None]) & (sizes <= ends[:, None] - starts)).all(axis=1)
    if not good.all():
        number = int(np.argmin(good)) + 1
        raise Problem(f"row {number}, for scene {number}, points outside its shard", REMEDY, where=where)


FORMAT = LabelFormat("shards", lambda path: Match.CERTAIN if (path / SHARD_LIST).is_file() else Match.NONE, read_shards)
