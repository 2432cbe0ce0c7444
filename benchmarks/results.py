"""Measure weights on labelled scenes and print rows of a table of results.

    python benchmarks/results.py --weights small FILE ... --truth data/icdar2015 --numbers 901 1000 --set long_side=2240

Each figure comes with a 95 % bootstrap interval over scenes (2,000 sets). `--compare` adds the differences from the first
weights, paired by scene. Sizes and thresholds are those that travel with each file, unless `--set` changes them.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from studies.measuring import describe_settings, intervals, measure

from craft.config import DatasetSettings
from craft.config_files import parse_settings
from craft.datasets.reading import read_truth
from craft.detection.detector import Detector
from craft.evaluation.bootstrap import Interval, bootstrap_difference
from craft.evaluation.protocols import PROTOCOLS
from craft.evaluation.summary import summarise
from craft.models.shipped import find_weights


def main() -> int:
    arguments = parse()
    overrides = parse_settings(arguments.set)
    numbers = None if arguments.numbers is None else tuple(arguments.numbers)
    named = arguments.format or (None if arguments.protocol == "polygons" else arguments.protocol)
    scenes = read_truth(DatasetSettings(path=arguments.truth, format=named, split=arguments.split, numbers=numbers))
    where = Path(arguments.truth).name + ("" if numbers is None else f" {numbers[0]} to {numbers[1]}")
    print("| weights | scenes | precision | recall | H-mean | size | thresholds | seconds a scene |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    first = None
    for weights in arguments.weights:
        detector = Detector.from_weights(weights, device=arguments.device, **overrides)
        detector.detect(scenes[0].image_path)  # compiled and warm before the clock starts
        start = time.perf_counter()
        measured = measure(detector, scenes, protocol=arguments.protocol, name=str(weights))
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
        f"torch {torch.__version__}, {detector.device}, {torch.get_num_threads()} threads, {platform.machine()}, {commit()}"
    )
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", required=True, help="files, or names of weights that ship")
    parser.add_argument("--truth", required=True, help="folder of the labelled set")
    parser.add_argument("--format", help="label format; the protocol's where left out")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="icdar2015")
    parser.add_argument("--split", choices=("train", "validation", "all"), default="train")
    parser.add_argument("--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="detection settings")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compare", action="store_true", help="print the difference from the first weights too")
    return parser.parse_args()


def pretty(figure: Interval) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"commit {done.stdout.strip() or 'unknown'}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(str(error))
