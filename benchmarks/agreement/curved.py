"""Compare our protocol for polygons with the script of the TIoU authors for Total-Text and CTW1500, image by image.

    python benchmarks/agreement/curved.py CHECKOUT [--cases 2000] [--seed 0]
        [--truth FOLDER --format totaltext --detections FOLDER]

CHECKOUT is Yuliang-Liu/TIoU-metric; its curved-tiou/script.py, the organisers' script for polygons of any number of
corners, is run under Python 3 with the few changes that this takes. It needs the package Polygon3, which is for
non-commercial use: install it beside, not into the project's environment.

Compared are every image's precision, recall and H-mean at IoU > 0.5, its pairs and its ignored detections. Set apart and
counted: images with polygons that cross themselves, and with an overlap of exactly one half. Random cases are words bent
around an arc with 4 to 14 corners, found nearly, in part, together or twice, some of them don't care.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import tempfile
import types
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from craft.config import DatasetSettings
from craft.datasets.reading import read_truth
from craft.evaluation import iou
from craft.evaluation.evaluate import read_paired
from craft.evaluation.protocols import round_detections
from craft.geometry import is_simple, signed_area

Image = tuple[list[np.ndarray], list[bool], list[np.ndarray]]
PYTHON_3 = (
    (r"\.iteritems\(\)", ".items()"),
    (r"\bxrange\b", "range"),
    (r"(inp|num_points)/2", r"\1//2"),
    (r"from StringIO import", "from io import"),
    (r"except Exception, e", "except Exception as e"),
    (r"(\n +recall = float\(1\))", r"\1; iouRecall = iouPrecision = 0.0"),  # else unknown where no word counts
    (r"print ('SUCCESS'|str\(e\))", "pass"),
)


def load(checkout: Path) -> Any:
    """Import the two modules of the script, each changed where Python 3 differs."""
    for name in ("rrc_evaluation_funcs", "script"):
        text = (checkout / f"curved-tiou/{name}.py").read_text(encoding="utf-8")
        for old, new in PYTHON_3:
            text = re.sub(old, new, text)
        sys.modules[name] = module = types.ModuleType(name)
        exec(compile(text, name, "exec"), module.__dict__)
    return sys.modules["script"]


def random_image(generator: np.random.Generator) -> Image:
    words = [bent_word(generator) for _ in range(generator.integers(0, 6))]
    words = [word for word in words if is_usable(word)]
    found = []
    for word in words:
        half = len(word) // 2
        kind = generator.integers(0, 5)
        if kind == 0:  # cut where there are corners to cut at, else found twice
            middle = max(1, half // 2)
            found += [np.concatenate([word[: middle + 1], word[-middle - 1 :]]), word]
        elif kind < 4:
            found.append(word + generator.integers(-4, 5, word.shape))
    found += [bent_word(generator) for _ in range(generator.integers(0, 2))]
    flags = (generator.random(len(words)) < 0.3).tolist()
    return words, flags, [polygon for polygon in found if is_usable(polygon)]


def bent_word(generator: np.random.Generator) -> np.ndarray:
    columns = generator.integers(2, 8)
    radius, height = generator.uniform(40, 200), generator.uniform(8, 30)
    angles = generator.uniform(0, 2 * np.pi) + np.linspace(0, generator.uniform(20, 150) / radius, columns)
    outer, inner = ((r * np.stack([np.cos(angles), np.sin(angles)], axis=1)) for r in (radius + height, radius))
    return np.rint(np.concatenate([outer, inner[::-1]]) + generator.uniform(0, 400, 2)).astype(np.int64)


def is_usable(polygon: np.ndarray) -> bool:
    return signed_area(polygon) > 0 and is_simple(polygon)


def real_images(options: argparse.Namespace) -> list[Image]:
    scenes = read_truth(DatasetSettings(path=options.truth, format=options.format))
    files, _ = read_paired(scenes, options.detections, protocol="polygons")
    return [
        (
            [round_detections(word.polygon_xy) for word in scene.words],
            [word.dont_care for word in scene.words],
            [round_detections(polygon) for polygon in file.polygons_xy],
        )
        for scene, file in zip(scenes, files, strict=True)
    ]


def set_apart(image: Image) -> str:
    words, _, found = image
    if not all(map(is_usable, words + found)):
        return "crossing sides"
    for word in map(shapely.Polygon, words):
        shared = shapely.area(shapely.intersection(word, [shapely.Polygon(polygon) for polygon in found]))
        areas = np.array([shapely.Polygon(polygon).area for polygon in found])
        for share in (shared / areas, shared / (areas + word.area - shared)):
            if (abs(share - 0.5) < 1e-9).any():
                return "an overlap of one half"
    return ""


def numbers(polygon: np.ndarray) -> str:
    return ",".join(map(str, polygon[::-1].ravel()))  # the script wants corners counter-clockwise on the screen


def theirs(script: Any, image: Image, folder: Path) -> tuple[Any, ...]:
    words, flags, found = image
    lines = [f"{numbers(w)},{'###' if flag else 'a'}" for w, flag in zip(words, flags, strict=True)]
    for name, rows in (("total-text-gt.zip", lines), ("found.zip", list(map(numbers, found)))):
        with zipfile.ZipFile(folder / name, "w") as file:
            file.writestr("poly_gt_img1.txt" if "gt" in name else "img1.txt", "\n".join(rows))
    sys.argv[1:] = ["-g=total-text-gt.zip"]
    parameters = script.default_evaluation_params()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(folder):
        sample = script.evaluate_method("total-text-gt.zip", "found.zip", parameters)["per_sample"]["1"]
    pairs = [(pair["gt"], pair["det"]) for pair in sample["pairs"]]
    return sample["precision"], sample["recall"], sample["hmean"], pairs, sorted(sample["detDontCare"])


def ours(image: Image) -> tuple[Any, ...]:
    score = iou.evaluate_image(*image)
    pairs = [(match.truth[0], match.detections[0]) for match in score.matches]
    return score.precision, score.recall, score.hmean, pairs, list(score.ignored_detections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truth")
    parser.add_argument("--format")
    parser.add_argument("--detections")
    options = parser.parse_args()
    script, generator = load(options.checkout), np.random.default_rng(options.seed)
    images = real_images(options) if options.truth else [random_image(generator) for _ in range(options.cases)]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(images):
            wanted, found, apart = theirs(script, image, Path(folder)), ours(image), set_apart(image)
            counts[f"{apart or 'clear'}: {'agree' if wanted == found else 'differ'}"] += 1
            counts["words"] += len(image[0])
            counts["detections"] += len(image[2])
            counts["matched"] += len(found[3])
            counts["ignored"] += len(found[4])
            if wanted != found and not apart:
                print(f"image {number}: ours {found}, theirs {wanted}")
    print(f"{len(images)} images; " + ", ".join(f"{key} {count}" for key, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
