"""A region head trained on cached features, with one way of choosing RoIs; the loss is that of `craft.region.loss`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from region_features import Crop, SceneWords
from torch import Tensor, nn
from torch.nn import functional

from craft.config import Config, RoiSampler
from craft.models.region_head import RegionHead
from craft.ohem.region import MINING, hardest_rois, sample_rois
from craft.region.bootstrapping import MOST_PER_IMAGE, FalsePositives, draw_negatives
from craft.region.loss import roi_losses
from craft.region.training import architecture_of
from craft.training.schedule import build_optimizer, learning_rate_at


@dataclass(frozen=True, slots=True)
class HeadVariant:
    """One way of choosing RoIs: `count` per image for every sampler but all, from `images` crops per step."""

    name: str
    title: str
    sampler: RoiSampler
    count: int = 64
    background_low: float = 0.0
    images: int = 2
    rate: float = 1.0  # factor on the learning rate
    paper: str = "-"  # VOC07 mAP of VGG16 in the paper's table 1


def new_head(crops: Sequence[Crop], config: Config, *, seed: int) -> RegionHead:
    """A head for features as wide as those of the crops, with parameters drawn from `seed`."""
    architecture = architecture_of(config.region)
    cells = architecture.pool_hw[0] * architecture.pool_hw[1]
    first, *others = architecture.levels
    channels = {name: 0 for name in others} | {first: crops[0].pooled.shape[1] // cells}
    return RegionHead(architecture, channels, generator=torch.Generator().manual_seed(seed))


def train_head(variant: HeadVariant, crops: Sequence[Crop], config: Config, *, seed: int) -> RegionHead:
    """Train a head for `training.steps` steps; the seed gives its parameters, the order of crops and the random RoIs."""
    head, steps = new_head(crops, config, seed=seed), config.training.steps
    optimizer = build_optimizer(head, config.optimizer)
    order = np.random.default_rng(seed).permutation(len(crops))
    bank = FalsePositives() if variant.sampler == "bootstrap" else None
    for step in range(steps):
        if bank is not None and step in (steps // 3, 2 * steps // 3):
            bank.add(false_positives(head, [crops[index] for index in order[: 2 * step]], config))
        first = 2 * step  # a variant with one image per step sees the first of the two that the others see
        images = [crops[order[(first + index) % len(crops)]] for index in range(variant.images)]
        loss = step_loss(head, images, variant, config, seed=(seed << 32) + first, bank=bank)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), config.optimizer.gradient_clip)
        for group in optimizer.param_groups:
            group["lr"] = variant.rate * learning_rate_at(step, steps=steps, settings=config.optimizer)
        optimizer.step()
    return head


def step_loss(
    head: RegionHead,
    images: Sequence[Crop],
    variant: HeadVariant,
    config: Config,
    *,
    seed: int,
    bank: FalsePositives | None = None,
) -> Tensor:
    """What `craft.region.loss.head_loss` computes, from features that are pooled already; image i draws by seed + i."""
    count, negatives = draw_negatives(bank, variant.count, images=len(images), seed=seed)
    pooled, rois = [], []
    for index, image in enumerate(images):
        losses = None
        if variant.sampler in MINING:
            with torch.no_grad():
                losses = roi_losses(*head.judge(torch.from_numpy(image.pooled.astype(np.float32))), [image.rois])
        labels = image.rois.labels
        chosen = sample_rois(
            variant.sampler,
            losses,
            image.rois.boxes_xyxy,
            labels.foreground,
            labels.best_iou,
            labels.counted,
            torch.tensor(seed + index),
            count=count,
            background_low=variant.background_low,
            nms_iou=config.region.nms_iou,
        )
        pooled.append(torch.from_numpy(image.pooled[chosen.numpy()].astype(np.float32)))
        rois.append(image.rois.take(chosen))
    total = roi_losses(*head.judge(torch.cat(pooled)), rois).sum()
    asked = sum(map(len, rois)) if variant.sampler == "all" else count * len(images)
    if negatives is not None:
        total = total + functional.softplus(head.judge(negatives)[0]).sum()
        asked += len(negatives)
    return total / max(1, asked)


@torch.no_grad()
def false_positives(head: RegionHead, crops: Sequence[Crop], config: Config) -> Tensor:
    """Features (K, F) float16 of background that the head takes for text in crops: one per spot, the worst first."""
    found = []
    for crop in crops:
        logits, deltas = head.judge(torch.from_numpy(crop.pooled.astype(np.float32)))
        wrong = ~crop.rois.labels.foreground & (logits > 0)
        losses = roi_losses(logits, deltas, [crop.rois])
        index = hardest_rois(losses, crop.rois.boxes_xyxy, wrong, count=MOST_PER_IMAGE, nms_iou=config.region.nms_iou)
        found.append(torch.from_numpy(crop.pooled[index.numpy()]))
    return torch.cat(found)


@torch.no_grad()
def text_scores(head: RegionHead, words: SceneWords) -> np.ndarray:
    """The head's probability that each word is text, (N,) float32."""
    return head.judge(torch.from_numpy(words.pooled.astype(np.float32)))[0].sigmoid().numpy()
