"""Count pixels row by row and keep the highest-ranked of each, without the host waiting for the device."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

MAGNITUDE = 0x7FFFFFFF  # every bit of an int32 but the sign
# The CPU finds the last key that is kept a few bits at a time, highest bits first: (lowest bit, number of bits).
_DIGITS = ((20, 11), (10, 10), (0, 10))


def count_true(masks: Tensor) -> Tensor:
    """Count each row's pixels that are set.

    Args:
        masks: (N, P) bool.

    Returns:
        (N,) int64.
    """
    if masks.device.type == "cpu":
        counts = torch.empty(len(masks), dtype=torch.int64)
        _count_on_cpu(masks.contiguous().numpy(), counts.numpy())
        return counts
    return _count(masks)[:, 0].to(torch.int64)


def share_among_highest(keys: Tensor, candidates: Tensor, num_kept: Tensor) -> Tensor:
    """Give each row's highest keys among the candidates equal shares of 1.

    Candidates that tie with the last one kept share equally what is left for it, so that the result does not depend
    on an order among equals. The CPU counts digits of the keys in one compiled pass, CUDA devices do everything in one
    Triton kernel where triton is there, and others halve the range of keys in 31 passes. All find the same key, and none
    has a shape or a branch that depends on the data.

    Args:
        keys: (N, P) int32, of which the sign bit is ignored. The bits of float32 numbers >= 0 rank as the numbers do.
        candidates: (N, P) bool, the pixels that may be kept.
        num_kept: (N,) int64, how many are kept; at most as many as there are candidates.

    Returns:
        (N, P) float32: a row sums to 1, or is 0 where nothing is kept.
    """
    if keys.device.type == "cpu":
        shares = torch.empty(keys.shape, dtype=torch.float32)
        _share_on_cpu(
            keys.contiguous().numpy(), candidates.contiguous().numpy(), num_kept.contiguous().numpy(), shares.numpy()
        )
        return shares
    if keys.device.type == "cuda" and find_spec("triton"):
        from craft.ohem.top_k_triton import share_by_rows  # here: triton is not on every machine

        return share_by_rows(torch.where(candidates, keys & MAGNITUDE, -1), num_kept)
    return share_by_bisection(keys, candidates, num_kept)


def share_by_bisection(keys: Tensor, candidates: Tensor, num_kept: Tensor) -> Tensor:
    """Do what `share_among_highest` does with tensor operations alone, on any device.

    Args:
        keys: (N, P) int32, of which the sign bit is ignored.
        candidates: (N, P) bool.
        num_kept: (N,) int64, at most as many as there are candidates.

    Returns:
        (N, P) float32.
    """
    num_kept = num_kept[:, None]
    ranked = torch.where(candidates, keys & MAGNITUDE, -1)
    threshold = torch.zeros_like(ranked[:, :1])
    for bit in range(30, -1, -1):
        higher = threshold | (1 << bit)
        threshold = torch.where(_count(ranked >= higher) >= num_kept, higher, threshold)

    above, tied = ranked > threshold, ranked == threshold
    num_above, num_tied = _count(above), _count(tied)
    share = 1 / num_kept.clamp(min=1).to(torch.float32)
    tied_share = (num_kept - num_above).to(torch.float32) / num_tied.clamp(min=1).to(torch.float32) * share
    # Where nothing is kept the threshold is the highest key there can be: none is above it, and a tie is worth 0.
    return torch.where(above, share, torch.where(tied, tied_share, 0.0))


def _count(mask: Tensor) -> Tensor:
    # int32 counts are several times faster than the int64 that torch would choose.
    return mask.sum(dim=1, keepdim=True, dtype=torch.int32)


@njit(cache=True, nogil=True)
def _count_on_cpu(masks: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
    """Fill `counts`; torch would first write every mask out as integers, four bytes a pixel."""
    for row in range(masks.shape[0]):
        count = 0
        for pixel in range(masks.shape[1]):
            count += masks[row, pixel]
        counts[row] = count


@njit(cache=True, nogil=True)
def _share_on_cpu(
    keys: NDArray[np.int32], candidates: NDArray[np.bool_], num_kept: NDArray[np.int64], shares: NDArray[np.float32]
) -> None:
    """Fill `shares`; see `share_among_highest`."""
    found = np.empty(keys.shape[1], np.int32)
    for row in range(keys.shape[0]):
        kept = num_kept[row]
        if kept <= 0:
            shares[row] = 0
            continue
        threshold, num_above, num_tied = _last_kept(keys[row], candidates[row], kept, found)
        share = np.float32(1) / np.float32(kept)
        tied_share = np.float32(kept - num_above) / np.float32(num_tied) * share
        for pixel in range(keys.shape[1]):
            key = keys[row, pixel] & MAGNITUDE
            value = share if key > threshold else tied_share if key == threshold else np.float32(0)
            shares[row, pixel] = value if candidates[row, pixel] else np.float32(0)


@njit(cache=True, nogil=True)
def _last_kept(
    keys: NDArray[np.int32], candidates: NDArray[np.bool_], kept: int, found: NDArray[np.int32]
) -> tuple[int, int, int]:
    """Return the `kept`-th highest key, how many candidates are above it and how many equal it; `found` is scratch."""
    counts = np.zeros(1 << _DIGITS[0][1], np.int64)
    for pixel in range(len(keys)):
        counts[(keys[pixel] & MAGNITUDE) >> _DIGITS[0][0]] += candidates[pixel]
    digit, num_above = _digit_of_last(counts, kept, 0)
    num_found = 0
    for pixel in range(len(keys)):
        key = keys[pixel] & MAGNITUDE
        found[num_found] = key  # written always and kept by the count alone: no branch to predict
        num_found += candidates[pixel] and key >> _DIGITS[0][0] == digit

    for lowest, width in _DIGITS[1:]:
        counts[:] = 0
        for index in range(num_found):
            counts[(found[index] >> lowest) & ((1 << width) - 1)] += 1
        digit, num_above = _digit_of_last(counts, kept, num_above)
        num_before, num_found = num_found, 0
        for index in range(num_before):
            key = found[index]
            found[num_found] = key
            num_found += (key >> lowest) & ((1 << width) - 1) == digit
    return found[0], num_above, num_found


@njit(cache=True, nogil=True)
def _digit_of_last(counts: NDArray[np.int64], kept: int, num_above: int) -> tuple[int, int]:
    """Return the digit that the last key kept has, and how many keys are above all that have this digit."""
    digit = len(counts) - 1
    while digit > 0 and num_above + counts[digit] < kept:
        num_above += counts[digit]
        digit -= 1
    return digit, num_above
