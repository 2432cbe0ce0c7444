"""Networks read from files of weights, and what is said where torch is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from craft.models.exported import BACKENDS

if TYPE_CHECKING:
    from torch import nn


def read_network(path: str | Path, backend: str, refiner: str | Path | None = None) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a file of weights, with a LinkRefiner where its file is given, and what travels with the weights."""
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
    network = build_model(weights)
    links = None
    if refiner is not None:
        from craft.models.refiner import LineNetwork, read_refiner

        links = read_refiner(refiner, network)  # before layers are fused: it asks for the network's digest
    fuse_layers(network)
    model: nn.Module = network if links is None else LineNetwork(network, links)
    return model.to(memory_format=torch.channels_last), weights.metadata
