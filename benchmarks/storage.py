"""What 8-bit storage costs: weights as they are beside the same weights stored in 8 bits, on labelled scenes.

    python benchmarks/storage.py WEIGHTS --truth data/icdar2015 --numbers 801 900

Prints a row: sizes, H-mean before and after with the paired 95 % bootstrap interval of the difference, and the greatest
difference of a score map. Every restored weight is checked first: exits with 1 where one moved by more than half a step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from studies.measuring import describe_settings, measure

from craft.config import DatasetSettings
from craft.config_files import parse_settings
from craft.datasets.reading import read_truth
from craft.detection.detector import Detector
from craft.evaluation.bootstrap import bootstrap_difference
from craft.evaluation.protocols import PROTOCOLS
from craft.evaluation.summary import summarise
from craft.models.weights import Weights, read_weights, save_safetensors


def main() -> int:
    arguments = parse()
    numbers = None if arguments.numbers is None else tuple(arguments.numbers)
    named = arguments.format or (None if arguments.protocol == "polygons" else arguments.protocol)
    scenes = read_truth(DatasetSettings(path=arguments.truth, format=named, split=arguments.split, numbers=numbers))
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


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="file of weights in float")
    parser.add_argument("--truth", required=True, help="folder of the labelled set")
    parser.add_argument("--format", help="label format; the protocol's where left out")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="icdar2015")
    parser.add_argument("--split", choices=("train", "validation", "all"), default="train")
    parser.add_argument("--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="detection settings")
    parser.add_argument("--maps", type=int, default=10, help="scenes whose maps are compared (default 10)")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(str(error))
