"""Words from the maps, judged a second time by the region head: other scores, fewer words, better boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from craft.config import DetectionSettings
from craft.geometry import bounding_boxes, signed_area
from craft.models.region_head import BOX_CODER, RegionHead
from craft.scene import Detections

_LEAST_SIDE = 1.0  # network input pixels, so that every box has an area
_UPRIGHT = 1.02  # an axis-aligned word's box has at most this much of its quad's area


def rescore_words(
    head: RegionHead,
    levels: Mapping[str, Tensor],
    found: Detections,
    scale_xy: NDArray[np.float64],
    *,
    size_hw: tuple[int, int],
    settings: DetectionSettings,
) -> Detections:
    """Let the region head judge words.

    Args:
        head: the region head.
        levels: features (1, C, h, w) of the picture, by level.
        found: words from the maps, source image pixels.
        scale_xy: (2,) source pixels per network input pixel.
        size_hw: of the source image, where refined boxes are cut off.
        settings: `region_weight`, `region_threshold` and `region_refine`.

    Returns:
        The words that are kept, in order. Scores are maps^(1 - weight) * head^weight, the head's being the probability
        that the word's axis-aligned box is text.
    """
    if len(found) == 0:
        return found
    boxes = bounding_boxes(found.quads_xy) / np.concatenate([scale_xy, scale_xy])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + _LEAST_SIDE)
    device = next(head.parameters()).device
    with torch.inference_mode():
        network_boxes = torch.from_numpy(boxes.astype(np.float32)).to(device)
        odds, corrections = head(levels, [network_boxes])
        text = odds.sigmoid().cpu().numpy()
        refined = BOX_CODER.decode_single(corrections, network_boxes).cpu()
    share = settings.region_weight
    scores = np.clip(found.scores, 0, 1) ** (1 - share) * text**share
    quads = found.quads_xy
    if settings.region_refine:
        source = refined * torch.from_numpy(np.tile(scale_xy, 2).astype(np.float32))
        quads = _refine_upright(quads, clip_boxes_to_image(source, size_hw).numpy())
    kept = np.flatnonzero(text >= settings.region_threshold)
    return Detections(
        quads_xy=quads[kept],
        scores=scores[kept].astype(np.float32),
        polygons_xy=[found.polygons_xy[index] for index in kept] if found.polygons_xy else [],
        character_quads_xy=[found.character_quads_xy[index] for index in kept] if found.character_quads_xy else [],
    )


def _refine_upright(quads_xy: NDArray[np.float32], boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Quads (N, 4, 2) with those that are axis-aligned replaced by boxes (N, 4), where these have an area."""
    around = bounding_boxes(quads_xy)
    area = (around[:, 2] - around[:, 0]) * (around[:, 3] - around[:, 1])
    upright = area <= _UPRIGHT * np.abs(signed_area(quads_xy))
    upright &= (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)
    corners = boxes_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return np.where(upright[:, None, None], corners, quads_xy).astype(np.float32)
