"""Measure weights on labelled scenes, what storing them in 8 bits costs, and what a file says about itself.

    python benchmarks/studies/weights.py scores --weights small FILE ... --truth data/icdar2015 --numbers 901 1000
    python benchmarks/studies/weights.py storage WEIGHTS --truth data/icdar2015 --numbers 801 900
    python benchmarks/studies/weights.py card small

`scores` prints rows of a table of results, each figure with a 95 % bootstrap interval over scenes (2,000 resamples);
`--compare` adds the differences from the first weights, paired by scene. Sizes and thresholds are those stored with each
file, unless `--set` changes them. `storage` compares the weights with the same weights in 8 bits: sizes, H-mean with the
paired bootstrap interval of the difference, and the greatest difference of a score map; it exits with 1 where a restored
weight moved by more than half a step. `card` prints the tables of a model card that the weights themselves know: how they
were stored and trained, stage by stage.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import describe_settings, intervals, measure

from craft.config import DatasetSettings, DetectionSettings
from craft.config_files import parse_settings
from craft.datasets.reading import read_truth
from craft.detection.detector import Detector
from craft.evaluation.bootstrap import Interval, bootstrap_difference
from craft.evaluation.protocols import PROTOCOLS
from craft.evaluation.summary import summarise
from craft.models.shipped import find_weights
from craft.models.weights import Weights, read_weights, save_safetensors
from craft.scene import Scene


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    scores = verbs.add_parser("scores", help="rows of a table of results")
    scores.add_argument("--weights", nargs="+", required=True, help="files, or names of shipped weights")
    scores.add_argument("--device", default="auto")
    scores.add_argument("--compare", action="store_true", help="print the differences from the first weights too")
    scores.add_argument("--maps", type=Path, help="folder that keeps score maps for other thresholds")
    scores.set_defaults(run=print_scores)
    storage = verbs.add_parser("storage", help="the cost of 8 bits")
    storage.add_argument("weights", help="file of weights in float")
    storage.add_argument("--maps", type=int, default=10, help="scenes whose maps are compared (default 10)")
    storage.add_argument("--device", default="cpu")
    storage.set_defaults(run=compare_storage)
    for verb in (scores, storage):
        verb.add_argument("--truth", required=True, help="folder of the labelled dataset")
        verb.add_argument("--format", help="label format (default the protocol's)")
        verb.add_argument("--protocol", choices=PROTOCOLS, default="icdar2015")
        verb.add_argument("--split", choices=("train", "validation", "all"), default="train")
        verb.add_argument("--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"))
        verb.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="detection settings")
    card = verbs.add_parser("card", help="tables of a model card")
    card.add_argument("weights", help="file, or name of shipped weights")
    card.set_defaults(run=print_card)
    arguments = parser.parse_args()
    return arguments.run(arguments)


def labelled_scenes(arguments: argparse.Namespace) -> tuple[Scene, ...]:
    numbers = None if arguments.numbers is None else tuple(arguments.numbers)
    named = arguments.format or (None if arguments.protocol == "polygons" else arguments.protocol)
    return read_truth(DatasetSettings(path=arguments.truth, format=named, split=arguments.split, numbers=numbers))


def print_scores(arguments: argparse.Namespace) -> int:
    overrides = parse_settings(arguments.set)
    scenes, numbers = labelled_scenes(arguments), arguments.numbers
    where = Path(arguments.truth).name + ("" if numbers is None else f" {numbers[0]} to {numbers[1]}")
    print("| weights | scenes | precision | recall | H-mean | size | thresholds | seconds a scene |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    first = None
    for weights in arguments.weights:
        detector = Detector.from_weights(weights, device=arguments.device, **overrides)
        detector.detect(scenes[0].image_path)  # compiled and warm before the clock starts
        start = time.perf_counter()
        measured = measure(detector, scenes, protocol=arguments.protocol, name=str(weights), maps=arguments.maps)
        seconds = (time.perf_counter() - start) / len(scenes)
        figures = [pretty(one) for one in intervals(measured.image_scores).values()]
        megabytes = find_weights(weights).stat().st_size / 1e6
        size, thresholds = describe_settings(detector.settings)
        cells = [f"{weights} ({megabytes:.1f} MB)", where, *figures, size, thresholds, f"{seconds:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
        if arguments.compare and first is not None:
            difference = bootstrap_difference(first, measured.image_scores, generator=np.random.default_rng(0))
            print(f"| difference | {where} | | | {pretty(difference)} | | | |", flush=True)
        first = first or measured.image_scores
    totals = summarise(first or [])
    print(
        f"\n{totals.num_images} scenes, {totals.num_truth} words, {totals.num_dont_care} don't care beside them;",
        end=" ",
    )
    print(
        f"protocol {arguments.protocol} ({PROTOCOLS[arguments.protocol]}), corners rounded; 95 % bootstrap over scenes;"
    )
    print(
        f"torch {torch.__version__}, {detector.device}, {detector.precision}, {torch.get_num_threads()} threads, {platform.machine()}, {commit()}"
    )
    return 0


def pretty(figure: Interval) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"commit {done.stdout.strip() or 'unknown'}"


def compare_storage(arguments: argparse.Namespace) -> int:
    scenes = labelled_scenes(arguments)
    weights = read_weights(arguments.weights)
    if weights.storage == "int8":
        raise ValueError(f"{arguments.weights}: is in 8 bits already; give the weights as they were trained")
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / f"{kind}.safetensors" for kind in ("float", "int8")}
        for kind, file in files.items():
            save_safetensors(weights.state, file, weights.metadata, storage=kind)
        if not within_half_a_step(weights, read_weights(files["int8"])):
            return 1
        overrides = parse_settings(arguments.set)
        before, after = (
            Detector.from_weights(file, device=arguments.device, precision="fp32", **overrides)
            for file in files.values()
        )
        sizes = [file.stat().st_size / 1e6 for file in files.values()]
    greatest, mean = map_difference(before, after, scenes[: arguments.maps])
    scores = [measure(one, scenes, protocol=arguments.protocol).image_scores for one in (before, after)]
    difference = bootstrap_difference(*scores, generator=np.random.default_rng(0))
    first, second = (summarise(one).hmean for one in scores)
    size, thresholds = describe_settings(before.settings)
    print(
        "| weights | float | 8 bits | H-mean, float | H-mean, 8 bits | difference (95 %) | greatest, mean map difference |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {Path(arguments.weights).name} | {sizes[0]:.2f} MB | {sizes[1]:.2f} MB | {first:.4f} | {second:.4f} "
        f"| {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}) | {greatest:.4f}, {mean:.5f} |"
    )
    print(
        f"\n{len(scenes)} scenes, {size}, {thresholds}, {arguments.protocol}; maps of {len(scenes[: arguments.maps])} scenes"
    )
    return 0


def within_half_a_step(weights: Weights, restored: Weights) -> bool:
    """Whether every kernel moved by at most half its channel's step, and everything else not at all."""
    for name, value in weights.state.items():
        moved = (restored.state[name].double() - value.double()).abs()
        packed = value.is_floating_point() and value.ndim >= 2
        steps = value.double().abs().flatten(1).amax(dim=1) / 127 if packed else value.new_zeros(1).double()
        largest = moved.flatten(1).amax(dim=1) if packed else moved.flatten().amax().reshape(1)
        if bool((largest > 0.5001 * steps).any()):
            print(f"{name} moved by more than half a step", file=sys.stderr)
            return False
    return True


def map_difference(before: Detector, after: Detector, scenes: tuple) -> tuple[float, float]:
    """Greatest and mean difference of region and affinity scores."""
    greatest, means = 0.0, []
    for scene in scenes:
        pairs = zip(before.score_maps(scene.image_path)[:2], after.score_maps(scene.image_path)[:2], strict=True)
        for one, other in pairs:
            difference = np.abs(one - other)
            greatest = max(greatest, float(difference.max()))
            means.append(float(difference.mean()))
    return greatest, float(np.mean(means))


def print_card(arguments: argparse.Namespace) -> int:
    weights = read_weights(arguments.weights)
    print(network_table(arguments.weights, weights))
    stages = stages_of(weights.metadata)
    print()
    print(stage_table(stages) if stages else "These weights do not say how they were trained.")
    for number, stage in enumerate(stages, 1):
        print(f"\nStage {number}: `{stage.get('command', '?')}`\n")
        print(
            f"data: {'; '.join(describe_dataset(dataset) for dataset in stage.get('data', []))}. {stage.get('note', '')}".rstrip()
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
        "image size": size,
        "thresholds": thresholds,
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())])


def stages_of(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The stages of training that led to the weights, in order."""
    stages = []
    stage = metadata.get("provenance")
    while stage is not None:
        stages.insert(0, stage)
        stage = stage.get("before")
    return stages


def stage_table(stages: list[dict[str, Any]]) -> str:
    """What each stage cost."""
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


def describe_dataset(dataset: dict[str, Any]) -> str:
    """A training dataset in a few words."""
    if dataset.get("format") == "synth":
        return f"{dataset.get('preset')} scenes rendered with seed {dataset.get('seed', 0)}"
    numbers = dataset.get("numbers")
    return f"{dataset.get('path')} ({dataset.get('format')})" + (f" {numbers[0]} to {numbers[1]}" if numbers else "")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(str(error))
