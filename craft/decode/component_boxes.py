"""Boxes around the components of score maps at several thresholds: what the maps take for words, and what they nearly do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from craft.decode.components import find_components

_LEAST_AREA = 10  # map pixels, as in decoding
_MAP_STRIDE = 2  # network input pixels per map pixel


def component_boxes(
    region: NDArray[np.float32], affinity: NDArray[np.float32], *, thresholds: Sequence[float], count: int
) -> NDArray[np.float32]:
    """Put boxes around the components of (region > t) or (affinity > t), for several t.

    Boxes are widened as decoding widens words, since a map falls off before the character ends.

    Args:
        region: (H, W) float32, region scores.
        affinity: (H, W) float32, affinity scores.
        thresholds: values of t.
        count: most boxes; those with the highest peaks stay.

    Returns:
        (K, 4) float32, xyxy in network input pixels, cut off at the border; components under 10 map pixels left out.
    """
    height, width = region.shape
    boxes, peaks = [np.zeros((0, 4), dtype=np.float32)], [np.zeros(0, dtype=np.float32)]
    region, affinity = np.ascontiguousarray(region), np.ascontiguousarray(affinity)
    for threshold in thresholds:
        found = find_components(region, affinity, low_text=threshold, link_threshold=threshold)
        kept = found.areas >= _LEAST_AREA
        corners = found.boxes_xyxy[kept].astype(np.float32)
        sides = corners[:, 2:] - corners[:, :2]
        reach = np.sqrt(found.areas[kept] * sides.min(axis=1, initial=np.inf) / np.maximum(sides.prod(axis=1), 1))
        corners[:, :2] -= reach[:, None]
        corners[:, 2:] += reach[:, None]
        boxes.append(np.clip(corners, 0, (width, height, width, height)).astype(np.float32) * _MAP_STRIDE)
        peaks.append(found.peaks[kept])
    order = np.argsort(-np.concatenate(peaks), kind="stable")[:count]
    return np.concatenate(boxes)[order]
