"""Figures of the RoIs that mining chooses: the same crops at every step, boxes coloured by loss and label."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from craft.config import RegionSettings
from craft.datasets.augment import make_sample
from craft.datasets.batch import Batch, collate
from craft.datasets.scene_source import read_scene_image
from craft.errors import Problem
from craft.images.drawing import add_caption, text_bar, tile_images, write_image
from craft.models.craft import CRAFT
from craft.models.inference import evaluation_mode, run_network
from craft.models.region_head import region_path
from craft.ohem.region import hardest_rois
from craft.region.loss import roi_losses, text_losses
from craft.region.proposals import ImageRois, batch_rois
from craft.scene import Sample, Scene

_SCENES_SHOWN = 4
_ROIS_SHOWN = 64  # of each scene, the hardest
_FULL_COLOUR_LOSS = 2.0  # the loss from which a box has its full colour, in every figure, so that steps can be compared
_LIGHT_TEXT, _FULL_TEXT = (200, 255, 200), (0, 150, 0)
_LIGHT_BACKGROUND, _FULL_BACKGROUND = (255, 235, 120), (225, 0, 0)
_LEAST_SIDE = 480  # smaller crops are enlarged by an integer factor, so that thin boxes can be told apart
_BAR = 24  # height of captions, pixels
_FONT_SCALE = 0.5


def preview_batch(scenes: Sequence[Scene], *, crop_size: int) -> Batch:
    """Crop the first four scenes that can be read, whose cared-for words have characters, without augmentation."""
    samples: list[Sample] = []
    for index in range(len(scenes)):
        try:
            scene = scenes[index]
            image = read_scene_image(scene)
        except Problem:  # the loader names it, or ends the run
            if index + 1 == len(scenes) and not samples:
                raise
            continue
        samples.append(make_sample(image, scene.words, seed=0, crop_size=crop_size, settings=None, name=scene.name))
        if len(samples) == _SCENES_SHOWN:
            break
    return collate(samples)


@torch.no_grad()
def write_roi_figure(
    folder: Path, step: int, model: nn.Module, batch: Batch, settings: RegionSettings, *, precision: torch.dtype
) -> Path:
    """Draw the RoIs that mining would choose now, whichever sampler trains, into a JPEG file named by the step.

    Text RoIs are green, others yellow to red; the fuller the colour, the larger the loss that mining ranks by.
    """
    assert isinstance(model, CRAFT)
    path = region_path(model)
    assert path is not None
    with evaluation_mode(model):
        images = batch.images.to(next(model.parameters()).device)
        maps, levels = run_network(model, images, precision=precision)
    rois, _loss = batch_rois(path, maps, levels, batch, settings, learn=False)
    logits, deltas = path.head(levels, [image.boxes_xyxy for image in rois])
    losses = roi_losses(logits, deltas, rois) if settings.rank_by == "loss" else text_losses(logits, rois)
    parts = losses.split([len(image) for image in rois])
    panels = []
    for crop, name, image, image_losses in zip(batch.images, batch.names, rois, parts, strict=True):
        pixels = crop.permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)
        panels.append(_panel(pixels, f"{name}, step {step}", image, image_losses, settings))
    folder.mkdir(parents=True, exist_ok=True)
    figure = _with_legend(tile_images(panels, columns=2, ground=0))
    return write_image(folder / f"step_{step:06d}.jpg", figure)


def draw_rois(
    image: NDArray[np.uint8], boxes_xyxy: Tensor, losses: Tensor, foreground: Tensor, *, thickness: int = 1
) -> NDArray[np.uint8]:
    """Draw (R, 4) RoIs over a copy of an (H, W, 3) uint8 RGB image, in its pixels, the largest of (R,) losses on top."""
    drawn = np.ascontiguousarray(image).copy()
    corners = np.rint(boxes_xyxy.cpu().numpy()).astype(int)
    for index in torch.argsort(losses, stable=True).tolist():
        left, top, right, bottom = corners[index].tolist()
        colour = _colour(float(losses[index]), text=bool(foreground[index]))
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, thickness)
    return drawn


def _panel(
    pixels: NDArray[np.uint8], title: str, image: ImageRois, losses: Tensor, settings: RegionSettings
) -> NDArray[np.uint8]:
    """A crop with its hardest RoIs, enlarged where it is small, below a caption."""
    count = min(settings.rois_per_image, _ROIS_SHOWN)
    index = hardest_rois(losses, image.boxes_xyxy, image.labels.counted, count=count, nms_iou=settings.nms_iou)
    chosen, losses = image.take(index), losses[index]
    zoom = -(-_LEAST_SIDE // pixels.shape[0])
    large = np.asarray(cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR), np.uint8)
    drawn = draw_rois(large, zoom * chosen.boxes_xyxy, losses, chosen.labels.foreground, thickness=zoom)
    text, mean = (values.float().mean().item() if len(index) else 0.0 for values in (chosen.labels.foreground, losses))
    caption = f"{title}: {len(index)} RoIs mined, {text:.0%} text, mean loss {mean:.2f}"
    return add_caption(drawn, caption, height=_BAR, left=6, font_scale=_FONT_SCALE)


def _colour(loss: float, *, text: bool) -> tuple[int, ...]:
    strength = min(loss / _FULL_COLOUR_LOSS, 1.0)
    light, full = (_LIGHT_TEXT, _FULL_TEXT) if text else (_LIGHT_BACKGROUND, _FULL_BACKGROUND)
    return tuple(round(a + strength * (b - a)) for a, b in zip(light, full, strict=True))


def _with_legend(figure: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Explain the colours below a figure: samples from loss 0 to _FULL_COLOUR_LOSS for both labels."""
    samples, texts, left = [], [], 6
    for words, text in ((f"text, loss 0 to {_FULL_COLOUR_LOSS:g} and over", True), ("not text", False)):
        for loss in np.linspace(0, _FULL_COLOUR_LOSS, 4):
            samples.append((left, _colour(float(loss), text=text)))
            left += 20
        texts.append((left + 4, words))
        left += 12 * len(words)
    bar = text_bar(figure.shape[1], texts, height=_BAR, font_scale=_FONT_SCALE)
    for start, colour in samples:
        cv2.rectangle(bar, (start, 5), (start + 16, _BAR - 6), colour, -1)
    return np.concatenate([figure, bar])
