"""Maps and confidence painted with operations of torch: pairs of shapes and pixels, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from craft.targets.shapes import ONE_BITS, Shapes

# Pairs handled at once. Each takes about 100 bytes, so this bounds the memory; fewer do not make a CPU faster.
PAIRS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 22}


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of shapes and pixels, in rows: runs of neighbouring pixels of one shape. On the device.

    Attributes:
        pixel: (N,) int64, index into the flattened stack of maps.
        row: (N,) int64, the row each pair is in.
        column: (N,) float32, which pixel of its row, from 0.
        slope: (K, R) float32, how much the shape's linear functions grow from one pixel of a row to the next.
        start: (K, R) float32, the linear functions at the centre of a row's first pixel.
        payload: (R,) int64, the payload of each row's shape.
    """

    pixel: Tensor
    row: Tensor
    column: Tensor
    slope: Tensor
    start: Tensor
    payload: Tensor

    def of_rows(self, values: Tensor) -> Tensor:
        """(N,) for every pair, what (R,) values say of its row."""
        return values.index_select(0, self.row)


def paint_pairs(
    shapes: Shapes,
    covers: Shapes,
    *,
    batch_size: int,
    map_size_hw: tuple[int, int],
    device: torch.device,
    sigma: float,
    positive_target: float,
) -> tuple[Tensor, Tensor]:
    """Paint ellipses and what covers them, on any device, with operations of torch.

    Args:
        shapes: ellipses on the (B, 2) maps.
        covers: grown strips on the (B,) images.
        batch_size: images, B.
        map_size_hw: height and width of the maps.
        device: where the maps are wanted.
        sigma: of the Gaussian, in half sides of an enlarged quad.
        positive_target: don't care does not reach where the target is above this.

    Returns:
        Maps and confidence, (B, 2, H, W) float32 each. The host does not wait for the device.
    """
    keys = torch.zeros((batch_size, 2, *map_size_hw), dtype=torch.int64, device=device)
    for pairs in list_pairs(shapes, map_size_hw=map_size_hw, device=device):
        keys.view(-1).scatter_reduce_(0, pairs.pixel, _ellipse_keys(pairs, sigma), "amax")
    cover_keys = torch.zeros((batch_size, 1, *map_size_hw), dtype=torch.int32, device=device)
    for pairs in list_pairs(covers, map_size_hw=map_size_hw, device=device):
        cover_keys.view(-1).scatter_reduce_(0, pairs.pixel, _strip_keys(pairs), "amax")
    halves = keys.view(torch.int32).unflatten(-1, (-1, 2))  # (B, 2, H, W, 2), the low half first
    maps = halves[..., 1].contiguous().view(torch.float32)
    distrust = torch.where(maps > 0, halves[..., 0], cover_keys)
    dont_care = (maps <= positive_target).logical_and_(cover_keys == ONE_BITS)
    return maps, (ONE_BITS - distrust).view(torch.float32).masked_fill_(dont_care, 0.0)


def list_pairs(shapes: Shapes, *, map_size_hw: tuple[int, int], device: torch.device) -> Iterator[Pairs]:
    """List every pixel of every shape's box, some shapes at a time.

    Every size is known on the host beforehand, so the host never waits for the device.

    Args:
        shapes: the shapes, on the host.
        map_size_hw: height and width of each map of the stack.
        device: where the pairs are wanted.

    Yields:
        Pairs of consecutive shapes: at most PAIRS_AT_ONCE, or those of one shape where that has more.
    """
    area = shapes.box[:, 2] * shapes.box[:, 3]
    at_once = PAIRS_AT_ONCE.get(device.type, PAIRS_AT_ONCE["cpu"])
    start = 0
    ends = np.cumsum(area)
    while start < len(shapes):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + at_once, side="right")), start + 1)
        part = slice(start, stop)
        yield _expand(
            Shapes(shapes.box[part], shapes.plane[part], shapes.function[part], shapes.payload[part]),
            map_size_hw,
            device,
        )
        start = stop


def _ellipse_keys(pairs: Pairs, sigma: float) -> Tensor:
    """(N,) int64. Floats that are not negative are in the order of their bits, so one maximum over whole numbers
    finds the largest target and, of several equal ones, the least trusted."""
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
    target = squared_radius.div_(squared_scale).mul_(-0.5 / sigma**2).exp_()
    key = (target.view(torch.int32).to(torch.int64) << 32).bitwise_or_(pairs.of_rows(pairs.payload))
    return key.mul_(inside)


def _strip_keys(pairs: Pairs) -> Tensor:
    """(N,) int32. In a row the inside of a convex piece runs from where the last side comes in to where one goes out."""
    crossing = -pairs.start / pairs.slope  # (4, R) columns; whatever it is for a side along the row is not used
    beside = (pairs.slope == 0) & (pairs.start < 0)  # a side along the row that leaves all of it outside
    first = crossing.masked_fill(pairs.slope <= 0, -torch.inf).amax(dim=0)
    last = crossing.masked_fill(pairs.slope >= 0, torch.inf).amin(dim=0).masked_fill(beside.any(dim=0), -torch.inf)
    inside = (pairs.column >= pairs.of_rows(first)).logical_and_(pairs.column <= pairs.of_rows(last))
    return pairs.of_rows(pairs.payload.to(torch.int32)).mul_(inside)


def _expand(shapes: Shapes, map_size_hw: tuple[int, int], device: torch.device) -> Pairs:
    """Shapes to rows of their boxes to pixels of the rows."""
    map_height, map_width = map_size_hw
    left, top, width, height = shapes.box.T
    # Measured from the box's first pixel centre, the functions lose no digits in float32.
    origin = np.stack([left + 0.5, top + 0.5, np.ones(len(shapes))], axis=1)
    constant = np.einsum("skc,sc->sk", shapes.function, origin)
    slopes = np.concatenate([shapes.function[..., 0], shapes.function[..., 1], constant], axis=1)  # (S, 3K)
    first_pixel = (shapes.plane * map_height + top) * map_width + left
    whole = _to_device(np.stack([first_pixel, width, height, shapes.payload]), device)
    real = _to_device(np.ascontiguousarray(slopes.T, dtype=np.float32), device)

    num_rows = int(height.sum())
    row_shape = _repeat(whole[2], num_rows)  # (R,)
    row = torch.arange(num_rows, device=device) - _starts(whole[2]).index_select(0, row_shape)
    slope, slope_down, start = real.index_select(1, row_shape).unflatten(0, (3, -1))  # (K, R) each
    row_width = whole[1].index_select(0, row_shape)
    row_start = _starts(row_width)
    row_pixel = whole[0].index_select(0, row_shape) + row * map_width - row_start

    num_pairs = int((width * height).sum())
    pair_row = _repeat(row_width, num_pairs)  # (N,)
    counter = torch.arange(num_pairs, device=device)
    return Pairs(
        pixel=row_pixel.index_select(0, pair_row).add_(counter),
        row=pair_row,
        column=(counter - row_start.index_select(0, pair_row)).to(torch.float32),
        slope=slope,
        start=start + slope_down * row,
        payload=whole[3].index_select(0, row_shape),
    )


def _repeat(counts: Tensor, total: int) -> Tensor:
    """(total,) int64: 0 `counts[0]` times, 1 `counts[1]` times, and so on. The given total spares a synchronisation."""
    return torch.repeat_interleave(counts, output_size=total)


def _starts(counts: Tensor) -> Tensor:
    """Where each run begins when runs of these lengths follow one another."""
    return torch.cumsum(counts, 0) - counts


def _to_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(values)
    if device.type == "cuda":  # from pinned memory the host does not wait for the copy
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
