"""Images of what training sees: crops with their words, characters, maps and don't-care mask, and a model's maps."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from craft.atomic_files import shorten_name
from craft.config import AugmentSettings, DatasetSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import Batch, collate
from craft.datasets.reading import read_scenes
from craft.datasets.scene_dataset import SceneDataset
from craft.datasets.scene_source import read_scene_image
from craft.detection.detector import Detector
from craft.errors import Problem
from craft.images.drawing import (
    CHARACTER_COLOUR,
    DONT_CARE_COLOUR,
    WORD_COLOUR,
    add_caption,
    draw_polygons,
    fit_long_side,
    heat_map,
    overlay_map,
    overlay_mask,
    tile_images,
    write_image,
)
from craft.models.inference import evaluation_mode, run_network
from craft.ohem.pixel import POSITIVE_TARGET
from craft.scene import Sample, Scene
from craft.targets.characters import with_characters
from craft.targets.heatmaps import Targets
from craft.teacher.label_files import read_labels
from craft.training.batch import batch_targets
from craft.training.datasets import open_synthetic

_CROPS_SHOWN = 4
SCENES_SHOWN, _SCENE_SIDE = 4, 480  # with found words; pixels
_GAP = 4  # pixels between panels
_GAP_GREY = 128


def preview_sample(sample: Sample) -> NDArray[np.uint8]:
    """Draw a crop four times: with its words and characters, region map, affinity map, and don't-care mask.

    Cared-for words are green, don't-care words red, characters blue; in the mask, red pixels are in no loss and paler
    ones weigh less. Gives (H', W', 3) uint8, RGB, two panels above two.
    """
    targets = batch_targets(collate([sample]), torch.device("cpu"))
    region, affinity = targets.maps[0].numpy()
    distrust = 1.0 - targets.confidence[0].amin(dim=0).numpy()
    cared = sample.word_confidence[sample.strip_word] > 0
    words = draw_polygons(sample.image, sample.character_quads_xy, colour=CHARACTER_COLOUR, thickness=1)
    words = draw_polygons(words, sample.strip_quads_xy[~cared], colour=DONT_CARE_COLOUR)
    words = draw_polygons(words, sample.strip_quads_xy[cared], colour=WORD_COLOUR)
    panels = [
        add_caption(words, f"{sample.name}: words, characters"),
        add_caption(overlay_map(sample.image, region, opacity=0.8), "region"),
        add_caption(overlay_map(sample.image, affinity, opacity=0.8), "affinity"),
        add_caption(overlay_mask(sample.image, distrust), "don't care"),
    ]
    return tile_images(panels, columns=2, gap=_GAP, ground=_GAP_GREY)


def show_dataset(
    settings: DatasetSettings,
    out: Path,
    *,
    count: int,
    augmented: bool,
    augment: AugmentSettings,
    crop_size: int,
    seed: int = 0,
    label_file: Path | None = None,
    echo: Callable[[str], None] = print,
) -> list[Path]:
    """Write images of a dataset as training sees it, at most `count`; scenes with errors and bad images are left out.

    Raises ValueError if the dataset cannot be read or rendered or has no scene left, or the label file is of other
    scenes.

    Args:
        augmented: draw the first crops of a training run on this dataset alone instead of the first scenes whole;
            `augment`, `crop_size` and `seed` are the run's.
        label_file: characters that `craft label` found; None for those of the labels, and even splits.
        echo: called with what was read and left out.
    """
    scenes = _scenes_with_characters(settings, label_file, echo)
    samples: Iterator[Sample]
    if augmented:
        dataset = SceneDataset([(scenes, 1.0)], seed=seed, crop_size=crop_size, augment=augment, on_error="skip")
        samples = (dataset[0, number] for number in range(len(dataset)))
    else:
        samples = _readable_scenes(scenes, echo)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    chosen = islice(samples, count)
    for number, sample in enumerate(tqdm(chosen, total=min(count, len(scenes)), desc="show")):
        for what in sample.unreadable:
            echo(f"left out: {what}")
        name = shorten_name(sample.name)
        paths.append(out / (f"{number:04d}_{name}.jpg" if augmented else f"{name}.jpg"))
        write_image(paths[-1], preview_sample(sample))
    return paths


def _readable_scenes(scenes: Sequence[Scene], echo: Callable[[str], None]) -> Iterator[Sample]:
    """Whole scenes, but for those whose image turns out to be unreadable."""
    for index in range(len(scenes)):
        try:
            yield whole_scene(scenes[index])
        except Problem as problem:
            echo(f"left out: {problem}")


def _scenes_with_characters(
    settings: DatasetSettings, label_file: Path | None, echo: Callable[[str], None]
) -> Sequence[Scene]:
    if settings.format == "synth":
        if label_file is not None:
            raise ValueError(f"{label_file}: {settings.title} has exact characters; leave the label file out")
        return open_synthetic(settings, echo=echo)
    scenes = read_scenes(settings, on_error="skip", echo=echo)
    if label_file is not None:
        scenes, origin = read_labels(label_file, scenes)
        echo(f"{label_file}: characters by {origin.weights}, mean confidence {origin.mean_confidence:.3f}")
    return [with_characters(scene) for scene in scenes]


def whole_scene(scene: Scene) -> Sample:
    """Turn a scene, with the characters of its cared-for words, into one sample with its whole image.

    An odd height or width gets a last row or column of black.
    """
    image = read_scene_image(scene)
    height, width = image.shape[:2]
    size_hw = (height + height % 2, width + width % 2)
    return make_sample(image, scene.words, seed=0, crop_size=size_hw, settings=None, name=scene.name)


def write_map_image(
    folder: Path,
    step: int,
    model: nn.Module,
    batch: Batch,
    targets: Targets,
    weights: Tensor,
    *,
    precision: torch.dtype,
) -> Path:
    """Draw the first crops of a batch: targets, the model's maps, and which pixels were trained on.

    The file has a row per crop, region then affinity, each as target, score and weight in the loss, (B, 2, H, W)
    (brighter is heavier, relative to the heaviest background pixel; text white where it is heavier still). The network
    runs in evaluation mode and is left in its own.
    """
    count = min(_CROPS_SHOWN, len(batch.images))
    with evaluation_mode(model):
        maps, _levels = run_network(model, batch.images[:count].to(targets.maps.device), precision=precision)
    scores = maps.float().cpu().numpy()
    wanted, kept = targets.maps[:count].cpu().numpy(), weights[:count].detach().cpu().numpy()
    panels = []
    for index in range(count):
        image = batch.images[index].permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)
        small = cv2.resize(image, wanted.shape[:1:-1], interpolation=cv2.INTER_AREA)
        panels.append(add_caption(np.asarray(small, dtype=np.uint8), batch.names[index]))
        for map_index, name in enumerate(("region", "affinity")):
            panels.append(add_caption(heat_map(wanted[index, map_index]), f"{name} target"))
            panels.append(add_caption(heat_map(scores[index, map_index]), f"{name} score"))
            weight_map = _weight_map(kept[index, map_index], wanted[index, map_index])
            panels.append(add_caption(weight_map, f"{name} weight"))
    folder.mkdir(parents=True, exist_ok=True)
    return write_image(folder / f"step_{step:06d}.jpg", tile_images(panels, columns=7, gap=_GAP, ground=_GAP_GREY))


def _weight_map(weights: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.uint8]:
    background = weights[target <= POSITIVE_TARGET]
    heaviest = max(float(background.max(initial=0.0)), 1e-12)
    levels = (255 * np.clip(weights / heaviest, 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def write_found_words(folder: Path, step: int, detector: Detector, scenes: Sequence[Scene]) -> None:
    """Draw the words found in the first scenes, green, over their labels, blue, into one image file of a step."""
    tiles = []
    for scene in scenes[:SCENES_SHOWN]:
        try:
            pixels = read_scene_image(scene)
        except Problem:
            continue  # validation names it
        drawn = draw_polygons(pixels, [word.polygon_xy for word in scene.words], colour=CHARACTER_COLOUR)
        drawn = draw_polygons(drawn, detector.detect(pixels).quads_xy, colour=WORD_COLOUR)
        tiles.append(add_caption(fit_long_side(drawn, _SCENE_SIDE), scene.name))
    if tiles:
        folder.mkdir(exist_ok=True)
        write_image(folder / f"step_{step:06d}.jpg", tile_images(tiles, columns=2, gap=_GAP, ground=_GAP_GREY))
