"""8-bit storage of weights: integers with one step per output channel, restored to float when read.

Small kernels, those of the first and last layers, stay in float: they take few bytes and would do most of the harm (the
error of the maps falls to a quarter, for a fifth more bytes in the network of width 0.25).
"""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

STORAGE_KEY = "storage"
"""Metadata key of a safetensors file that says how its tensors are packed."""

_FORMAT, _VERSION = "int8", 1
_STEPS = ".scale"  # ends the name of a packed tensor's steps
FEWEST_PACKED = 20_000
"""Elements from which a kernel is stored in 8 bits."""

_LARGEST = 127  # integers from -127 to 127, so that a weight and its negative are stored alike
_LEAST_STEP = torch.finfo(torch.float32).tiny  # a smaller one would lose digits


def pack_int8(state: Mapping[str, Tensor], *, fewest: int = FEWEST_PACKED) -> dict[str, Tensor]:
    """Store large kernels and matrices in 8 bits: integers, and per output channel the step between two of them.

    Packed are floating tensors with two or more dimensions, output channels first, and at least `fewest` elements. They
    become int8 of the same shape, beside a new NAME.scale, (O,) float32. A channel's step is its largest absolute
    weight over 127, so that no weight moves by more than half a step. Raises ValueError if a tensor holds NaN or
    infinity.
    """
    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        if not (value.is_floating_point() and value.ndim >= 2 and value.numel()):
            packed[name] = value
            continue
        if not bool(torch.isfinite(value).all()):
            raise ValueError(
                f"{name} holds NaN or infinity, which 8 bits cannot store; use the weights of an earlier step"
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
    """Describe tensors from `pack_int8` in JSON, for the metadata under `STORAGE_KEY`: format, version and digest."""
    return json.dumps({"format": _FORMAT, "version": _VERSION, "digest": content_digest(packed)})


def restore_float(packed: Mapping[str, Tensor], note: str | None, *, source: str) -> dict[str, Tensor]:
    """Restore packed tensors from a file to float32, under their names before packing.

    `note` is from `storage_note`; None where the file has none, whose tensors are then given back as they are. `source`
    names the file in messages. Raises ValueError if the note has another format or version, the tensors are not those
    that were written, or there are 8-bit tensors without a note.
    """
    if note is None:
        bare = [name for name, value in packed.items() if value.dtype == torch.int8]
        if bare:
            raise ValueError(
                f"{source}: {bare[0]} is in 8 bits, but the file does not say how; write it again with: "
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
            f"{source}: its storage metadata cannot be read ({error!r}); copy or download the file again"
        ) from error
    if kind != (_FORMAT, _VERSION):
        raise ValueError(
            f"{source}: stored as {kind[0]} version {kind[1]}, and this craft reads {_FORMAT} version {_VERSION}; update craft"
        )
    if digest != content_digest(packed):
        raise ValueError(f"{source}: damaged, its tensors are not those that were written; copy or download it again")


def _over_channels(steps: Tensor, num_dimensions: int) -> Tensor:
    return steps.reshape(-1, *(1,) * (num_dimensions - 1))


def content_digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """32 hexadecimal digits that change with the text and any name, type, shape or value."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
