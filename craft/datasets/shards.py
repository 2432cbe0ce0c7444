"""Sets packed into tar files, read in place: any scene at any time, without unpacking. No torch.

Shards follow WebDataset's convention: NAME.json and NAME.jpg (or .png, ...) next to each other, the label one scene in
the JSON Lines format (jsonlines.py). Beside them lie shards.json, which lists the shards and their sizes, and shards.npy,
which says where each scene's members lie, so that order and resuming are those of a folder of files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.config import DatasetSettings
from craft.datasets.jsonlines import scene_of_line
from craft.datasets.labels import SetReading
from craft.datasets.scene_source import SceneSource
from craft.images.tar_members import REMEDY, Member, read_member
from craft.scene import Problem, Scene

SHARD_LIST, SCENE_INDEX = "shards.json", "shards.npy"
VERSION = 1
# Columns of the index: which shard; where the label's header begins, its bytes and their CRC-32; the picture's likewise.
COLUMNS = ("shard", "label_start", "label_bytes", "label_sum", "picture_start", "picture_bytes", "picture_sum")


class ShardScenes(SceneSource):
    """The scenes of a packed set, each read when it is asked for; in memory are some numbers a scene, shared by processes.

    A scene's `image_path` names a member of a shard, which whatever reads pictures understands.
    """

    def __init__(
        self,
        folder: Path,
        shards: Sequence[str],
        index: NDArray[np.int64],
        *,
        prepare: Callable[[Scene], Scene] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            folder: where the shards are.
            shards: their file names.
            index: (N, 7) int64, the scenes' rows of the index.
            prepare: done to each scene that is read, such as giving words their characters; None for nothing.
        """
        super().__init__(range(len(index)))
        self._folder = folder
        self._shards = list(shards)
        self._index = index
        self._prepare = prepare

    def scene(self, number: int) -> Scene:
        """Read one scene's label."""
        scene, problems = self.read(number)
        if problems:
            raise ValueError(str(problems[0]))
        return scene if self._prepare is None else self._prepare(scene)

    def read(self, index: int) -> tuple[Scene, list[Problem]]:
        """Read one scene's label, as it is.

        Args:
            index: which scene.

        Returns:
            The scene, without its words that are wrong, and what is wrong with these.

        Raises:
            ValueError: the label cannot be read.
        """
        shard, start, size, checksum, *place = self._index[index].tolist()
        path = str(self._folder / self._shards[shard])
        line = read_member(Member(path, start, size, checksum)).decode("utf-8")
        return scene_of_line(line, f"{path}:{start}", locate=lambda name: str(_member(path, place, name)))


def _member(path: str, place: list[int], name: str) -> Member:
    start, size, checksum = place
    return Member(path, start, size, checksum, name)


def open_shards(settings: DatasetSettings, *, prepare: Callable[[Scene], Scene] | None = None) -> ShardScenes:
    """Open a packed set.

    Args:
        settings: of the set; `numbers` go by the place in the set, counted from 1.
        prepare: done to each scene that is read; None for nothing.

    Returns:
        Its scenes.

    Raises:
        ValueError: the folder holds no packed set, or one of another version; or a shard is missing or has another size
            than when it was written.
    """
    folder = Path(settings.path)
    contents = _read_list(folder)
    for shard in contents["shards"]:
        path = folder / shard["name"]
        found = path.stat().st_size if path.is_file() else None
        if found != shard["bytes"]:
            fault = "is missing" if found is None else f"has {found:,} bytes of {shard['bytes']:,}"
            raise ValueError(f"{path}: {fault}; {REMEDY}")
    try:
        index = np.load(folder / SCENE_INDEX, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / SCENE_INDEX}: cannot be read ({error}); {REMEDY}") from None
    if index.shape != (contents["scenes"], len(COLUMNS)) or index.dtype != np.int64:
        raise ValueError(
            f"{folder / SCENE_INDEX}: holds {index.dtype} {index.shape}, expected int64 "
            f"{(contents['scenes'], len(COLUMNS))}; {REMEDY}"
        )
    if settings.numbers is not None:
        index = index[max(0, settings.numbers[0] - 1) : settings.numbers[1]]
    if len(index) == 0:
        raise ValueError(f"{folder}: has no scene of numbers {settings.numbers}; it has {contents['scenes']}")
    return ShardScenes(folder, [shard["name"] for shard in contents["shards"]], index, prepare=prepare)


def read_shards(settings: DatasetSettings) -> SetReading:
    """Read every label of a packed set.

    Args:
        settings: of the set.

    Returns:
        Its scenes and what is wrong with them.

    Raises:
        ValueError: as `open_shards` does.
    """
    scenes: list[Scene] = []
    problems: list[Problem] = []
    bad_names: set[str] = set()
    packed = open_shards(settings)
    for index in range(len(packed)):
        try:
            scene, found = packed.read(index)
        except ValueError as error:
            where, _, rest = str(error).partition(": ")
            what, _, remedy = rest.rpartition("; ")
            problems.append(Problem(where, what, remedy))
            bad_names.add(f"scene {index + 1}")
            continue
        scenes.append(scene)
        problems.extend(found)
        if found:
            bad_names.add(scene.name)
    return SetReading(tuple(scenes), tuple(problems), frozenset(bad_names))


def is_packed(folder: Path) -> bool:
    """Whether a folder holds a packed set."""
    return (folder / SHARD_LIST).is_file()


def _read_list(folder: Path) -> dict[str, Any]:
    path = folder / SHARD_LIST
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give a folder that craft pack wrote") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); {REMEDY}") from None
    if contents.get("version") != VERSION:
        raise ValueError(f"{path}: version {contents.get('version')}, and this is {VERSION}; pack the set anew")
    return contents
