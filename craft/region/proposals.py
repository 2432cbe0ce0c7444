"""The RoIs of a batch, from the proposal network, the score maps, the labelled words, jittered, and a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from craft.config import RegionProposalSettings, RegionSettings
from craft.datasets.batch import Batch
from craft.decode.components import component_boxes
from craft.models.proposal_network import ANCHOR_CODER
from craft.models.region_head import RegionPath
from craft.ohem.region import sample_anchors
from craft.region.roi_labels import RoiLabels, WordBoxes, label_anchors, label_rois, word_boxes, words_found

SOURCES = ("network", "components", "truth", "grid")
RECALL_IOUS = (0.5, 0.7)
ANCHORS_PER_IMAGE = 256
_ANCHOR_BETA = 1 / 9  # where smooth L1 turns from a square into a line, for anchors; 1 for RoIs
LEAST_SIDE = 4.0  # network input pixels
_MOST_COPIES = 32  # of one word
_SHIFT = 0.15  # standard deviation of a copy's centre, relative to the word's side
_SCALE = 0.2  # standard deviation of the logarithm of a copy's side
_GRID_HEIGHTS = (12, 24, 48, 96, 192)  # network input pixels
_GRID_WIDTH_TO_HEIGHT = (0.4, 1.0, 2.5, 5.0)
_GRID_STEP = 0.5  # of the box's sides


@dataclass(frozen=True, slots=True, eq=False)
class ImageRois:
    """The RoIs of one image; those in don't-care words are left out already."""

    boxes_xyxy: Tensor  # (R, 4) float32, network input pixels
    labels: RoiLabels  # of each RoI; `counted` is True throughout
    words: WordBoxes  # of the image
    source: Tensor  # (R,) int64, index into SOURCES

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    def take(self, index: Tensor) -> ImageRois:
        """Select RoIs by (K,) int64 indices or an (R,) bool mask."""
        return ImageRois(self.boxes_xyxy[index], self.labels.take(index), self.words, self.source[index])


def batch_rois(
    path: RegionPath, maps: Tensor, levels: Mapping[str, Tensor], batch: Batch, settings: RegionSettings, *, learn: bool
) -> tuple[list[ImageRois], Tensor]:
    """Collect the RoIs of each image, and compute the () loss of the network that proposes some, 0 unless `learn`.

    Maps (B, 2, H, W) are not differentiated; the host waits for them.
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
    proposals = [torch.zeros(0, 4, device=maps.device)] * len(words)
    if path.proposals is not None:
        # The proposal network computes in the precision that its features were computed in.
        bf16 = levels["vgg8"].dtype is torch.bfloat16
        with torch.autocast(maps.device.type, dtype=torch.bfloat16, enabled=bf16):
            logits, deltas = path.proposals(levels)
        anchors = path.proposals.anchors(levels)
        if learn:
            loss = proposal_loss(torch.cat(anchors), logits, deltas, words, batch.seeds.to(maps.device))
        count = settings.proposals.network
        proposals = path.proposals.propose(anchors, logits.detach(), deltas.detach(), size_hw=size_hw, count=count)
    host_boxes = _host_boxes(maps, words, batch.seeds.tolist(), size_hw, settings.proposals)
    rois = [
        label_proposals([found, *others], own) for found, others, own in zip(proposals, host_boxes, words, strict=True)
    ]
    return rois, loss


def label_proposals(proposals_xyxy: list[Tensor], words: WordBoxes) -> ImageRois:
    """Join the (R_s, 4) float32 boxes of the sources of one image, in the order of SOURCES, and label them."""
    boxes = torch.cat(proposals_xyxy)
    parts = [torch.full((len(part),), index, device=boxes.device) for index, part in enumerate(proposals_xyxy)]
    labels = label_rois(boxes, words)
    return ImageRois(boxes, labels, words, torch.cat(parts)).take(labels.counted)


def proposal_loss(
    anchors_xyxy: Tensor, logits: Tensor, deltas: Tensor, words: list[WordBoxes], seeds: Tensor
) -> Tensor:
    """Compute the proposal network's loss over ANCHORS_PER_IMAGE anchors of each image, chosen at random.

    Anchors are (A, 4) network input pixels, logits (B, A) of a word, deltas (B, A, 4), seeds (B,) int64.

    Source: Faster R-CNN, Ren et al., NeurIPS 2015, section 3.1.2: log loss plus smooth L1 of the positives, both
        divided by the number of anchors asked for, as in torchvision.
    """
    total = logits.new_zeros(())
    for index, image_words in enumerate(words):
        labels = label_anchors(anchors_xyxy, image_words)
        chosen = sample_anchors(labels.positive, labels.negative, seeds[index], count=ANCHORS_PER_IMAGE)
        positive = chosen[labels.positive[chosen]]
        total = total + functional.binary_cross_entropy_with_logits(
            logits[index][chosen], labels.positive[chosen].float(), reduction="sum"
        )
        wanted = ANCHOR_CODER.encode_single(image_words.cared_xyxy[labels.word[positive]], anchors_xyxy[positive])
        total = total + functional.smooth_l1_loss(deltas[index][positive], wanted, beta=_ANCHOR_BETA, reduction="sum")
    return total / (ANCHORS_PER_IMAGE * max(1, len(words)))


def source_recall(rois: list[ImageRois]) -> Tensor:
    """Count the cared-for words of a batch, then those that each source finds, in the order of RECALL_IOUS, then SOURCES."""
    device = rois[0].boxes_xyxy.device
    found = torch.zeros(len(RECALL_IOUS), len(SOURCES), device=device)
    for image in rois:
        for source in range(len(SOURCES)):
            boxes = image.boxes_xyxy[image.source == source]
            for row, iou in enumerate(RECALL_IOUS):
                found[row, source] += words_found(boxes, image.words.cared_xyxy, iou)
    words = sum(len(image.words.cared_xyxy) for image in rois)
    return torch.cat([torch.tensor([float(words)], device=device), found.flatten()])


def _host_boxes(
    maps: Tensor, words: list[WordBoxes], seeds: list[int], size_hw: tuple[int, int], settings: RegionProposalSettings
) -> list[list[Tensor]]:
    """Boxes of each image from the sources that run on the host: components, truth and grid."""
    scores = maps.detach().float().cpu().numpy() if settings.components > 0 else None
    thresholds, count = settings.component_thresholds, settings.components
    boxes = []
    for index, (own, seed) in enumerate(zip(words, seeds, strict=True)):
        components = np.zeros((0, 4), dtype=np.float32)
        if scores is not None:
            components = component_boxes(scores[index, 0], scores[index, 1], thresholds=thresholds, count=count)
        cared = own.cared_xyxy
        sources = (
            clip_boxes(components, size_hw=size_hw),
            jittered_boxes(cared.cpu().numpy(), count=settings.truth, seed=seed, size_hw=size_hw),
            grid_boxes(count=settings.grid, seed=seed, size_hw=size_hw),
        )
        boxes.append([torch.from_numpy(np.ascontiguousarray(source)).to(cared.device) for source in sources])
    return boxes


def jittered_boxes(boxes_xyxy: ArrayLike, *, count: int, seed: int, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Copy the (W, 4) boxes of words, shifted and scaled at random; the first copy of each word is the word itself.

    Every word gets the same number of copies, at most 32 and together at most `count`: (K, 4) float32, clipped to the
    image, sides at least LEAST_SIDE.
    """
    words = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    if len(words) == 0 or count <= 0:
        return np.zeros((0, 4), dtype=np.float32)
    copies = min(_MOST_COPIES, -(-count // len(words)))
    generator = np.random.default_rng([seed & 0x7FFFFFFFFFFFFFFF, 1])
    shift, scale = generator.standard_normal((2, copies, len(words), 2))
    shift[0], scale[0] = 0, 0
    sides = words[:, 2:] - words[:, :2]
    centres = (words[:, 2:] + words[:, :2]) / 2 + _SHIFT * shift * sides
    half = sides / 2 * np.exp(_SCALE * scale)
    moved = np.concatenate([centres - half, centres + half], axis=2).reshape(-1, 4)[:count]
    return clip_boxes(moved, size_hw=size_hw)


def grid_boxes(*, count: int, seed: int, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Take up to `count` boxes, (K, 4) float32, of several sizes and aspect ratios from a grid over the image, at random."""
    grid = _full_grid(size_hw)
    if count >= len(grid):
        return grid
    generator = np.random.default_rng([seed & 0x7FFFFFFFFFFFFFFF, 2])
    return grid[np.sort(generator.choice(len(grid), size=max(count, 0), replace=False))]


def clip_boxes(boxes_xyxy: ArrayLike, *, size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Clip (K, 4) boxes to the image and drop those whose sides are then under LEAST_SIDE; the order stays."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float32).reshape(-1, 4)
    clipped = np.clip(boxes, 0, np.array([size_hw[1], size_hw[0]] * 2, dtype=np.float32))
    return clipped[((clipped[:, 2:] - clipped[:, :2]) >= LEAST_SIDE).all(axis=1)]


@lru_cache(maxsize=8)
def _full_grid(size_hw: tuple[int, int]) -> NDArray[np.float32]:
    height, width = size_hw
    parts = []
    for box_height in _GRID_HEIGHTS:
        for aspect in _GRID_WIDTH_TO_HEIGHT:
            box_width = box_height * aspect
            if box_height > height or box_width > width:
                continue
            left = np.arange(0, width - box_width + 1, _GRID_STEP * box_width)
            top = np.arange(0, height - box_height + 1, _GRID_STEP * box_height)
            corners = np.stack(np.meshgrid(left, top), axis=-1).reshape(-1, 2)
            opposite = corners + np.array([box_width, box_height])
            parts.append(np.concatenate([corners, opposite], axis=1))
    boxes = np.concatenate(parts) if parts else np.zeros((0, 4))
    return clip_boxes(boxes, size_hw=size_hw)
