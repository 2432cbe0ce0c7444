"""Compare the teacher's splitters with each other and with the even split.

    python benchmarks/studies/splitters.py measure --weights runs/quickstart/training/best.safetensors [--words 5000]
    python benchmarks/studies/splitters.py sheet data/icdar2015 --numbers 1 40 --weights small --out sheet.png [--words 24]

`measure` prints, for synthetic words, whose characters are known, per splitter: mean IoU of the true characters, each with
the found one that overlaps it most; the share of words whose count, taken without knowing the length, is right; and both
as training would see them, where words less than half sure are split evenly. By script and by height of the word. 5,000
words take about five minutes of one core at a quarter of the network's width.

`sheet` shows real words, chosen at random from those that a teacher labels, a row each: the crop, the region scores over
it, and the crop with the characters by the even split and by each splitter; below, its text, the number of characters
counted without knowing it, and the confidence.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from craft.config import DatasetSettings, Splitter
from craft.datasets.reading import read_scenes
from craft.geometry import polygon_iou, quad_sides, transform_points
from craft.images.drawing import draw_polygons, overlay_map
from craft.images.reader import read_image
from craft.models.device import choose_device
from craft.models.weights import build_model, read_weights
from craft.scene import Scene, Word
from craft.synth.presets import preset
from craft.synth.render import render_scene
from craft.targets.characters import grapheme_clusters, num_missing_characters, split_evenly
from craft.teacher.crop_batches import WordCrop, reading_frames
from craft.teacher.labeller import region_maps, split_crop
from craft.teacher.splitter import LEAST_CONFIDENCE
from craft.teacher.word_crops import crop_word

SPLITTERS: tuple[Splitter, ...] = ("length", "cuts", "watershed")
COLOUR = (255, 220, 0)
ENLARGED = 3
HEIGHTS = (0, 12, 16, 24, 32, 48, 10_000)


@dataclass(frozen=True)
class Result:
    """One word by one splitter."""

    ious: NDArray[np.float64]
    right: bool
    confidence: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    measuring = verbs.add_parser("measure", help="a table over synthetic words")
    measuring.add_argument("--weights", required=True)
    measuring.add_argument("--words", type=int, default=5000)
    measuring.add_argument("--preset", choices=("quickstart", "full"), default="full")
    measuring.add_argument("--seed", type=int, default=77)
    measuring.add_argument("--device", default="auto")
    measuring.set_defaults(run=measure)
    sheet = verbs.add_parser("sheet", help="an image of how real words are split")
    sheet.add_argument("data", help="folder of a labelled dataset")
    sheet.add_argument("--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"), help="scenes used")
    sheet.add_argument("--weights", default="small")
    sheet.add_argument("--out", type=Path, required=True, help="image to write")
    sheet.add_argument("--words", type=int, default=24)
    sheet.add_argument("--longest", type=int, default=12, help="most characters of a word")
    sheet.add_argument("--seed", type=int, default=0, help="of the random choice of words")
    sheet.set_defaults(run=write_sheet)
    for verb in (measuring, sheet):
        verb.add_argument("--height", type=int, default=64, help="of the teacher's crops, pixels")
    options = parser.parse_args()
    return options.run(options)


def measure(options: argparse.Namespace) -> int:
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


def write_sheet(options: argparse.Namespace) -> int:
    numbers = None if options.numbers is None else tuple(options.numbers)
    scenes = read_scenes(DatasetSettings(path=options.data, numbers=numbers), on_error="skip", echo=print)
    chosen = choose(scenes, options)
    model = build_model(read_weights(options.weights)).eval()
    figure = Figure(figsize=(14, 1.05 * len(chosen)), dpi=80, layout="constrained")
    rows = figure.subplots(len(chosen), 2 + 1 + len(SPLITTERS), squeeze=False)
    titles = ("word", "region scores", "even", *SPLITTERS)
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title)
    for row, (scene, word) in zip(rows, chosen, strict=True):
        for axes, (image, caption) in zip(row, row_images(model, scene, word, options.height), strict=True):
            axes.imshow(image)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(caption, fontsize="small")
    figure.savefig(options.out)
    print(f"{options.out}: {len(chosen)} words")
    return 0


def choose(scenes: list[Scene], options: argparse.Namespace) -> list[tuple[Scene, Word]]:
    """Words chosen at random, each with its scene."""
    words = [
        (scene, word) for scene in scenes for word in scene.words if 0 < num_missing_characters(word) <= options.longest
    ]
    chosen = np.random.default_rng(options.seed).permutation(len(words))[: options.words]
    return [words[index] for index in chosen]


def row_images(model: torch.nn.Module, scene: Scene, word: Word, height: int) -> list[tuple[NDArray[np.uint8], str]]:
    """A row's images with their captions."""
    length = num_missing_characters(word)
    scene_image = read_image(scene.image_path)
    frame = reading_frames(word.polygon_xy, length, height=height)[0]
    word_crop = WordCrop(0, 0, 0, length, frame, crop_word(scene_image, frame))
    levels = region_maps(model, [word_crop], torch.device("cpu"), torch.float32)[0]
    crop = enlarged(np.asarray(word_crop.pixels))
    images = [(crop, word.text or ""), (overlay_map(crop, enlarged(levels) / 255.0), "")]
    quads = [split_evenly(word.polygon_xy, word.text or "")]
    captions = [f"{length} characters"]
    for splitter in SPLITTERS:
        found = split_crop(word_crop, levels, splitter)
        quads.append(found.quads_xy)
        captions.append(f"counts {found.num_found}, sure of {found.confidence:.2f}")
    to_crop = np.linalg.inv(frame.matrices[0])
    for quads_xy, caption in zip(quads, captions, strict=True):
        images.append((draw_polygons(crop, ENLARGED * transform_points(quads_xy, to_crop), colour=COLOUR), caption))
    return images


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop, or a map of half its size, at three times the size of the crop."""
    factor = ENLARGED if image.ndim == 3 else 2 * ENLARGED
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))


if __name__ == "__main__":
    sys.exit(main())
