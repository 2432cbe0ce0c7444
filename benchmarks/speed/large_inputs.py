"""Words that the default settings find in a rendered map and in photographs of a phone's size; seconds and peak memory.

    OMP_NUM_THREADS=1 python benchmarks/speed/large_inputs.py --images SCENES --labels LABELS --numbers 901 906

The map has 6,000 x 4,500 pixels, contour lines, roads and 160 names in DejaVu fonts of 14 to 48 pixels at any angle up to
60 degrees. The photographs are ICDAR2015's scenes enlarged to 4032 x 2268. Words are matched at IoU above 0.5.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from craft.datasets.icdar import FORMATS
from craft.detection.detector import Detector
from craft.evaluation.iou import evaluate_image
from craft.images.reader import read_image

FONT = Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
MAP_HW = (4500, 6000)
PHOTO_WH = (4032, 2268)
NAMES = [
    "Oberau",
    "Kirchberg",
    "Lindenhof",
    "Steinach",
    "Waldeck",
    "Mühlbach",
    "Neustadt",
    "Hochalm",
    "Rosenau",
    "Talheim",
    "Seefeld",
    "Brunn",
]


def render_map(generator: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """A map (H, W, 3) and the quads of its names."""
    pixels = np.full((*MAP_HW, 3), (236, 240, 226), np.uint8)
    rough = cv2.resize(generator.normal(size=(12, 16)).astype(np.float32), MAP_HW[::-1], interpolation=cv2.INTER_CUBIC)
    for level in np.arange(-2, 2, 0.12):
        lines, _ = cv2.findContours((rough > level).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(pixels, lines, -1, (190, 160, 120), 2, cv2.LINE_AA)
    for _ in range(12):
        points = np.cumsum(generator.normal(0, 500, (14, 2)), axis=0) + generator.uniform(0, MAP_HW[::-1])
        cv2.polylines(pixels, [points.astype(np.int32)], False, (120, 120, 130), 7, cv2.LINE_AA)
    quads: list[np.ndarray] = []
    taken = np.zeros(MAP_HW, bool)
    while len(quads) < 160:
        font = ImageFont.truetype(str(FONT), int(generator.integers(14, 49)))
        name = NAMES[generator.integers(len(NAMES))]
        box = np.array(font.getbbox(name), np.float64)
        width, height = box[2:] - box[:2]
        angle = np.radians(generator.uniform(-60, 60) if generator.random() < 0.5 else 0.0)
        centre = generator.uniform((200, 200), (MAP_HW[1] - 200, MAP_HW[0] - 200))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        quad = 0.5 * np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) @ turn + centre
        area = np.s_[
            int(quad[:, 1].min()) - 9 : int(quad[:, 1].max()) + 9, int(quad[:, 0].min()) - 9 : int(quad[:, 0].max()) + 9
        ]
        if taken[area].any():
            continue
        taken[area] = True
        side = 2 * int(np.hypot(width, height) / 2 + 4)
        label = Image.new("L", (side, side))
        ImageDraw.Draw(label).text((0.5 * side, 0.5 * side) - box[:2] - 0.5 * (box[2:] - box[:2]), name, 255, font)
        drawn = np.array(label.rotate(-np.degrees(angle), Image.Resampling.BICUBIC), np.float32)[:, :, None] / 255
        left, top = np.round(centre - 0.5 * side).astype(int)
        part = pixels[top : top + side, left : left + side]
        part[:] = part * (1 - drawn) + np.array((40, 30, 30)) * drawn
        quads.append(quad.astype(np.float32))
    return pixels, quads


def report(name: str, detector: Detector, images: list[tuple[np.ndarray, list, list[bool]]]) -> None:
    """Print a row of the table for images with their words' polygons and don't-care flags."""
    there = found = false = 0.0
    start = time.process_time()
    for pixels, words, ignored in images:
        score = evaluate_image(words, ignored, detector.detect(pixels).quads_xy)
        there += len(ignored) - sum(ignored)
        found += score.truth_credit
        false += score.num_detections - score.truth_credit
    seconds = (time.process_time() - start) / len(images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {there:.0f} | {found:.0f} | {false:.0f} | {seconds:.1f} | {peak:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of img_N.jpg")
    parser.add_argument("--labels", type=Path, required=True, help="folder of gt_img_N.txt, as in ICDAR2015")
    parser.add_argument("--numbers", type=int, nargs=2, default=(901, 906))
    options = parser.parse_args()
    torch.set_num_threads(1)
    read = next(entry.layout for entry in FORMATS if entry.name == "icdar2015").read_label_file
    photos = []
    for number in range(options.numbers[0], options.numbers[1] + 1):
        image = read_image(options.images / f"img_{number}.jpg")
        words = read(options.labels / f"gt_img_{number}.txt")[0]
        larger = cv2.resize(image, PHOTO_WH, interpolation=cv2.INTER_CUBIC)
        scale = PHOTO_WH[0] / image.shape[1]
        photos.append((larger, [word.polygon_xy * scale for word in words], [word.dont_care for word in words]))
    detector = Detector.from_weights("small", device="cpu")
    print("| input | words there | found | false | s | MiB |\n| --- | --- | --- | --- | --- | --- |")
    report(f"{len(photos)} photographs 4032 x 2268", detector, photos)
    pixels, quads = render_map(np.random.default_rng(0))
    for sizing in ("original", "auto"):
        report(
            f"map 6000 x 4500, {sizing}",
            Detector.from_weights("small", device="cpu", sizing=sizing),
            [(pixels, quads, [False] * len(quads))],
        )


if __name__ == "__main__":
    main()
