"""Score maps of many scenes in half precision, computed once and kept in a folder if one is named."""

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

from craft.atomic_files import open_atomic, shorten_name
from craft.detection.detector import Detector
from craft.models.exported import ExportedNetwork
from craft.models.weights import weights_digest
from craft.scene import Scene

_SIZING = ("sizing", "magnify", "canvas", "long_side", "keep_padding")


@dataclass(frozen=True, slots=True, eq=False)
class HalfMaps:
    """The score maps of a scene."""

    maps: NDArray[np.float16]  # (2, H, W) float16, region and affinity scores
    scale_xy: NDArray[np.float64]  # (2,) float64, source pixels per network input pixel


def half_maps(
    detector: Detector, scenes: Sequence[Scene], *, folder: Path | None = None
) -> Iterator[tuple[Scene, HalfMaps]]:
    """Run the network on scenes, or read the maps of an earlier run; gives each scene and its maps, in order.

    In `folder` maps are kept, 4 bytes per map pixel, and read if weights, sizes, precision and image are the same; the
    detector's thresholds do not matter. Raises ValueError if an image cannot be read.
    """
    kept = None if folder is None else folder / _detector_key(detector)
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    for scene in tqdm(scenes, desc="maps", unit="scene"):
        file = None if kept is None else kept / f"{shorten_name(scene.name)}_{_image_key(scene)}.npz"
        known = None if file is None or not file.is_file() else _read(file)
        if known is None:
            region, affinity, scale_xy = detector.score_maps(scene.image_path)
            known = HalfMaps(np.stack([region, affinity]).astype(np.float16), scale_xy)
            if file is not None:
                _write(file, known)
        yield scene, known


def _detector_key(detector: Detector) -> str:
    """A digest of everything but the image that maps depend on."""
    settings = detector.settings.model_dump(include=set(_SIZING))
    model = detector.model
    if isinstance(model, ExportedNetwork):
        network = hashlib.blake2b(model.source.read_bytes()).hexdigest()
    else:
        network = weights_digest(model)
    values = [network, settings, str(detector.device), str(detector.precision)]
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=8).hexdigest()


def _image_key(scene: Scene) -> str:
    try:
        state = os.stat(scene.image_path)
    except OSError as error:
        raise ValueError(f"{scene.image_path}: cannot be read ({error.strerror}); correct the path") from None
    text = f"{Path(scene.image_path).resolve()} {state.st_size} {state.st_mtime_ns}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(file: Path) -> HalfMaps | None:
    """Maps of a file; None if it is damaged, since they can be computed again."""
    try:
        with np.load(file) as arrays:
            return HalfMaps(arrays["maps"], arrays["scale_xy"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(file: Path, maps: HalfMaps) -> None:
    with open_atomic(file, shared=True, durable=False) as opened:
        np.savez(opened, allow_pickle=False, maps=maps.maps, scale_xy=maps.scale_xy)
