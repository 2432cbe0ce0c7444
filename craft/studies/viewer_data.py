"""The viewer's files of scenes and runs: images, targets, predictions, kept pixels and words."""

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

from craft.atomic_files import write_atomic
from craft.config import Config, DetectionSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import collate
from craft.datasets.reading import read_scenes
from craft.detection.detector import Detector
from craft.detection.network_input import network_size, resize_and_pad
from craft.detection.threshold_search import words_by_levels
from craft.geometry import MAP_STRIDE
from craft.images.drawing import write_image
from craft.images.reader import read_image
from craft.models.device import choose_device
from craft.ohem.pixel import POSITIVE_TARGET
from craft.scene import Sample, Scene
from craft.studies.kept_pixels import load_snapshot
from craft.studies.study import Study, resolve_datasets
from craft.targets.characters import with_characters
from craft.training.batch import batch_targets
from craft.training.step import forward_maps, maps_loss

_NUM_MOMENTS = 3  # early, middle and late: the steps at which kept pixels are shown
_LOSSLESS = 101  # a WebP quality of OpenCV
_MAP_QUALITY = 70
_IMAGE_QUALITY = 78


@dataclass(frozen=True, slots=True, eq=False)
class ViewScene:
    """A scene of the viewer, with characters, its split, and the start of the names of its files."""

    split: str
    scene: Scene
    file: str


def viewer_scenes(study: Study, out: Path) -> list[ViewScene]:
    """Choose the viewer's scenes: evenly spaced over the reported scenes of every split, whatever was found in them."""
    chosen: list[ViewScene] = []
    for number, (name, split) in enumerate(study.splits.items()):
        share = study.view.scenes // len(study.splits) + (number < study.view.scenes % len(study.splits))
        scenes = [
            scene
            for dataset in resolve_datasets(split.report, out)
            for scene in read_scenes(dataset, on_error="skip", echo=lambda _message: None, decode=True)
        ]
        count = min(share, len(scenes))
        for index in np.linspace(0, len(scenes) - 1, count).round().astype(int).tolist():
            chosen.append(ViewScene(name, with_characters(scenes[index]), f"{len(chosen):03d}"))
    return chosen


def write_scene_views(study: Study, config: Config, out: Path) -> None:
    """Write images, target maps and labels of the viewer's scenes into the study's folder `view`, unless they are there.

    `config` may be of any run: it says the image sizes of detection.
    """
    folder = out / "view"
    if (folder / "scenes.json").exists():
        return
    folder.mkdir(exist_ok=True)
    listed = []
    for view in tqdm(viewer_scenes(study, out), desc="viewer: scenes", leave=False):
        sample, size_hw = _network_sample(view.scene, config.detection, seed=0)
        targets = batch_targets(collate([sample]), torch.device("cpu"))
        maps = targets.maps[0].numpy()[:, : size_hw[0] // MAP_STRIDE, : size_hw[1] // MAP_STRIDE]
        image = read_image(view.scene.image_path)
        scale = min(1.0, study.view.long_side / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        write_image(folder / f"{view.file}.webp", np.asarray(small, dtype=np.uint8), quality=_IMAGE_QUALITY)
        _write_maps(folder / f"{view.file}_target.webp", maps, study)
        words = [
            {"polygon": word.polygon_xy.round(1).tolist(), "text": word.text or "", "dont_care": word.dont_care}
            for word in view.scene.words
        ]
        size = {"width": image.shape[1], "height": image.shape[0]}
        listed.append({"file": view.file, "split": view.split, "name": view.scene.name, **size, "words": words})
    write_atomic(folder / "scenes.json", json.dumps(listed, ensure_ascii=False))


def write_run_views(study: Study, config: Config, out: Path, folder: Path, *, steps: Sequence[int]) -> None:
    """Write score maps, kept pixels and words of the viewer's scenes by the run in `folder`, at steps with snapshots."""
    device = choose_device(config.training.device)
    detector = Detector.from_weights(folder / "last.safetensors", device=config.training.device)
    snapshots = [load_snapshot(folder, step, device) for step in steps]
    (folder / "view").mkdir(exist_ok=True)
    for view in tqdm(viewer_scenes(study, out), desc="viewer: predictions", leave=False):
        scored = detector.score(view.scene.image_path)
        region, affinity = scored.region, scored.affinity
        _write_maps(folder / "view" / f"{view.file}_score.webp", np.stack([region, affinity]), study)
        bits = np.zeros((2, *region.shape), dtype=np.uint8)
        for moment, (step, model) in enumerate(zip(steps, snapshots, strict=True)):
            sample, _ = _network_sample(view.scene, config.detection, seed=step)
            kept = _kept_background(model, sample, config, device, step)[:, : region.shape[0], : region.shape[1]]
            bits[:, : kept.shape[1], : kept.shape[2]] |= (kept << moment).astype(np.uint8)
        packed = _shrink(bits[0] | (bits[1] << _NUM_MOMENTS), study, join_bits=True)
        _write_grey(folder / "view" / f"{view.file}_kept.webp", packed, quality=_LOSSLESS)
        words: dict[str, Any] = {
            f"{low:g} {link:g}": {
                "quads": found.quads_xy.round(1).tolist(),
                "scores": found.scores.round(4).tolist(),
                "peaks": found.peaks.tolist(),
                "text": found.text.tolist(),
            }
            for (low, link), found in words_by_levels(detector, scored, grid=study.grid()).items()
        }
        write_atomic(folder / "view" / f"{view.file}.json", json.dumps(words), durable=False)


def _kept_background(
    model: torch.nn.Module, sample: Sample, config: Config, device: torch.device, step: int
) -> NDArray[np.bool_]:
    """The background pixels (2, H/2, W/2) of a sample that a run's rule keeps, by the network in training mode."""
    batch = collate([sample])
    targets = batch_targets(batch, device)
    with torch.no_grad():
        maps, _levels = forward_maps(model, batch, config, device)
        loss = maps_loss(maps, batch, targets, config, step=step - 1)
    background = loss.weights * (targets.maps <= POSITIVE_TARGET)
    # Where many pixels tie at the cut-off, each has a sliver of the weight: those are not shown as kept.
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
    """Write the region map above the affinity map as one grey image."""
    levels = np.rint(255 * np.clip(maps, 0, 1)).astype(np.uint8)
    _write_grey(path, np.concatenate([_shrink(level, study) for level in levels]), quality=_MAP_QUALITY)


def _write_grey(path: Path, grey: NDArray[np.uint8], *, quality: int) -> None:
    write_image(path, np.repeat(grey[..., None], 3, axis=2), quality=quality)


def _shrink(values: NDArray[np.uint8], study: Study, *, join_bits: bool = False) -> NDArray[np.uint8]:
    """Join blocks, by their mean or bit by bit, so that the long side is at most half the page's."""
    factor = -(-max(values.shape) // (study.view.long_side // 2))
    if factor == 1:
        return values
    height, width = -(-values.shape[0] // factor) * factor, -(-values.shape[1] // factor) * factor
    padded = np.zeros((height, width), dtype=np.uint8)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(height // factor, factor, width // factor, factor)
    if join_bits:
        return np.bitwise_or.reduce(np.bitwise_or.reduce(blocks, axis=3), axis=1)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
