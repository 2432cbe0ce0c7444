"""Weights of a CRAFT: read from a file, checked against a network and copied into it, and written."""

import copy
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from craft.atomic_files import open_atomic, write_atomic
from craft.models.craft import BACKBONES, CRAFT, DEFAULT_BACKBONE
from craft.models.shipped import PACKAGED, find_weights, list_shipped
from craft.models.storage import STORAGE_KEY, content_digest, pack_int8, storage_note
from craft.models.weight_files import DIGEST_KEY, METADATA_KEY, Storage, read_weight_file

# Prefixes that DataParallel, DistributedDataParallel and torch.compile add to names.
_PREFIXES = ("module.", "_orig_mod.")
_REGION_PREFIX = "region."  # of the names of the region path's tensors, see region_head.py


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a file of weights holds."""

    state: dict[str, Tensor]  # the network's tensors by name, on the CPU, without prefixes
    metadata: dict[str, Any]  # "detection" (a dictionary), "width", "backbone" where it is not the default, "step", ...
    source: str = "weights"  # the file's path, for messages
    storage: Storage = "float"  # how the file stores them; 8-bit tensors are restored to float here


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Names of tensors, by what became of them."""

    loaded: tuple[str, ...]  # tensors of the network that now hold the file's values
    missing: tuple[str, ...]  # in the network and not in the file; unchanged
    unexpected: tuple[str, ...]  # in the file and not in the network
    mismatched: tuple[str, ...]  # in both with different shapes; unchanged


def read_weights(path: str | Path) -> Weights:
    """Read weights: safetensors, the authors' and EasyOCR's .pth, the EasyOCR trainer's and our own checkpoints.

    Nothing in the file is executed. `path` may be a name ("small", "mlt"). Of our checkpoints the moving average is
    read where there is one. The metadata of the authors' and EasyOCR's files says under "detection" how their code
    turns maps into pixels; that of "mlt" has thresholds too. Raises ValueError if the file cannot be read, is damaged,
    or holds no tensors by name; or no weights of that name are installed.
    """
    packaged = PACKAGED.get(str(path))
    path = find_weights(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give the file of weights in it, such as {path / 'best.safetensors'}")
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; give the path of a .safetensors, .pth or .pt file of weights, or a name "
            f"({list_shipped()})"
        )
    loaded, metadata, storage = read_weight_file(path)
    if packaged is not None:
        metadata |= copy.deepcopy(packaged.metadata)
    unnamed = [name for name in loaded if not isinstance(name, str)]
    if unnamed:
        raise ValueError(f"{path}: expected tensors by name, found the key {unnamed[0]!r}; save a state_dict()")
    state = {_without_prefixes(name): value for name, value in loaded.items()}
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if not state or others:
        found = f"{others[0]!r} is a {type(state[others[0]]).__name__}" if others else "it is empty"
        raise ValueError(
            f"{path}: expected a network's tensors by name, but {found}; save only the network's state_dict()"
        )
    _refuse_unusable_tensors(state, path)
    return Weights(state=state, metadata=metadata, source=str(path), storage=storage)


def load_into(model: nn.Module, weights: Weights, *, strict: bool = True) -> LoadReport:
    """Copy weights into a network, whose tensors keep their type and device.

    `strict` refuses weights that do not fit exactly by a ValueError that names them, before anything is copied. Files
    written before torch 0.4.1 lack `num_batches_tracked`, which no result depends on: these do not count as missing.
    """
    own = model.state_dict()
    report = _compare(own, weights.state)
    if strict and (report.missing or report.unexpected or report.mismatched):
        raise ValueError(_misfit_message(report, weights, own))
    with torch.no_grad():
        for name in report.loaded:
            own[name].copy_(weights.state[name])
    return report


def _compare(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> LoadReport:
    """Compare names and shapes of a network's tensors with those of a file."""
    fitting = {name for name, value in given.items() if name in own and value.shape == own[name].shape}
    return LoadReport(
        loaded=tuple(name for name in own if name in fitting),
        missing=tuple(name for name in own if name not in given and not name.endswith(".num_batches_tracked")),
        unexpected=tuple(name for name in given if name not in own),
        mismatched=tuple(name for name in own if name in given and name not in fitting),
    )


def build_model(weights: Weights) -> CRAFT:
    """Build the network that weights belong to, on the CPU in training mode, with its region path if it has one.

    Raises ValueError if these are not a CRAFT's weights, or not all of them.
    """
    backbone = backbone_of(weights)
    width = width_of(weights)
    if width is None:
        raise ValueError(
            f"{weights.source}: not the weights of a CRAFT, {BACKBONES[backbone].widest[0]} is missing (it holds "
            f"{_first_of(weights.state)}); give a file that `craft train` or the authors' release made"
        )
    has_region = any(name.startswith(_REGION_PREFIX) for name in weights.state)
    with torch.device("meta"):  # shapes are compared before anything is allocated
        try:
            shapes = CRAFT(width, backbone=backbone)
        except (RuntimeError, ValueError, OverflowError) as error:
            raise ValueError(f"{weights.source}: no network has the width {width:g} ({error})") from None
        if has_region:
            _add_region_path(shapes, weights)
    own = shapes.state_dict()
    report = _compare(own, weights.state)
    if report.missing or report.unexpected or report.mismatched:
        raise ValueError(_misfit_message(report, weights, own))
    model = CRAFT(width, backbone=backbone)
    if has_region:
        _add_region_path(model, weights)
    load_into(model, weights, strict=True)
    return model


def backbone_of(weights: Weights) -> str:
    """Name of the backbone that weights belong to. Raises ValueError if craft has no such backbone."""
    name = weights.metadata.get("backbone", DEFAULT_BACKBONE)
    if name not in BACKBONES:
        raise ValueError(
            f"{weights.source}: weights of backbone {name!r}, which this craft does not have; update craft"
        )
    return name


def width_of(weights: Weights) -> float | None:
    """Width of the network that weights belong to, from a tensor's shape; None where that tensor is missing."""
    name, channels = BACKBONES[backbone_of(weights)].widest
    widest = weights.state.get(name)
    return None if widest is None or widest.ndim != 4 else widest.shape[0] / channels


def save_safetensors(
    model: nn.Module | Mapping[str, Tensor],
    path: str | Path,
    metadata: Mapping[str, Any],
    *,
    storage: Storage = "float",
) -> None:
    """Write weights as a safetensors file, atomically, with plain metadata that travels with them as JSON.

    "int8" stores large kernels and matrices in 8 bits, see `pack_int8`. Raises ValueError if 8 bits are asked for, and
    a tensor holds NaN or infinity.
    """
    state = _plain_state(model)
    header = {"format": "pt", METADATA_KEY: json.dumps(dict(metadata), ensure_ascii=False)}
    if storage == "int8":
        state = pack_int8(state)
        header[STORAGE_KEY] = storage_note(state)
    header[DIGEST_KEY] = content_digest(state, header[METADATA_KEY])
    write_atomic(path, safetensors_bytes(state, header))


def save_original(model: nn.Module | Mapping[str, Tensor], path: str | Path) -> None:
    """Write weights as a .pth file for the authors' code, EasyOCR and others, who load width 1 only.

    That format has no place for detection settings or a region path: read back, the file counts as theirs.
    """
    plain = _plain_state(model)
    state = OrderedDict((name, value) for name, value in plain.items() if not name.startswith(_REGION_PREFIX))
    with open_atomic(path) as file:
        torch.save(state, file)


def _refuse_unusable_tensors(state: Mapping[str, Tensor], path: Path) -> None:
    for name, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise ValueError(f"{path}: {name} is not a plain tensor; save a state_dict() of dense real tensors")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{path}: {name} holds NaN or infinity; use the weights of an earlier step")


def _add_region_path(model: CRAFT, weights: Weights) -> None:
    from craft.models.region_head import RegionArchitecture, add_region_path  # needs torchvision

    if "region" not in weights.metadata:
        raise ValueError(
            f"{weights.source}: has a region head but no description of its architecture; give the file that training wrote"
        )
    try:
        architecture = RegionArchitecture.from_dict(weights.metadata["region"])
        add_region_path(model, architecture, seed=0)
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        raise ValueError(f"{weights.source}: its region path cannot be built: {str(error).splitlines()[0]}") from None


def _without_prefixes(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name


def _plain_state(model: nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = model.state_dict() if isinstance(model, nn.Module) else model
    return {_without_prefixes(name): value.detach().cpu().contiguous() for name, value in state.items()}


def _misfit_message(report: LoadReport, weights: Weights, own: Mapping[str, Tensor]) -> str:
    shapes = [f"{name} {tuple(weights.state[name].shape)}, here {tuple(own[name].shape)}" for name in report.mismatched]
    parts = (("it lacks", report.missing), ("the network lacks", report.unexpected), ("of different shape", shapes))
    faults = "; ".join(f"{what} {_first_of(names)}" for what, names in parts if names)
    return f"{weights.source}: does not fit the network: {faults}; check model.width and that the file is a CRAFT's"


def _first_of(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def weights_digest(model: nn.Module, *, leave_out: str | None = None) -> str:
    """Digest a network's parameters and buffers, but for names that start with `leave_out`, as 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(model.state_dict().items()):
        if leave_out is not None and name.startswith(leave_out):
            continue
        digest.update(name.encode())
        values = tensor.detach().cpu().contiguous()
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
