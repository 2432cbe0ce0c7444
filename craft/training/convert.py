"""Writes weights in another form: what `craft convert` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from craft.config import validate_config
from craft.models.weights import (
    Storage,
    Weights,
    build_model,
    read_weights,
    save_original,
    save_safetensors,
    width_of,
)
from craft.training.provenance import portable, provenance_of

Kind = Literal["float", "int8", "original"]


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written.

    Attributes:
        num_tensors: tensors of the network.
        num_bytes: size of the file.
        kind: how they are stored.
        was: how the file that was read stored them.
    """

    num_tensors: int
    num_bytes: int
    kind: Kind
    was: Storage


def convert_weights(
    source: str | Path,
    out: str | Path,
    *,
    to: Kind | None = None,
    detection: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> Converted:
    """Write weights as safetensors in float or in 8 bits, or as the original's .pth.

    Weights in a run folder get "provenance" in their metadata: how they were trained, by what, on what.

    Args:
        source: any readable weights file, or the name of weights that ship.
        out: file to write: .safetensors, or .pth for the original's format.
        to: "float", "int8" or "original"; by the ending of `out` where None.
        detection: sizes and thresholds that replace those in the file, and travel with the weights from now on.
        note: a sentence on the training data that travels with them too.

    Returns:
        What was written.

    Raises:
        ValueError: the weights cannot be read or stored so, are none of a CRAFT, `to` does not go with the ending, or a
            setting is unknown, out of range or would be lost.
    """
    out = Path(out)
    kind = _kind(out, to)
    weights = read_weights(source)
    if kind == "original":
        if detection or note:
            raise ValueError(
                f"{out}: the original's format has no place for settings or notes; leave out --set and --note"
            )
        save_original(weights.state, out)
        return Converted(len(weights.state), out.stat().st_size, kind, weights.storage)
    build_model(weights)  # nothing else should be carried on under the name of weights
    storage: Storage = "int8" if kind == "int8" else "float"
    metadata = _metadata(weights, Path(source), dict(detection or {}), note)
    save_safetensors(weights.state, out, metadata, storage=storage)
    return Converted(len(weights.state), out.stat().st_size, kind, weights.storage)


def _kind(out: Path, to: Kind | None) -> Kind:
    kinds: dict[str, tuple[Kind, ...]] = {".safetensors": ("float", "int8"), ".pth": ("original",)}
    if out.suffix not in kinds:
        raise ValueError(f"{out}: the ending says the format; use .safetensors or .pth")
    fitting = kinds[out.suffix]
    if to is not None and to not in fitting:
        raise ValueError(f"{out}: {to} does not go into a {out.suffix} file, which holds {' or '.join(fitting)}")
    return to or fitting[0]


def _metadata(weights: Weights, source: Path, changes: dict[str, Any], note: str | None) -> dict[str, Any]:
    metadata = portable(dict(weights.metadata))
    metadata.setdefault("width", width_of(weights))
    if changes:
        values = {
            "detection": {**metadata.get("detection", {}), **changes},
            "region": {"enabled": "region" in metadata},
        }
        config = validate_config(values, where=str(source), given={"detection": changes})
        metadata["detection"] = config.detection.model_dump(mode="json")
    if "provenance" not in metadata:
        found = provenance_of(source, metadata.get("step"))
        if found is not None:
            metadata["provenance"] = found
    if note:
        metadata["provenance"] = {**metadata.get("provenance", {}), "note": portable(note)}
    return metadata
