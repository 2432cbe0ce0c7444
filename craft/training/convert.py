"""Conversion of weights to another form, with what is known of their training."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from craft.config import RUN_RECORD, Config, validate_config
from craft.models.weights import Storage, Weights, build_model, read_weights, save_original, save_safetensors, width_of
from craft.training.run_folder import read_run_config, read_run_record
from craft.training.run_log import read_metrics

Kind = Literal["float", "int8", "original"]

# Folders of one machine mean nothing on another: of an absolute path the last part is kept.
_ABSOLUTE_PATH = re.compile(r"(?<![\w.~/])(?:~?/|[A-Za-z]:\\)(?:[^\s/\\,\[\]{}'\"=:]+[/\\])*([^\s/\\,\[\]{}'\"=:]+)")


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written: `kind` is how it is stored, `was` how the file that was read stored it."""

    num_tensors: int
    num_bytes: int
    kind: Kind
    was: Storage
    width: float = 1.0


def convert_weights(
    source: str | Path,
    out: str | Path,
    *,
    to: Kind | None = None,
    detection: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> Converted:
    """Write weights as safetensors in float or in 8 bits, or as the original's .pth.

    Weights in a run folder get "provenance" in their metadata: how, by what and on what they were trained. Raises
    ValueError if the weights cannot be read or stored so, are not a CRAFT's, `to` does not fit the ending, or a setting
    is unknown, out of range or would be lost.

    Args:
        to: "float", "int8" or "original"; by the ending of `out` where None.
        detection: detection settings that replace those in the file and travel with the weights from now on.
        note: a sentence on the training data that travels with them too.
    """
    out = Path(out)
    kind = _kind(out, to)
    weights = read_weights(source)
    if kind == "original":
        if detection or note:
            raise ValueError(
                f"{out}: the original's format has no place for settings or notes; leave out --set and --note"
            )
        build_model(weights)
        save_original(weights.state, out)
        width = width_of(weights) or 1.0
        return Converted(len(weights.state), out.stat().st_size, kind, weights.storage, width)
    build_model(weights)  # refuses what is not the weights of a CRAFT
    storage: Storage = "int8" if kind == "int8" else "float"
    metadata = _metadata(weights, Path(source), dict(detection or {}), note)
    save_safetensors(weights.state, out, metadata, storage=storage)
    return Converted(len(weights.state), out.stat().st_size, kind, weights.storage)


def _kind(out: Path, to: Kind | None) -> Kind:
    kinds: dict[str, tuple[Kind, ...]] = {".safetensors": ("float", "int8"), ".pth": ("original",)}
    if out.suffix not in kinds:
        raise ValueError(f"{out}: unknown ending; use .safetensors or .pth")
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


def provenance_of(weights: str | Path, step: int | None) -> dict[str, Any] | None:
    """Read from a run folder how weights in it were trained.

    Their folder, or the one above for a snapshot, is a run folder if it holds config.yaml and environment.jsonl; None
    where it is not. `step` counts the optimizer steps behind the weights; None for the whole run. Raises ValueError if
    the folder's settings cannot be read.

    Gives command, commit, versions and machine; steps, crops seen, their size and hours of training up to the step; the
    training datasets; and under "before" the same for the weights that the run started from, where these can be read.
    Absolute paths are cut to their last part.
    """
    folder = next((parent for parent in Path(weights).parents[:2] if (parent / RUN_RECORD).is_file()), None)
    if folder is None or not (folder / "config.yaml").is_file():
        return None
    config, starts = read_run_config(folder), read_run_record(folder)
    if not starts:
        return None
    steps = config.training.steps if step is None else step
    first = starts[0]
    processes = int(first.get("processes", 1))
    per_step = config.training.batch_size * config.optimizer.accumulate * processes
    provenance = {
        "command": without_machine_paths(first["command"]),
        "commit": ", ".join(dict.fromkeys(str(start["commit"]) for start in starts)),
        "craft": first["craft"],
        "torch": first["torch"],
        "machine": first["gpu"] or f"{first['processor']}, {first['threads']} threads",
        "processes": processes,
        "steps": steps,
        "crops": steps * per_step,
        "crop_size": config.data.crop_size,
        "training_hours": _training_hours(folder / "metrics.jsonl", per_step, steps),
        "started_from": portable(config.weights or config.model.pretrained),
        "data": [portable(dataset.model_dump(mode="json", exclude_none=True)) for dataset in config.data.train],
        "settings": _settings_that_matter(config),
    }
    before = None if config.weights is None else _provenance_inside(config.weights)
    return provenance if before is None else {**provenance, "before": before}


def without_machine_paths(text: str) -> str:
    """Cut the absolute paths in a text to their last parts: "--out /tmp/runs/a" becomes "--out a"."""
    return _ABSOLUTE_PATH.sub(r"\1", text)


def portable(value: Any) -> Any:
    """Cut the absolute paths in all strings of nested plain values to their last parts."""
    if isinstance(value, str):
        return without_machine_paths(value)
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    return [portable(item) for item in value] if isinstance(value, list) else value


def _provenance_inside(weights: str) -> dict[str, Any] | None:
    """The provenance in a file of weights; None where it has none or is gone."""
    try:
        return read_weights(weights).metadata.get("provenance")
    except ValueError:
        return None


def _settings_that_matter(config: Config) -> dict[str, Any]:
    """The settings that a reader of a table asks for."""
    return {
        "seed": config.training.seed,
        "learning_rate": config.optimizer.learning_rate,
        "ohem_rule": config.ohem.rule,
        "ohem_ratio": config.ohem.ratio,
    }


def _training_hours(metrics: Path, crops_per_step: int, last_step: int) -> float | None:
    """Hours spent in steps, without validation and saving; None where the log is missing."""
    if not metrics.is_file():
        return None
    hours, before = 0.0, 0
    for line in read_metrics(metrics, kind="train"):
        if line["step"] > last_step:
            break
        hours += (line["step"] - before) * crops_per_step / line["images_per_second"] / 3600
        before = line["step"]
    return round(hours, 3)
