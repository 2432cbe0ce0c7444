"""Decoded pixels made RGB with 8 bits, and upright."""

import numpy as np
from numpy.typing import NDArray


def to_8_bits(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Convert 16-bit grey, RGB or RGBA to 8-bit RGB: 65535 becomes 255, transparency white."""
    scaled = pixels.astype(np.float32) / 257.0
    if scaled.ndim == 2:
        scaled = scaled[..., None]
    if scaled.shape[2] == 4:
        opacity = scaled[..., 3:] / 255.0
        scaled = scaled[..., :3] * opacity + 255.0 * (1.0 - opacity)
    rounded = np.rint(scaled).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rounded, (*rounded.shape[:2], 3)))


def turn_upright(pixels: NDArray[np.uint8] | None, *, orientation: int) -> NDArray[np.uint8] | None:
    """Apply an EXIF orientation: 5 to 8 swap rows and columns, the others mirror."""
    if pixels is None or not 2 <= orientation <= 8:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
