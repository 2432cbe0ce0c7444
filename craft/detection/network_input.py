"""The network's input: images of any kind as RGB arrays, and the size at which they are resized and padded."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from craft.config import DetectionSettings
from craft.images.reader import DECODER_ERRORS, decode_image, pillow_to_rgb, read_image
from craft.images.unreadable import unreadable

ImageLike = NDArray[np.uint8] | Image.Image | bytes | str | Path
_STRIP = 4  # times as long as wide: beyond it, only so much of the length counts against the canvas
STRIDE = 32  # the network halves its input five times


def load_image(image: ImageLike) -> NDArray[np.uint8]:
    """Bring an image into the form (H, W, 3) uint8, RGB.

    Args:
        image: (H, W, 3), (H, W, 4), (H, W, 1) or (H, W) uint8, RGB, RGBA or grey; a Pillow image; the bytes of an image
            file; or a path. Transparency is laid on white, as in files.

    Raises:
        ValueError: the image cannot be read, or the array is empty or of another shape or type.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        try:
            return pillow_to_rgb(image)
        except ValueError:
            raise
        except DECODER_ERRORS as error:  # Pillow reads a file's pixels only now
            raise unreadable(str(getattr(image, "filename", "") or "image"), error) from error
    if isinstance(image, bytes | bytearray):
        return decode_image(bytes(image))
    if image is None:
        raise ValueError(
            "image is None, which cv2.imread returns for a file that it cannot read; pass the path instead"
        )
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise ValueError(f"image has the type {pixels.dtype}; pass uint8 from 0 to 255, or a path")
    if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels.size:
        return pillow_to_rgb(Image.fromarray(pixels))
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(
            f"image has the shape {pixels.shape}; pass (height, width, 3) in RGB, (height, width, 4) in RGBA or "
            "(height, width) in grey, not empty"
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


def network_scale(size_hw: tuple[int, int], settings: DetectionSettings) -> float:
    """Network input pixels per source pixel."""
    return _ratio(size_hw, settings)


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
    counted = min(longest, _STRIP * min(size_hw))  # so that a strip keeps its text readable; large ones are tiled
    return min(settings.magnify * counted, settings.canvas) / counted
