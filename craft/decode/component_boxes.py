"""Boxes around the components of score maps at several thresholds: words, and what nearly passes for words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from craft.decode.components import LEAST_AREA, find_components
from craft.geometry import MAP_STRIDE


def component_boxes(
    region: NDArray[np.float32], affinity: NDArray[np.float32], *, thresholds: Sequence[float], count: int
) -> NDArray[np.float32]:
    """Put boxes around the components of (region > t) or (affinity > t) in maps (H, W), for several t.

    Boxes are widened as decoding widens words, since a map falls off before the character ends. The `count` with the
    highest peaks are kept.

    Returns:
        (K, 4) float32, xyxy in network input pixels, clipped to the map; components under 10 map pixels are left out.
    """
    height, width = region.shape
    boxes, peaks = [np.zeros((0, 4), dtype=np.float32)], [np.zeros(0, dtype=np.float32)]
    region, affinity = np.ascontiguousarray(region), np.ascontiguousarray(affinity)
    for threshold in thresholds:
        found = find_components(region, affinity, low_text=threshold, link_threshold=threshold)
        kept = found.areas >= LEAST_AREA
        corners = found.boxes_xyxy[kept].astype(np.float32)
        sides = corners[:, 2:] - corners[:, :2]
        reach = np.sqrt(found.areas[kept] * sides.min(axis=1, initial=np.inf) / np.maximum(sides.prod(axis=1), 1))
        corners[:, :2] -= reach[:, None]
        corners[:, 2:] += reach[:, None]
        boxes.append(np.clip(corners, 0, (width, height, width, height)).astype(np.float32) * MAP_STRIDE)
        peaks.append(found.peaks[kept])
    order = np.argsort(-np.concatenate(peaks), kind="stable")[:count]
    return np.concatenate(boxes)[order]
