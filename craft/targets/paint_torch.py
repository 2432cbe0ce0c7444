"""Paints maps and confidence with torch operations, without waiting for the device: pairs of a shape and a pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from craft.ohem.pixel import POSITIVE_TARGET
from craft.targets.shapes import ONE_BITS, SIGMA, Shapes

# Pairs handled at once. Each takes about 100 bytes, so this bounds the memory; fewer do not make a CPU faster.
PAIRS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 22}


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of shapes and pixels, in R rows: runs of neighbouring pixels of one shape. On the device."""

    pixel: Tensor  # (N,) int64, index into the flattened stack of maps
    row: Tensor  # (N,) int64, the row each pair is in
    column: Tensor  # (N,) float32, which pixel of its row, from 0
    slope: Tensor  # (K, R) float32, how much the shape's linear functions grow from one pixel of a row to the next
    start: Tensor  # (K, R) float32, the linear functions at the centre of a row's first pixel
    payload: Tensor  # (R,) int64, of each row's shape

    def of_rows(self, values: Tensor) -> Tensor:
        """Give each of the N pairs its row's value of (R,)."""
        return values.index_select(0, self.row)


def paint(
    shapes: Shapes, covers: Shapes, *, batch_size: int, map_size_hw: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Paint ellipses and their covers on any device; arguments and results are those of `paint_cpu.paint`."""
    keys = torch.zeros((batch_size, 2, *map_size_hw), dtype=torch.int64, device=device)
    for pairs in _list_pairs(shapes, map_size_hw=map_size_hw, device=device):
        keys.view(-1).scatter_reduce_(0, pairs.pixel, _ellipse_keys(pairs), "amax")
    cover_keys = torch.zeros((batch_size, 1, *map_size_hw), dtype=torch.int32, device=device)
    for pairs in _list_pairs(covers, map_size_hw=map_size_hw, device=device):
        cover_keys.view(-1).scatter_reduce_(0, pairs.pixel, _strip_keys(pairs), "amax")
    halves = keys.view(torch.int32).unflatten(-1, (-1, 2))  # (B, 2, H, W, 2), the low half first
    maps = halves[..., 1].contiguous().view(torch.float32)
    distrust = torch.where(maps > 0, halves[..., 0], cover_keys)
    dont_care = (maps <= POSITIVE_TARGET).logical_and_(cover_keys == ONE_BITS)
    return maps, (ONE_BITS - distrust).view(torch.float32).masked_fill_(dont_care, 0.0)


def _list_pairs(shapes: Shapes, *, map_size_hw: tuple[int, int], device: torch.device) -> Iterator[Pairs]:
    """Yield every pixel of every shape's box: at most PAIRS_AT_ONCE, or those of one shape where that has more."""
    area = shapes.box[:, 2] * shapes.box[:, 3]
    at_once = PAIRS_AT_ONCE.get(device.type, PAIRS_AT_ONCE["cpu"])
    start = 0
    ends = np.cumsum(area)
    while start < len(shapes):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + at_once, side="right")), start + 1)
        part = slice(start, stop)
        chunk = Shapes(shapes.box[part], shapes.plane[part], shapes.function[part], shapes.payload[part])
        yield _expand(chunk, map_size_hw, device)
        start = stop


def _ellipse_keys(pairs: Pairs) -> Tensor:
    """(N,) int64 that rank by target, then by distrust: the bits of floats >= 0 are in the order of the floats."""
    (u, v, w), (u_slope, v_slope, w_slope) = pairs.start, pairs.slope
    # Along a row u^2 + v^2 is a parabola: steepness * (column - lowest)^2 + depth, with no term below 0. The steepness
    # is not 0: only the infinitely far could be the middle of a quad in every column.
    steepness = u_slope.square() + v_slope.square()
    lowest = -(u * u_slope + v * v_slope) / steepness
    depth = (u * v_slope - v * u_slope).square() / steepness
    squared_radius = (pairs.column - pairs.of_rows(lowest)).square_()
    squared_radius.mul_(pairs.of_rows(steepness)).add_(pairs.of_rows(depth))
    squared_scale = pairs.of_rows(w).addcmul_(pairs.of_rows(w_slope), pairs.column).square_()
    inside = squared_radius <= squared_scale
    target = squared_radius.div_(squared_scale).mul_(-0.5 / SIGMA**2).exp_()
    key = (target.view(torch.int32).to(torch.int64) << 32).bitwise_or_(pairs.of_rows(pairs.payload))
    return key.mul_(inside)


def _strip_keys(pairs: Pairs) -> Tensor:
    """(N,) int32. In a row a convex piece begins where it is inside of the last side and ends where it leaves the first."""
    crossing = -pairs.start / pairs.slope  # (4, R) columns; not used where a side runs along the row
    beside = (pairs.slope == 0) & (pairs.start < 0)  # a side along the row, with all of the row outside
    first = crossing.masked_fill(pairs.slope <= 0, -torch.inf).amax(dim=0)
    last = crossing.masked_fill(pairs.slope >= 0, torch.inf).amin(dim=0).masked_fill(beside.any(dim=0), -torch.inf)
    inside = (pairs.column >= pairs.of_rows(first)).logical_and_(pairs.column <= pairs.of_rows(last))
    return pairs.of_rows(pairs.payload.to(torch.int32)).mul_(inside)


def _expand(shapes: Shapes, map_size_hw: tuple[int, int], device: torch.device) -> Pairs:
    """Shapes to rows of their boxes to pixels of the rows."""
    width, height = shapes.box[:, 2], shapes.box[:, 3]
    first_pixel, functions = shapes.from_first_pixels(map_size_hw)
    whole = to_device(np.stack([first_pixel, width, height, shapes.payload]), device)
    real = to_device(functions, device)

    num_rows = int(height.sum())
    row_shape = torch.repeat_interleave(whole[2], output_size=num_rows)  # (R,); the size avoids a synchronisation
    row = torch.arange(num_rows, device=device) - _starts(whole[2]).index_select(0, row_shape)
    slope, slope_down, start = real.index_select(1, row_shape).unflatten(0, (3, -1))  # (K, R) each
    row_width = whole[1].index_select(0, row_shape)
    row_start = _starts(row_width)
    row_pixel = whole[0].index_select(0, row_shape) + row * map_size_hw[1] - row_start

    num_pairs = int((width * height).sum())
    pair_row = torch.repeat_interleave(row_width, output_size=num_pairs)  # (N,)
    counter = torch.arange(num_pairs, device=device)
    return Pairs(
        pixel=row_pixel.index_select(0, pair_row).add_(counter),
        row=pair_row,
        column=(counter - row_start.index_select(0, pair_row)).to(torch.float32),
        slope=slope,
        start=start + slope_down * row,
        payload=whole[3].index_select(0, row_shape),
    )


def _starts(counts: Tensor) -> Tensor:
    """Where each run begins when runs of these lengths follow one another."""
    return torch.cumsum(counts, 0) - counts


def to_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array; to CUDA from pinned memory, so that the host does not wait."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
