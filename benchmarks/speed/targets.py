"""Time the drawing of targets beside the usual way, a warped patch per quad; first, every map must be right.

    python benchmarks/speed/targets.py [--easyocr trainer/craft] [--device cuda]

`--easyocr` is the trainer/craft folder of an EasyOCR checkout, whose own builder of maps is then timed too. It draws
at the input's size and enlarges quads by its own rule, so its maps are not compared with ours.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from timing import describe, quartiles, ratios, time_in_turn

from craft.targets.heatmaps import affinity_quads, draw_targets

INPUT_HW = (720, 1280)
CHARACTERS_PER_WORD = 6
FORMS = {
    "cpu": ("cpu",),
    "cuda": ("triton", "cpu"),
}  # the first is what others are compared to
SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--easyocr", type=Path, help="trainer/craft of an EasyOCR checkout")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15, help="rounds, in each of which every way draws once")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}, OpenCV {cv2.__version__}, one thread, device {options.device}, seed {options.seed}"
    )
    for num_characters in (60, 600, 3000):
        words = random_words(num_characters // CHARACTERS_PER_WORD, np.random.default_rng(options.seed))
        ways: dict[str, Callable[[], object]] = {}
        for form in FORMS[options.device]:
            worst = greatest_difference(words, options.device, form)
            print(
                f"{num_characters} characters, {INPUT_HW[1]} x {INPUT_HW[0]} input, {form}: off by at most {worst:.1e}"
            )
            if worst > 1e-5:
                print("the maps differ from the closed form: nothing is timed", file=sys.stderr)
                return 1
            ways[f"ours, {form}, maps and confidence at half size"] = drawing(words, options.device, form)
        ways["a patch warped per quad at half size"] = partial(draw_warped, words)
        if options.easyocr:
            ways["EasyOCR trainer, full size"] = easyocr_drawing(options.easyocr, words)
        # Processor time: waiting for other programs on the machine does not count.
        clock = time.process_time if options.device == "cpu" else time.perf_counter
        show(time_in_turn(ways, rounds=options.repeats, warm_up=2, device=options.device, clock=clock))
    return 0


def random_words(num_words: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """(W, 6, 4, 2) characters in input pixels, turned a little and pushed out of shape."""
    words = []
    for _ in range(num_words):
        width, height, angle = generator.uniform(12, 22), generator.uniform(20, 36), generator.normal(0, 0.2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        left = np.arange(CHARACTERS_PER_WORD)[:, None, None] * [1.0, 0.0] * width
        characters = left + (SQUARE + 1) / 2 * [width, height] + generator.normal(0, 0.5, (CHARACTERS_PER_WORD, 4, 2))
        corner = generator.uniform([40, 40], [INPUT_HW[1] - 160, INPUT_HW[0] - 90])
        words.append(characters @ turn + corner)
    return np.array(words, dtype=np.float32)


def drawing(words: NDArray[np.float32], device: str, form: str) -> Callable[[], torch.Tensor]:
    """Ours, with every third word don't care and every third half trusted, so that all parts have work."""
    count = len(words)
    confidence = np.ones(count, dtype=np.float32)
    confidence[1::3] = 0.5
    strips = np.stack([words[:, 0, 0], words[:, -1, 1], words[:, -1, 2], words[:, 0, 3]], axis=1)
    covers = np.concatenate([strips, strips[::3]])  # words from count on are don't care and have no characters
    arrays = (
        words.reshape(-1, 4, 2),
        np.repeat(np.arange(count), CHARACTERS_PER_WORD),
        covers,
        np.arange(len(covers)),
        np.zeros(len(covers), dtype=np.int64),
        np.concatenate([confidence, np.zeros(len(covers) - count, dtype=np.float32)]),
    )
    size_hw = INPUT_HW[0] // 2, INPUT_HW[1] // 2
    return lambda: draw_targets(*arrays, batch_size=1, map_size_hw=size_hw, device=device, painter=form).maps


def enlarged_map_quads(words: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Region quads and affinity quads, enlarged, in map pixels."""
    characters = words.reshape(-1, 4, 2) / 2.0
    between, _ = affinity_quads(characters, np.repeat(np.arange(len(words)), CHARACTERS_PER_WORD))
    return [enlarged(characters), enlarged(between)]


def enlarged(quads: NDArray[np.floating]) -> NDArray[np.float64]:
    """Quads (N, 4, 2) with their corners moved away from where the diagonals cross, by a factor of 1.5."""
    sides = np.stack([quads[:, 2] - quads[:, 0], quads[:, 1] - quads[:, 3]], axis=2)
    share = np.linalg.solve(sides, (quads[:, 1] - quads[:, 0])[..., None])[:, :1, 0]
    centres = (quads[:, 0] + share * (quads[:, 2] - quads[:, 0]))[:, None]
    return centres + 1.5 * (quads - centres)


def greatest_difference(words: NDArray[np.float32], device: str, form: str) -> float:
    """Ours against the closed form in float64, quad by quad; the disc's very edge, where it jumps, is left out."""
    maps = drawing(words, device, form)()[0].cpu().numpy()
    height, width = maps.shape[1:]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    worst = 0.0
    for drawn, quads in zip(maps, enlarged_map_quads(words), strict=True):
        expected, edge = np.zeros((height, width)), np.zeros((height, width), dtype=bool)
        for quad in quads:
            low = np.maximum(np.floor(quad.min(axis=0)).astype(int), 0)
            high = np.ceil(quad.max(axis=0)).astype(int)
            part = np.s_[low[1] : high[1], low[0] : high[0]]
            inverse = to_square(quad)
            u, v, w = np.einsum("ij,jyx->iyx", inverse, np.stack([columns[part], rows[part], np.ones_like(rows[part])]))
            squared_radius = (u**2 + v**2) / w**2
            value = np.where(squared_radius <= 1, np.exp(-squared_radius / 0.32), 0)
            expected[part] = np.maximum(expected[part], value)
            edge[part] |= np.abs(squared_radius - 1) < 1e-5
        worst = max(worst, float(np.abs(drawn - expected)[~edge].max()))
    return worst


def to_square(quad: NDArray[np.float64]) -> NDArray[np.float64]:
    """The homography that sends a quad's corners to those of the square, from its eight linear equations."""
    rows = []
    for (x, y), (u, v) in zip(quad, SQUARE, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.append(np.linalg.solve(np.array(rows), SQUARE.ravel()), 1.0).reshape(3, 3)


def draw_warped(words: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The usual way, as lean as OpenCV allows: a 200 x 200 patch warped into every quad's box, the larger value kept."""
    axis = (np.arange(200) + 0.5 - 100) / 100
    squared_radius = axis[:, None] ** 2 + axis[None] ** 2
    patch = np.where(squared_radius <= 1, np.exp(-squared_radius / 0.32), 0).astype(np.float32)
    corners = np.float32([[0, 0], [200, 0], [200, 200], [0, 200]])
    height, width = INPUT_HW[0] // 2, INPUT_HW[1] // 2
    maps = []
    for quads in enlarged_map_quads(words):
        drawn = np.zeros((height, width), dtype=np.float32)
        for quad in quads:
            low = np.maximum(np.floor(quad.min(axis=0)).astype(int), 0)
            size = np.minimum(np.ceil(quad.max(axis=0)).astype(int), [width, height]) - low
            matrix = cv2.getPerspectiveTransform(corners, np.float32(quad - low))
            warped = cv2.warpPerspective(patch, matrix, (int(size[0]), int(size[1])))
            part = drawn[low[1] : low[1] + size[1], low[0] : low[0] + size[0]]
            np.maximum(part, warped, out=part)
        maps.append(drawn)
    return maps


def easyocr_drawing(checkout: Path, words: NDArray[np.float32]) -> Callable[[], object]:
    sys.path.insert(0, str(checkout))
    builder = importlib.import_module("data.gaussian").GaussianBuilder(200, 40, [0.5, 0.5], [0.5, 0.5])
    horizontal = [True] * len(words)

    def run() -> object:
        region = builder.generate_region(*INPUT_HW, list(words), horizontal)
        return region, builder.generate_affinity(*INPUT_HW, list(words), horizontal)

    return run


def show(times: dict[str, list[float]]) -> None:
    first = next(iter(times.values()))
    for name, own in times.items():
        relative = ratios(own, first)
        print(
            f"  {name:<48} median {describe(own)}, {statistics.median(relative):6.1f} times the first "
            f"({quartiles(relative, digits=1)} in half of the rounds)"
        )


if __name__ == "__main__":
    sys.exit(main())
