"""Words of a 12,000 x 10,000 image made of real scenes, beside those found in each scene alone; seconds and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/speed/large_image.py --images SCENES --labels LABELS --alone FOLDER [--aligned]

FOLDER holds the JSON files of `craft detect SCENES --out FOLDER` with the same weights. 117 scenes of 1280 x 720 stand side
by side, in rows 720 pixels apart. With --aligned, rows stand 768 pixels apart, so that at 1.25 times the size every scene
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

COLUMNS, ROWS = 9, 13
SCENE_HW, SHEET_HW = (720, 1280), (10_000, 12_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--images", type=Path, required=True, help="folder of img_N.jpg")
    parser.add_argument("--labels", type=Path, required=True, help="folder of gt_img_N.txt, as in ICDAR2015")
    parser.add_argument("--alone", type=Path, required=True, help="folder of img_N.json, from craft detect")
    parser.add_argument("--aligned", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    corners = {
        1 + row * COLUMNS + column: (column * SCENE_HW[1], row * (768 if options.aligned else SCENE_HW[0]))
        for row in range(ROWS)
        for column in range(COLUMNS)
    }
    sheet = np.zeros((*SHEET_HW, 3), np.uint8)
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
    for name, found in (("alone", alone), ("in the sheet", list(quads_xy))):
        score = evaluate_image(words, ignored, found)
        print(f"labelled words found {name}: {score.truth_credit:.0f} of {len(ignored) - sum(ignored)}")


if __name__ == "__main__":
    main()
