"""Networks read from files of weights, and what is said where torch is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from craft.models.exported import BACKENDS

if TYPE_CHECKING:
    from torch import nn


def read_network(path: str | Path, backend: str) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a file of weights, and what travels with them."""
    if backend not in ("auto", "torch"):
        ending = {"onnx": ".onnx", "openvino": ".xml"}.get(backend)
        if ending is None:
            raise ValueError(f"backend {backend!r} is unknown; use auto, {', '.join(BACKENDS)}")
        exported = f"{Path(path).stem}{ending}"
        raise ValueError(
            f"{path}: backend {backend} runs exported networks; run craft export {path} {exported}, then give "
            f"--weights {exported}"
        )
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path}: weights need torch ({error}); install torch, or give a network exported to .onnx: "
            "craft export, on a machine with torch"
        ) from error
    from craft.models.fusing import fuse_layers
    from craft.models.weights import build_model, read_weights

    weights = read_weights(path)
    model = build_model(weights).to(memory_format=torch.channels_last)
    fuse_layers(model)
    return model, weights.metadata
