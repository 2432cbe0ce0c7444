"""Networks exported to ONNX, OpenVINO or torch.export: written, and checked against torch."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from craft.atomic_files import write_atomic
from craft.config import DetectionSettings
from craft.detection.network_input import network_size, resize_and_pad
from craft.images.image_like import load_image
from craft.models.craft import CRAFT
from craft.models.exported import EXPORT_ENDINGS, METADATA_KEY, ExportedNetwork, is_exported
from craft.models.fusing import fuse_layers
from craft.models.inference import normalise_images, score_pixels
from craft.models.weights import build_model, read_weights

TOLERANCE = 1e-3
"""Largest difference of a float32 map from torch's; rounding makes about 1e-5."""

_STRIDE = 32
_CALIBRATION_SCENES = 24
_HEAD_LAYERS = 5


@dataclass(frozen=True, slots=True)
class NetworkExport:
    """An exported network and how far it is from torch.

    Attributes:
        path: the file.
        num_bytes: its size, with the .bin of OpenVINO.
        difference: greatest difference of a map pixel from torch in float32.
        num_images: images that it was computed on.
        had_region_head: a region head was left out; words are scored by the maps alone.
    """

    path: Path
    num_bytes: int
    difference: float
    num_images: int
    had_region_head: bool


class _ImageNetwork(nn.Module):
    """The maps of images (B, H, W, 3) uint8, batch norms folded."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(normalise_images(images.permute(0, 3, 1, 2)))[0]


def export_network(
    source: str | Path, out: str | Path, *, images: Sequence[str | Path] = (), int8: bool = False
) -> NetworkExport:
    """Write a network with its normalisation to .onnx, .xml (OpenVINO) or .pt2 (torch.export), and check its maps.

    The file takes "images" (B, H, W, 3) uint8 RGB, B any and H and W any multiples of 32, and gives "maps"
    (B, 2, H/2, W/2) float32. Sizes and thresholds are in its metadata. It is checked where it runs, in float32.

    Args:
        source: any readable weights, or the name of weights that ship.
        out: file to write.
        images: paths to check on; rendered scenes if none are given.
        int8: for .onnx: convolutions in 8 bits, with ranges measured on rendered scenes.

    Raises:
        ValueError: the weights or an image cannot be read, the ending is unknown, a package is missing, or the maps
            differ from torch's by more than `TOLERANCE` (not for int8). The file is then not written.
    """
    out = Path(out)
    if not is_exported(out):
        raise ValueError(f"{out}: unknown ending; use {', '.join(EXPORT_ENDINGS)}")
    if int8 and out.suffix != ".onnx":
        raise ValueError(f"{out}: 8 bits are written to .onnx only")
    weights = read_weights(source)
    network = build_model(weights).eval()
    had_region_head = network.region is not None
    network.region = None
    carried: dict[str, Any] = {"int8": True} if int8 else {}
    carried |= {key: value for key, value in weights.metadata.items() if key != "region"}
    settings = DetectionSettings.model_validate(carried.get("detection", {}))
    inputs = _network_inputs(images, settings) if images else _rendered_inputs(4)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"network{out.suffix}"
        try:
            _write(network, written, json.dumps(carried), int8=int8)
        except ModuleNotFoundError as error:
            raise ValueError(f"{out}: {error}; run pip install 'craft-ohem[export]'") from error
        exported = ExportedNetwork(written, precision="fp32")
        difference = max(_difference(exported, network, pixels) for pixels in inputs)
        if difference > TOLERANCE and not int8:
            raise ValueError(
                f"{out}: not written, its maps differ from torch's by {difference:.2g}, more than {TOLERANCE:g}"
            )
        del exported
        files = sorted(Path(folder).glob("network.*"), reverse=True)  # .xml after its .bin would name a missing file
        for file in files:
            write_atomic(out.with_suffix(file.suffix), file.read_bytes())
        num_bytes = sum(file.stat().st_size for file in files)
    return NetworkExport(out, num_bytes, difference, len(inputs), had_region_head)


def _write(network: CRAFT, out: Path, note: str, *, int8: bool) -> None:
    """Write a network in evaluation mode; `note` goes into the file's metadata."""
    fused = copy.deepcopy(network)
    fuse_layers(fused)
    example = torch.zeros(2, 2 * _STRIDE, 3 * _STRIDE, 3, dtype=torch.uint8)
    normalise_images(example.permute(0, 3, 1, 2))  # caches its constants, which tracing could not keep
    batch = torch.export.Dim("batch")
    height, width = (_STRIDE * torch.export.Dim(name, min=1, max=2048) for name in ("rows", "columns"))
    with torch.no_grad():
        program = torch.export.export(
            _ImageNetwork(fused).eval(), (example,), dynamic_shapes=({0: batch, 1: height, 2: width},), strict=False
        )
    if out.suffix == ".pt2":
        torch.export.save(program, out, extra_files={METADATA_KEY: note})
    elif out.suffix == ".xml":
        import openvino

        model = openvino.convert_model(program)
        model.set_rt_info(note, METADATA_KEY)
        openvino.save_model(model, out, compress_to_fp16=False)
    else:
        names: dict[str, Any] = {"input_names": ["images"], "output_names": ["maps"]}
        exported = torch.onnx.export(program, (example,), dynamo=True, verbose=False, **names)
        assert exported is not None
        proto = exported.model_proto
        entry = proto.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, note
        out.write_bytes(proto.SerializeToString())
        if int8:
            _quantize(out)


def _quantize(path: Path) -> None:
    """Replace the convolutions of an .onnx file by 8-bit ones, with ranges from rendered scenes.

    The first and those of the score head stay in float32: they are narrow, and would do most of the harm.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType, quant_pre_process, quantize_static

    # Folds the halves of the decoder's 1 x 1 convolutions into constants, without which they would stay in float32.
    quant_pre_process(path, path, skip_symbolic_shape=True)
    layers = [node.name for node in onnx.load(path).graph.node if node.op_type == "Conv"]

    class Scenes:
        def __init__(self) -> None:
            self.remaining = iter(_rendered_inputs(_CALIBRATION_SCENES))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            pixels = next(self.remaining, None)
            return None if pixels is None else {"images": pixels}

    quantize_static(
        path,
        path,
        Scenes(),
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[layers[0], *layers[-_HEAD_LAYERS:]],
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def _difference(exported: ExportedNetwork, network: nn.Module, pixels: NDArray[np.uint8]) -> float:
    expected, _ = score_pixels(network, pixels, device=torch.device("cpu"), precision=torch.float32)
    return float(np.abs(exported(pixels) - expected).max())


def _network_inputs(paths: Sequence[str | Path], settings: DetectionSettings) -> list[NDArray[np.uint8]]:
    images = [load_image(path) for path in paths]
    return [resize_and_pad(image, network_size((image.shape[0], image.shape[1]), settings))[None] for image in images]


def _rendered_inputs(count: int) -> list[NDArray[np.uint8]]:
    from craft.synth.presets import preset
    from craft.synth.render import render_scene

    scenes = preset("full")
    return [render_scene(scenes, 7, index).image[None] for index in range(count)]
