"""Time the teacher's labelling beside the EasyOCR trainer's, word by word, with the same weights on the same words.

    python benchmarks/speed/labelling.py --set data/icdar2015 --numbers 1 1000 --weights WEIGHTS [--easyocr trainer/craft]
        [--words 200] [--runs 5] [--drawn] [--without-network] [--bf16] [--device cuda] [--clock cpu] [--all]

`--easyocr` is the trainer/craft folder of an EasyOCR checkout (it needs scikit-image). Pictures are read before; all
runs are warm and in one thread (the network's threads: `--threads`), and the ways take turns within each run. Checked
first: both ways count the characters of drawn maps right, and replayed maps give ours the labels that the network gives.

split            in: one score map of a word, 64 pixels high, the same array for both; out: boxes of characters in that
                 map. Theirs: the trainer's watershed and boxes. Ours: `split_map` over the whole map.
but the network  in: the picture and the word; out: characters in source pixels and the word's confidence. Theirs: all of
                 build_char_box (perspective crop, resizing to 128 pixels, watershed, boxes, confidence or even split,
                 every box sent back) except inference_word_box, which is given the map of the run before. Ours: all of
                 label_scenes (frames, crops of 128 pixels or the default, batches, splitting, boxes sent back, confidence or
                 even split, new scenes) except region_maps, which is given the maps of the run before.
with the network the same with the network. "at our crops": the trainer's way, one word a pass, is handed our crops, so that
                 the same pixels go through the network.

`--drawn` gives both the ideal map of evenly wide characters where the network is left out, as a good teacher's would be: so
the figure does not depend on the weights. The trainer calls `.cuda()` whatever the device is; on a CPU it is made to do nothing.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from easyocr_teacher import THEIR_HEIGHT, EasyOcr, drawn_map
from numpy.typing import NDArray
from timing import describe, ratios, time_in_turn
from torch import nn

from craft.config import DatasetSettings
from craft.datasets.reading import read_scenes
from craft.images.reader import read_image
from craft.models.device import choose_device, computes_bf16
from craft.models.weights import build_model, read_weights
from craft.scene import Scene
from craft.targets.characters import num_missing_characters
from craft.teacher import crop_batches, labeller
from craft.teacher.crop_batches import WordCrop, reading_frames
from craft.teacher.labeller import label_scenes
from craft.teacher.splitter import split_map


def main() -> int:
    options = arguments()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    device = choose_device(options.device)
    numbers = None if options.numbers is None else (options.numbers[0], options.numbers[1])
    scenes = read_scenes(DatasetSettings(path=options.set, numbers=numbers), on_error="skip", echo=print)
    chosen = first_words(scenes, options.words)
    count = sum(len(scene.words) for scene in chosen)
    if count == 0:
        sys.exit(f"{options.set}: has no words for a teacher to label; give a dataset without characters")
    model = build_model(read_weights(options.weights)).to(device).to(memory_format=torch.channels_last).eval()
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, OpenCV {cv2.__version__}, {device}, "
        f"{options.threads} threads, width {model.width}; {count} words; bfloat16 in hardware: {computes_bf16(device)}; "
        f"{options.clock} time"
    )
    pictures = {scene.image_path: read_image(scene.image_path) for scene in chosen}
    crop_batches.read_image = lambda path: pictures[str(path)]  # both sides are given pixels
    theirs = (
        None if options.easyocr is None else EasyOcr(options.easyocr, model, chosen, pictures, device, options.drawn)
    )
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    heights = tuple(dict.fromkeys((THEIR_HEIGHT, options.height)))
    groups = {"split": splits(theirs, chosen)} if theirs is not None else {}
    groups["but the network"] = {"EasyOCR trainer": theirs.replayed} if theirs is not None else {}
    for height in heights:
        for splitter in ("length", "watershed"):
            replay = Replay(model, chosen, device, height, splitter, options.drawn)
            check_replay(replay, label_scenes(model, chosen, device=device, height=height, splitter=splitter)[0])
            groups["but the network"][f"ours, {splitter}, {height} px"] = replay.run
    if not options.without_network:
        groups["with the network"] = networks(theirs, model, chosen, device, heights, options)
    for name, works in groups.items():
        show(name, time_in_turn(works, rounds=options.runs, device=device, clock=clock), num_words=count)
    if options.all:
        label_all(model, scenes, device, options)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", required=True)
    parser.add_argument("--numbers", type=int, nargs=2)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--easyocr", type=Path, help="trainer/craft of an EasyOCR checkout")
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the network on a CPU")
    parser.add_argument("--workers", type=int, default=0, help="threads of ours beside the network")
    parser.add_argument("--drawn", action="store_true", help="ideal maps where the network is left out")
    parser.add_argument("--without-network", action="store_true", help="leave out what runs the network")
    parser.add_argument("--bf16", action="store_true", help="the network in bfloat16 too")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, for a busy machine"
    )
    parser.add_argument("--all", action="store_true", help="label the whole set once, at --height")
    return parser.parse_args()


def first_words(scenes: list[Scene], count: int) -> list[Scene]:
    """The first scenes with `count` readable words of quads among them."""
    chosen: list[Scene] = []
    for scene in scenes:
        words = tuple(word for word in scene.words if num_missing_characters(word) and len(word.polygon_xy) == 4)[
            :count
        ]
        count -= len(words)
        if words:
            chosen.append(replace(scene, words=words))
        if count == 0:
            break
    return chosen


class Replay:
    """Labels with maps that are there already: neither the network nor the normalising of its input is timed."""

    def __init__(
        self, model: nn.Module, scenes: list[Scene], device: torch.device, height: int, splitter: str, drawn: bool
    ) -> None:
        self._maps: list[NDArray[np.uint8]] = []
        self._calls = 0
        self.drawn = drawn
        self._region_maps = labeller.region_maps
        self._label = lambda: label_scenes(model, scenes, device=device, height=height, splitter=splitter, workers=0)  # type: ignore[arg-type]

    def run(self) -> list[Scene]:
        self._calls = 0
        labeller.region_maps = self._replayed
        try:
            return self._label()[0]
        finally:
            labeller.region_maps = self._region_maps

    def _replayed(self, model: nn.Module, batch: list[WordCrop], *others: Any) -> NDArray[np.uint8]:
        if self._calls == len(self._maps):  # the run that warms up
            self._maps.append(ideal_maps(batch) if self.drawn else self._region_maps(model, batch, *others))
        self._calls += 1
        return self._maps[self._calls - 1]


def ideal_maps(batch: list[WordCrop]) -> NDArray[np.uint8]:
    return np.stack(
        [
            drawn_map(
                (one.frame.size_hw[0] // 2, one.frame.size_hw[1] // 2),
                tuple(side / 2 for side in one.frame.box_xyxy),
                one.length,
                downwards=one.frame.downwards,
            )
            for one in batch
        ]
    )


def check_replay(replay: Replay, expected: list[Scene]) -> None:
    """Replayed maps of the network must label as it does, and drawn ones must be counted right."""
    words = [word for scene in replay.run() for word in scene.words]
    if replay.drawn:
        assert np.mean([word.confidence == 1 for word in words]) > 0.95, "characters of drawn maps are miscounted"
        return
    for word, same in zip(words, (word for scene in expected for word in scene.words), strict=True):
        assert word.confidence == same.confidence
        assert np.array_equal(word.character_quads_xy, same.character_quads_xy)  # type: ignore[arg-type]


def splits(theirs: EasyOcr, scenes: list[Scene]) -> dict[str, Callable[[], object]]:
    """Splitting alone, of one drawn map a word, which everyone must count right."""
    maps = []
    for word in (word for scene in scenes for word in scene.words):
        length = num_missing_characters(word)
        [frame, *_] = reading_frames(word.polygon_xy, 1, height=THEIR_HEIGHT)
        height, width = frame.size_hw[0] // 2, frame.size_hw[1] // 2
        maps.append((drawn_map((height, width), (4, 4, width - 4, height - 4), length), length))
    wide = [(levels, length) for levels, length in maps if levels.shape[1] >= 8 * length]  # others run into each other
    wrong = sum(theirs.split(levels) != length for levels, length in wide)
    for splitter in ("length", "watershed"):
        wrong += sum(
            split_map(levels, box_of(levels), length, splitter=splitter).num_found != length for levels, length in wide
        )
    assert wrong <= 1 + 0.01 * len(wide), f"{wrong} counts of {len(wide)} drawn words are wrong"
    works: dict[str, Callable[[], object]] = {"EasyOCR trainer": lambda: [theirs.split(levels) for levels, _ in maps]}
    for splitter in ("length", "watershed"):
        works[f"ours, {splitter}"] = lambda splitter=splitter: [  # type: ignore[misc]
            split_map(levels, box_of(levels), length, splitter=splitter) for levels, length in maps
        ]
    return works


def box_of(levels: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    return 4.0, 4.0, levels.shape[1] - 4.0, levels.shape[0] - 4.0


def networks(
    theirs: EasyOcr | None,
    model: nn.Module,
    scenes: list[Scene],
    device: torch.device,
    heights: tuple[int, ...],
    options: argparse.Namespace,
) -> dict[str, Callable[[], object]]:
    works: dict[str, Callable[[], object]] = {}
    if theirs is not None:
        works |= {"EasyOCR trainer": theirs.network, "EasyOCR trainer, at our crops of 128 px": theirs.on_our_crops}
    for height in heights:
        for precision in [torch.float32] + [torch.bfloat16] * options.bf16:
            works[f"ours, length, {height} px, {str(precision).removeprefix('torch.')}"] = (
                lambda height=height, precision=precision: label_scenes(  # type: ignore[misc]
                    model, scenes, device=device, precision=precision, height=height, workers=options.workers
                )
            )
    return works


def show(group: str, times: dict[str, list[float]], *, num_words: int) -> None:
    """Medians, and the medians of the ratios within each run to every EasyOCR way."""
    print(group)
    theirs = [name for name in times if name.startswith("EasyOCR")]
    for name, own in times.items():
        line = f"  {name:<42} {describe(own, scale=1e3 / num_words, unit='ms per word', digits=3)}"
        for other in theirs if name not in theirs else ():
            ratio = statistics.median(ratios(times[other], own))
            line += f"  {ratio:6.2f} x {other}"
        print(line, flush=True)


def label_all(model: nn.Module, scenes: list[Scene], device: torch.device, options: argparse.Namespace) -> None:
    crop_batches.read_image = read_image
    precision = torch.bfloat16 if options.bf16 else torch.float32
    start = time.process_time()
    _, counts = label_scenes(
        model, scenes, device=device, precision=precision, height=options.height, workers=options.workers, progress=True
    )
    print(
        f"all {counts.words:,} readable words at {options.height} px, {precision}, pictures read too: {counts.seconds:.1f} s, "
        f"{time.process_time() - start:.1f} s of processor time, {counts.words / counts.seconds:.1f} words/s, "
        f"mean confidence {counts.mean_confidence:.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
