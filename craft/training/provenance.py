"""Where weights come from: what the run folder that they lie in says of it, as plain values that travel with them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from craft.config import RUN_RECORD, Config
from craft.models.weights import read_weights
from craft.training.run_folder import read_run_config
from craft.training.run_log import read_metrics

# Folders of one machine mean nothing on another: of an absolute path the last part is kept.
_ABSOLUTE_PATH = re.compile(r"(?<![\w.~/])(?:~?/|[A-Za-z]:\\)(?:[^\s/\\,\[\]{}'\"=:]+[/\\])*([^\s/\\,\[\]{}'\"=:]+)")


def provenance_of(weights: str | Path, step: int | None) -> dict[str, Any] | None:
    """Read from a run folder how weights in it were trained.

    Args:
        weights: file of weights; its folder, or the one above for a snapshot, is a run folder where it holds
            config.yaml and environment.jsonl.
        step: optimizer steps behind the weights; those of the whole run where None.

    Returns:
        command, commit, versions and machine; steps, crops seen, their size and hours of training up to the step; the
        training sets; of the weights that the run started from, where these can be read, the same under "before".
        Absolute paths are cut to their last part. None where the weights lie in no run folder.

    Raises:
        ValueError: the folder's settings cannot be read.
    """
    folder = next((one for one in Path(weights).parents[:2] if (one / RUN_RECORD).is_file()), None)
    if folder is None or not (folder / "config.yaml").is_file():
        return None
    config = read_run_config(folder)
    lines = (folder / RUN_RECORD).read_text(encoding="utf-8").splitlines()
    starts = [json.loads(line) for line in lines if line.strip()]
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
        "data": [portable(one.model_dump(mode="json", exclude_none=True)) for one in config.data.train],
        "settings": _settings_that_matter(config),
    }
    before = None if config.weights is None else _provenance_inside(config.weights)
    return provenance if before is None else {**provenance, "before": before}


def without_machine_paths(text: str) -> str:
    """Cut the absolute paths in a text to their last parts.

    Args:
        text: such as a command line.

    Returns:
        "--out runs/a --set weights=best.pt" of "--out runs/a --set weights=/home/me/best.pt".
    """
    return _ABSOLUTE_PATH.sub(r"\1", text)


def portable(value: Any) -> Any:
    """Cut the absolute paths in plain values to their last parts.

    Args:
        value: strings, numbers, and dictionaries and lists of such.

    Returns:
        The same with every string as `without_machine_paths` gives it.
    """
    if isinstance(value, str):
        return without_machine_paths(value)
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    return [portable(item) for item in value] if isinstance(value, list) else value


def _provenance_inside(weights: str) -> dict[str, Any] | None:
    """What a file of weights says of its own training; None where it says nothing or is gone."""
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
