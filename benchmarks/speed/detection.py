"""Processor time of `craft detect` over a folder, with JSON and drawings, beside that of the network in it.

    OMP_NUM_THREADS=1 python benchmarks/speed/detection.py --images SCENES --numbers 1 200 --out FOLDER

Reading, decoding, drawing and writing run in other threads and in the same one; all of it counts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from craft.detection.detector import Detector
from craft.detection.export import detect_paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--images", type=Path, required=True, help="folder of img_N.jpg")
    parser.add_argument("--numbers", type=int, nargs=2, default=(1, 200))
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    detector = Detector.from_weights(options.weights, device="cpu")
    run, inside = detector._run, []

    def timed(pixels: np.ndarray):
        start = time.thread_time()  # the network computes in the calling thread alone
        maps = run(pixels)
        inside.append(time.thread_time() - start)
        return maps

    detector._run = timed  # type: ignore[method-assign]
    paths = [options.images / f"img_{number}.jpg" for number in range(options.numbers[0], options.numbers[1] + 1)]
    start = time.process_time()
    done = detect_paths(detector, paths, options.out, draw=True, progress=False)
    total = time.process_time() - start
    print(
        f"{detector!r}: {done.num_images} images, {done.num_words} words, {total / len(paths):.3f} s of processor time an "
        f"image, network {sum(inside) / len(paths):.3f} s: {total / sum(inside):.3f} times"
    )


if __name__ == "__main__":
    main()
