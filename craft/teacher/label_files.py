"""Label files: the characters that a teacher found in a dataset, and where they came from; refused when out of date.

A label file is a dataset in our JSON Lines format (see datasets/jsonlines.py): it can be shown, checked and trained on.
The note of its first line is its origin; the note of every scene is a digest of the scene as it was labelled.
"""

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
from craft.errors import Problem
from craft.images.tar_members import parse_member
from craft.scene import Scene
from craft.targets.characters import num_missing_characters

_REMEDY = "run craft label again"


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How many words a teacher labelled, how confidently, and in what time."""

    words: int = 0
    confidence_sum: float = 0.0  # sum of the words' confidences, before those below 0.5 were raised to it
    under_half: int = 0  # words of confidence below 0.5, which are split evenly
    seconds: float = 0.0

    @property
    def mean_confidence(self) -> float:
        """Mean confidence; 0 without words."""
        return self.confidence_sum / self.words if self.words else 0.0

    @property
    def share_under_half(self) -> float:
        """Share of words split evenly; 0 without words."""
        return self.under_half / self.words if self.words else 0.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the labels of a file came from, and how confident the teacher was."""

    craft: str  # version that wrote the file
    weights: str  # the teacher's file, or the step of the run whose moving average it was
    weights_digest: str  # see `craft.models.weights`
    splitter: str
    height: int  # of the word crops, pixels
    words: int
    mean_confidence: float  # of the words, before those below 0.5 were raised to it
    share_under_half: float  # share of the words that is split evenly
    seconds: float


def origin_of(weights: str, digest: str, counts: LabelCounts, *, splitter: str, height: int) -> Origin:
    """Describe labels made just now; see `Origin`."""
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
    """Write a label file atomically: `labelled`, with digests of the same `scenes` as read."""
    write_scenes(path, labelled, note=asdict(origin), scene_notes=(scene_digest(scene) for scene in scenes))


def read_labels(path: Path, scenes: Sequence[Scene], *, weights: str | None = None) -> tuple[list[Scene], Origin]:
    """Give scenes the characters and confidences that a label file, which may hold more scenes, has for their words.

    Raises Problem if the file cannot be read, was made with weights of another digest than `weights`, or lacks a scene,
    or a scene's words or image have changed since.
    """
    origin, lines = _read_lines(path)
    if weights is not None and origin.weights_digest != weights:
        what = f"made with weights {origin.weights} of digest {origin.weights_digest}, but the digest of "
        what += f"data.characters.weights is {weights}"
        raise Problem(what, f"{_REMEDY}, or name the weights that made the file", where=str(path))
    labelled = []
    for scene in scenes:
        if scene.name not in lines:
            raise Problem(f"has no scene {scene.name!r}", _REMEDY, where=str(path))
        number, record = lines[scene.name]
        if record.get("note") != scene_digest(scene):
            what = f"the words or the image of {scene.image_path} have changed since they were labelled"
            raise Problem(what, _REMEDY, where=f"{path}:{number}")
        labelled.append(_with_labels(scene, record["words"], f"{path}:{number}"))
    return labelled, origin


def scene_digest(scene: Scene) -> str:
    """Digest a scene's words and the size of its image file, which must exist: 16 hex digits."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        member = parse_member(scene.image_path)
        size = os.stat(scene.image_path).st_size if member is None else member.num_bytes
    except OSError as error:
        raise Problem(f"cannot be read ({error.strerror})", "restore the image", where=scene.image_path) from None
    digest.update(f"{scene.name}\n{size}\n".encode())
    for word in scene.words:
        known = b"" if word.character_quads_xy is None else word.character_quads_xy.tobytes()
        digest.update(np.ascontiguousarray(word.polygon_xy).tobytes() + b"\n" + known)
        digest.update(f"\n{word.text}\n{word.dont_care}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _read_lines(path: Path) -> tuple[Origin, dict[str, tuple[int, dict[str, Any]]]]:
    """The origin, and the line number and record of every scene by the scene's name."""
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
        raise Problem(f"cannot be read ({error.strerror})", remedy, where=str(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(f"not a line of a label file ({error})", remedy, where=f"{path}:{number}") from None
    return origin, lines


def _with_labels(scene: Scene, records: list[dict[str, Any]], where: str) -> Scene:
    words = list(scene.words)
    try:
        for index, (word, record) in enumerate(zip(words, records, strict=True)):
            counted = word.untranscribed and "characters" in record  # by craft label --boxes-only
            if not (num_missing_characters(word) or counted):
                continue
            quads = np.asarray(record["characters"], dtype=np.float32) if "characters" in record else None
            if quads is not None and quads.shape[1:] != (4, 2):
                raise ValueError(f"the characters of word {index + 1} are not quads")
            confidence = float(record.get("confidence", 1.0))
            words[index] = replace(
                word, dont_care=False, untranscribed=False, character_quads_xy=quads, confidence=confidence
            )
    except (ValueError, TypeError, AttributeError) as error:
        raise Problem(str(error), _REMEDY, where=where) from None
    return replace(scene, words=tuple(words))
