"""The network's input: images of any kind as RGB arrays, and the size at which they are resized and padded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from craft.config import DetectionSettings
from craft.images.reader import pillow_to_rgb, read_image

ImageLike = NDArray[np.uint8] | Image.Image | str | Path
STRIDE = 32  # the network halves its input five times


def load_image(image: ImageLike) -> NDArray[np.uint8]:
    """Bring an image into the form (H, W, 3) uint8, RGB.

    Args:
        image: (H, W, 3) or (H, W) uint8, RGB or grey; a Pillow image; or a path.

    Raises:
        ValueError: the image cannot be read, or the array is empty or of another shape or type.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return pillow_to_rgb(image)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(
            f"image has shape {pixels.shape} and type {pixels.dtype}; pass (height, width, 3) uint8, RGB, not empty"
        )
    return pixels


def network_size(size_hw: tuple[int, int], settings: DetectionSettings) -> tuple[int, int]:
    """Height and width at which a source image enters the network, before padding; at least 1 each."""
    ratio = _ratio(size_hw, settings)
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
        return np.full(2, 1 / _ratio(size_hw, settings))
    return np.array([size_hw[1] / network_hw[1], size_hw[0] / network_hw[0]])


def _ratio(size_hw: tuple[int, int], settings: DetectionSettings) -> float:
    longest = max(size_hw)
    if settings.sizing == "scale":
        return settings.magnify
    if settings.sizing == "long_side":
        return settings.long_side / longest
    return min(settings.magnify * longest, settings.canvas) / longest
