"""Draw how each splitter divides real words, over what the teacher saw: a picture to look at, beside the figures of splitters.py.

    python benchmarks/splitters_sheet.py data/icdar2015 --numbers 1 40 --weights small --out sheet.png [--words 24] [--seed 0]

Words are drawn by lot from those that a teacher labels. A row per word: its crop, the region scores laid over it, and the
crop with the characters by the even split and by each splitter; below, its text, the characters counted without
knowing it, and the confidence.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from splitters import SPLITTERS

from craft.config import DatasetSettings
from craft.datasets.collection import read_scenes
from craft.geometry import transform_points
from craft.images.drawing import draw_polygons, overlay_map
from craft.images.reader import read_image
from craft.models.weights import build_model, read_weights
from craft.scene import Scene, Word
from craft.targets.characters import num_missing_characters, split_evenly
from craft.teacher.crop_batches import WordCrop, reading_frames
from craft.teacher.labeller import region_maps, split_crop
from craft.teacher.word_crops import crop_word

COLOUR = (255, 220, 0)
ENLARGED = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="folder of a labelled set")
    parser.add_argument("--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"), help="scenes used")
    parser.add_argument("--weights", default="small")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    parser.add_argument("--words", type=int, default=24)
    parser.add_argument("--longest", type=int, default=12, help="characters of a word, at most")
    parser.add_argument("--height", type=int, default=64, help="of the teacher's crops, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the lot")
    options = parser.parse_args()
    numbers = None if options.numbers is None else tuple(options.numbers)
    scenes = read_scenes(DatasetSettings(path=options.set, numbers=numbers), on_error="skip", echo=print)
    chosen = choose(scenes, options)
    model = build_model(read_weights(options.weights)).eval()
    figure = Figure(figsize=(14, 1.05 * len(chosen)), dpi=80, layout="constrained")
    rows = figure.subplots(len(chosen), 2 + 1 + len(SPLITTERS), squeeze=False)
    titles = ("word", "region scores", "even", *SPLITTERS)
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title)
    for row, (scene, word) in zip(rows, chosen, strict=True):
        for axes, (picture, caption) in zip(row, drawn(model, scene, word, options.height), strict=True):
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(caption, fontsize="small")
    figure.savefig(options.out)
    print(f"{options.out}: {len(chosen)} words")
    return 0


def choose(scenes: list[Scene], options: argparse.Namespace) -> list[tuple[Scene, Word]]:
    """Words drawn by lot, each with its scene."""
    words = [
        (scene, word) for scene in scenes for word in scene.words if 0 < num_missing_characters(word) <= options.longest
    ]
    lot = np.random.default_rng(options.seed).permutation(len(words))[: options.words]
    return [words[index] for index in lot]


def drawn(model: torch.nn.Module, scene: Scene, word: Word, height: int) -> list[tuple[NDArray[np.uint8], str]]:
    """A row's pictures with what is written below them."""
    length = num_missing_characters(word)
    image = read_image(scene.image_path)
    frame = reading_frames(word.polygon_xy, length, height=height)[0]
    word_crop = WordCrop(0, 0, 0, length, frame, crop_word(image, frame))
    levels = region_maps(model, [word_crop], torch.device("cpu"), torch.float32)[0]
    crop = enlarged(np.asarray(word_crop.pixels))
    pictures = [(crop, word.text or ""), (overlay_map(crop, enlarged(levels) / 255.0), "")]
    quads = [split_evenly(word.polygon_xy, word.text or "")]
    captions = [f"{length} characters"]
    for splitter in SPLITTERS:
        found = split_crop(word_crop, levels, splitter)
        quads.append(found.quads_xy)
        captions.append(f"counts {found.num_found}, sure of {found.confidence:.2f}")
    to_crop = np.linalg.inv(frame.matrices[0])
    for one, caption in zip(quads, captions, strict=True):
        pictures.append((draw_polygons(crop, ENLARGED * transform_points(one, to_crop), colour=COLOUR), caption))
    return pictures


def enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A crop, or a map of half its size, at three times the size of the crop."""
    factor = ENLARGED if picture.ndim == 3 else 2 * ENLARGED
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))


if __name__ == "__main__":
    sys.exit(main())
