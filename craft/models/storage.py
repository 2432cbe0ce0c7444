"""8-bit storage of weights: whole numbers with one step per output channel, restored to float when they are read.

Small kernels, those of the first and last layers, stay in float: they are few bytes and most of the harm (a quarter of the
maps' error is left, for a fifth more bytes of the network of a quarter of the width).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

STORAGE_KEY = "storage"
"""Key in the metadata of a safetensors file that says that its tensors are packed, and how."""

_FORMAT, _VERSION = "int8", 1
_STEPS = ".scale"  # behind a packed tensor's name: the tensor of its steps
FEWEST_PACKED = 20_000
"""Elements that a kernel has at least that is stored in 8 bits."""

_LARGEST = 127  # whole numbers go from -127 to 127, so that a weight and its negative are stored alike
_LEAST_STEP = torch.finfo(torch.float32).tiny  # a smaller one would lose digits


def pack_int8(state: Mapping[str, Tensor], *, fewest: int = FEWEST_PACKED) -> dict[str, Tensor]:
    """Store large kernels and matrices in 8 bits: whole numbers, and per output channel the step between two of them.

    Args:
        state: tensors by name. Floating ones with two or more dimensions, output channels first, are packed where they
            are large; the rest (biases, batch norm, counts, small kernels) stay as they are.
        fewest: elements from which a tensor is large, >= 1.

    Returns:
        The same names, packed ones int8 of the same shape, and for each of these NAME.scale, (O,) float32. A channel's
        step is its largest weight without sign over 127, so no weight moves by more than half a step, but for the
        rounding of float32; a channel of zeros stays one.

    Raises:
        ValueError: a tensor holds NaN or infinity.
    """
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        if not (value.is_floating_point() and value.ndim >= 2 and value.numel()):
            packed[name] = value
            continue
        if not bool(torch.isfinite(value).all()):
            raise ValueError(
                f"{name} holds NaN or infinity, which 8 bits cannot; these weights are of no use, take those of an earlier step"
            )
        if value.numel() < fewest:
            packed[name] = value
            continue
        weights = value.detach().float().cpu()
        steps = (weights.abs().flatten(1).amax(dim=1) / _LARGEST).clamp_min(_LEAST_STEP)  # (O,)
        numbers = torch.round(weights / _over_channels(steps, weights.ndim)).clamp(-_LARGEST, _LARGEST)
        packed[name] = numbers.to(torch.int8)
        packed[name + _STEPS] = steps
    return packed


def storage_note(packed: Mapping[str, Tensor]) -> str:
    """Write down what packed tensors need to be restored safely.

    Args:
        packed: as `pack_int8` gives them.

    Returns:
        JSON for the file's metadata under `STORAGE_KEY`: format, version, and a fingerprint of every tensor.
    """
    return json.dumps({"format": _FORMAT, "version": _VERSION, "digest": _digest(packed)})


def restore_float(packed: Mapping[str, Tensor], note: str | None, *, source: str) -> dict[str, Tensor]:
    """Bring tensors from a file back to float.

    Args:
        packed: tensors by name, as read.
        note: what the file says of its storage; None where it says nothing.
        source: the file, for messages.

    Returns:
        Tensors by their names before packing; packed ones float32. Without a note, the tensors as they are.

    Raises:
        ValueError: the note is of another format or version, the tensors are not those that were written, or there are
            8-bit tensors without a note.
    """
    if note is None:
        bare = [name for name, value in packed.items() if value.dtype == torch.int8]
        if bare:
            raise ValueError(
                f"{source}: {bare[0]} is in 8 bits, but the file does not say how; write it anew with: "
                "craft convert WEIGHTS OUT.safetensors --to int8"
            )
        return dict(packed)
    _check_note(packed, note, source)
    state = {}
    for name, value in packed.items():
        if value.dtype == torch.int8:
            state[name] = value.float() * _over_channels(packed[name + _STEPS], value.ndim)
        elif not (name.endswith(_STEPS) and name.removesuffix(_STEPS) in packed):
            state[name] = value
    return state


def _check_note(packed: Mapping[str, Tensor], note: str, source: str) -> None:
    try:
        values = json.loads(note)
        kind = (values["format"], values["version"])
        digest = values["digest"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{source}: what it says of its storage cannot be read ({error!r}); copy or download the file anew"
        ) from error
    if kind != (_FORMAT, _VERSION):
        raise ValueError(
            f"{source}: stored as {kind[0]} version {kind[1]}, and this craft reads {_FORMAT} version {_VERSION}; update craft"
        )
    if digest != _digest(packed):
        raise ValueError(
            f"{source}: its tensors are not those that were written, the file is damaged; copy or download it anew"
        )


def _over_channels(steps: Tensor, num_dimensions: int) -> Tensor:
    return steps.reshape(-1, *(1,) * (num_dimensions - 1))


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """32 hexadecimal digits that change with any name, type, shape or value."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
