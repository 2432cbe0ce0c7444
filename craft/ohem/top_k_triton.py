"""Keeps the highest-ranked pixels of each row on a GPU in one Triton kernel, one program a row.

Imported only where it is used: triton is not there on every machine.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 4096  # pixels that a program looks at together


def share_by_rows(ranked: Tensor, num_kept: Tensor) -> Tensor:
    """Do what `ranking.share_by_bisection` does with pixels that are ranked already.

    A row is read 17 times, from the second time on out of the cache; tensor operations need 31 passes of several kernels.

    Args:
        ranked: (N, P) int32, contiguous: keys >= 0 of candidates, -1 for others.
        num_kept: (N,) int64, at most as many as there are candidates.

    Returns:
        (N, P) float32.
    """
    shares = torch.empty(ranked.shape, dtype=torch.float32, device=ranked.device)
    if ranked.numel():
        _share[(len(ranked),)](ranked, num_kept, shares, ranked.shape[1], BLOCK=_BLOCK, num_warps=16)
    return shares


@triton.jit
def _share(ranked, num_kept, shares, num_pixels, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    ranked += row * num_pixels
    shares += row * num_pixels
    kept = tl.load(num_kept + row).to(tl.int32)
    places = tl.arange(0, BLOCK)

    # The largest threshold that enough pixels reach: its highest bit, then two bits at a time.
    reach = tl.zeros((BLOCK,), dtype=tl.int32)
    for start in range(0, num_pixels, BLOCK):
        key = tl.load(ranked + start + places, mask=start + places < num_pixels, other=-1)
        reach += (key >= 1 << 30).to(tl.int32)
    threshold = tl.where(tl.sum(reach) >= kept, 1 << 30, 0)
    for pair in range(0, 15):
        unit = 1 << (28 - 2 * pair)
        first, second, third = threshold + unit, threshold + 2 * unit, threshold + 3 * unit
        reach_first = tl.zeros((BLOCK,), dtype=tl.int32)
        reach_second = tl.zeros((BLOCK,), dtype=tl.int32)
        reach_third = tl.zeros((BLOCK,), dtype=tl.int32)
        for start in range(0, num_pixels, BLOCK):
            key = tl.load(ranked + start + places, mask=start + places < num_pixels, other=-1)
            reach_first += (key >= first).to(tl.int32)
            reach_second += (key >= second).to(tl.int32)
            reach_third += (key >= third).to(tl.int32)
        threshold = tl.where(tl.sum(reach_first) >= kept, first, threshold)
        threshold = tl.where(tl.sum(reach_second) >= kept, second, threshold)
        threshold = tl.where(tl.sum(reach_third) >= kept, third, threshold)

    above = tl.zeros((BLOCK,), dtype=tl.int32)
    tied = tl.zeros((BLOCK,), dtype=tl.int32)
    for start in range(0, num_pixels, BLOCK):
        key = tl.load(ranked + start + places, mask=start + places < num_pixels, other=-1)
        above += (key > threshold).to(tl.int32)
        tied += (key == threshold).to(tl.int32)
    share = 1.0 / tl.maximum(kept, 1).to(tl.float32)
    tied_share = (kept - tl.sum(above)).to(tl.float32) / tl.maximum(tl.sum(tied), 1).to(tl.float32) * share
    for start in range(0, num_pixels, BLOCK):
        there = start + places < num_pixels
        key = tl.load(ranked + start + places, mask=there, other=-1)
        value = tl.where(key > threshold, share, tl.where(key == threshold, tied_share, 0.0))
        tl.store(shares + start + places, value, mask=there)
