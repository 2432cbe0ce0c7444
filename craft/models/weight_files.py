"""Files of weights, in every format that CRAFT's weights come in: tensors and metadata, whatever network they belong to."""

import json
import pickle
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from safetensors import SafetensorError, safe_open

from craft.config_files import load_yaml
from craft.models.craft import DEFAULT_BACKBONE
from craft.models.storage import STORAGE_KEY, content_digest, restore_float
from craft.models.torch_files import DAMAGED, load_checked

Storage = Literal["float", "int8"]
# Keys of the network's tensors in files that hold more: our checkpoints (the average is what is validated), then the
# EasyOCR trainer's {iter, craft, optimizer, scaler}.
_WRAPPERS = ("average", "model", "craft")
# How the authors' code turns maps into pixels, for files that say nothing about detection.
_ORIGINAL_DETECTION = {"pixel_rule": "corner", "keep_padding": True}
METADATA_KEY, DIGEST_KEY = "craft", "digest"  # of a safetensors header
_METADATA_TYPES = {"detection": dict, "region": dict, "provenance": dict, "backbone": str, "step": int}
# How files begin that people give by mistake, and what they are.
_OTHER_FILES = (
    (b"<", "a web page, not weights: its download failed; download it again, as a file"),
    (b"version https://git-lfs", "a Git LFS pointer, not weights; fetch the file itself with git lfs pull"),
    (b"\x89HDF", "an HDF5 file (Keras); give weights for PyTorch"),
    (b"\x08", "an ONNX file or another network graph; give the weights it was exported from"),
    (b"\x1f\x8b", "a gzip archive; unpack it and give the weights in it"),
    (b"\x89PNG", "an image, not weights; images are given without an option"),
    (b"\xff\xd8", "an image, not weights; images are given without an option"),
    (b"%PDF", "a PDF document, not weights; documents are given without an option"),
)


def read_weight_file(path: Path) -> tuple[dict[str, Any], dict[str, Any], Storage]:
    """Read what a file holds by name, its metadata, and how it stores tensors; ValueError if it cannot be read."""
    _refuse_other_files(path)
    storage: Storage = "float"
    if path.suffix == ".safetensors":
        loaded, metadata, storage = _read_safetensors(path)
    else:
        loaded, metadata = _read_torch(path)
    _check_metadata(metadata, path)
    return loaded, metadata, storage


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Any], Storage]:
    try:
        with safe_open(path, framework="pt") as file:
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as safetensors ({error}); copy or download the file again") from error
    text = header.get(METADATA_KEY, "{}")
    if header.get(DIGEST_KEY) not in (None, content_digest(held, text)):  # older files and others' have none
        raise ValueError(f"{path}: damaged, it does not hold what was written; copy or download the file again")
    try:
        metadata = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path}: its metadata {METADATA_KEY!r} is not JSON ({error}); write the file again"
        ) from error
    state = restore_float(held, header.get(STORAGE_KEY), source=str(path))
    return state, metadata, "int8" if STORAGE_KEY in header else "float"


def _read_torch(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        content = load_checked(path, old_format=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))  # the rest of torch's text advises to run what is in the file
        reason = f" ({found.group(1)})" if found else ", or is no file of weights"
        raise ValueError(
            f"{path}: holds more than tensors{reason}; if you trust it, load it with torch and save only the "
            "network's state_dict()"
        ) from error
    except DAMAGED as error:
        raise ValueError(f"{path}: cannot be read by torch ({error}); copy or download the file again") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected a network's tensors by name, found a {type(content).__name__}; save its state_dict()"
        )
    metadata: dict[str, Any] = {
        key: value
        for key, value in content.items()
        if isinstance(value, str | int | float) and isinstance(value, _METADATA_TYPES.get(key, object))
    }
    if "average" in content and isinstance(content.get("config"), str):  # a checkpoint of ours
        try:
            metadata |= _checkpoint_metadata(load_yaml(content["config"]))
        except (yaml.YAMLError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: its settings cannot be read ({error!r}); it is no checkpoint of craft") from None
    else:
        metadata["detection"] = dict(_ORIGINAL_DETECTION)
    state = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict) and content[key]), content)
    return state, metadata


def _checkpoint_metadata(config: dict[str, Any]) -> dict[str, Any]:
    """What the settings of a run say of its weights, as `save_safetensors` is given it."""
    metadata = {"detection": config["detection"]}
    backbone = config.get("model", {}).get("backbone", DEFAULT_BACKBONE)
    if backbone != DEFAULT_BACKBONE:
        metadata["backbone"] = backbone
    if "region" in config:
        region = config["region"]
        metadata["region"] = {
            "levels": region["levels"],
            "pool_hw": region["pool"],
            "hidden": region["hidden"],
            "proposal_network": region["proposals"]["network"] > 0,
        }
    return metadata


def _refuse_other_files(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(64)
    what = next((what for begin, what in _OTHER_FILES if start.lstrip().startswith(begin)), None)
    # The length of a safetensors header may be any bytes.
    if what is not None and not start[8:9] == b"{":
        raise ValueError(f"{path}: {what}")


def _check_metadata(metadata: Any, path: Path) -> None:
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: its metadata is a {type(metadata).__name__}, not settings by name")
    for key, kind in _METADATA_TYPES.items():
        if key in metadata and not isinstance(metadata[key], kind):
            found = type(metadata[key]).__name__
            raise ValueError(f"{path}: its metadata {key!r} is a {found}, not a {kind.__name__}; write the file again")
