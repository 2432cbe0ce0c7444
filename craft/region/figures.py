"""Pictures of the RoIs that mining finds: the same crops at every step, boxes coloured by loss and label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from craft.config import RegionSettings
from craft.datasets.augment import make_sample
from craft.datasets.loader import Batch, collate
from craft.datasets.scene_source import read_scene_image
from craft.models.craft import CRAFT, normalise_images
from craft.models.region_head import region_path
from craft.ohem.region import hardest_rois
from craft.region.batch_rois import batch_rois
from craft.region.loss import roi_losses, text_losses
from craft.scene import Scene

_SCENES_SHOWN = 4
_ROIS_SHOWN = 64  # of each scene, the worst
_COMMON_LOSS = 2.0  # the loss at which a box has its full colour, in every picture, so that steps compare
_LIGHT_TEXT, _FULL_TEXT = (200, 255, 200), (0, 150, 0)
_LIGHT_BACKGROUND, _FULL_BACKGROUND = (255, 235, 120), (225, 0, 0)
_JPEG_QUALITY = 90
_LEAST_SIDE = 480  # smaller crops are enlarged by a whole factor, so that thin boxes can be told apart
_BAR = 24  # height of captions, pixels


def preview_batch(scenes: Sequence[Scene], *, crop_size: int) -> Batch:
    """Plain crops of the first scenes, to be looked at again and again.

    Args:
        scenes: with the characters of their cared-for words.
        crop_size: side of the crops, pixels.

    Returns:
        A batch of at most four.
    """
    samples = [
        make_sample(read_scene_image(scene), scene.words, seed=0, crop_size=crop_size, settings=None, name=scene.name)
        for scene in scenes[:_SCENES_SHOWN]
    ]
    return collate(samples)


@torch.no_grad()
def write_roi_pictures(
    folder: Path, step: int, model: nn.Module, batch: Batch, settings: RegionSettings, *, device: torch.device
) -> Path:
    """Draw the RoIs that mining would choose now, whichever sampler trains.

    Args:
        folder: for the picture, made where it is missing.
        step: optimizer steps done, in the file's name.
        model: network with a region path; it computes in evaluation mode and is left as it was.
        batch: crops.
        settings: of the region path.
        device: where the network runs.

    Returns:
        The picture: the crops two in a row, with a legend. Text RoIs are green, others yellow to red; the fuller the
        colour, the larger the loss, which is the one that mining ranks by.
    """
    assert isinstance(model, CRAFT)
    path = region_path(model)
    assert path is not None
    was_training = model.training
    model.eval()
    try:
        maps, levels = model.forward_levels(normalise_images(batch.images.to(device)))
    finally:
        model.train(was_training)
    rois, _loss = batch_rois(path, maps, levels, batch, settings, learn=False)
    odds, corrections = path.head(levels, [image.boxes_xyxy for image in rois])
    losses = roi_losses(odds, corrections, rois) if settings.rank_by == "loss" else text_losses(odds, rois)
    panels = []
    for place, (image, image_losses) in enumerate(zip(rois, losses.split([len(one) for one in rois]), strict=True)):
        index = hardest_rois(
            image_losses,
            image.boxes_xyxy,
            image.labels.counted,
            count=min(settings.rois_per_image, _ROIS_SHOWN),
            nms_iou=settings.nms_iou,
        )
        pixels = batch.images[place].permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)
        share = image.labels.foreground[index].float().mean().item() if len(index) else 0.0
        zoom = -(-_LEAST_SIDE // pixels.shape[0])
        large = np.asarray(cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR), np.uint8)
        boxes = zoom * image.boxes_xyxy[index]
        picture = draw_rois(large, boxes, image_losses[index], image.labels.foreground[index], thickness=zoom)
        mean = image_losses[index].mean().item() if len(index) else 0.0
        caption = f"{batch.names[place]}, step {step}: {len(index)} RoIs mined, {share:.0%} text, mean {mean:.2f}"
        panels.append(_captioned(picture, caption))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step_{step:06d}.jpg"
    bgr = np.ascontiguousarray(_with_legend(_in_rows(panels))[..., ::-1])
    _done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    target.write_bytes(encoded.tobytes())
    return target


def draw_rois(
    image: NDArray[np.uint8], boxes_xyxy: Tensor, losses: Tensor, foreground: Tensor, *, thickness: int = 1
) -> NDArray[np.uint8]:
    """Draw RoIs on a picture, the largest loss on top.

    Args:
        image: (H, W, 3) uint8, RGB.
        boxes_xyxy: (R, 4) float32, pixels of the picture.
        losses: (R,) float32.
        foreground: (R,) bool.
        thickness: of the lines, pixels.

    Returns:
        (H, W, 3) uint8, RGB, a copy.
    """
    drawn = np.ascontiguousarray(image).copy()
    order = torch.argsort(losses, stable=True).tolist()
    corners = np.rint(boxes_xyxy.cpu().numpy()).astype(int)
    for index in order:
        left, top, right, bottom = corners[index].tolist()
        colour = _colour(float(losses[index]), text=bool(foreground[index]))
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, thickness)
    return drawn


def _colour(loss: float, *, text: bool) -> tuple[int, ...]:
    strength = min(loss / _COMMON_LOSS, 1.0)
    light, full = (_LIGHT_TEXT, _FULL_TEXT) if text else (_LIGHT_BACKGROUND, _FULL_BACKGROUND)
    return tuple(round(a + strength * (b - a)) for a, b in zip(light, full, strict=True))


def _in_rows(panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Panels of one size, two in a row; the last row is filled up with black."""
    if len(panels) % 2 and len(panels) > 1:
        panels = [*panels, np.zeros_like(panels[0])]
    rows = [np.concatenate(panels[start : start + 2], axis=1) for start in range(0, len(panels), 2)]
    return np.concatenate(rows)


def _captioned(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    bar = np.full((_BAR, picture.shape[1], 3), 32, dtype=np.uint8)
    _write(bar, caption, left=6)
    return np.concatenate([bar, picture])


def _with_legend(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the colours mean, below a picture: samples from loss 0 to _COMMON_LOSS of both kinds."""
    bar = np.full((_BAR, picture.shape[1], 3), 32, dtype=np.uint8)
    left = 6
    for words, text in ((f"text, loss 0 to {_COMMON_LOSS:g} and over", True), ("not text", False)):
        for loss in np.linspace(0, _COMMON_LOSS, 4):
            cv2.rectangle(bar, (left, 5), (left + 16, _BAR - 6), _colour(float(loss), text=text), -1)
            left += 20
        _write(bar, words, left=left + 4)
        left += 12 * len(words)
    return np.concatenate([picture, bar])


def _write(bar: NDArray[np.uint8], words: str, *, left: int) -> None:
    plain = words.encode("ascii", "replace").decode()  # OpenCV's letters are these only
    cv2.putText(bar, plain, (left, _BAR - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
