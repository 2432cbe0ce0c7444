"""What loader processes left of a batch's pixels, done on the training device: decoding, cutting, changes of colour."""

from __future__ import annotations

from dataclasses import replace

import torch

from craft.config import DataSettings
from craft.datasets.augment import Left
from craft.datasets.loader import Batch
from craft.training.device_colours import change_colours
from craft.training.device_pictures import cut_crops


def left_to_device(settings: DataSettings, device: torch.device) -> Left:
    """What loader processes shall leave to the training device.

    Args:
        settings: of the data; `on_device` says.
        device: where the network is trained.

    Returns:
        What is left: for "auto" changes of colour where the device is a GPU, which does them in no time that counts.
    """
    if settings.on_device == "auto":
        return "colours" if device.type == "cuda" else "nothing"
    return settings.on_device


def finish_pixels(batch: Batch, device: torch.device) -> Batch:
    """Bring a batch's pixels to the training device and do there what loader processes left.

    Args:
        batch: as loaded. Not changed.
        device: where the network is trained. The host does not wait for it, but where it decodes pictures.

    Returns:
        The batch with finished pixels on the device, and nothing left; `batch` itself where nothing was and its pixels are
        on the device already.

    Raises:
        ValueError: a picture's file cannot be decoded; the message names it.
    """
    images = batch.images.to(device, non_blocking=True)
    if batch.encoded is None and not batch.changes:
        return batch if images is batch.images else replace(batch, images=images)
    if images is batch.images:
        images = images.clone()
    if batch.encoded is not None:
        cut_crops(batch.encoded, images)
    if batch.changes:
        change_colours(images, batch.changes)
    return replace(batch, images=images, encoded=None, changes=[])
