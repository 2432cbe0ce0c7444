"""Paints maps and confidence on one core of the CPU, row by row in compiled loops."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from craft.kernels import njit
from craft.ohem.pixel import POSITIVE_TARGET
from craft.targets.shapes import SIGMA, Shapes, trust

_LANES = 16  # map pixels computed at once; rows are painted in whole groups, so that the compiler uses vector registers
_OUTSIDE = np.nextafter(np.float32(1), np.float32(2))  # the least squared radius outside the disc
_ONE, _ZERO, _HALF = np.float32(1.0), np.float32(0.0), np.float32(0.5)
_RATE = -0.5 / SIGMA**2
# exp(_RATE * q) for q from 0 to 1 as a series of q - 1/2, off by less than 3e-7.
_SERIES = tuple(np.float32(math.exp(0.5 * _RATE) * _RATE**n / math.factorial(n)) for n in range(12))


def paint(
    shapes: Shapes, covers: Shapes, *, batch_size: int, map_size_hw: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Paint (B, 2, H, W) maps and confidence from ellipses and from strips that cover the (B,) images."""
    height, width = map_size_hw
    padded_width = -(-width // _LANES) * _LANES
    # One array for both: from 4 MiB on numpy asks for huge pages, without which fresh memory costs more than painting.
    both = np.empty((2, 2 * batch_size, height, padded_width), dtype=np.float32)
    _paint_batch(
        both[0],
        both[1],
        (shapes.box, shapes.function, *_in_order(shapes, 2 * batch_size)),
        (covers.box, covers.function, *_in_order(covers, batch_size)),
        _SERIES,
        np.float32(POSITIVE_TARGET),
    )
    if padded_width > width:
        both = np.ascontiguousarray(both[..., :width])
    maps, confidence = torch.from_numpy(both.reshape(2, batch_size, 2, height, width))
    return maps.to(device), confidence.to(device)


def _in_order(shapes: Shapes, num_planes: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Trust in each shape, their indices map by map with the least trusted first, and where each map's begin and end."""
    trusted = trust(shapes.payload)
    first = np.zeros(num_planes + 1, dtype=np.int64)
    np.cumsum(np.bincount(shapes.plane, minlength=num_planes), out=first[1:])
    return trusted, np.lexsort((trusted, shapes.plane)), first


@njit(cache=True, nogil=True, error_model="numpy")
def _paint_batch(maps, confidence, shapes, covers, series, positive_target):
    """Fill in maps (2B, H, W) and confidence, finishing each map while it is in the cache."""
    box, function, trusted, order, first = shapes
    cover_box, cover_function, cover_trusted, cover_order, cover_first = covers
    for plane in range(len(maps)):
        targets, trust_map = maps[plane], confidence[plane]
        targets[:] = _OUTSIDE
        trust_map[:] = _ONE
        for index in order[first[plane] : first[plane + 1]]:
            _paint_ellipse(targets, trust_map, box[index], function[index], trusted[index])
        _to_targets(targets, series)
        for index in cover_order[cover_first[plane // 2] : cover_first[plane // 2 + 1]]:
            _cover(targets, trust_map, cover_box[index], cover_function[index], cover_trusted[index], positive_target)


@njit(cache=True, nogil=True, error_model="numpy")
def _paint_ellipse(squared_radius, trust_map, box, function, trusted):
    """Keep the smallest squared radius, and the trust of its word, in an ellipse's pixels; the first of equal ones.

    Outside the ellipse squared radii are above 1 and change nothing, so that rows can be painted in whole groups.
    """
    left, top, width, height = box
    groups = (width + _LANES - 1) // _LANES
    left = min(left, squared_radius.shape[1] - groups * _LANES)
    u_slope, v_slope, w_slope = np.float32(function[0, 0]), np.float32(function[1, 0]), np.float32(function[2, 0])
    # Measured from the first pixel's centre of every row, the functions lose no digits in float32.
    u_row = function[0, 0] * (left + 0.5) + function[0, 1] * (top + 0.5) + function[0, 2]
    v_row = function[1, 0] * (left + 0.5) + function[1, 1] * (top + 0.5) + function[1, 2]
    w_row = function[2, 0] * (left + 0.5) + function[2, 1] * (top + 0.5) + function[2, 2]
    for row in range(top, top + height):
        u_start, v_start, w_start = np.float32(u_row), np.float32(v_row), np.float32(w_row)
        for group in range(groups):
            start = left + group * _LANES
            radii, trusts = squared_radius[row, start : start + _LANES], trust_map[row, start : start + _LANES]
            for lane in range(_LANES):
                step = np.float32(np.int32(group * _LANES + lane))
                u, v, w = u_start + u_slope * step, v_start + v_slope * step, w_start + w_slope * step
                found = (u * u + v * v) / (w * w)
                better = found < radii[lane]
                trusts[lane] = trusted if better else trusts[lane]
                radii[lane] = found if better else radii[lane]
        u_row += function[0, 1]
        v_row += function[1, 1]
        w_row += function[2, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _to_targets(squared_radius, series):
    """Turn squared radii into targets, in place."""
    s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11 = series
    for row in range(squared_radius.shape[0]):
        radii = squared_radius[row]
        for column in range(len(radii)):
            x = radii[column] - _HALF
            value = ((((s11 * x + s10) * x + s9) * x + s8) * x + s7) * x + s6
            value = (((((value * x + s5) * x + s4) * x + s3) * x + s2) * x + s1) * x + s0
            radii[column] = value if radii[column] <= _ONE else _ZERO


@njit(cache=True, nogil=True, error_model="numpy")
def _cover(targets, trust_map, box, function, trusted, positive_target):
    """Lower the trust in a strip's pixels where nothing is painted, or, for don't care, no positive target."""
    left, top, width, height = box
    limit = positive_target if trusted == _ZERO else _ZERO
    for row in range(top, top + height):
        first, last = float(left), float(left + width - 1)
        for side in range(4):
            slope = function[side, 0]
            start = slope * 0.5 + function[side, 1] * (row + 0.5) + function[side, 2]  # in column 0
            if slope > 0:
                first = max(first, np.ceil(-start / slope))
            elif slope < 0:
                last = min(last, np.floor(-start / slope))
            elif start < 0:
                last = -1.0
        if last >= first:
            drawn, trusts = targets[row, int(first) : int(last) + 1], trust_map[row, int(first) : int(last) + 1]
            for column in range(len(drawn)):
                lower = (drawn[column] <= limit) & (trusted < trusts[column])
                trusts[column] = trusted if lower else trusts[column]
