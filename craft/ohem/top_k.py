"""Top-k selection over the pixels of each row, without the host waiting for the device."""

from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from craft.kernels import njit

MAGNITUDE = 0x7FFFFFFF  # every bit of an int32 but the sign
# On the CPU, the k-th key is found a few bits at a time, highest bits first: (lowest bit, number of bits).
_DIGITS = ((20, 11), (10, 10), (0, 10))


def count_true(masks: Tensor) -> Tensor:
    """Count the pixels of each row that are set: (N, P) bool to (N,) int64."""
    if masks.device.type != "cpu":
        return _count(masks)[:, 0].to(torch.int64)
    counts = torch.empty(len(masks), dtype=torch.int64)
    _count_cpu(masks.contiguous().numpy(), counts.numpy())
    return counts


def top_k_weights(keys: Tensor, candidates: Tensor, num_kept: Tensor) -> Tensor:
    """Give the candidates with the highest keys of each row equal weights that sum to 1: (N, P) float32, 0 elsewhere.

    Candidates that tie at the k-th key share equally what is left for them, so the result does not depend on how one
    sorts. The CPU runs a compiled radix selection, CUDA a Triton kernel where triton is installed, and other devices a
    bisection of the key range. All three find the same k-th key.

    Args:
        keys: (N, P) int32; the sign bit is ignored. The bits of float32 numbers >= 0 sort as the numbers do.
        candidates: (N, P) bool, the pixels that may be kept.
        num_kept: (N,) int64, how many are kept; at most as many as there are candidates.
    """
    if keys.device.type == "cpu":
        weights = torch.empty(keys.shape, dtype=torch.float32)
        keys, candidates, num_kept = (tensor.contiguous() for tensor in (keys, candidates, num_kept))
        _top_k_weights_cpu(keys.numpy(), candidates.numpy(), num_kept.numpy(), weights.numpy())
        return weights
    if keys.device.type == "cuda" and find_spec("triton"):
        from craft.ohem.top_k_triton import top_k_weights_triton  # not every machine has triton

        return top_k_weights_triton(torch.where(candidates, keys & MAGNITUDE, -1), num_kept)
    return top_k_weights_by_bisection(keys, candidates, num_kept)


def top_k_weights_by_bisection(keys: Tensor, candidates: Tensor, num_kept: Tensor) -> Tensor:
    """Do what `top_k_weights` does with tensor operations alone: 31 passes, one for each bit of the k-th key."""
    num_kept = num_kept[:, None]
    ranked = torch.where(candidates, keys & MAGNITUDE, -1)
    threshold = torch.zeros_like(ranked[:, :1])
    for bit in range(30, -1, -1):
        higher = threshold | (1 << bit)
        threshold = torch.where(_count(ranked >= higher) >= num_kept, higher, threshold)

    above, tied = ranked > threshold, ranked == threshold
    num_above, num_tied = _count(above), _count(tied)
    weight = 1 / num_kept.clamp(min=1).to(torch.float32)
    tied_weight = (num_kept - num_above).to(torch.float32) / num_tied.clamp(min=1).to(torch.float32) * weight
    # Where nothing is kept, the threshold is the highest key possible: none is above it, and a tie weighs 0.
    return torch.where(above, weight, torch.where(tied, tied_weight, 0.0))


def random_keys(seeds: Tensor, num_pixels: int) -> Tensor:
    """Draw (N, num_pixels) int32 keys >= 0, no two in a row equal, that rank the pixels of each row at random.

    A key depends on the (N,) int64 seed of its row and the index of its pixel, below 2^31, alone.

    Source: the finalizers of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) for the seeds and of MurmurHash3
        (Appleby) for the pixels, the latter cut to 31 bits, where each of its steps remains one-to-one.
    """
    mixed = seeds * -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number; products wrap on every device
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    mixed = mixed ^ ((mixed >> 31) & 0x1FFFFFFFF)
    first = (mixed & MAGNITUDE).to(torch.int32)[:, None]
    second = ((mixed >> 31) & MAGNITUDE).to(torch.int32)[:, None]

    keys = torch.arange(num_pixels, dtype=torch.int32, device=seeds.device) ^ first
    for shift, factor, mask in ((16, -2048144789, second), (13, -1028477387, first)):
        keys = ((keys ^ (keys >> shift)) * factor & MAGNITUDE) ^ mask
    return keys ^ (keys >> 16)


def _count(mask: Tensor) -> Tensor:
    # int32 counts are several times faster than the int64 that torch would choose.
    return mask.sum(dim=1, keepdim=True, dtype=torch.int32)


@njit(cache=True, nogil=True)
def _count_cpu(masks: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
    # torch would first write every mask out as integers, four bytes a pixel.
    for row in range(masks.shape[0]):
        count = 0
        for pixel in range(masks.shape[1]):
            count += masks[row, pixel]
        counts[row] = count


@njit(cache=True, nogil=True)
def _top_k_weights_cpu(
    keys: NDArray[np.int32], candidates: NDArray[np.bool_], num_kept: NDArray[np.int64], weights: NDArray[np.float32]
) -> None:
    scratch = np.empty(keys.shape[1], np.int32)
    for row in range(keys.shape[0]):
        kept = num_kept[row]
        if kept <= 0:
            weights[row] = 0
            continue
        threshold, num_above, num_tied = _kth_key(keys[row], candidates[row], kept, scratch)
        weight = np.float32(1) / np.float32(kept)
        tied_weight = np.float32(kept - num_above) / np.float32(num_tied) * weight
        for pixel in range(keys.shape[1]):
            key = keys[row, pixel] & MAGNITUDE
            value = weight if key > threshold else tied_weight if key == threshold else np.float32(0)
            weights[row, pixel] = value if candidates[row, pixel] else np.float32(0)


@njit(cache=True, nogil=True)
def _kth_key(
    keys: NDArray[np.int32], candidates: NDArray[np.bool_], kept: int, scratch: NDArray[np.int32]
) -> tuple[int, int, int]:
    """Return the `kept`-th highest key of the candidates, how many are above it and how many equal it."""
    counts = np.zeros(1 << _DIGITS[0][1], np.int64)
    for pixel in range(len(keys)):
        counts[(keys[pixel] & MAGNITUDE) >> _DIGITS[0][0]] += candidates[pixel]
    digit, num_above = _kth_digit(counts, kept, 0)
    num_found = 0
    for pixel in range(len(keys)):
        key = keys[pixel] & MAGNITUDE
        scratch[num_found] = key  # always written, and kept by the count alone: no branch to predict
        num_found += candidates[pixel] and key >> _DIGITS[0][0] == digit

    for lowest, width in _DIGITS[1:]:
        counts[:] = 0
        for index in range(num_found):
            counts[(scratch[index] >> lowest) & ((1 << width) - 1)] += 1
        digit, num_above = _kth_digit(counts, kept, num_above)
        num_before, num_found = num_found, 0
        for index in range(num_before):
            key = scratch[index]
            scratch[num_found] = key
            num_found += (key >> lowest) & ((1 << width) - 1) == digit
    return scratch[0], num_above, num_found


@njit(cache=True, nogil=True)
def _kth_digit(counts: NDArray[np.int64], kept: int, num_above: int) -> tuple[int, int]:
    """Return the digit of the `kept`-th key and how many keys lie above all keys with that digit."""
    digit = len(counts) - 1
    while digit > 0 and num_above + counts[digit] < kept:
        num_above += counts[digit]
        digit -= 1
    return digit, num_above
