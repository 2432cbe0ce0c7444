"""The RoIs of a batch: from the proposal network, the score maps, the labelled words and a grid, with their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from craft.config import RegionProposalSettings
from craft.decode.component_boxes import component_boxes
from craft.region.roi_labels import RoiLabels, WordBoxes, label_rois, recall_at
from craft.region.static_proposals import grid_boxes, inside, jittered_boxes

SOURCES = ("network", "components", "truth", "grid")
RECALL_IOUS = (0.5, 0.7)


@dataclass(frozen=True, slots=True, eq=False)
class ImageRois:
    """The RoIs of one image that take part; those in don't-care words are left out already.

    Attributes:
        boxes_xyxy: (R, 4) float32, network input pixels.
        labels: what each is; `counted` is True throughout.
        words: the image's words.
        source: (R,) int64, index among SOURCES.
    """

    boxes_xyxy: Tensor
    labels: RoiLabels
    words: WordBoxes
    source: Tensor

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


def gather_rois(
    maps: Tensor,
    proposals: list[Tensor] | None,
    words: list[WordBoxes],
    seeds: list[int],
    *,
    size_hw: tuple[int, int],
    settings: RegionProposalSettings,
) -> list[ImageRois]:
    """Collect the RoIs of a batch from every source that is on. The host waits for the device here.

    Args:
        maps: (B, 2, H, W) floating, score maps; not differentiated.
        proposals: boxes of the proposal network for each image, None where there is none.
        words: the images' words.
        seeds: the images' own numbers.
        size_hw: of the network input.
        settings: how many boxes each source gives.

    Returns:
        One entry an image.
    """
    scores = maps.detach().float().cpu().numpy() if settings.components > 0 else None
    gathered = []
    for index, image_words in enumerate(words):
        device = image_words.cared_xyxy.device
        parts: list[Tensor] = [torch.zeros(0, 4, device=device) if proposals is None else proposals[index]]
        on_host = [
            _components(None if scores is None else scores[index], size_hw, settings),
            jittered_boxes(
                image_words.cared_xyxy.cpu().numpy(), count=settings.truth, seed=seeds[index], size_hw=size_hw
            ),
            grid_boxes(count=settings.grid, seed=seeds[index], size_hw=size_hw),
        ]
        parts += [torch.from_numpy(np.ascontiguousarray(boxes)).to(device) for boxes in on_host]
        source = torch.cat(
            [torch.full((len(part),), place, dtype=torch.int64, device=device) for place, part in enumerate(parts)]
        )
        gathered.append(with_labels(torch.cat(parts), image_words, source))
    return gathered


def with_labels(boxes_xyxy: Tensor, words: WordBoxes, source: Tensor) -> ImageRois:
    """Label boxes and leave out those that take part in nothing.

    Args:
        boxes_xyxy: (R, 4) float32, with an area.
        words: the image's words.
        source: (R,) int64, index among SOURCES.

    Returns:
        The RoIs that take part.
    """
    labels = label_rois(boxes_xyxy, words)
    kept = labels.counted
    fields = (labels.foreground, labels.counted, labels.best_iou, labels.word)
    return ImageRois(boxes_xyxy[kept], RoiLabels(*(field[kept] for field in fields)), words, source[kept])


def source_recall(rois: list[ImageRois]) -> Tensor:
    """Count how many words the boxes of each source find.

    Args:
        rois: of the images of a batch.

    Returns:
        (1 + len(RECALL_IOUS) * len(SOURCES),) float32: cared-for words, then those found at each IoU by each source.
    """
    device = rois[0].boxes_xyxy.device
    found = torch.zeros(len(RECALL_IOUS), len(SOURCES), device=device)
    for image in rois:
        for place in range(len(SOURCES)):
            boxes = image.boxes_xyxy[image.source == place]
            for row, iou in enumerate(RECALL_IOUS):
                found[row, place] += recall_at(boxes, image.words.cared_xyxy, iou)
    words = sum(len(image.words.cared_xyxy) for image in rois)
    return torch.cat([torch.tensor([float(words)], device=device), found.flatten()])


def _components(
    scores: NDArray[np.float32] | None, size_hw: tuple[int, int], settings: RegionProposalSettings
) -> NDArray[np.float32]:
    if scores is None:
        return np.zeros((0, 4), dtype=np.float32)
    boxes = component_boxes(scores[0], scores[1], thresholds=settings.component_thresholds, count=settings.components)
    return inside(boxes, size_hw=size_hw)
