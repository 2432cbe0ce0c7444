"""The loss of the region path: proposals and RoIs, with the passes over RoIs that each sampler needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from craft.config import RankBy, RoiSampler
from craft.models.proposal_network import ANCHOR_CODER
from craft.models.region_head import BOX_CODER, RegionHead
from craft.ohem.region import MINING, sample_anchors, sample_rois
from craft.region.pass_times import PassTimes
from craft.region.proposals import ImageRois
from craft.region.roi_labels import WordBoxes, label_anchors

ANCHORS_PER_IMAGE = 256
_ANCHOR_BETA = 1 / 9  # where smooth L1 turns from a square into a line, for anchors; 1 for RoIs


@dataclass(frozen=True, slots=True, eq=False)
class HeadLoss:
    """The head's loss over the RoIs that a sampler chose.

    Attributes:
        loss: () float32, differentiable: sum over the chosen, divided by the number of RoIs asked for.
        chosen: (K_b,) int64 for each image, indices of its RoIs.
        chosen_losses: (K,) float32, detached, losses of the chosen, image after image.
        all_losses: (R_b,) float32 for each image, detached, from before the step; None where the sampler needs none.
    """

    loss: Tensor
    chosen: list[Tensor]
    chosen_losses: Tensor
    all_losses: list[Tensor] | None


def head_loss(
    head: RegionHead,
    levels: Mapping[str, Tensor],
    rois: list[ImageRois],
    seeds: Tensor,
    *,
    sampler: RoiSampler,
    count: int,
    background_low: float,
    nms_iou: float,
    times: PassTimes,
    rank_by: RankBy = "loss",
    negatives: Tensor | None = None,
) -> HeadLoss:
    """Choose RoIs and compute the head's loss over them.

    Args:
        head: the region head.
        levels: features by level, with or without gradients.
        rois: of each image.
        seeds: (B,) int64, the images' own numbers.
        sampler: which RoIs are trained on, and in which passes.
        count: RoIs asked for per image; not for sampler all, which asks for all there are.
        background_low: least IoU of background RoIs, for heuristic.
        nms_iou: IoU above which two RoIs are one spot, for mining.
        times: told how long the passes take.
        rank_by: what mining calls hard: "loss", log loss and the box's, as in the paper; "text", the log loss alone.
        negatives: (K', F) float32, cut-out features of background RoIs trained on besides; for bootstrap.

    Returns:
        The loss and what it was made from. No RoI gives 0, with a gradient of 0.
    """
    boxes = [image.boxes_xyxy for image in rois]
    sizes = [len(image) for image in rois]
    losses: Tensor | None = None
    if sampler == "ohem":
        with torch.no_grad(), times.measure("read_only"):
            odds, corrections = head(levels, boxes)
            losses = roi_losses(odds, corrections, rois)
    elif sampler == "ohem-zeroed":
        with times.measure("differentiated"):
            odds, corrections = head(levels, boxes)
            losses = roi_losses(odds, corrections, rois)
    split = ranked = None
    if losses is not None:
        split = list(losses.detach().split(sizes))
        ranked = split if rank_by == "loss" else list(text_losses(odds.detach(), rois).split(sizes))
    chosen = [
        sample_rois(
            sampler,
            None if ranked is None else ranked[index],
            image.boxes_xyxy,
            image.labels.foreground,
            image.labels.best_iou,
            image.labels.counted,
            seeds[index],
            count=count,
            background_low=background_low,
            nms_iou=nms_iou,
        )
        for index, image in enumerate(rois)
    ]
    asked = sum(sizes) if sampler == "all" else count * len(rois) + (0 if negatives is None else len(negatives))
    if sampler == "ohem-zeroed":
        assert losses is not None
        chosen_losses = torch.where(_chosen_mask(chosen, sizes, losses.device), losses, 0.0)
        kept = torch.cat([part[index] for part, index in zip(losses.detach().split(sizes), chosen, strict=True)])
        return HeadLoss(chosen_losses.sum() / max(1, asked), chosen, kept, split)
    with times.measure("differentiated"):
        picked = [pick_rois(image, index) for image, index in zip(rois, chosen, strict=True)]
        pooled = head.pool(levels, [image.boxes_xyxy for image in picked])
        odds, corrections = head.judge(pooled)
        kept = roi_losses(odds, corrections, picked)
        total = kept.sum()
        if negatives is not None:
            odds, _corrections = head.judge(negatives)
            total = total + functional.softplus(odds).sum()  # the log loss of "not text"
    return HeadLoss(total / max(1, asked), chosen, kept.detach(), split if sampler in MINING else None)


def roi_losses(odds: Tensor, corrections: Tensor, rois: Sequence[ImageRois]) -> Tensor:
    """Loss of each RoI: log loss, and smooth L1 of the box correction for foreground.

    Args:
        odds: (R,) float32, log odds of text, image after image.
        corrections: (R, 4) float32.
        rois: of each image, R in all.

    Returns:
        (R,) float32.

    Source: Fast R-CNN, Girshick, ICCV 2015, section 2.3.
    """
    foreground = torch.cat([image.labels.foreground for image in rois])
    text = text_losses(odds, rois)
    boxes = torch.cat([image.boxes_xyxy for image in rois])
    # Background RoIs stand in for the word they lack, so that nothing here is infinite.
    words = torch.cat([_words_of(image) for image in rois])
    wanted = BOX_CODER.encode_single(words, boxes)
    moved = functional.smooth_l1_loss(corrections, wanted, reduction="none").sum(dim=1)
    return text + torch.where(foreground, moved, 0.0)


def text_losses(odds: Tensor, rois: Sequence[ImageRois]) -> Tensor:
    """Log loss of each RoI.

    Args:
        odds: (R,) float32, log odds of text, image after image.
        rois: of each image, R in all.

    Returns:
        (R,) float32.
    """
    foreground = torch.cat([image.labels.foreground for image in rois])
    return functional.binary_cross_entropy_with_logits(odds, foreground.float(), reduction="none")


def pick_rois(image: ImageRois, index: Tensor) -> ImageRois:
    """Some of an image's RoIs.

    Args:
        image: all of them.
        index: (K,) int64, which.

    Returns:
        Those, in the order of `index`.
    """
    labels = image.labels
    fields = (labels.foreground, labels.counted, labels.best_iou, labels.word)
    picked = type(labels)(*(field[index] for field in fields))
    return ImageRois(image.boxes_xyxy[index], picked, image.words, image.source[index])


def proposal_loss(
    anchors_xyxy: Tensor, odds: Tensor, corrections: Tensor, words: list[WordBoxes], seeds: Tensor
) -> Tensor:
    """Loss of the proposal network over ANCHORS_PER_IMAGE anchors of each image, chosen at random.

    Args:
        anchors_xyxy: (A, 4) float32.
        odds: (B, A) float32, log odds that an anchor holds a word.
        corrections: (B, A, 4) float32.
        words: the images' words.
        seeds: (B,) int64, the images' own numbers.

    Returns:
        () float32: log loss plus smooth L1 of the positives, divided by the number of anchors asked for.

    Source: Faster R-CNN, Ren et al., NeurIPS 2015, section 3.1.2, both terms with one divisor as in torchvision.
    """
    total = odds.new_zeros(())
    for index, image_words in enumerate(words):
        labels = label_anchors(anchors_xyxy, image_words)
        chosen = sample_anchors(labels.positive, labels.negative, seeds[index], count=ANCHORS_PER_IMAGE)
        positive = chosen[labels.positive[chosen]]
        total = total + functional.binary_cross_entropy_with_logits(
            odds[index][chosen], labels.positive[chosen].float(), reduction="sum"
        )
        wanted = ANCHOR_CODER.encode_single(image_words.cared_xyxy[labels.word[positive]], anchors_xyxy[positive])
        total = total + functional.smooth_l1_loss(
            corrections[index][positive], wanted, beta=_ANCHOR_BETA, reduction="sum"
        )
    return total / (ANCHORS_PER_IMAGE * max(1, len(words)))


def _words_of(image: ImageRois) -> Tensor:
    """(R, 4): the word's box for foreground RoIs, the RoI's own for others."""
    if len(image.words.cared_xyxy) == 0:
        return image.boxes_xyxy
    words = image.words.cared_xyxy[image.labels.word]
    return torch.where(image.labels.foreground[:, None], words, image.boxes_xyxy)


def _chosen_mask(chosen: list[Tensor], sizes: list[int], device: torch.device) -> Tensor:
    masks = []
    for index, size in zip(chosen, sizes, strict=True):
        mask = torch.zeros(size, dtype=torch.bool, device=device)
        mask[index] = True
        masks.append(mask)
    return torch.cat(masks)
