"""Packs a labelled dataset into tar shards with an index, completely or not at all. No torch."""

import io
import json
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from craft.config import DatasetSettings
from craft.datasets.jsonlines import line_of_scene
from craft.datasets.reading import good_scenes
from craft.datasets.shards import COLUMNS, SCENE_INDEX, SHARD_LIST, VERSION
from craft.images.reader import image_bytes
from craft.scene import Scene

_LONGEST_NAME = 80  # of a member, so that a tar header holds it in one block
_UNIT = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True)
class PackSummary:
    """What was packed; `skipped` scenes had errors."""

    scenes: int
    shards: int
    bytes: int
    skipped: int


def pack_dataset(
    settings: DatasetSettings, out: Path, *, shard_bytes: int, skip_errors: bool = False, progress: bool = False
) -> PackSummary:
    """Pack a labelled dataset into `out`, whose name ends in ".partial" until all is written.

    Images are copied bit for bit; labels keep everything. A shard exceeds `shard_bytes` only if a single scene does.
    Raises ValueError if the folder exists, the dataset has errors and `skip_errors` is False, or no scene is left.
    """
    if out.exists():
        raise ValueError(f"{out}: already exists; remove it, or give another --out")
    scenes, skipped = good_scenes(settings, skip_errors=skip_errors, remedy="add --skip-errors")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        shards = _write_shards(partial, scenes, shard_bytes=shard_bytes, progress=progress)
        os.replace(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return PackSummary(len(scenes), len(shards), sum(shards), skipped)


def parse_size(text: str) -> int:
    """Read a number of bytes above 0 such as 256M, with K, M or G for powers of 1024."""
    match = re.fullmatch(r"([0-9]+)([KMG]?)", text.strip().upper())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"size {text!r} is not a size; give bytes, or a number with K, M or G, such as 256M")
    return int(match[1]) * _UNIT[match[2]]


def _member_names(scenes: Sequence[Scene]) -> list[str]:
    """The scenes' names without what WebDataset reads as an ending, no two alike."""
    names: dict[str, None] = {}
    for scene in scenes:
        plain = re.sub(r"[^0-9A-Za-z_-]", "_", scene.name)[:_LONGEST_NAME] or "scene"
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}_{number}"
        names[name] = None
    return list(names)


def _write_shards(folder: Path, scenes: Sequence[Scene], *, shard_bytes: int, progress: bool) -> list[int]:
    """Write shards and index, and return the shards' sizes."""
    names, rows, sizes = _member_names(scenes), np.empty((len(scenes), len(COLUMNS)), dtype=np.int64), []
    tar: tarfile.TarFile | None = None
    for row, scene in enumerate(tqdm(scenes, desc="pack", disable=not progress)):
        image, name = image_bytes(scene.image_path), names[row]
        file_name = name + (Path(scene.image_path).suffix.lower() or ".jpg")
        label = line_of_scene(scene, image=file_name).encode("utf-8")
        if tar is not None and tar.offset + _taken(label) + _taken(image) > shard_bytes:
            sizes.append(_close(tar))
            tar = None
        if tar is None:
            path = folder / _shard_name(len(sizes))
            tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - open over many scenes
        rows[row] = (len(sizes), *_add(tar, f"{name}.json", label), *_add(tar, file_name, image))
    assert tar is not None, "there is at least one scene"
    sizes.append(_close(tar))
    listed = [{"name": _shard_name(number), "bytes": size} for number, size in enumerate(sizes)]
    contents = {"version": VERSION, "scenes": len(scenes), "columns": COLUMNS, "shards": listed}
    with open(folder / SCENE_INDEX, "wb") as file:
        np.save(file, rows)
        file.flush()
        os.fsync(file.fileno())
    (folder / SHARD_LIST).write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    return sizes


def _shard_name(number: int) -> str:
    return f"{number:06d}.tar"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int, int]:
    """Add a member; where it begins, its bytes, and their checksum."""
    start, member = tar.offset, tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
    return start, len(content), zlib.crc32(content)


def _taken(content: bytes) -> int:
    return tarfile.BLOCKSIZE * (1 + -(-len(content) // tarfile.BLOCKSIZE))


def _close(tar: tarfile.TarFile) -> int:
    tar.close()
    path = Path(str(tar.name))
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_size
