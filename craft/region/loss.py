"""The region head's loss over the RoIs that a sampler chose, with the passes over RoIs that each sampler needs."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from craft.config import RankBy, RoiSampler
from craft.models.region_head import BOX_CODER, RegionHead
from craft.ohem.region import MINING, sample_rois
from craft.region.pass_times import PassTimes
from craft.region.proposals import ImageRois


@dataclass(frozen=True, slots=True, eq=False)
class HeadLoss:
    """The head's loss over the RoIs that a sampler chose."""

    loss: Tensor  # () float32, differentiable: sum over the chosen RoIs, divided by the number of RoIs asked for
    chosen: list[Tensor]  # (K_b,) int64 for each image, indices of its chosen RoIs
    chosen_losses: Tensor  # (K,) float32, detached, image after image
    all_losses: list[Tensor] | None  # (R_b,) float32 for each image, detached; None for samplers without them


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
    """Choose RoIs and compute the head's loss over them; without RoIs it is 0, with a gradient of 0.

    Sampler ohem runs a read-only pass over all RoIs and a differentiated one over the chosen; ohem-zeroed runs one
    differentiated pass over all; the others run one over the chosen.

    Args:
        seeds: (B,) int64, one per image.
        sampler: as in `craft.ohem.region.sample_rois`, like `background_low` and `nms_iou`.
        count: RoIs asked for per image; sampler all asks for all there are.
        rank_by: what mining ranks by: "loss", log loss plus box loss, as in the paper; or "text", log loss alone.
        negatives: (N, F) float32, pooled features of collected background RoIs to train on as well, for bootstrap.

    Source: OHEM, Shrivastava, Gupta and Girshick, CVPR 2016, section 4. Dividing by the RoIs asked for is ours.
    """
    losses = all_losses = None
    ranked: Sequence[Tensor | None] = [None] * len(rois)
    if sampler in MINING:
        losses, ranked = _mining_pass(head, levels, rois, sampler, rank_by, times)
        all_losses = list(losses.detach().split([len(image) for image in rois]))
    sample = partial(sample_rois, sampler, count=count, background_low=background_low, nms_iou=nms_iou)
    chosen = [
        sample(rank, image.boxes_xyxy, image.labels.foreground, image.labels.best_iou, image.labels.counted, seed)
        for rank, image, seed in zip(ranked, rois, seeds, strict=True)
    ]
    asked = count * len(rois) + (0 if negatives is None else len(negatives))
    if sampler == "all":
        asked = sum(map(len, rois))
    if losses is not None and sampler == "ohem-zeroed":
        total, chosen_losses = _zeroed_loss(losses, rois, chosen)
    else:
        with times.measure("differentiated"):
            total, chosen_losses = _chosen_loss(head, levels, rois, chosen, negatives)
    return HeadLoss(total / max(1, asked), chosen, chosen_losses.detach(), all_losses)


def roi_losses(logits: Tensor, deltas: Tensor, rois: Sequence[ImageRois]) -> Tensor:
    """Compute the loss of each RoI, (R,) float32: log loss, plus smooth L1 of the box deltas for foreground.

    `logits` (R,) of text and `deltas` (R, 4) for `BOX_CODER` come image after image.

    Source: Fast R-CNN, Girshick, ICCV 2015, section 2.3.
    """
    foreground = torch.cat([image.labels.foreground for image in rois])
    text = text_losses(logits, rois)
    boxes = torch.cat([image.boxes_xyxy for image in rois])
    wanted = BOX_CODER.encode_single(torch.cat([_target_boxes(image) for image in rois]), boxes)
    moved = functional.smooth_l1_loss(deltas, wanted, reduction="none").sum(dim=1)
    return text + torch.where(foreground, moved, 0.0)


def text_losses(logits: Tensor, rois: Sequence[ImageRois]) -> Tensor:
    """Compute the log loss of each RoI, (R,) float32, from (R,) logits of text, image after image."""
    foreground = torch.cat([image.labels.foreground for image in rois])
    return functional.binary_cross_entropy_with_logits(logits, foreground.float(), reduction="none")


def _mining_pass(
    head: RegionHead,
    levels: Mapping[str, Tensor],
    rois: list[ImageRois],
    sampler: RoiSampler,
    rank_by: RankBy,
    times: PassTimes,
) -> tuple[Tensor, Sequence[Tensor]]:
    """Losses of all RoIs, differentiable for ohem-zeroed alone; and for each image, detached, what mining ranks by."""
    read_only = sampler == "ohem"
    gradients = torch.no_grad() if read_only else nullcontext()
    with gradients, times.measure("read_only" if read_only else "differentiated"):
        logits, deltas = head(levels, [image.boxes_xyxy for image in rois])
        losses = roi_losses(logits, deltas, rois)
    ranked = losses.detach() if rank_by == "loss" else text_losses(logits.detach(), rois)
    return losses, ranked.split([len(image) for image in rois])


def _zeroed_loss(losses: Tensor, rois: list[ImageRois], chosen: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Sum of all losses with those of RoIs that were not chosen set to 0, and the losses of the chosen."""
    parts = losses.split([len(image) for image in rois])
    masks = [torch.zeros_like(part, dtype=torch.bool) for part in parts]
    for mask, index in zip(masks, chosen, strict=True):
        mask[index] = True
    total = torch.where(torch.cat(masks), losses, 0.0).sum()
    return total, torch.cat([part.detach()[index] for part, index in zip(parts, chosen, strict=True)])


def _chosen_loss(
    head: RegionHead,
    levels: Mapping[str, Tensor],
    rois: list[ImageRois],
    chosen: list[Tensor],
    negatives: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Run the head over the chosen RoIs alone; the sum of their losses and of those of the negatives, and the former."""
    picked = [image.take(index) for image, index in zip(rois, chosen, strict=True)]
    logits, deltas = head(levels, [image.boxes_xyxy for image in picked])
    losses = roi_losses(logits, deltas, picked)
    total = losses.sum()
    if negatives is not None:
        logits, _deltas = head.judge(negatives)
        total = total + functional.softplus(logits).sum()  # the log loss of "not text"
    return total, losses


def _target_boxes(image: ImageRois) -> Tensor:
    """(R, 4): the word's box for foreground RoIs; for background the RoI's own, which keeps its unused deltas finite."""
    if len(image.words.cared_xyxy) == 0:
        return image.boxes_xyxy
    words = image.words.cared_xyxy[image.labels.word]
    return torch.where(image.labels.foreground[:, None], words, image.boxes_xyxy)
