"""Words of a 12,000 x 10,000 image made of real scenes, beside those found in each scene alone; seconds and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/speed/large_image.py --images SCENES --labels LABELS --alone FOLDER [--aligned]

FOLDER holds the JSON files of `craft detect SCENES --out FOLDER` with the same weights. 117 scenes of 1280 x 720, or another --grid, stand
side by side, in rows 720 pixels apart. With --aligned, rows stand 768 pixels apart, so that at 1.25 times the size every scene
has the offset to the network's stride of 32 that it has alone. Words are matched at IoU above 0.5.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch

from craft.datasets.icdar import FORMATS
from craft.detection.detector import Detector
from craft.evaluation.iou import evaluate_image
from craft.images.reader import read_image

SCENE_HW, ALIGNED = (720, 1280), 768


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--images", type=Path, required=True, help="folder of img_N.jpg")
    parser.add_argument("--labels", type=Path, required=True, help="folder of gt_img_N.txt, as in ICDAR2015")
    parser.add_argument("--alone", type=Path, required=True, help="folder of img_N.json, from craft detect")
    parser.add_argument("--grid", type=int, nargs=2, default=(13, 9), help="rows and columns of scenes")
    parser.add_argument("--aligned", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, columns = options.grid
    corners = {
        1 + row * columns + column: (column * SCENE_HW[1], row * (ALIGNED if options.aligned else SCENE_HW[0]))
        for row in range(rows)
        for column in range(columns)
    }
    sheet = np.zeros((rows * ALIGNED + 16, columns * SCENE_HW[1] + 480, 3), np.uint8)
    for number, (left, top) in corners.items():
        scene = read_image(options.images / f"img_{number}.jpg")
        sheet[top : top + SCENE_HW[0], left : left + SCENE_HW[1]] = scene
    detector = Detector.from_weights(options.weights, device="cpu")
    start = time.process_time()
    found = detector.detect(sheet)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{detector!r}: {len(found)} words at scales {found.scales}, {seconds:.0f} s of processor time, peak {peak:,.0f} MiB"
    )
    compare(found.quads_xy, corners, options)


def compare(quads_xy: np.ndarray, corners: dict[int, tuple[int, int]], options: argparse.Namespace) -> None:
    """Print how many words of each scene alone come back, and how many labelled words either way finds."""
    alone, words, ignored = [], [], []
    read = next(entry.layout for entry in FORMATS if entry.name == "icdar2015").read_label_file
    for number, corner in corners.items():
        content = json.loads((options.alone / f"img_{number}.json").read_text())
        alone += [np.array(word["quad"], np.float64) + corner for word in content["words"]]
        for word in read(options.labels / f"gt_img_{number}.txt")[0]:
            words.append(word.polygon_xy + np.array(corner, np.float32))
            ignored.append(word.dont_care)
    back = evaluate_image(alone, [False] * len(alone), quads_xy).truth_credit
    print(f"found alone {len(alone)}, of these found in the sheet {back:.0f} ({back / len(alone):.1%})")
    before, after = (
        {index for match in evaluate_image(words, ignored, found).matches for index in match.truth}
        for found in (alone, quads_xy)
    )
    print(
        f"of {len(ignored) - sum(ignored)} labelled words, found alone {len(before)}, in the sheet {len(after)}, "
        f"both {len(before & after)} ({len(before & after) / len(before):.1%})"
    )


if __name__ == "__main__":
    main()
