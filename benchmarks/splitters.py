"""Compare the teacher's splitters with each other and with the even split on synthetic words, whose characters are known.

    python benchmarks/splitters.py --weights runs/quickstart/training/best.safetensors [--words 5000] [--preset full]

Per splitter: mean IoU of the true characters, each with the found one that overlaps it most; the share of words whose
count, taken without knowing the length, is right; and both as training would see them, where words less than half sure
are split evenly. By script and by height of the word. 5,000 words take about five minutes of one core at a quarter of the
network's width.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from craft.config import Splitter
from craft.geometry import polygon_iou, quad_sides
from craft.models.device import choose_device
from craft.models.weights import build_model, read_weights
from craft.scene import Word
from craft.synth.presets import preset
from craft.synth.render import render_scene
from craft.targets.characters import grapheme_clusters, split_evenly
from craft.teacher.crop_batches import WordCrop, reading_frames
from craft.teacher.labeller import region_maps, split_crop
from craft.teacher.splitter import LEAST_CONFIDENCE
from craft.teacher.word_crops import crop_word

SPLITTERS: tuple[Splitter, ...] = ("length", "cuts", "watershed")
HEIGHTS = (0, 12, 16, 24, 32, 48, 10_000)


@dataclass(frozen=True)
class Result:
    """One word by one splitter."""

    ious: NDArray[np.float64]
    right: bool
    confidence: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--words", type=int, default=5000)
    parser.add_argument("--preset", choices=("quickstart", "full"), default="full")
    parser.add_argument("--height", type=int, default=64, help="of the teacher's crops, pixels")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    cv2.setNumThreads(1)
    model = build_model(read_weights(options.weights)).to(device).eval()
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, OpenCV {cv2.__version__}, device {device}; "
        f"{options.words} words of preset {options.preset}, seed {options.seed}, crops {options.height} px high, fp32"
    )
    start = time.process_time()
    words: list[Word] = []
    results: dict[str, list[Result]] = defaultdict(list)
    index = 0
    while len(words) < options.words:
        scene = render_scene(preset(options.preset), options.seed, index)
        index += 1
        chosen = [word for word in scene.words if usable(word)][: options.words - len(words)]
        words += chosen
        for word in chosen:
            results["even"].append(even(word))
            for name, result in taught(model, scene.image, word, device, options.height).items():
                results[name].append(result)
    print(f"{index} scenes, {len(words)} words, {time.process_time() - start:.0f} s of processor time")
    show(words, results)
    return 0


def usable(word: Word) -> bool:
    quads = word.character_quads_xy
    return not word.dont_care and quads is not None and len(quads) == len(grapheme_clusters(word.text or "")) > 0


def even(word: Word) -> Result:
    return Result(overlaps(word, split_evenly(word.polygon_xy, word.text or "")), True, LEAST_CONFIDENCE)


def taught(
    model: torch.nn.Module, image: NDArray[np.uint8], word: Word, device: torch.device, height: int
) -> dict[str, Result]:
    length = len(grapheme_clusters(word.text or ""))
    frames = reading_frames(word.polygon_xy, length, height=height)
    crops = [WordCrop(0, 0, rank, length, frame, crop_word(image, frame)) for rank, frame in enumerate(frames)]
    maps = [region_maps(model, [crop], device, torch.float32)[0] for crop in crops]
    found = {}
    for splitter in SPLITTERS:
        tries = [split_crop(crop, levels, splitter) for crop, levels in zip(crops, maps, strict=True)]
        best = max(tries, key=lambda one: one.preference)
        found[splitter] = Result(overlaps(word, best.quads_xy), best.num_found == length, best.confidence)
    return found


def overlaps(word: Word, quads_xy: NDArray[np.float32]) -> NDArray[np.float64]:
    """(C,) of every true character with the found one that overlaps it most; 0 where none is found."""
    assert word.character_quads_xy is not None
    best = np.zeros(len(word.character_quads_xy))
    lows, highs = quads_xy.min(axis=1), quads_xy.max(axis=1)
    for number, true in enumerate(word.character_quads_xy):
        near = ((lows <= true.max(axis=0)) & (highs >= true.min(axis=0))).all(axis=1)
        best[number] = max((polygon_iou(true, quad) for quad in quads_xy[near]), default=0.0)
    return best


def show(words: list[Word], results: dict[str, list[Result]]) -> None:
    print("\n| words | splitter | mean IoU | right count | mean confidence | under 0.5 | mean IoU as trained on |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    heights = np.array([min(quad_sides(word.polygon_xy)) if len(word.polygon_xy) == 4 else np.nan for word in words])
    groups = [("all", np.ones(len(words), bool))]
    for script in sorted({word.script for word in words}):
        groups.append((script, np.array([word.script == script for word in words])))
    for low, high in pairwise(HEIGHTS):
        label = f"{low} to {high} px" if high < HEIGHTS[-1] else f"from {low} px"
        groups.append((label, (heights >= low) & (heights < high)))
    groups.append(("polygons", np.isnan(heights)))
    for label, chosen in groups:
        if not chosen.any():
            continue
        for name in ("even", *SPLITTERS):
            own = [result for result, take in zip(results[name], chosen, strict=True) if take]
            evenly = [result for result, take in zip(results["even"], chosen, strict=True) if take]
            trained = [
                one if one.confidence >= LEAST_CONFIDENCE else other for one, other in zip(own, evenly, strict=True)
            ]
            counts = "-" if name == "even" else f"{np.mean([one.right for one in own]):.3f}"
            trust = "-" if name == "even" else f"{np.mean([one.confidence for one in own]):.3f}"
            under = "-" if name == "even" else f"{np.mean([one.confidence < LEAST_CONFIDENCE for one in own]):.3f}"
            mean = np.concatenate([one.ious for one in own]).mean()
            used = np.concatenate([one.ious for one in trained]).mean()
            print(f"| {label} ({len(own)}) | {name} | {mean:.3f} | {counts} | {trust} | {under} | {used:.3f} |")


if __name__ == "__main__":
    sys.exit(main())
