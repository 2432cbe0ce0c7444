"""Labels of RoIs and anchors: text, background or left out of everything, and the word that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torchvision.ops import box_area, box_iou

FOREGROUND_IOU = 0.5
ANCHOR_POSITIVE_IOU = 0.7
ANCHOR_NEGATIVE_IOU = 0.3
_LEFT_OUT_SHARE = 0.5  # of a box's area, inside one don't-care word
_CHUNK_ANCHORS = 1 << 16  # anchors compared with the words at a time, so that memory stays bounded


@dataclass(frozen=True, slots=True, eq=False)
class WordBoxes:
    """Axis-aligned boxes of the words of one image, in network input pixels, clipped to the image."""

    cared_xyxy: Tensor  # (W, 4) float32, cared-for words
    dont_care_xyxy: Tensor  # (D, 4) float32, don't-care words


@dataclass(frozen=True, slots=True, eq=False)
class RoiLabels:
    """Labels of the R RoIs of one image."""

    foreground: Tensor  # (R,) bool, IoU with a cared-for word at least 0.5
    counted: Tensor  # (R,) bool, False for RoIs that are left out of everything
    best_iou: Tensor  # (R,) float32, largest IoU with a cared-for word, 0 where there is none
    word: Tensor  # (R,) int64, the cared-for word of that IoU, the first of several; 0 where there is none

    def take(self, index: Tensor) -> RoiLabels:
        """Select RoIs by (K,) int64 indices or an (R,) bool mask."""
        return RoiLabels(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class AnchorLabels:
    """Labels of the A anchors of one image; those that are neither positive nor negative are in no loss."""

    positive: Tensor  # (A,) bool
    negative: Tensor  # (A,) bool
    word: Tensor  # (A,) int64, the cared-for word that each overlaps most; 0 where there is none


def word_boxes(
    strip_quads_xy: ArrayLike,
    strip_word: ArrayLike,
    word_image: ArrayLike,
    word_confidence: ArrayLike,
    *,
    batch_size: int,
    size_hw: tuple[int, int],
    device: torch.device,
) -> list[WordBoxes]:
    """Put an axis-aligned box around each word of a batch, image by image; words outside their image have none.

    Takes strips, words and confidences as in `craft.datasets.batch.Batch`, network input pixels.
    """
    quads = np.asarray(strip_quads_xy, dtype=np.float32).reshape(-1, 4, 2)
    words = np.asarray(strip_word, dtype=np.int64)
    images, confidence = np.asarray(word_image, dtype=np.int64), np.asarray(word_confidence, dtype=np.float32)
    boxes = np.tile(np.array([np.inf, np.inf, -np.inf, -np.inf], dtype=np.float32), (len(images), 1))
    np.minimum.at(boxes[:, :2], words, quads.min(axis=1, initial=np.inf))
    np.maximum.at(boxes[:, 2:], words, quads.max(axis=1, initial=-np.inf))
    boxes = np.clip(boxes, 0, np.array([size_hw[1], size_hw[0]] * 2, dtype=np.float32))
    visible = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return [
        WordBoxes(
            _tensor(boxes[visible & (images == index) & (confidence > 0)], device),
            _tensor(boxes[visible & (images == index) & (confidence <= 0)], device),
        )
        for index in range(batch_size)
    ]


def label_rois(boxes_xyxy: Tensor, words: WordBoxes) -> RoiLabels:
    """Label (R, 4) float32 RoIs of an image, each with an area.

    One with over half its area in one don't-care word and an IoU under 0.5 with every cared-for word is left out.
    """
    best_iou, word = _best_words(boxes_xyxy, words.cared_xyxy)
    foreground = best_iou >= FOREGROUND_IOU
    counted = foreground | ~lies_in(boxes_xyxy, words.dont_care_xyxy)
    return RoiLabels(foreground, counted, best_iou, word)


def label_anchors(anchors_xyxy: Tensor, words: WordBoxes) -> AnchorLabels:
    """Label (A, 4) float32 anchors of an image, each with an area.

    Positive are anchors with an IoU of at least 0.7 and, for each word, those of its largest IoU, ties included.
    Negative are the others with an IoU under 0.3 with every word, unless left out by the rule of `label_rois`.

    Source: Faster R-CNN, Ren et al., NeurIPS 2015, section 3.1.2. torchvision's labelling is not used, because it calls
        anchors in don't-care words negative.
    """
    chunks = anchors_xyxy.split(_CHUNK_ANCHORS)
    found = [_best_words(chunk, words.cared_xyxy) for chunk in chunks]
    best_iou = torch.cat([iou for iou, _ in found]) if found else anchors_xyxy.new_zeros(0)
    word = torch.cat([index for _, index in found]) if found else anchors_xyxy.new_zeros(0, dtype=torch.int64)
    positive = best_iou >= ANCHOR_POSITIVE_IOU
    if len(words.cared_xyxy) and len(anchors_xyxy):
        # The IoUs are computed twice: those of 300,000 anchors and a page of words would take too much memory to keep.
        top = torch.stack([box_iou(words.cared_xyxy, chunk).amax(dim=1) for chunk in chunks]).amax(dim=0)  # (W,)
        best = [((box_iou(words.cared_xyxy, chunk) == top[:, None]) & (top > 0)[:, None]) for chunk in chunks]
        is_best = torch.cat([chunk.any(dim=0) for chunk in best])
        of_word = torch.cat([chunk.to(torch.uint8).argmax(dim=0) for chunk in best])
        word = torch.where(is_best & ~positive, of_word, word)
        positive = positive | is_best
    left_out = lies_in(anchors_xyxy, words.dont_care_xyxy) & (best_iou < FOREGROUND_IOU) & ~positive
    negative = (best_iou < ANCHOR_NEGATIVE_IOU) & ~positive & ~left_out
    return AnchorLabels(positive, negative, word)


def lies_in(boxes_xyxy: Tensor, others_xyxy: Tensor) -> Tensor:
    """Return (R,) bool: whether more than half of each of (R, 4) boxes lies in a single one of (D, 4) others."""
    if len(others_xyxy) == 0:
        return torch.zeros(len(boxes_xyxy), dtype=torch.bool, device=boxes_xyxy.device)
    covered = boxes_xyxy.new_zeros(len(boxes_xyxy))
    for other in others_xyxy:  # few, while the boxes may be many
        low, high = torch.maximum(boxes_xyxy[:, :2], other[:2]), torch.minimum(boxes_xyxy[:, 2:], other[2:])
        covered = torch.maximum(covered, (high - low).clamp(min=0).prod(dim=1))
    return covered > _LEFT_OUT_SHARE * box_area(boxes_xyxy)


def words_found(boxes_xyxy: Tensor, cared_xyxy: Tensor, iou: float) -> Tensor:
    """Count the (W, 4) words that one of (R, 4) boxes overlaps with at least `iou`; () float32."""
    if len(boxes_xyxy) == 0 or len(cared_xyxy) == 0:
        return torch.zeros((), device=boxes_xyxy.device)
    return (box_iou(cared_xyxy, boxes_xyxy).amax(dim=1) >= iou).float().sum()


def _best_words(boxes_xyxy: Tensor, cared_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    """Largest IoU of each box with a word, and which word."""
    if len(cared_xyxy) == 0:
        return boxes_xyxy.new_zeros(len(boxes_xyxy)), boxes_xyxy.new_zeros(len(boxes_xyxy), dtype=torch.int64)
    best = box_iou(boxes_xyxy, cared_xyxy).max(dim=1)
    return best.values, best.indices


def _tensor(boxes: NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(boxes)).to(device)
