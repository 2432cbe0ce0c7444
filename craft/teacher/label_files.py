"""Label files: the characters that a teacher found for one set, with what they came from, refused where that changed.

A label file is a set in our JSON Lines format (see datasets/jsonlines.py), so it can be drawn, checked and even trained
on as it is. Its first line says what it came from; every scene's note holds a digest of the scene as it was labelled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import craft
from craft.datasets.jsonlines import write_scenes
from craft.images.tar_members import parse_member
from craft.scene import Scene
from craft.teacher.crop_batches import teachable_length
from craft.teacher.labelling import LabelCounts


@dataclass(frozen=True, slots=True)
class Origin:
    """What the labels of a file came from, and how sure the teacher was.

    Attributes:
        craft: version that wrote the file.
        weights: the teacher's file, or the step of the run whose moving average it was.
        weights_digest: fingerprint of its tensors, see `weights_digest`.
        splitter: how region maps were split.
        height: of the teacher's crops, pixels.
        words: words labelled.
        mean_confidence: of these, before those under a half were raised to it.
        share_under_half: share of them that is split evenly.
        seconds: time that it took.
    """

    craft: str
    weights: str
    weights_digest: str
    splitter: str
    height: int
    words: int
    mean_confidence: float
    share_under_half: float
    seconds: float


def origin_of(weights: str, digest: str, counts: LabelCounts, *, splitter: str, height: int) -> Origin:
    """Describe labels made just now.

    Args:
        weights: what the teacher is called.
        digest: fingerprint of its tensors.
        counts: of the labelling.
        splitter: how region maps were split.
        height: of the crops, pixels.

    Returns:
        Their origin.
    """
    return Origin(
        craft=craft.__version__,
        weights=weights,
        weights_digest=digest,
        splitter=splitter,
        height=height,
        words=counts.words,
        mean_confidence=round(counts.mean_confidence, 4),
        share_under_half=round(counts.share_under_half, 4),
        seconds=round(counts.seconds, 3),
    )


def write_labels(path: Path, scenes: Sequence[Scene], labelled: Sequence[Scene], origin: Origin) -> None:
    """Write a label file, whole or not at all.

    Args:
        path: the file.
        scenes: the scenes as read.
        labelled: the same with their characters.
        origin: what the labels came from.
    """
    write_scenes(path, labelled, note=asdict(origin), scene_notes=(scene_digest(scene) for scene in scenes))


def read_labels(path: Path, scenes: Sequence[Scene], *, weights: str | None = None) -> tuple[list[Scene], Origin]:
    """Give scenes the characters that a label file has for them.

    Args:
        path: the file.
        scenes: as read from their set; the file may hold more.
        weights: fingerprint of the weights that must have made the file; any where None.

    Returns:
        The scenes, with characters and confidences of all words that the teacher labelled, and the file's origin.

    Raises:
        ValueError: the file cannot be read, was made with other weights, lacks a scene, or a scene's words or picture
            have changed since.
    """
    origin, lines = _read_lines(path)
    if weights is not None and origin.weights_digest != weights:
        raise ValueError(
            f"{path}: made with weights {origin.weights} of fingerprint {origin.weights_digest}, but "
            f"data.characters.weights has {weights}; make it anew with craft label, or name the weights that made it"
        )
    labelled = []
    for scene in scenes:
        if scene.name not in lines:
            raise ValueError(f"{path}: has no scene {scene.name!r}; make it anew with craft label")
        number, record = lines[scene.name]
        if record.get("note") != scene_digest(scene):
            raise ValueError(
                f"{path}:{number}: the words or the picture of {scene.image_path} are not those that were labelled; "
                "make the file anew with craft label"
            )
        labelled.append(_with_labels(scene, record["words"], f"{path}:{number}"))
    return labelled, origin


def scene_digest(scene: Scene) -> str:
    """Fingerprint what a teacher's labels of a scene depend on: its words, and the size of its picture's file.

    Args:
        scene: as read.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: the picture is not there.
    """
    digest = hashlib.blake2b(digest_size=8)
    try:
        member = parse_member(scene.image_path)
        size = os.stat(scene.image_path).st_size if member is None else member.num_bytes
    except OSError as error:
        raise ValueError(f"{scene.image_path}: cannot be read ({error.strerror}); restore the picture") from None
    digest.update(f"{scene.name}\n{size}\n".encode())
    for word in scene.words:
        known = b"" if word.character_quads_xy is None else word.character_quads_xy.tobytes()
        digest.update(np.ascontiguousarray(word.polygon_xy).tobytes() + b"\n" + known)
        digest.update(f"\n{word.text}\n{word.dont_care}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _read_lines(path: Path) -> tuple[Origin, dict[str, tuple[int, dict[str, Any]]]]:
    """The origin, and every scene's line by the scene's name."""
    remedy = "give a file that craft label wrote"
    lines: dict[str, tuple[int, dict[str, Any]]] = {}
    number = 1
    try:
        with open(path, encoding="utf-8") as file:
            origin = Origin(**json.loads(file.readline())["note"])
            for number, line in enumerate(file, 2):
                record = json.loads(line)
                lines[record.get("name", Path(record["image"]).stem)] = number, record
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}:{number}: not a line of a label file ({error}); {remedy}") from None
    return origin, lines


def _with_labels(scene: Scene, records: list[dict[str, Any]], where: str) -> Scene:
    words = list(scene.words)
    try:
        for index, (word, record) in enumerate(zip(words, records, strict=True)):
            if not teachable_length(word):
                continue
            quads = np.asarray(record["characters"], dtype=np.float32) if "characters" in record else None
            if quads is not None and quads.shape[1:] != (4, 2):
                raise ValueError(f"characters of word {index + 1} are no quads")
            confidence = float(record.get("confidence", 1.0))
            words[index] = replace(word, character_quads_xy=quads, confidence=confidence)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: {error}; make the file anew with craft label") from None
    return replace(scene, words=tuple(words))
