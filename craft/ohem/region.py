"""Region-level OHEM: which RoIs of an image a step trains on.

To add a sampler, write its function, and name it in `sample_rois` below and in `RoiSampler` of craft/config.py.
"""

import torch
from torch import Tensor
from torchvision.ops import nms

from craft.ohem.top_k import random_keys

MINING = ("ohem", "ohem-zeroed")  # samplers that need the loss of every RoI before they choose


def sample_rois(
    sampler: str,
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
    """Choose the RoIs of one image that a step trains on: (K,) int64 indices.

    Both ohem and ohem-zeroed choose `hardest_rois`; they differ in how the loss of the chosen is computed. The
    heuristic chooses `random_rois`; bootstrap does so from all background, and the caller adds collected false
    positives. The sampler all takes every counted RoI.

    Args:
        losses: (R,) float32, for the samplers in MINING; otherwise None.
        boxes_xyxy: (R, 4) float32, network input pixels.
        foreground: (R,) bool, like `best_iou` (R,) float32 and `counted` (R,) bool as in `RoiLabels`.
        seed: () int64 of the image, for the samplers that choose at random.
        count: RoIs asked for, by every sampler but all.
        background_low: smallest IoU of a background RoI with a word, for heuristic.
        nms_iou: IoU above which two RoIs are the same spot, for the samplers in MINING.
    """
    match sampler:
        case "ohem" | "ohem-zeroed":
            if losses is None:
                raise ValueError(f"sampler {sampler} ranks RoIs by loss; pass the losses of all RoIs")
            return hardest_rois(losses, boxes_xyxy, counted, count=count, nms_iou=nms_iou)
        case "heuristic":
            return random_rois(foreground, best_iou, counted, seed, count=count, background_low=background_low)
        case "bootstrap":
            return random_rois(foreground, best_iou, counted, seed, count=count, background_low=0.0)
        case "all":
            return counted.nonzero().squeeze(1)
    raise ValueError(f"unknown region sampler {sampler!r}; use heuristic, all, ohem, ohem-zeroed or bootstrap")


def hardest_rois(losses: Tensor, boxes_xyxy: Tensor, counted: Tensor, *, count: int, nms_iou: float) -> Tensor:
    """Choose up to `count` RoIs with the largest losses, one for each spot: (K,) int64 indices by falling loss.

    From the largest loss down, an RoI that overlaps one chosen before by more than `nms_iou` is suppressed: RoIs on the
    same spot have similar losses and would be counted many times. Ties in loss go to the lower index.

    Raises ValueError if shapes differ, or a number is out of range.

    Source: OHEM, Shrivastava, Gupta and Girshick, CVPR 2016, section 4.1. The order of ties is ours.
    """
    num_rois = len(losses)
    if losses.shape != (num_rois,) or counted.shape != (num_rois,) or boxes_xyxy.shape != (num_rois, 4):
        raise ValueError(
            f"losses are {tuple(losses.shape)}, boxes {tuple(boxes_xyxy.shape)} and counted {tuple(counted.shape)}; "
            "give (R,), (R, 4) and (R,)"
        )
    if count < 0 or not 0 <= nms_iou <= 1:
        raise ValueError(f"count is {count} and nms_iou {nms_iou}; give a count >= 0 and an IoU from 0 to 1")
    candidates = counted.nonzero().squeeze(1)
    order = candidates[torch.sort(losses.detach()[candidates], descending=True, stable=True).indices]
    # NMS gets ranks instead of losses, so that it meets no ties. Integers are exact in float32 up to 2^24.
    ranks = torch.arange(len(order), 0, -1, dtype=torch.float32, device=losses.device)
    return order[nms(boxes_xyxy[order].float(), ranks, nms_iou)[:count]]


def random_rois(
    foreground: Tensor, best_iou: Tensor, counted: Tensor, seed: Tensor, *, count: int, background_low: float
) -> Tensor:
    """Choose up to `count` RoIs at random: at most a quarter foreground, then background from `background_low` IoU on.

    The arguments are those of `sample_rois`. Returns (K,) int64 indices, foreground first.

    Source: Fast R-CNN, Girshick, ICCV 2015, section 2.3.
    """
    background = ~foreground & counted & (best_iou >= background_low)
    return _random_pair(foreground & counted, background, seed, count=count, most_first=count // 4)


def sample_anchors(positive: Tensor, negative: Tensor, seed: Tensor, *, count: int) -> Tensor:
    """Choose up to `count` of (A,) anchors at random, at most half of them positive: (K,) int64 indices, positives first.

    Source: Faster R-CNN, Ren et al., NeurIPS 2015, section 3.1.3.
    """
    return _random_pair(positive, negative, seed, count=count, most_first=count // 2)


def _random_pair(first: Tensor, second: Tensor, seed: Tensor, *, count: int, most_first: int) -> Tensor:
    """Choose up to `most_first` indices of the first mask at random, then fill up with the second to `count`."""
    keys = random_keys(seed.reshape(1), len(first))[0]
    chosen = _top_k(keys, first, most_first)
    return torch.cat([chosen, _top_k(keys, second, count - len(chosen))])


def _top_k(keys: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Indices of the `count` candidates with the highest keys, which are all different."""
    index = candidates.nonzero().squeeze(1)
    return index[keys[index].topk(min(max(count, 0), len(index))).indices]
