"""The RoIs of a loaded batch, and the loss of the network that proposed some of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from craft.config import RegionSettings
from craft.datasets.loader import Batch
from craft.models.region_head import RegionPath
from craft.region.loss import proposal_loss
from craft.region.proposals import ImageRois, gather_rois
from craft.region.roi_labels import word_boxes


def batch_rois(
    path: RegionPath,
    maps: Tensor,
    levels: Mapping[str, Tensor],
    batch: Batch,
    settings: RegionSettings,
    *,
    learn: bool,
) -> tuple[list[ImageRois], Tensor]:
    """The RoIs of a batch and the loss of the network that proposed some of them.

    Args:
        path: head and proposal network.
        maps: (B, 2, H, W), score maps.
        levels: features by level.
        batch: the crops.
        settings: of the region path.
        learn: compute the proposal network's loss; it is 0 else.

    Returns:
        The RoIs of each image, and () float32.
    """
    size_hw = (batch.images.shape[2], batch.images.shape[3])
    words = word_boxes(
        batch.strip_quads_xy,
        batch.strip_word,
        batch.word_image,
        batch.word_confidence,
        batch_size=len(batch.images),
        size_hw=size_hw,
        device=maps.device,
    )
    loss = torch.zeros((), device=maps.device)
    proposals = None
    if path.proposals is not None:
        # Features that the network computed in bfloat16 are read in it too.
        halved = levels["vgg8"].dtype is torch.bfloat16
        with torch.autocast(maps.device.type, dtype=torch.bfloat16, enabled=halved):
            odds, corrections = path.proposals(levels)
        anchors = path.proposals.anchors(levels)
        if learn:
            loss = proposal_loss(torch.cat(anchors), odds, corrections, words, batch.seeds.to(maps.device))
        count = settings.proposals.network
        proposals = path.proposals.propose(anchors, odds.detach(), corrections.detach(), size_hw=size_hw, count=count)
    rois = gather_rois(maps, proposals, words, batch.seeds.tolist(), size_hw=size_hw, settings=settings.proposals)
    return rois, loss
