"""Region-level hard example mining: which RoIs of an image are trained on."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torchvision.ops import nms

from craft.ohem.pixel import shuffled_order

Sampler = Literal["heuristic", "all", "ohem", "ohem-zeroed", "bootstrap"]
RankBy = Literal["loss", "text"]
MINING = ("ohem", "ohem-zeroed")
"""Samplers that look at every RoI's loss before they choose."""

_FOREGROUND_SHARE = 4  # one RoI in so many, at most, is foreground in Fast R-CNN's sampling


def hardest_rois(losses: Tensor, boxes_xyxy: Tensor, counted: Tensor, *, count: int, nms_iou: float) -> Tensor:
    """Choose the RoIs with the largest losses, one for each spot.

    From the largest loss down, an RoI is passed over where it overlaps one chosen before by more than `nms_iou`:
    RoIs on one spot have losses alike, and would else be counted many times. Of RoIs with equal losses the one with the
    lower index comes first.

    Args:
        losses: (R,) float32, not NaN, loss of each RoI of one image. Not differentiated here.
        boxes_xyxy: (R, 4) float32, the RoIs, any unit.
        counted: (R,) bool, False where an RoI takes part in nothing.
        count: most RoIs chosen, >= 0.
        nms_iou: IoU above which two RoIs are one spot, 0 to 1.

    Returns:
        (K,) int64, K <= count, indices by falling loss.

    Raises:
        ValueError: shapes differ, or a number is out of range.

    Source: OHEM, Shrivastava, Gupta and Girshick, CVPR 2016, section 4.1. The order of ties is ours.
    """
    num_rois = len(losses)
    if losses.shape != (num_rois,) or counted.shape != (num_rois,) or boxes_xyxy.shape != (num_rois, 4):
        raise ValueError(
            f"losses are {tuple(losses.shape)}, boxes {tuple(boxes_xyxy.shape)}, counted {tuple(counted.shape)}; "
            "give (R,), (R, 4) and (R,)"
        )
    if count < 0 or not 0 <= nms_iou <= 1:
        raise ValueError(f"count is {count} and nms_iou {nms_iou}; give count >= 0 and an IoU from 0 to 1")
    candidates = counted.nonzero().squeeze(1)
    order = candidates[torch.sort(losses.detach()[candidates], descending=True, stable=True).indices]
    # Ranks instead of losses, so that NMS meets no ties. Whole numbers are exact in float32 up to 2^24.
    ranks = torch.arange(len(order), 0, -1, dtype=torch.float32, device=losses.device)
    return order[nms(boxes_xyxy[order].float(), ranks, nms_iou)[:count]]


def random_rois(
    foreground: Tensor, best_iou: Tensor, counted: Tensor, seed: Tensor, *, count: int, background_low: float
) -> Tensor:
    """Choose RoIs at random, at most a quarter foreground, background from those that overlap a word at least so much.

    Args:
        foreground: (R,) bool, IoU with a cared-for word at least 0.5.
        best_iou: (R,) float32, largest IoU with a cared-for word.
        counted: (R,) bool, False where an RoI takes part in nothing.
        seed: () int64, the image's own number.
        count: RoIs asked for; fewer come where there are fewer.
        background_low: least IoU of a background RoI, 0 to 0.5.

    Returns:
        (K,) int64, foreground first. Which ones follows from seed and indices alone.

    Source: Fast R-CNN, Girshick, ICCV 2015, section 2.3.
    """
    keys = _random_keys(seed, len(foreground))
    chosen_foreground = _highest(keys, foreground & counted, count // _FOREGROUND_SHARE)
    background = ~foreground & counted & (best_iou >= background_low)
    return torch.cat([chosen_foreground, _highest(keys, background, count - len(chosen_foreground))])


def sample_rois(
    sampler: Sampler,
    losses: Tensor | None,
    boxes_xyxy: Tensor,
    foreground: Tensor,
    best_iou: Tensor,
    counted: Tensor,
    seed: Tensor,
    *,
    count: int,
    background_low: float,
    nms_iou: float,
) -> Tensor:
    """Choose the RoIs of one image that are trained on, by a sampler's name.

    Args:
        sampler: "heuristic" (`random_rois`), "all" (every counted RoI), "ohem" and "ohem-zeroed" (`hardest_rois`; they
            differ in how the loss of what was chosen is computed), "bootstrap" (`random_rois` without a least IoU; the
            collected false positives come on top, from elsewhere).
        losses: (R,) float32, for ohem and ohem-zeroed; else None.
        boxes_xyxy: (R, 4) float32.
        foreground: (R,) bool.
        best_iou: (R,) float32.
        counted: (R,) bool, False where an RoI takes part in nothing.
        seed: () int64, the image's own number, for samplers that choose at random.
        count: RoIs asked for.
        background_low: least IoU of a background RoI, for heuristic.
        nms_iou: IoU above which two RoIs are one spot, for ohem and ohem-zeroed.

    Returns:
        (K,) int64 indices.

    Raises:
        ValueError: the sampler is unknown, or one that mines got no losses.
    """
    if sampler in MINING:
        if losses is None:
            raise ValueError(f"sampler {sampler} chooses by loss; pass the losses of all RoIs")
        return hardest_rois(losses, boxes_xyxy, counted, count=count, nms_iou=nms_iou)
    if sampler == "all":
        return counted.nonzero().squeeze(1)
    if sampler == "heuristic":
        return random_rois(foreground, best_iou, counted, seed, count=count, background_low=background_low)
    if sampler == "bootstrap":
        return random_rois(foreground, best_iou, counted, seed, count=count, background_low=0.0)
    raise ValueError(f"region sampler {sampler!r} is unknown; use one of {', '.join(get_args(Sampler))}")


def sample_anchors(positive: Tensor, negative: Tensor, seed: Tensor, *, count: int) -> Tensor:
    """Choose anchors at random, at most half of them positive.

    Args:
        positive: (A,) bool.
        negative: (A,) bool.
        seed: () int64, the image's own number.
        count: anchors asked for.

    Returns:
        (K,) int64, positives first.

    Source: Faster R-CNN, Ren et al., NeurIPS 2015, section 3.1.3.
    """
    keys = _random_keys(seed, len(positive))
    chosen = _highest(keys, positive, count // 2)
    return torch.cat([chosen, _highest(keys, negative, count - len(chosen))])


def _random_keys(seed: Tensor, count: int) -> Tensor:
    return shuffled_order(seed.reshape(1), count)[0]


def _highest(keys: Tensor, among: Tensor, count: int) -> Tensor:
    """Indices of the `count` highest keys (all different, >= 0) where `among`."""
    candidates = among.nonzero().squeeze(1)
    return candidates[keys[candidates].topk(min(max(count, 0), len(candidates))).indices]
