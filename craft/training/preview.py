"""Pictures of what training sees: crops with their words, characters, maps and don't-care mask, and maps of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import Batch, collate
from craft.datasets.collection import read_scenes
from craft.datasets.scene_dataset import SceneDataset
from craft.datasets.scene_source import read_scene_image
from craft.images.drawing import CHARACTER_COLOUR, WORD_COLOUR, draw_polygons, heat_map, overlay_map
from craft.models.craft import normalise_images
from craft.ohem.pixel import POSITIVE_TARGET
from craft.scene import Sample, Scene
from craft.targets.characters import with_characters
from craft.targets.heatmaps import Targets
from craft.teacher.label_files import read_labels
from craft.training.batch import batch_targets
from craft.training.datasets import open_drawn

DONT_CARE_COLOUR = (255, 40, 40)

_CROPS_SHOWN = 4
_GAP = 4  # pixels between panels
_JPEG_QUALITY = 90


def preview_sample(sample: Sample) -> NDArray[np.uint8]:
    """Draw a crop four times: with its words and characters, region map, affinity map, and don't-care mask.

    Args:
        sample: the crop; height and width even.

    Returns:
        (H', W', 3) uint8, RGB, two panels above two. Cared-for words are green, don't-care words red, characters blue;
        in the mask, what is in no loss is red, what is trusted in part a paler red.
    """
    targets = batch_targets(collate([sample]), torch.device("cpu"))
    region, affinity = targets.maps[0].numpy()
    distrust = 1.0 - targets.confidence[0].amin(dim=0).numpy()
    cared = sample.word_confidence[sample.strip_word] > 0
    words = draw_polygons(sample.image, sample.character_quads_xy, colour=CHARACTER_COLOUR, thickness=1)
    words = draw_polygons(words, sample.strip_quads_xy[~cared], colour=DONT_CARE_COLOUR)
    words = draw_polygons(words, sample.strip_quads_xy[cared], colour=WORD_COLOUR)
    panels = [
        _captioned(words, f"{sample.name}: words, characters"),
        _captioned(overlay_map(sample.image, region, opacity=0.8), "region"),
        _captioned(overlay_map(sample.image, affinity, opacity=0.8), "affinity"),
        _captioned(_shaded(sample.image, distrust), "don't care"),
    ]
    return _rows([panels[:2], panels[2:]])


def show_set(
    settings: DatasetSettings,
    out: Path,
    *,
    count: int,
    augmented: bool,
    augment: AugmentSettings,
    crop_size: int,
    seed: int = 0,
    label_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Write pictures of a set as training sees it.

    Args:
        settings: the set, on disk or drawn. Scenes with errors are left out.
        out: folder for the pictures, made where it is missing.
        count: largest number of pictures.
        augmented: draw the first crops of a training run on this set alone instead of the first scenes whole.
        augment: the random changes, where `augmented`.
        crop_size: side of the crops in pixels, where `augmented`.
        seed: of the run, where `augmented`.
        label_file: characters that `craft label` found; None for those of the labels, and even splits.
        say: told what was read and left out.

    Returns:
        The pictures written.

    Raises:
        ValueError: the set cannot be read or drawn or no scene of it is left, or the label file is of other scenes.
    """
    scenes = _scenes_with_characters(settings, label_file, say)
    if augmented:
        dataset = SceneDataset([(scenes, 1.0)], seed=seed, crop_size=crop_size, augment=augment)
        places = range(min(count, len(dataset)))
        samples = (dataset[0, place] for place in places)
    else:
        places = range(min(count, len(scenes)))
        samples = (whole_scene(scenes[place]) for place in places)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, sample in zip(places, tqdm(samples, total=len(places), desc="show"), strict=True):
        paths.append(out / (f"{place:04d}_{sample.name}.jpg" if augmented else f"{sample.name}.jpg"))
        _write_picture(paths[-1], preview_sample(sample))
    return paths


def _scenes_with_characters(
    settings: DatasetSettings, label_file: Path | None, say: Callable[[str], None]
) -> Sequence[Scene]:
    if settings.format == "synth":
        if label_file is not None:
            raise ValueError(f"{label_file}: {settings.title} has exact characters; leave the label file out")
        return open_drawn(settings, say=say)
    scenes = read_scenes(settings, on_error="skip", echo=say)
    if label_file is not None:
        scenes, origin = read_labels(label_file, scenes)
        say(f"{label_file}: characters by {origin.weights}, mean confidence {origin.mean_confidence:.3f}")
    return [with_characters(scene) for scene in scenes]


def whole_scene(scene: Scene) -> Sample:
    """A scene's whole picture as a sample, unchanged.

    Args:
        scene: the scene, with the characters of its cared-for words.

    Returns:
        The picture with all its words; a last row or column of black where its height or width is odd.
    """
    image = read_scene_image(scene)
    height, width = image.shape[:2]
    size_hw = (height + height % 2, width + width % 2)
    return make_sample(image, scene.words, seed=0, crop_size=size_hw, settings=None, name=scene.name)


def write_map_pictures(
    folder: Path, step: int, model: nn.Module, batch: Batch, targets: Targets, weights: Tensor
) -> Path:
    """Write a picture of the first crops of a batch: targets, what the model says, and which pixels were trained on.

    Args:
        folder: for the picture, made where it is missing.
        step: number of the training step, in the file's name.
        model: the network; it computes in evaluation mode and is left as it was.
        batch: the crops.
        targets: their maps.
        weights: (B, 2, H, W) float32, >= 0, weight of every map pixel in the loss.

    Returns:
        The picture: a row per crop with region and affinity next to each other, as wanted, as scored, and as weighted
        (brighter is heavier, relative to the heaviest background pixel; text white where it is heavier still).
    """
    count = min(_CROPS_SHOWN, len(batch.images))
    device = targets.maps.device
    scores = _scores(model, batch.images[:count].to(device)).float().cpu().numpy()
    wanted, kept = targets.maps[:count].cpu().numpy(), weights[:count].detach().cpu().numpy()
    rows = []
    for index in range(count):
        image = batch.images[index].permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)
        small = cv2.resize(image, wanted.shape[:1:-1], interpolation=cv2.INTER_AREA)
        row = [_captioned(np.asarray(small, dtype=np.uint8), batch.names[index])]
        for map_index, name in enumerate(("region", "affinity")):
            row.append(_captioned(heat_map(wanted[index, map_index]), f"{name} target"))
            row.append(_captioned(heat_map(scores[index, map_index]), f"{name} score"))
            row.append(_captioned(_weight_map(kept[index, map_index], wanted[index, map_index]), f"{name} weight"))
        rows.append(row)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:06d}.jpg"
    _write_picture(path, _rows(rows))
    return path


def _scores(model: nn.Module, images: Tensor) -> Tensor:
    """(B, 2, H/2, W/2) maps of (B, 3, H, W) uint8 images."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            maps, _features = model(normalise_images(images))
    finally:
        model.train(was_training)
    return maps


def _weight_map(weights: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.uint8]:
    background = weights[target <= POSITIVE_TARGET]
    heaviest = max(float(background.max(initial=0.0)), 1e-12)
    levels = (255 * np.clip(weights / heaviest, 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def _shaded(image: NDArray[np.uint8], shade: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Lay red over an image, as strong as `shade` (h, w), 0 to 1, of any size."""
    full = cv2.resize(shade, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
    return np.rint(image * (1 - 0.6 * full) + np.array(DONT_CARE_COLOUR) * (0.6 * full)).astype(np.uint8)


def _captioned(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """The picture below a dark bar with a line of text."""
    bar = np.full((18, picture.shape[1], 3), 32, dtype=np.uint8)
    plain = caption.encode("ascii", "replace").decode()  # OpenCV's letters are these only
    cv2.putText(bar, plain, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])


def _rows(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Panels of one size in rows and columns, with gaps between them."""
    padded = [
        np.concatenate([np.pad(panel, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=128) for panel in row], axis=1)
        for row in rows
    ]
    return np.concatenate(padded)[:-_GAP, :-_GAP]


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    bgr = np.ascontiguousarray(picture[..., ::-1])
    _done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    path.write_bytes(encoded.tobytes())
