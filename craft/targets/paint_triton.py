"""Paints maps and confidence on a GPU with Triton kernels: one program per piece of a shape.

Imported only where it is used: triton is not on every machine.
"""

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from craft.ohem.pixel import POSITIVE_TARGET
from craft.targets.shapes import ONE_BITS, SIGMA, Shapes

_PIECE = 1024  # pixels of a shape's box that one program paints


def paint(
    shapes: Shapes, covers: Shapes, *, batch_size: int, map_size_hw: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Paint on CUDA what `paint_cpu.paint` paints; integer maxima make the result independent of the programs' order."""
    height, width = map_size_hw
    num_pixels = height * width
    keys = torch.zeros((batch_size, 2, height, width), dtype=torch.int64, device=device)
    cover_keys = torch.zeros((batch_size, 1, height, width), dtype=torch.int32, device=device)
    maps = torch.empty(keys.shape, dtype=torch.float32, device=device)
    confidence = torch.empty_like(maps)
    if len(shapes):
        numbers, functions, owners = _send(shapes, map_size_hw, device)
        _paint_ellipses[(len(owners),)](
            numbers, functions, owners, keys, len(shapes), width, -0.5 / SIGMA**2, PIECE=_PIECE
        )
    if len(covers):
        numbers, functions, owners = _send(covers, map_size_hw, device)
        _paint_covers[(len(owners),)](numbers, functions, owners, cover_keys, len(covers), width, PIECE=_PIECE)
    if keys.numel():
        grid = (triton.cdiv(num_pixels, _PIECE), 2 * batch_size)
        _read_keys[grid](keys, cover_keys, maps, confidence, num_pixels, POSITIVE_TARGET, ONE=ONE_BITS, PIECE=_PIECE)
    return maps, confidence


def _send(shapes: Shapes, map_size_hw: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(5, S) int64 first pixel, width, area, payload, first piece; (3 K, S) functions; (pieces,) int32 their shapes."""
    width, height = shapes.box[:, 2], shapes.box[:, 3]
    first_pixel, functions = shapes.from_first_pixels(map_size_hw)
    area = width * height
    pieces = -(-area // _PIECE)
    numbers = np.stack([first_pixel, width, area, shapes.payload, np.cumsum(pieces) - pieces])
    owners = np.repeat(np.arange(len(shapes), dtype=np.int32), pieces)
    return _to_device(numbers, device), _to_device(functions, device), _to_device(owners, device)


def _to_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array; to CUDA from pinned memory, so that the host does not wait."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@triton.jit
def _locate(numbers, owners, num_shapes, map_width, PIECE: tl.constexpr):
    """Shape of this program's piece; row, column and map index of its pixels, and which of them are in the box."""
    piece = tl.program_id(0)
    shape = tl.load(owners + piece)
    first_pixel = tl.load(numbers + shape)
    width = tl.load(numbers + num_shapes + shape).to(tl.int32)
    area = tl.load(numbers + 2 * num_shapes + shape).to(tl.int32)
    first_piece = tl.load(numbers + 4 * num_shapes + shape).to(tl.int32)
    offset = (piece - first_piece) * PIECE + tl.arange(0, PIECE)
    row = offset // width
    column = offset - row * width
    return shape, row.to(tl.float32), column.to(tl.float32), first_pixel + row * map_width + column, offset < area


@triton.jit
def _paint_ellipses(numbers, functions, owners, keys, num_shapes, map_width, falloff, PIECE: tl.constexpr):
    """Raise keys, the target's bits above the distrust of its word, where pixels are in the ellipse."""
    shape, row, column, pixel, in_box = _locate(numbers, owners, num_shapes, map_width, PIECE)
    u_slope = tl.load(functions + shape)
    v_slope = tl.load(functions + num_shapes + shape)
    w_slope = tl.load(functions + 2 * num_shapes + shape)
    u = tl.load(functions + 6 * num_shapes + shape) + tl.load(functions + 3 * num_shapes + shape) * row
    v = tl.load(functions + 7 * num_shapes + shape) + tl.load(functions + 4 * num_shapes + shape) * row
    w = tl.load(functions + 8 * num_shapes + shape) + tl.load(functions + 5 * num_shapes + shape) * row
    # Along a row u^2 + v^2 is a parabola, written with no term below 0: steepness * (column - lowest)^2 + depth.
    steepness = u_slope * u_slope + v_slope * v_slope
    from_lowest = column + (u * u_slope + v * v_slope) / steepness
    across = u * v_slope - v * u_slope
    squared_radius = from_lowest * from_lowest * steepness + across * across / steepness
    scale = w + w_slope * column
    squared_scale = scale * scale
    inside = in_box & (squared_radius <= squared_scale)
    target = tl.exp(tl.where(inside, squared_radius / squared_scale, 0.0) * falloff)
    payload = tl.load(numbers + 3 * num_shapes + shape)
    key = (target.to(tl.int32, bitcast=True).to(tl.int64) << 32) | payload
    tl.atomic_max(keys + pixel, key, mask=inside, sem="relaxed")


@triton.jit
def _paint_covers(numbers, functions, owners, keys, num_shapes, map_width, PIECE: tl.constexpr):
    """Raise keys to the distrust of the word, where pixels are on the inner side of all four sides."""
    shape, row, column, pixel, in_box = _locate(numbers, owners, num_shapes, map_width, PIECE)
    least = tl.zeros((PIECE,), dtype=tl.float32)
    for side in tl.static_range(4):
        slope = tl.load(functions + side * num_shapes + shape)
        down = tl.load(functions + (4 + side) * num_shapes + shape)
        start = tl.load(functions + (8 + side) * num_shapes + shape)
        least = tl.minimum(least, start + down * row + slope * column)
    payload = tl.load(numbers + 3 * num_shapes + shape).to(tl.int32)
    key = tl.zeros((PIECE,), dtype=tl.int32) + payload
    tl.atomic_max(keys + pixel, key, mask=in_box & (least >= 0), sem="relaxed")


@triton.jit
def _read_keys(keys, cover_keys, maps, confidence, num_pixels, positive_target, ONE: tl.constexpr, PIECE: tl.constexpr):
    """Write the maps and confidence that the keys of a map and of its image's covers stand for."""
    plane = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIECE + tl.arange(0, PIECE)
    in_map = pixel < num_pixels
    key = tl.load(keys + plane * num_pixels + pixel, mask=in_map, other=0)
    cover = tl.load(cover_keys + (plane // 2) * num_pixels + pixel, mask=in_map, other=0)
    target = (key >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    distrust = tl.where(target > 0, (key & 0x7FFFFFFF).to(tl.int32), cover)
    trust = (ONE - distrust).to(tl.float32, bitcast=True)
    dont_care = (target <= positive_target) & (cover == ONE)
    tl.store(maps + plane * num_pixels + pixel, target, mask=in_map)
    tl.store(confidence + plane * num_pixels + pixel, tl.where(dont_care, 0.0, trust), mask=in_map)
