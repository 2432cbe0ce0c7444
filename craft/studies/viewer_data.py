"""What the viewer shows of scenes and runs: pictures, targets, predictions, kept pixels and words, as small files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from craft.config import Config, DetectionSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import collate
from craft.datasets.collection import read_scenes
from craft.detection.detector import Detector
from craft.detection.network_input import network_size, resize_and_pad
from craft.detection.threshold_search import words_by_levels
from craft.images.reader import read_image
from craft.models.device import choose_device
from craft.ohem.pixel import POSITIVE_TARGET
from craft.scene import Sample, Scene
from craft.studies.kept_pixels import load_snapshot
from craft.studies.study import Study, resolved
from craft.targets.characters import with_characters
from craft.training.batch import batch_targets
from craft.training.step import forward_maps, maps_loss

MOMENTS = ("early", "middle", "late")
"""Names of the steps at which kept pixels are shown."""

_LOSSLESS = 101  # OpenCV's word for it among WebP qualities
_MAP_QUALITY = 70
_PICTURE_QUALITY = 78


@dataclass(frozen=True, slots=True, eq=False)
class ViewScene:
    """A scene of the viewer.

    Attributes:
        split: the split it is from.
        scene: the scene, with characters.
        file: start of its files' names.
    """

    split: str
    scene: Scene
    file: str


def viewer_scenes(study: Study, out: Path) -> list[ViewScene]:
    """Choose the viewer's scenes: evenly spaced over the reported scenes of every split, whatever was found in them.

    Args:
        study: the study.
        out: its folder.

    Returns:
        As many as the study asks for, or all there are.
    """
    chosen: list[ViewScene] = []
    for number, (name, split) in enumerate(study.splits.items()):
        share = study.view.scenes // len(study.splits) + (number < study.view.scenes % len(study.splits))
        scenes = [
            scene for one in resolved(split.report, out) for scene in read_scenes(one, on_error="skip", echo=_quiet)
        ]
        count = min(share, len(scenes))
        for index in np.linspace(0, len(scenes) - 1, count).round().astype(int).tolist():
            chosen.append(ViewScene(name, with_characters(scenes[index]), f"{len(chosen):03d}"))
    return chosen


def write_scene_views(study: Study, config: Config, out: Path) -> None:
    """Write pictures, targets and labels of the viewer's scenes into the study's folder.

    Args:
        study: the study.
        config: of any run: its sizes for detection.
        out: the study's folder; `view` in it is filled.
    """
    folder = out / "view"
    scenes = viewer_scenes(study, out)
    if (folder / "scenes.json").exists():
        return
    folder.mkdir(exist_ok=True)
    listed = []
    for one in tqdm(scenes, desc="viewer's scenes", leave=False):
        sample, size_hw = _network_sample(one.scene, config.detection, seed=0)
        targets = batch_targets(collate([sample]), torch.device("cpu"))
        maps = targets.maps[0].numpy()[:, : size_hw[0] // 2, : size_hw[1] // 2]
        image = read_image(one.scene.image_path)
        scale = min(1.0, study.view.long_side / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _write(folder / f"{one.file}.webp", np.asarray(small, dtype=np.uint8)[..., ::-1], _PICTURE_QUALITY)
        _write_maps(folder / f"{one.file}_target.webp", maps, study)
        words = [
            {"polygon": word.polygon_xy.round(1).tolist(), "text": word.text or "", "dont_care": word.dont_care}
            for word in one.scene.words
        ]
        size = {"width": image.shape[1], "height": image.shape[0]}
        listed.append({"file": one.file, "split": one.split, "name": one.scene.name, **size, "words": words})
    (folder / "scenes.json").write_text(json.dumps(listed, ensure_ascii=False), encoding="utf-8")


def write_run_views(study: Study, config: Config, out: Path, folder: Path, *, steps: Sequence[int]) -> None:
    """Write what a run makes of the viewer's scenes.

    Args:
        study: the study.
        config: the run's settings.
        out: the study's folder.
        folder: the run's folder; `view` in it is filled.
        steps: early, middle and late, of which there are snapshots.
    """
    device = choose_device(config.training.device)
    scenes, grid = viewer_scenes(study, out), study.grid()
    detector = Detector.from_weights(folder / "last.safetensors", device=config.training.device)
    snapshots = [load_snapshot(folder, step, device) for step in steps]
    (folder / "view").mkdir(exist_ok=True)
    for one in tqdm(scenes, desc="view", leave=False):
        scored = detector.score(one.scene.image_path)
        region, affinity = scored.region, scored.affinity
        _write_maps(folder / "view" / f"{one.file}_score.webp", np.stack([region, affinity]), study)
        bits = np.zeros((2, *region.shape), dtype=np.uint8)
        for moment, (step, model) in enumerate(zip(steps, snapshots, strict=True)):
            sample, _ = _network_sample(one.scene, config.detection, seed=step)
            kept = _kept_background(model, sample, config, device, step)[:, : region.shape[0], : region.shape[1]]
            bits[:, : kept.shape[1], : kept.shape[2]] |= (kept << moment).astype(np.uint8)
        packed = _fewer_pixels(bits[0] | (bits[1] << len(MOMENTS)), study)
        _write(folder / "view" / f"{one.file}_kept.webp", np.repeat(packed[..., None], 3, axis=2), _LOSSLESS)
        found = words_by_levels(detector, scored, grid=grid)
        words: dict[str, Any] = {
            f"{low:g} {link:g}": {
                "quads": item.quads_xy.round(1).tolist(),
                "scores": item.scores.round(4).tolist(),
                "peaks": item.peaks.tolist(),
                "text": item.text.tolist(),
            }
            for (low, link), item in found.items()
        }
        (folder / "view" / f"{one.file}.json").write_text(json.dumps(words), encoding="utf-8")


def _kept_background(
    model: torch.nn.Module, sample: Sample, config: Config, device: torch.device, step: int
) -> NDArray[np.bool_]:
    """(2, H/2, W/2): the background pixels that a run's rule keeps of a sample, by the network in training mode."""
    batch = collate([sample])
    targets = batch_targets(batch, device)
    with torch.no_grad():
        maps, _levels = forward_maps(model, batch, config, device)
        loss = maps_loss(maps, batch, targets, config, step=step - 1)
    background = loss.weights * (targets.maps <= POSITIVE_TARGET)
    # Where many pixels tie for the last place, each has a sliver of it: those are not shown as kept.
    kept = (background > 0) & (background >= background.amax(dim=(2, 3), keepdim=True) / 2)
    return kept[0].cpu().numpy()


def _network_sample(scene: Scene, settings: DetectionSettings, *, seed: int) -> tuple[Sample, tuple[int, int]]:
    """A scene as a crop of the size in which detection sees it, padding included, and its size without padding."""
    image = read_image(scene.image_path)
    size_hw = network_size((image.shape[0], image.shape[1]), settings)
    padded = resize_and_pad(image, size_hw)
    scale_xy = np.array([size_hw[1] / image.shape[1], size_hw[0] / image.shape[0]], dtype=np.float32)
    words = tuple(
        replace(
            word,
            polygon_xy=word.polygon_xy * scale_xy,
            character_quads_xy=None if word.character_quads_xy is None else word.character_quads_xy * scale_xy,
        )
        for word in scene.words
    )
    crop = (padded.shape[0], padded.shape[1])
    return make_sample(padded, words, seed=seed, crop_size=crop, settings=None, name=scene.name), size_hw


def _write_maps(path: Path, maps: NDArray[np.float32], study: Study) -> None:
    """Region above affinity in one grey picture."""
    levels = np.rint(255 * np.clip(maps, 0, 1)).astype(np.uint8)
    stacked = np.concatenate([_fewer_pixels(level, study, largest=False) for level in levels])
    _write(path, np.repeat(stacked[..., None], 3, axis=2), _MAP_QUALITY)


def _fewer_pixels(values: NDArray[np.uint8], study: Study, *, largest: bool = True) -> NDArray[np.uint8]:
    """Join blocks so that the long side is at most half the page's: bits by "or", else by the mean."""
    factor = -(-max(values.shape) // (study.view.long_side // 2))
    if factor == 1:
        return values
    height, width = -(-values.shape[0] // factor) * factor, -(-values.shape[1] // factor) * factor
    padded = np.zeros((height, width), dtype=np.uint8)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(height // factor, factor, width // factor, factor)
    if largest:
        return np.bitwise_or.reduce(np.bitwise_or.reduce(blocks, axis=3), axis=1)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def _write(path: Path, picture: NDArray[np.uint8], quality: int) -> None:
    _done, encoded = cv2.imencode(".webp", np.ascontiguousarray(picture), [cv2.IMWRITE_WEBP_QUALITY, quality])
    path.write_bytes(encoded.tobytes())


def _quiet(_message: str) -> None:
    """Say nothing: the runs and the study itself have said what was read."""
