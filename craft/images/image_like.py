"""Images in the forms in which people hold them, as RGB arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from craft.images.reader import DECODER_ERRORS, decode_image, pillow_to_rgb, read_image
from craft.images.unreadable import unreadable

ImageLike = NDArray[np.uint8] | Image.Image | bytes | str | Path


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
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image))
    if isinstance(image, Image.Image) and 0 not in image.size:
        return _from_pillow(image)
    pixels = _array(image)
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


def _from_pillow(image: Image.Image) -> NDArray[np.uint8]:
    try:
        return pillow_to_rgb(image)
    except ValueError:
        raise
    except DECODER_ERRORS as error:  # Pillow reads a file's pixels only now
        raise unreadable(str(getattr(image, "filename", "") or "image"), error) from error


def _array(image: Any) -> NDArray[np.uint8]:
    """Anything that numpy takes for an array of uint8."""
    if image is None:
        raise ValueError(
            "image is None, which cv2.imread returns for a file that it cannot read; pass the path instead"
        )
    if not hasattr(image, "__array__") and not hasattr(image, "__array_interface__"):
        raise ValueError(
            f"image is a {type(image).__name__}; pass a path, the bytes of a file, a Pillow image or a uint8 array"
        )
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise ValueError(f"image has the type {pixels.dtype}; pass uint8 from 0 to 255, or a path")
    return pixels
