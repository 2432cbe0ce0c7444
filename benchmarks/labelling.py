"""Time the teacher's labelling beside the EasyOCR trainer's, word by word, with the same weights on the same words.

    python benchmarks/labelling.py --set data/icdar2015 --numbers 1 1000 --weights WEIGHTS [--easyocr trainer/craft]
        [--words 200] [--runs 5] [--device cuda] [--bf16]

`--easyocr` is the trainer/craft folder of an EasyOCR checkout. Two figures per word: everything but the network (pictures
read before; crops, maps split, quads sent back), and all of it. Ours is timed at the trainer's height of 128 pixels, and at
the default. Where the device computes in bfloat16, `--bf16` adds it. `--all` labels every readable word of the set once.
The trainer's code calls `.cuda()` whatever the device is; on a CPU that call is made to do nothing.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from craft.config import SetSettings
from craft.datasets.images import read_image
from craft.models.device import choose_device, computes_bf16
from craft.models.weights import build_model, read_weights
from craft.scene import Scene
from craft.training import crops, teacher
from craft.training.crops import teachable_length
from craft.training.scenes import read_scenes
from craft.training.teacher import label_scenes

THEIR_HEIGHT = 128


def main() -> int:
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
    parser.add_argument("--workers", type=int, default=1, help="threads of ours beside the network")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: processor time of all threads, for a busy machine",
    )
    parser.add_argument("--all", action="store_true", help="label the whole set once")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    cv2.setNumThreads(1)
    device = choose_device(options.device)
    numbers = None if options.numbers is None else (options.numbers[0], options.numbers[1])
    scenes = read_scenes(SetSettings(path=options.set, numbers=numbers), on_error="skip", say=print)
    chosen = first_words(scenes, options.words)
    count = sum(bool(teachable_length(word)) for scene in chosen for word in scene.words)
    model = build_model(read_weights(options.weights)).to(device).to(memory_format=torch.channels_last).eval()
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, OpenCV {cv2.__version__}, {device}, "
        f"{options.threads} threads, width {model.width}; {count} words; bfloat16 in hardware: {computes_bf16(device)}"
    )
    pictures = {scene.image_path: read_image(scene.image_path) for scene in chosen}
    crops.read_image = lambda path: pictures[str(path)]  # both sides are given pixels
    baseline: dict[str, list[float]] = {}
    if options.easyocr is not None:
        theirs = easyocr_labelling(options.easyocr, model, chosen, pictures, device)
        for name, network in (("without the network", False), ("with the network", True)):
            baseline[name] = measure(lambda network=network: theirs(network), options.runs, count, device, clock)
            show(f"EasyOCR trainer, {name}", baseline[name], baseline[name])
    precisions = [torch.float32] + [torch.bfloat16] * options.bf16
    for height in dict.fromkeys((THEIR_HEIGHT, options.height)):
        for splitter in ("length", "watershed"):
            replay = Replay(model, chosen, device, height, splitter)
            times = measure(replay.run, options.runs, count, device, clock)
            show(f"ours, {splitter}, {height} px, without the network", times, baseline.get("without the network"))
        for precision in precisions:
            work = labelling(model, chosen, device, precision, height, options.workers)
            name = f"ours, length, {height} px, {str(precision).removeprefix('torch.')}, with the network"
            show(name, measure(work, options.runs, count, device, clock), baseline.get("with the network"))
    if options.all:
        crops.read_image = read_image
        precision = precisions[-1]
        _, counts = label_scenes(
            model,
            scenes,
            device=device,
            precision=precision,
            height=options.height,
            workers=options.workers,
            progress=True,
        )
        print(
            f"all {counts.words:,} readable words, pictures read too: {counts.seconds:.1f} s, "
            f"{counts.words / counts.seconds:.1f} words/s, mean confidence {counts.mean_confidence:.3f}"
        )
    return 0


def first_words(scenes: list[Scene], count: int) -> list[Scene]:
    """The first scenes with `count` readable words of quads among them."""
    chosen: list[Scene] = []
    for scene in scenes:
        words = tuple(word for word in scene.words if teachable_length(word) and len(word.polygon_xy) == 4)[:count]
        count -= len(words)
        if words:
            chosen.append(replace(scene, words=words))
        if count == 0:
            break
    return chosen


class Replay:
    """Labels with the maps that the network gave before: neither it nor the normalising of its input is timed."""

    def __init__(self, model: nn.Module, scenes: list[Scene], device: torch.device, height: int, splitter: str) -> None:
        self._maps: list[NDArray[np.uint8]] = []
        self._calls = 0
        self._region_maps = teacher.region_maps
        self._label = lambda: label_scenes(model, scenes, device=device, height=height, splitter=splitter)  # type: ignore[arg-type]

    def run(self) -> None:
        self._calls = 0
        teacher.region_maps = self._replayed
        try:
            self._label()
        finally:
            teacher.region_maps = self._region_maps

    def _replayed(self, *call: object) -> NDArray[np.uint8]:
        if self._calls == len(self._maps):  # the run that warms up
            self._maps.append(self._region_maps(*call))  # type: ignore[arg-type]
        self._calls += 1
        return self._maps[self._calls - 1]


def labelling(
    model: nn.Module, scenes: list[Scene], device: torch.device, precision: torch.dtype, height: int, workers: int
) -> Callable[[], object]:
    return lambda: label_scenes(model, scenes, device=device, precision=precision, height=height, workers=workers)


def easyocr_labelling(
    checkout: Path, model: nn.Module, scenes: list[Scene], pictures: dict[str, NDArray[np.uint8]], device: torch.device
) -> Callable[[bool], None]:
    """Their builder of characters; without the network it is given the map that the network gave for the word before."""
    sys.path.insert(0, str(checkout))
    builder = importlib.import_module("data.pseudo_label.make_charbox").PseudoCharBoxBuilder(
        types.SimpleNamespace(version="skimage"), None, False, None
    )
    if device.type == "cpu":
        Tensor.cuda = lambda self, *_arguments, **_names: self  # type: ignore[method-assign]
    network = TheirShape(model)
    infer, scores = builder.inference_word_box, {}

    def run(with_network: bool) -> None:
        for scene in scenes:
            for index, word in enumerate(scene.words):
                key = (scene.name, index)
                if not with_network:
                    if key not in scores:
                        builder.inference_word_box = lambda *call, key=key: scores.setdefault(key, infer(*call))
                        builder.build_char_box(
                            network, 0, pictures[scene.image_path], word.polygon_xy.copy(), word.text
                        )
                    builder.inference_word_box = lambda *_call, key=key: scores[key]
                else:
                    builder.inference_word_box = infer
                builder.build_char_box(network, 0, pictures[scene.image_path], word.polygon_xy.copy(), word.text)

    return run


class TheirShape(nn.Module):
    """The network with the maps' axes as their code has them, (B, H, W, 2)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        return self.model(images)[0].permute(0, 2, 3, 1), None


def measure(
    work: Callable[[], object], runs: int, words: int, device: torch.device, clock: Callable[[], float]
) -> list[float]:
    """Milliseconds per word of each run, after one that warms up."""
    times = []
    for index in range(runs + 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if index:
            times.append(1e3 * (clock() - start) / words)
    return times


def show(name: str, times: list[float], baseline: list[float] | None) -> None:
    median = statistics.median(times)
    ratio = (
        "" if baseline is None else f"  {statistics.median(baseline) / median:6.2f} x as fast as the EasyOCR trainer"
    )
    print(f"  {name:<62} {median:8.3f} ms a word ({min(times):.3f} to {max(times):.3f}){ratio}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
