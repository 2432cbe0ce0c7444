"""What region heads are trained and judged on, computed once: features of the RoIs of crops, and of the words of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from craft.config import Config
from craft.datasets.loader import build_loader
from craft.decode.decode import decode_maps, short_sides, to_pixels
from craft.detection.detector import Detector
from craft.evaluation.protocols import score_scene
from craft.geometry import bounding_boxes
from craft.models.fusing import fuse_layers
from craft.models.inference import evaluation_mode, run_network
from craft.models.region_head import RegionPath, add_region_path
from craft.models.weights import build_model, read_weights
from craft.region.proposals import ImageRois, batch_rois
from craft.region.roi_labels import RoiLabels, WordBoxes
from craft.region.training import architecture_of
from craft.scene import Scene
from craft.training.datasets import read_training_datasets


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """The RoIs of a training crop and their pooled features, (R, F) float16."""

    pooled: NDArray[np.float16]
    rois: ImageRois


@dataclass(frozen=True, slots=True, eq=False)
class SceneWords:
    """The words that the maps of I scenes give at the lowest text threshold, before any other is applied."""

    pooled: NDArray[np.float16]  # (N, F)
    scores: NDArray[np.float32]  # (N,) mean region score
    peaks: NDArray[np.float32]  # (N,) largest region score
    sides: NDArray[np.float32]  # (N,) shorter side, network input pixels
    hits: NDArray[np.bool_]  # (N,) whether it matches a labelled word
    counted: NDArray[np.bool_]  # (N,) False in a don't-care word
    image: NDArray[np.int64]  # (N,) index of its scene
    truth: NDArray[np.int64]  # (I,) cared-for words of each scene

    def take(self, index: NDArray[np.bool_]) -> SceneWords:
        """Select words; the scenes stay."""
        return SceneWords(*(getattr(self, field.name)[index] for field in fields(self)[:-1]), self.truth)


def build_detector(config: Config) -> tuple[Detector, RegionPath]:
    """The frozen network with the configuration's detection settings, and a path that pools as its region heads do."""
    assert config.weights is not None, "heads are trained on an existing network: give weights"
    model = build_model(read_weights(config.weights)).to(memory_format=torch.channels_last)
    fuse_layers(model)
    path = add_region_path(model, architecture_of(config.region), seed=0)
    return Detector(model, config.detection, device=config.training.device), path


def crop_features(config: Config, num_crops: int, folder: Path) -> list[Crop]:
    """Features of the RoIs of the first crops of the training data; read from the folder if they are there."""
    file, rest = folder / "crops.f16", folder / "crops.npz"
    if not rest.exists():
        _write_crops(config, num_crops, file, rest)
    with np.load(rest) as saved:
        arrays = {name: torch.from_numpy(saved[name]) for name in saved.files}
    counts = arrays.pop("counts").tolist()
    pooled = np.memmap(file, np.float16, mode="r").reshape(sum(counts), -1)
    parts = {name: values.split(counts) for name, values in arrays.items()}
    crops, ends = [], np.cumsum(counts)
    for index, count in enumerate(counts):
        boxes, foreground, best_iou, target = (
            parts[name][index] for name in ("boxes", "foreground", "best_iou", "target")
        )
        labels = RoiLabels(foreground, torch.ones_like(foreground), best_iou, torch.arange(count))
        rois = ImageRois(boxes, labels, WordBoxes(target, target[:0]), torch.zeros(count))
        crops.append(Crop(pooled[ends[index] - count : ends[index]], rois))
    return crops


def _write_crops(config: Config, num_crops: int, file: Path, rest: Path) -> None:
    detector, path = build_detector(config)
    batches = iter(
        build_loader(
            [(dataset.scenes, dataset.weight) for dataset in read_training_datasets(config.data, echo=print)],
            seed=config.training.seed,
            crop_size=config.data.crop_size,
            augment=config.augment,
            batch_size=1,
            workers=config.data.workers,
            start_position=0,
            cache_bytes=config.data.cache_mebibytes << 20,
        )
    )
    found = []
    with file.open("wb") as pooled, evaluation_mode(detector.model):
        for _ in tqdm(range(num_crops), desc="crops"):
            batch = next(batches)
            maps, levels = run_network(detector.model, batch.images, precision=detector.precision)
            (rois,), _loss = batch_rois(path, maps, levels, batch, config.region, learn=False)
            pooled.write(path.head.pool(levels, [rois.boxes_xyxy]).half().numpy().tobytes())
            found.append(rois)
    np.savez(
        rest,
        counts=[len(one) for one in found],
        boxes=torch.cat([one.boxes_xyxy for one in found]).numpy(),
        foreground=torch.cat([one.labels.foreground for one in found]).numpy(),
        best_iou=torch.cat([one.labels.best_iou for one in found]).numpy(),
        target=torch.cat([_target(one) for one in found]).numpy(),
    )


def _target(rois: ImageRois) -> Tensor:
    """The box of each RoI's word, or its own where the crop has none."""
    cared = rois.words.cared_xyxy
    return cared[rois.labels.word] if len(cared) else rois.boxes_xyxy


def word_features(config: Config, scenes: Sequence[Scene], file: Path) -> SceneWords:
    """The words of scenes and their features; read from the file if it is there."""
    if not file.exists():
        detector, path = build_detector(config)
        found = [_words(detector, path, scene, index) for index, scene in enumerate(tqdm(scenes, desc=file.stem))]
        arrays = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **arrays)
        partial.replace(file)
    with np.load(file) as saved:
        return SceneWords(*(saved[field.name] for field in fields(SceneWords)))


def _words(detector: Detector, path: RegionPath, scene: Scene, index: int) -> dict[str, NDArray]:
    settings, scored = detector.settings, detector.score(scene.image_path)
    words = decode_maps(
        scored.region,
        scored.affinity,
        text_threshold=settings.text_threshold,
        low_text=settings.low_text,
        link_threshold=settings.link_threshold,
        rule=settings.pixel_rule,
    )
    quads = to_pixels(words.quads, rule=settings.pixel_rule, scale_xy=scored.scale_xy)
    score = score_scene(scene, quads, words.scores, protocol="icdar2015")
    hits, counted = np.zeros(len(words), np.bool_), np.ones(len(words), np.bool_)
    hits[[match.detections[0] for match in score.matches]] = True
    counted[list(score.ignored_detections)] = False
    boxes = bounding_boxes(quads) / np.tile(scored.scale_xy, 2)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    with torch.inference_mode():
        pooled = path.head.pool(scored.levels, [torch.from_numpy(boxes.astype(np.float32))])
    return {
        "pooled": pooled.half().numpy(),
        "scores": words.scores,
        "peaks": words.components.peaks[words.component],
        "sides": short_sides(words.quads),
        "hits": hits,
        "counted": counted,
        "image": np.full(len(words), index),
        "truth": np.array([score.num_truth]),
    }


def join_words(parts: Sequence[SceneWords]) -> SceneWords:
    """The words of several sets of scenes as those of one."""
    starts = np.cumsum([0, *(len(part.truth) for part in parts)])
    names = [field.name for field in fields(SceneWords)]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    joined["image"] = np.concatenate([part.image + start for part, start in zip(parts, starts, strict=False)])
    return SceneWords(**joined)
