"""Words from the maps, scored a second time by the region head: other scores, fewer words, better boxes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from craft.config import DetectionSettings
from craft.decode.detections import Detections
from craft.geometry import bounding_boxes, box_corners, signed_area
from craft.models.region_head import BOX_CODER, RegionHead

_LEAST_SIDE = 1.0  # network input pixels, so that every box has an area
_AXIS_ALIGNED = 1.02  # the bounding box of an axis-aligned quad has at most this much of the quad's area


@dataclass(frozen=True, slots=True, eq=False)
class JudgedWords:
    """The region head's judgement of words, in their order."""

    quads_xy: NDArray[np.float32]  # (N, 4, 2) source image pixels, refined where `region_refine` is on
    scores: NDArray[np.float32]  # (N,) maps^(1 - weight) * head^weight
    text: NDArray[np.float32]  # (N,) the head's probability that the word's axis-aligned box is text
    kept: NDArray[np.bool_]  # (N,) False where `text` is under `region_threshold`


def judge_words(
    head: RegionHead,
    levels: Mapping[str, Tensor],
    quads_xy: NDArray[np.float32],
    scores: NDArray[np.float32],
    scale_xy: NDArray[np.float64],
    *,
    size_hw: tuple[int, int],
    settings: DetectionSettings,
) -> JudgedWords:
    """Let the region head judge the words of an image.

    Args:
        levels: features (1, C, h, w) of the image, by level.
        quads_xy: (N, 4, 2) float32, words from the maps, source image pixels.
        scores: (N,) float32, their scores by the maps.
        scale_xy: (2,) source pixels per network input pixel.
        size_hw: of the source image, to which refined boxes are clipped.
    """
    if len(quads_xy) == 0:
        return JudgedWords(quads_xy, scores, np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.bool_))
    boxes = bounding_boxes(quads_xy) / np.concatenate([scale_xy, scale_xy])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + _LEAST_SIDE)
    device = next(head.parameters()).device
    with torch.inference_mode():
        network_boxes = torch.from_numpy(boxes.astype(np.float32)).to(device)
        logits, deltas = head(levels, [network_boxes])
        text = logits.sigmoid().cpu().numpy()
        refined = BOX_CODER.decode_single(deltas, network_boxes).cpu()
    weight = settings.region_weight
    mixed = (np.clip(scores, 0, 1) ** (1 - weight) * text**weight).astype(np.float32)
    if settings.region_refine:
        source = refined * torch.from_numpy(np.tile(scale_xy, 2).astype(np.float32))
        quads_xy = _refine_axis_aligned(quads_xy, clip_boxes_to_image(source, size_hw).numpy())
    return JudgedWords(quads_xy, mixed, text, text >= settings.region_threshold)


def rescore_words(
    head: RegionHead,
    levels: Mapping[str, Tensor],
    found: Detections,
    scale_xy: NDArray[np.float64],
    *,
    size_hw: tuple[int, int],
    settings: DetectionSettings,
) -> Detections:
    """Let the region head judge the words of an image, as in `judge_words`, and return those that are kept, in order."""
    judged = judge_words(head, levels, found.quads_xy, found.scores, scale_xy, size_hw=size_hw, settings=settings)
    num_low = int((~judged.kept).sum())
    dropped = {**found.dropped, "region_threshold": num_low} if num_low else found.dropped
    return replace(found, quads_xy=judged.quads_xy, scores=judged.scores, dropped=dropped)[judged.kept]


def _refine_axis_aligned(quads_xy: NDArray[np.float32], boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace axis-aligned quads (N, 4, 2) by boxes (N, 4), where these have an area."""
    around = bounding_boxes(quads_xy)
    area = (around[:, 2] - around[:, 0]) * (around[:, 3] - around[:, 1])
    replaced = area <= _AXIS_ALIGNED * np.abs(signed_area(quads_xy))
    replaced &= (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)
    return np.where(replaced[:, None, None], box_corners(boxes_xyxy), quads_xy).astype(np.float32)
