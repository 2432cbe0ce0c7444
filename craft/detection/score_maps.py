"""Score maps of many scenes, computed once: in half precision, kept in a folder where one is named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.atomic_files import open_atomic
from craft.detection.detector import Detector
from craft.models.digest import weights_digest
from craft.scene import Scene

_SIZING = ("sizing", "magnify", "canvas", "long_side", "keep_padding")


@dataclass(frozen=True, slots=True, eq=False)
class ScoreMaps:
    """What the network says of a scene.

    Attributes:
        maps: (2, H, W) float16, region and affinity scores.
        scale_xy: (2,) float64, source pixels per network input pixel.
    """

    maps: NDArray[np.float16]
    scale_xy: NDArray[np.float64]


def score_scenes(
    detector: Detector, scenes: Sequence[Scene], *, folder: Path | None = None
) -> Iterator[tuple[Scene, ScoreMaps]]:
    """Run the network on scenes, or read what it said of them before.

    Args:
        detector: the network and its sizes; thresholds do not matter.
        scenes: with their pictures.
        folder: where maps are kept for the next time, 4 bytes a map pixel. Only those of the same weights, sizes,
            precision and picture are used again. None keeps nothing.

    Yields:
        Each scene and its maps, in order.

    Raises:
        ValueError: a picture cannot be read.
    """
    kept = None if folder is None else folder / _kind(detector)
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    for scene in tqdm(scenes, desc="maps", unit="scene"):
        file = None if kept is None else kept / f"{scene.name}_{_picture(scene)}.npz"
        known = None if file is None or not file.is_file() else _read(file)
        if known is None:
            region, affinity, scale_xy = detector.score_maps(scene.image_path)
            known = ScoreMaps(np.stack([region, affinity]).astype(np.float16), scale_xy)
            if file is not None:
                _write(file, known)
        yield scene, known


def _kind(detector: Detector) -> str:
    """A name for everything but the picture that maps depend on."""
    settings = detector.settings.model_dump(include=set(_SIZING))
    values = [weights_digest(detector.model), settings, str(detector.device), str(detector.precision)]
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


def _picture(scene: Scene) -> str:
    try:
        state = os.stat(scene.image_path)
    except OSError as error:
        raise ValueError(f"{scene.image_path}: cannot be read ({error.strerror}); pictures are needed here") from None
    text = f"{Path(scene.image_path).resolve()} {state.st_size} {state.st_mtime_ns}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(file: Path) -> ScoreMaps | None:
    """Maps of a file; None where it is damaged, since they can be computed again."""
    try:
        with np.load(file) as arrays:
            return ScoreMaps(arrays["maps"], arrays["scale_xy"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(file: Path, maps: ScoreMaps) -> None:
    with open_atomic(file, shared=True, durable=False) as opened:
        np.savez(opened, allow_pickle=False, maps=maps.maps, scale_xy=maps.scale_xy)
