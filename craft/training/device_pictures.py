"""JPEG files decoded and crops cut out of them on the training device: what datasets/warping.py does, in torch."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from craft.datasets.loader import EncodedCrops
from craft.datasets.warp import reduction_of
from craft.images.reader import decode_image
from craft.training.device_colours import to_device


def cut_crops(encoded: EncodedCrops, images: Tensor) -> None:
    """Decode pictures and draw the crops of a batch that loader processes left.

    Args:
        encoded: the files, and each crop's place in its picture.
        images: (B, 3, H, W) uint8, RGB, on the device that decodes; the crops' rows are overwritten.

    Raises:
        ValueError: a file cannot be decoded by any decoder; the message names it.

    Pixels are those of `warp_picture` within a few levels: decoders spread chroma unlike each other, OpenCV interpolates
    in 32nds of a pixel, and a picture that shrinks is decoded whole here.
    """
    starts = [0, *encoded.ends[:-1].tolist()]
    files = [encoded.content[first:last] for first, last in zip(starts, encoded.ends.tolist(), strict=True)]
    pictures = decode_pictures(files, encoded.names, images.device)
    for row, picture, matrix in zip(encoded.rows.tolist(), pictures, encoded.matrices, strict=True):
        images[row].copy_(warp_on_device(picture, matrix, size_hw=(images.shape[2], images.shape[3])))


def decode_pictures(files: list[Tensor], names: list[str], device: torch.device) -> list[Tensor]:
    """Decode JPEG files on a device.

    Args:
        files: (bytes,) uint8 each, on the CPU.
        names: of the files, for messages.
        device: where the pictures are wanted; a CUDA device decodes them itself (nvJPEG).

    Returns:
        (3, H, W) uint8 each, RGB, on the device. Files that the device's decoder refuses are decoded on the host.

    Raises:
        ValueError: a file cannot be decoded by any decoder; the message names it.
    """
    try:
        return _decoded_on_device(files, device)
    except RuntimeError as error:  # one of them, or this torchvision has no decoder for the device
        warnings.warn(
            f"a JPEG file was not decoded on {device} ({error}) but by the training process; where this is the rule, set "
            "data.on_device=colours",
            stacklevel=2,
        )
        return [_decoded_alone(file, name, device) for file, name in zip(files, names, strict=True)]


def _decoded_on_device(files: list[Tensor], device: torch.device) -> list[Tensor]:
    try:  # here, since torchvision 0.29 announces that a later one will have it no more
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError as error:
        raise RuntimeError("this torchvision decodes no JPEG files") from error
    return list(decode_jpeg(files, mode=ImageReadMode.RGB, device=device))


def _decoded_alone(file: Tensor, name: str, device: torch.device) -> Tensor:
    try:
        [picture] = _decoded_on_device([file], device)
    except RuntimeError:
        image = decode_image(file.numpy().tobytes(), name=name)
        return to_device(image.transpose(2, 0, 1), device)
    return picture


def warp_on_device(picture: Tensor, matrix: NDArray[np.float64], *, size_hw: tuple[int, int]) -> Tensor:
    """Draw a picture through a homography, black where nothing of it arrives.

    Args:
        picture: (3, H, W) uint8.
        matrix: (3, 3), the picture's pixels to the crop's, both with the origin at the corner of the first pixel.
        size_hw: height and width of the crop.

    Returns:
        (3, size_hw) uint8. Bilinear; where the picture shrinks to a half or less, whole blocks of its pixels are averaged
        first, as `warp_image` does.
    """
    factor = reduction_of(matrix, size_hw=size_hw)
    levels = _averaged_blocks(picture.float(), factor)
    to_picture = np.linalg.inv(matrix @ np.diag([factor, factor, 1.0]))
    height, width = levels.shape[1:]
    # grid_sample counts from -1 to 1 between the outer edges of the border pixels.
    to_unit = np.array([[2.0 / width, 0.0, -1.0], [0.0, 2.0 / height, -1.0], [0.0, 0.0, 1.0]])
    rows = to_device((to_unit @ to_picture).astype(np.float32), picture.device)
    along = torch.arange(size_hw[1], device=picture.device) + 0.5
    down = (torch.arange(size_hw[0], device=picture.device) + 0.5)[:, None]
    x, y, depth = (row[0] * along + row[1] * down + row[2] for row in rows)
    grid = torch.stack([x / depth, y / depth], dim=-1)[None]  # (1, H, W, 2)
    drawn = functional.grid_sample(levels[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return drawn[0].round().clamp(0, 255).to(torch.uint8)


def _averaged_blocks(levels: Tensor, factor: int) -> Tensor:
    """Averages over factor x factor pixels; the last row and column are repeated to fill the last blocks."""
    if factor == 1:
        return levels
    height, width = levels.shape[1:]
    filled = functional.pad(levels[None], (0, -width % factor, 0, -height % factor), mode="replicate")
    return functional.avg_pool2d(filled, factor)[0]
