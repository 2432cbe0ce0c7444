"""The network's input: the size at which images are resized and padded."""

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.config import DetectionSettings

_STRIP = 4  # times as long as wide: beyond it, only so much of the length counts against the canvas
STRIDE = 32  # the network halves its input five times


def network_size(size_hw: tuple[int, int], settings: DetectionSettings) -> tuple[int, int]:
    """Height and width at which a source image enters the network, before padding; at least 1 each."""
    ratio = network_scale(size_hw, settings)
    return max(1, int(size_hw[0] * ratio)), max(1, int(size_hw[1] * ratio))


def resize_and_pad(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) bilinearly, and pad it with black, right and below, to multiples of 32."""
    height, width = size_hw
    padded = np.zeros((-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE, 3), dtype=np.uint8)
    padded[:height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return padded


def source_scale(
    size_hw: tuple[int, int], network_hw: tuple[int, int], settings: DetectionSettings
) -> NDArray[np.float64]:
    """Source pixels per network input pixel, (x, y); the original does not account for the rounding of the size."""
    if settings.pixel_rule == "corner":
        return np.full(2, 1 / network_scale(size_hw, settings))
    return np.array([size_hw[1] / network_hw[1], size_hw[0] / network_hw[0]])


def network_scale(size_hw: tuple[int, int], settings: DetectionSettings) -> float:
    """Network input pixels per source pixel, before the size is rounded."""
    longest = max(size_hw)
    if settings.sizing == "scale":
        return settings.magnify
    if settings.sizing == "long_side":
        return settings.long_side / longest
    counted = min(longest, _STRIP * min(size_hw))  # so that a strip keeps its text readable; large ones are tiled
    return min(settings.magnify * counted, settings.canvas) / counted
