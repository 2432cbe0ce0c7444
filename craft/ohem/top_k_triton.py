"""Top-k selection on CUDA in one Triton kernel, one program a row; imported only where triton is installed."""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 4096  # pixels that a program reads at a time


def top_k_weights_triton(ranked: Tensor, num_kept: Tensor) -> Tensor:
    """Do what `top_k.top_k_weights` does for (N, P) int32, contiguous: keys >= 0 of candidates, and -1 elsewhere.

    A row is read 17 times, all but the first from the cache.
    """
    weights = torch.empty(ranked.shape, dtype=torch.float32, device=ranked.device)
    if ranked.numel():
        _top_k_weights[(len(ranked),)](ranked, num_kept, weights, ranked.shape[1], BLOCK=_BLOCK, num_warps=16)
    return weights


@triton.jit
def _top_k_weights(ranked, num_kept, weights, num_pixels, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    ranked += row * num_pixels
    weights += row * num_pixels
    kept = tl.load(num_kept + row).to(tl.int32)
    offsets = tl.arange(0, BLOCK)

    # The largest threshold that at least `kept` keys reach: its highest bit, then two bits at a time.
    reach = tl.zeros((BLOCK,), dtype=tl.int32)
    for start in range(0, num_pixels, BLOCK):
        key = tl.load(ranked + start + offsets, mask=start + offsets < num_pixels, other=-1)
        reach += (key >= 1 << 30).to(tl.int32)
    threshold = tl.where(tl.sum(reach) >= kept, 1 << 30, 0)
    for pair in range(0, 15):
        unit = 1 << (28 - 2 * pair)
        first, second, third = threshold + unit, threshold + 2 * unit, threshold + 3 * unit
        reach_first = tl.zeros((BLOCK,), dtype=tl.int32)
        reach_second = tl.zeros((BLOCK,), dtype=tl.int32)
        reach_third = tl.zeros((BLOCK,), dtype=tl.int32)
        for start in range(0, num_pixels, BLOCK):
            key = tl.load(ranked + start + offsets, mask=start + offsets < num_pixels, other=-1)
            reach_first += (key >= first).to(tl.int32)
            reach_second += (key >= second).to(tl.int32)
            reach_third += (key >= third).to(tl.int32)
        threshold = tl.where(tl.sum(reach_first) >= kept, first, threshold)
        threshold = tl.where(tl.sum(reach_second) >= kept, second, threshold)
        threshold = tl.where(tl.sum(reach_third) >= kept, third, threshold)

    above, tied = tl.zeros((BLOCK,), dtype=tl.int32), tl.zeros((BLOCK,), dtype=tl.int32)
    for start in range(0, num_pixels, BLOCK):
        key = tl.load(ranked + start + offsets, mask=start + offsets < num_pixels, other=-1)
        above += (key > threshold).to(tl.int32)
        tied += (key == threshold).to(tl.int32)
    weight = 1.0 / tl.maximum(kept, 1).to(tl.float32)
    tied_weight = (kept - tl.sum(above)).to(tl.float32) / tl.maximum(tl.sum(tied), 1).to(tl.float32) * weight
    for start in range(0, num_pixels, BLOCK):
        inside = start + offsets < num_pixels
        key = tl.load(ranked + start + offsets, mask=inside, other=-1)
        value = tl.where(key > threshold, weight, tl.where(key == threshold, tied_weight, 0.0))
        tl.store(weights + start + offsets, value, mask=inside)
