"""A network that `craft export` wrote, run by ONNX Runtime, OpenVINO or torch. Imports none of them until it runs."""

import json
import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Backend = Literal["torch", "onnx", "openvino"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
METADATA_KEY = "craft"
"""Name under which an exported file holds what travels with the weights, as JSON."""

_BACKENDS_BY_ENDING: dict[str, tuple[Backend, ...]] = {
    ".onnx": ("onnx", "openvino"),
    ".xml": ("openvino",),
    ".pt2": ("torch",),
}
EXPORT_ENDINGS = tuple(_BACKENDS_BY_ENDING)
_PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}

_Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class ExportedNetwork:
    """A network in a file of its own, which gives the maps of images and nothing else.

    Attributes:
        source: the file.
        backend: what runs it.
        precision: "fp32", or "auto" where OpenVINO chooses: bf16 on processors that compute in it.
        metadata: what travels with the weights, as in `Weights`.
    """

    def __init__(self, path: str | Path, *, backend: str = "auto", precision: str = "auto") -> None:
        """Read a file of `craft export`: .onnx, .xml (OpenVINO) or .pt2 (torch).

        `backend` is "auto" (by the ending), "torch", "onnx" or "openvino", which also runs .onnx; `precision` "auto" or
        "fp32". Raises ValueError if the file is missing, damaged or not from craft, or cannot be run so.
        """
        self.source = Path(path)
        fitting = _BACKENDS_BY_ENDING[self.source.suffix]
        if backend not in ("auto", *fitting):
            raise ValueError(f"{path}: backend {backend!r} does not run {self.source.suffix} files; use {fitting[0]}")
        if precision not in ("auto", "fp32"):
            raise ValueError(f"{path}: precision {precision!r} is for weights in torch; use auto or fp32")
        if not self.source.is_file():
            raise ValueError(f"{path}: no such file; write it with craft export WEIGHTS {path}")
        self.backend: Backend = fitting[0] if backend == "auto" else backend  # type: ignore[assignment]
        self.precision = precision if self.backend == "openvino" else "fp32"
        opened = {"torch": _open_torch, "onnx": _open_onnx, "openvino": _open_openvino}[self.backend]
        try:
            self._run, note = opened(str(path), self.precision)
        except ModuleNotFoundError as error:
            package = _PACKAGES[self.backend]
            raise ValueError(f"{path}: needs {package} ({error}); run pip install {package}") from error
        except Exception as error:  # every runtime raises its own kinds
            raise ValueError(f"{path}: cannot be read by {self.backend} ({error}); export it again") from error
        try:
            self.metadata: dict[str, Any] = dict(json.loads(note or ""))
            if self.backend == "openvino" and self.metadata.get("int8"):
                raise ValueError(f"{path}: holds 8-bit ranges for ONNX Runtime; leave out --backend openvino")
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: holds no settings of craft; write it with craft export") from error

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Maps (B, 2, H/2, W/2) of RGB images (B, H, W, 3) uint8, sides multiples of 32."""
        return np.asarray(self._run(np.ascontiguousarray(pixels)), np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies, and those of other processes, open the file again."""
        return partial(ExportedNetwork, self.source, backend=self.backend, precision=self.precision), ()

    def __repr__(self) -> str:
        return f"ExportedNetwork({str(self.source)!r}, backend={self.backend!r}, precision={self.precision!r})"


def is_exported(path: str | Path) -> bool:
    """Whether a path is by its ending that of an exported network."""
    return Path(path).suffix in EXPORT_ENDINGS


def _open_onnx(path: str, precision: str) -> tuple[_Run, str | None]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0], session.get_modelmeta().custom_metadata_map.get(
        METADATA_KEY
    )


def _open_openvino(path: str, precision: str) -> tuple[_Run, str | None]:
    core = _openvino_core()
    model = core.read_model(path)
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if _threads():
        settings["INFERENCE_NUM_THREADS"] = _threads()
    if precision == "fp32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(model, "CPU", settings)
    keys = [METADATA_KEY] if path.endswith(".xml") else ["framework", METADATA_KEY]
    note = model.get_rt_info(keys).astype(str) if model.has_rt_info(keys) else None
    # A request of its own for every call, so that threads may share the network.
    return lambda pixels: compiled.create_infer_request().infer([pixels])[0], note


@lru_cache
def _openvino_core() -> Any:
    # One for all networks: after a second one is gone, the next process that is forked ends this one.
    import openvino

    return openvino.Core()


def _open_torch(path: str, precision: str) -> tuple[_Run, str | None]:
    import torch

    extra = {METADATA_KEY: ""}
    network = torch.export.load(path, extra_files=extra).module()

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return network(torch.from_numpy(pixels)).numpy()

    return run, extra[METADATA_KEY]


def _threads() -> int:
    """Threads that OMP_NUM_THREADS asks for, which these runtimes do not read; 0 leaves it to them."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0)
