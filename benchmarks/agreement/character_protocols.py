"""Compare our TedEval and CLEval with their authors' code on random images and, if given, on a dataset.

    python benchmarks/agreement/character_protocols.py --tedeval CHECKOUT --cleval CHECKOUT [--cases 3000] [--seed 0]
        [--truth FOLDER --format icdar2015 --detections FOLDER]

The checkouts are clovaai/TedEval and clovaai/CLEval; both need the package `Polygon3`, which is for non-commercial use:
install it beside, not into the project's environment.

Compared are the credits and counts of every image (within 1e-9; CLEval's are whole). Set apart and counted: images in
which a character's centre lies on the border of a detection, which the authors' library puts inside on two sides and
outside on the others; images in which a share is a threshold to the last digits; and polygons that cross themselves.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import tempfile
import types
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rrc import random_image

from craft.config import DatasetSettings
from craft.datasets.reading import read_truth
from craft.evaluation import cleval, tedeval
from craft.evaluation.evaluate import read_paired
from craft.evaluation.iou import repaired_geometries
from craft.evaluation.protocols import round_detections
from craft.evaluation.pseudo_characters import character_centres
from craft.geometry import is_simple

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NEAR = 1e-9


@dataclass(frozen=True)
class Image:
    """Whole-numbered quads of words and detections, and the words' texts."""

    words: list[np.ndarray]
    texts: list[str]
    detections: list[np.ndarray]

    @property
    def dont_care(self) -> list[bool]:
        return [text == "###" for text in self.texts]

    def arguments(self) -> tuple[Any, ...]:
        counts = [None if text == "###" else len(text) for text in self.texts]
        return self.words, self.dont_care, self.detections, counts


def random_case(generator: np.random.Generator) -> Image:
    size = int(generator.choice([40, 200, 1280]))
    words, dont_care, detections, _ = random_image(generator, size, False)
    texts = [
        "###" if flag else "".join(generator.choice(list(LETTERS), generator.integers(1, 12))) for flag in dont_care
    ]
    detections = list(detections or [])
    for word in words:  # cut words in two, and merge neighbours, which random quads seldom do
        kind = generator.integers(0, 4)
        middle_top, middle_bottom = (word[0] + word[1]) // 2, (word[3] + word[2]) // 2
        if kind == 0:
            detections += [np.array([word[0], middle_top, middle_bottom, word[3]])]
            detections += [np.array([middle_top, word[1], word[2], middle_bottom])]
        elif kind == 1:
            detections.append(np.array([word[0], 2 * word[1] - word[0], 2 * word[2] - word[3], word[3]]))
    return Image(words, texts, detections)


def real_cases(options: argparse.Namespace) -> list[Image]:
    settings = DatasetSettings(path=options.truth, format=options.format)
    scenes = read_truth(settings)
    files, _ = read_paired(scenes, options.detections, protocol="icdar2015")
    return [
        Image(
            [round_detections(word.polygon_xy) for word in scene.words],
            [
                "###" if word.dont_care else (word.text or "a").replace('"', "x").replace(",", "x")
                for word in scene.words
            ],
            [round_detections(polygon) for polygon in file.polygons_xy],
        )
        for scene, file in zip(scenes, files, strict=True)
    ]


def unclear(image: Image, protocol: str) -> str:
    """Why an image is set apart; "" where it is compared."""
    everything = image.words + image.detections
    if not all(is_simple(polygon) for polygon in everything):
        return "crossing sides"
    detections, _ = repaired_geometries(image.detections, "detection")
    words, _ = repaired_geometries(image.words, "word")
    for index, (word, text) in enumerate(zip(image.words, image.texts, strict=True)):
        tall = tedeval._is_tall(word) if protocol == "tedeval" else cleval._width_to_height(word) < 0.5
        ratio = cleval._width_to_height(word)
        count = cleval._length(max(ratio, 1 / ratio)) if text == "###" else len(text)
        points = shapely.points(character_centres(word, count, downwards=tall))
        borders = shapely.boundary(detections)
        cut = shapely.boundary(words[np.array(image.dont_care, dtype=bool)]) if protocol == "tedeval" else borders
        for border in (*borders, *cut):
            if len(points) and (shapely.distance(points, border) < 1e-6).any():
                return "centre on a border"
        shared = shapely.area(shapely.intersection(words[index], detections))
        for share in (shared / shapely.area(words[index]), shared / shapely.area(detections)):
            if any((abs(share - limit) < 1e-6).any() for limit in (0.3, 0.4)):
                return "share at a threshold"
    return ""


def load_tedeval(checkout: Path) -> Any:
    sys.path.insert(0, str(checkout))
    return importlib.import_module("script")


def theirs_tedeval(script: Any, image: Image, folder: Path) -> tuple[float, float, int, int]:
    truth, results = folder / "gt.zip", folder / "submit.zip"
    rows = [f"{','.join(map(str, word.ravel()))},{text}" for word, text in zip(image.words, image.texts, strict=True)]
    with zipfile.ZipFile(truth, "w") as file:
        file.writestr("gt_img_1.txt", "\n".join(rows))
    with zipfile.ZipFile(results, "w") as file:
        file.writestr("res_img_1.txt", "\n".join(",".join(map(str, quad.ravel())) for quad in image.detections))
    with contextlib.redirect_stdout(io.StringIO()):
        found = script.evaluate_method(str(truth), str(results), script.default_evaluation_params())
    (sample,) = found["per_sample"].values()
    words = len(image.words) - len(sample["gtDontCare"])
    counted = len(image.detections) - len(sample["detDontCare"])
    return sample["recall"] * (words or 0), sample["precision"] * (counted if words else 0), words, counted


def load_cleval(checkout: Path) -> Any:
    sys.path.insert(0, str(checkout))
    package = types.ModuleType("cleval")  # its __init__ asks for torchmetrics
    package.__path__ = [str(checkout / "cleval")]  # type: ignore[attr-defined]
    sys.modules["cleval"] = package
    return importlib.import_module("cleval.eval_functions"), importlib.import_module("cleval.box_types")


def theirs_cleval(modules: Any, image: Image) -> tuple[float, float, int, int]:
    functions, boxes = modules
    settings = types.SimpleNamespace(
        CASE_SENSITIVE=True,
        VERTICAL_ASPECT_RATIO_THRESH=0.5,
        AREA_PRECISION_CONSTRAINT=0.3,
        PRECISION_GRANULARITY_PENALTY_WEIGHT=1.0,
        RECALL_GRANULARITY_PENALTY_WEIGHT=1.0,
        E2E=False,
        ORIENTATION=False,
        DUMP_SAMPLE_RESULT=False,
    )
    words = [
        boxes.QUAD(word.ravel().astype(float).tolist(), transcription=text)
        for word, text in zip(image.words, image.texts, strict=True)
    ]
    found = [boxes.QUAD(quad.ravel().astype(float).tolist()) for quad in image.detections]
    stats = functions.evaluation(settings, words, found).stats.det
    return (
        stats.num_char_tp_recall - stats.gran_score_recall,
        stats.num_char_tp_precision - stats.gran_score_precision,
        stats.num_char_gt,
        stats.num_char_det,
    )


def compare(name: str, images: list[Image], theirs: Any, ours: Any) -> None:
    counts: Counter[str] = Counter()
    shown = 0
    for number, image in enumerate(images):
        reason = unclear(image, name)
        score = ours(*image.arguments())
        found = (score.truth_credit, score.detection_credit, score.num_truth, score.num_detections)
        wanted = theirs(image)
        agree = np.allclose(found, wanted, rtol=0, atol=NEAR)
        counts[f"{reason or 'clear'}: {'agree' if agree else 'differ'}"] += 1
        if not agree and not reason and shown < 5:
            shown += 1
            print(f"{name}, image {number}: ours {found}, theirs {wanted}")
            print(f"  words {[w.ravel().tolist() for w in image.words]} {image.texts}")
            print(f"  detections {[d.ravel().tolist() for d in image.detections]}")
    print(f"{name}: {len(images)} images; " + ", ".join(f"{key} {count}" for key, count in sorted(counts.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tedeval", type=Path)
    parser.add_argument("--cleval", type=Path)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truth")
    parser.add_argument("--format", default="icdar2015")
    parser.add_argument("--detections")
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    images = [random_case(generator) for _ in range(options.cases)]
    if options.truth:
        images = real_cases(options)
    if options.tedeval:
        script = load_tedeval(options.tedeval)
        with tempfile.TemporaryDirectory() as folder:
            compare(
                "tedeval", images, lambda image: theirs_tedeval(script, image, Path(folder)), tedeval.evaluate_image
            )
    if options.cleval:
        modules = load_cleval(options.cleval)
        compare("cleval", images, lambda image: theirs_cleval(modules, image), cleval.evaluate_image)


if __name__ == "__main__":
    main()
