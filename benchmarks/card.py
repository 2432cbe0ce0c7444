"""Print the tables of a model card that the weights themselves know: how they were stored and trained, stage by stage.

python benchmarks/card.py small
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from studies.measuring import describe_settings

from craft.config import DetectionSettings
from craft.models.shipped import find_weights
from craft.models.weights import Weights, read_weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="file, or the name of weights that ship")
    arguments = parser.parse_args()
    weights = read_weights(arguments.weights)
    print(network_table(arguments.weights, weights))
    stages = stages_of(weights.metadata)
    print()
    print(stage_table(stages) if stages else "These weights say nothing of their training.")
    for number, stage in enumerate(stages, 1):
        print(f"\nStage {number}: `{stage.get('command', '?')}`\n")
        print(
            f"data: {'; '.join(describe_set(one) for one in stage.get('data', []))}. {stage.get('note', '')}".rstrip()
        )
    return 0


def network_table(name: str, weights: Weights) -> str:
    """Size of file and network, and what the weights are used with."""
    detection = DetectionSettings(**weights.metadata.get("detection", {}))
    size, thresholds = describe_settings(detection)
    number = sum(value.numel() for key, value in weights.state.items() if key.endswith((".weight", ".bias")))
    rows = {
        "width": f"{weights.metadata.get('width', '?')} ({number:,} parameters)",
        "file": f"{find_weights(name).stat().st_size / 1e6:.2f} MB, stored as {weights.storage}",
        "pictures are seen at": size,
        "thresholds": thresholds,
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())])


def stages_of(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The stretches of training that led to the weights, the first one first."""
    stages = []
    stage = metadata.get("provenance")
    while stage is not None:
        stages.insert(0, stage)
        stage = stage.get("before")
    return stages


def stage_table(stages: list[dict[str, Any]]) -> str:
    """What each stretch cost."""
    lines = [
        "| stage | started from | steps | crops seen | crop | hours of training | machine | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, stage in enumerate(stages, 1):
        hours = stage.get("training_hours")
        cells = (
            str(number),
            str(stage.get("started_from", "?")),
            f"{stage.get('steps', 0):,}",
            f"{stage.get('crops', 0):,}",
            f"{stage.get('crop_size', '?')} px",
            "not logged" if hours is None else f"{hours:.2f}",
            str(stage.get("machine", "?")),
            str(stage.get("commit", "?")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe_set(one: dict[str, Any]) -> str:
    """A training set in a few words."""
    if one.get("format") == "synth":
        return f"{one.get('preset')} scenes drawn with seed {one.get('seed', 0)}"
    numbers = one.get("numbers")
    return f"{one.get('path')} ({one.get('format')})" + (f" {numbers[0]} to {numbers[1]}" if numbers else "")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(str(error))
