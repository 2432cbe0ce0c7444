"""Compare decoding with the authors': the same maps must give the same boxes; only then is time measured.

    python benchmarks/speed/decode.py --original CRAFT-pytorch --labels icdar2015

`--original` is a checkout of clovaai/CRAFT-pytorch; only its craft_utils.py is loaded. `--labels` is a set's folder:
maps for the comparison are drawn from its words (several scenes on one map until it has enough), with noise on top.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numba
import numpy as np
import torch
from numpy.typing import NDArray
from timing import describe, time_in_turn

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset
from craft.decode.decode import decode_maps
from craft.scene import Scene
from craft.targets.characters import split_evenly
from craft.targets.heatmaps import draw_targets

MAP_HW = (360, 640)  # of ICDAR2015's 720 x 1280 scenes
TIMED_HW = (1120, 1280)
THRESHOLDS: dict[str, Any] = {"text_threshold": 0.7, "link_threshold": 0.4, "low_text": 0.4}
Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, required=True, help="checkout of clovaai/CRAFT-pytorch")
    parser.add_argument("--labels", required=True, help="folder of a labelled set, ICDAR2015's training scenes")
    parser.add_argument("--maps", type=int, default=500, help="maps to compare (default 500)")
    parser.add_argument("--least-words", type=int, default=20, help="components that each has at least (default 20)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of the original; ours has ten times as many")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu where other programs run beside")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    original = load_original(options.original)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"OpenCV {cv2.__version__}, numba {numba.__version__}, one thread, seed {options.seed}"
    )
    agrees = compare(original, options)
    if not agrees:
        print("the boxes differ: nothing is timed", file=sys.stderr)
        return 1
    for num_words in (20, 200, 1000):
        time_decoding(original, num_words, options)
    return 0


def load_original(checkout: Path) -> Any:
    """Load the authors' craft_utils.py by its path: their craft.py would hide our package."""
    path = checkout / "craft_utils.py"
    spec = importlib.util.spec_from_file_location("original_craft_utils", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"{path} is not there; give --original the folder of a clovaai/CRAFT-pytorch checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(original: Any, options: argparse.Namespace) -> bool:
    """Decode maps with both, and print the greatest difference of any corner."""
    scenes = read_dataset(DatasetSettings(path=options.labels, split="all"), check_images=False).scenes
    generator = np.random.default_rng(options.seed)
    greatest, num_boxes, fewest, unequal_counts, order_differs = 0.0, 0, sys.maxsize, 0, 0
    for _ in range(options.maps):
        region, affinity = crowded_maps(scenes, generator, least_words=options.least_words)
        ours = decode_maps(region, affinity, **THRESHOLDS, rule="corner").quads
        theirs = original.getDetBoxes_core(region, affinity, **THRESHOLDS)[0]
        fewest = min(fewest, len(theirs))
        num_boxes += len(theirs)
        if len(theirs) != len(ours):
            unequal_counts += 1
            continue
        differences = np.abs(np.array(theirs) - ours).max(axis=(1, 2))
        order_differs += int((differences > 1).any())
        greatest = max(greatest, float(differences.max()))
    print(
        f"agreement: {options.maps} maps of {MAP_HW[0]} x {MAP_HW[1]}, {num_boxes} boxes, at least {fewest} a map; "
        f"maps with another number of boxes {unequal_counts}, with a box more than 1 px off {order_differs}; "
        f"greatest corner difference {greatest:.6f} px"
    )
    return unequal_counts == 0 and greatest < 0.01 and fewest >= options.least_words


def crowded_maps(scenes: tuple[Scene, ...], generator: np.random.Generator, *, least_words: int) -> Maps:
    """Maps of labelled words, scene upon scene until at least so many are decoded, each time with fresh noise."""
    region, affinity = np.zeros(MAP_HW, np.float32), np.zeros(MAP_HW, np.float32)
    while True:
        scene = scenes[generator.integers(len(scenes))]
        quads = [word.polygon_xy for word in scene.words if len(word.polygon_xy) == 4]
        if quads:
            drawn = draw_words(np.array(quads), generator, size_hw=MAP_HW)
            region, affinity = np.maximum(region, drawn[0]), np.maximum(affinity, drawn[1])
        noisy = add_noise(region, generator), add_noise(affinity, generator)
        if len(decode_maps(*noisy, **THRESHOLDS)) >= least_words:
            return noisy


def draw_words(quads_xy: NDArray[np.float32], generator: np.random.Generator, *, size_hw: tuple[int, int]) -> Maps:
    """Maps of words of random lengths and peaks."""
    texts = ["x" * int(generator.integers(1, 10)) for _ in quads_xy]
    characters = [split_evenly(quad, text) for quad, text in zip(quads_xy, texts, strict=True)]
    word = np.repeat(np.arange(len(quads_xy)), [len(part) for part in characters])
    numbers = np.arange(len(quads_xy))
    targets = draw_targets(
        np.concatenate(characters),
        word,
        quads_xy,
        numbers,
        np.zeros_like(numbers),
        np.ones(len(numbers)),
        batch_size=1,
        map_size_hw=size_hw,
        device="cpu",
    )
    region, affinity = targets.maps[0].numpy() * generator.uniform(0.75, 1.1)
    return region, affinity


def add_noise(scores: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Noise of random strength, pixel by pixel and in patches; every fifth map in 32 steps, so that scores tie."""
    fine = generator.normal(0, generator.uniform(0, 0.08), scores.shape)
    patches = cv2.GaussianBlur(generator.normal(0, 1, scores.shape), (0, 0), 2.0)
    noisy = scores + fine + generator.uniform(0, 0.5) * patches
    if generator.random() < 0.2:
        noisy = np.round(noisy * 32) / 32
    return noisy.astype(np.float32)


def time_decoding(original: Any, num_words: int, options: argparse.Namespace) -> None:
    """Time both on one map with so many words, and print medians, spread and ratio."""
    region, affinity = grid_maps(num_words, np.random.default_rng(options.seed))
    found = len(decode_maps(region, affinity, **THRESHOLDS))
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    ours, theirs = (
        time_in_turn({"run": partial(decode, region, affinity, **THRESHOLDS)}, rounds=rounds, clock=clock)["run"]
        for decode, rounds in ((decode_maps, 10 * options.repeats), (original.getDetBoxes_core, options.repeats))
    )
    print(
        f"{num_words} words drawn, {found} found, map {TIMED_HW[0]} x {TIMED_HW[1]}: "
        f"ours {describe(ours)}, original {describe(theirs)}, "
        f"ratio of medians {statistics.median(theirs) / statistics.median(ours):.0f}"
    )


def grid_maps(num_words: int, generator: np.random.Generator) -> Maps:
    """Slightly turned words of equal height in rows that fill the map."""
    height, width = TIMED_HW[0] * 2, TIMED_HW[1] * 2
    columns = max(2, round((num_words * width / height / 3) ** 0.5))
    rows = -(-num_words // columns)
    cell_width, cell_height = width / columns, height / rows
    half = 0.5 * np.array([0.7 * cell_width, min(0.45 * cell_height, 64)])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    quads = []
    for index in range(num_words):
        angle = generator.uniform(-0.1, 0.1)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([(index % columns + 0.5) * cell_width, (index // columns + 0.5) * cell_height])
        quads.append(corners @ turn.T + middle)
    return draw_words(np.array(quads, dtype=np.float32), np.random.default_rng(0), size_hw=TIMED_HW)


if __name__ == "__main__":
    raise SystemExit(main())
