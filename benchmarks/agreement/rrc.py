"""Compare our IoU protocol with the organisers' script on random cases, to the last digit, then time both.

    python benchmarks/agreement/rrc.py CHECKOUT [--cases 3000] [--seed 0] [--truth FOLDER --detections FOLDER]

CHECKOUT holds the organisers' script as eval/script.py and eval/rrc_evaluation_funcs.py, as backtime92/CRAFT-
Reimplementation does at commit 0772287. The script needs the package `Polygon` (Polygon3), which is for
non-commercial use: install it beside, not into the project's environment, with Python 3.12 or later (under 3.11 it
miscounts references to True and False, and the interpreter dies in the end). Ours needs numpy and shapely only.

Every case is a set of one to four images written as two zips, valid by the organisers' own check: quads that are
rectangles, rotated, slanted or not convex; detections near a word, exactly on it, exactly half of it, twice the same,
far off; don't-care words; tied scores; empty files and missing ones. Half of the cases have scores. Compared with `==`:
the set's precision, recall, H-mean and average precision; each image's, its pairs, its ignored detections.

Set apart, counted and drawn again: images in which the script computes an overlap of exactly one half, whose crossing
points are no whole pixels, as 0.5 give or take a few units of the last digit; there its own answer is a matter of
rounding. Ours takes every such tie as "not above one half".
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import platform
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from craft.config import DatasetSettings
from craft.datasets.reading import read_truth
from craft.evaluation.evaluate import Evaluation, evaluate_files, read_paired
from craft.evaluation.protocols import round_detections
from craft.geometry import is_simple, signed_area
from craft.scene import Scene, Word

Image = tuple[list[np.ndarray], list[bool], list[np.ndarray] | None, list[str]]


def main() -> None:
    arguments = parse_arguments()
    sys.path.insert(0, str(arguments.checkout))
    official = importlib.import_module("eval.script")
    generator = np.random.default_rng(arguments.seed)
    polygon = importlib.import_module("Polygon").Polygon
    redrawn = 0
    counts = dict.fromkeys(("images", "words", "don't care", "detections", "ignored", "matched", "exact halves"), 0)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.truth:
            images = real_images(arguments.truth, arguments.detections)
            ties = sum(misses_a_tie(polygon, image) for image in images)
            compare(official, images, False, Path(folder), 0, counts)
            print(
                f"real scenes agree to the last digit: {counts}; {ties} with an overlap that misses one half by rounding"
            )
            return
        for number in range(arguments.cases):
            with_scores = number % 2 == 1
            size = int(generator.choice([12, 60, 1280]))
            images: list[Image] = []
            for _ in range(generator.integers(1, 5)):
                images.append(random_image(generator, size, with_scores))
                while misses_a_tie(polygon, images[-1]):
                    redrawn += 1
                    images[-1] = random_image(generator, size, with_scores)
            compare(official, images, with_scores, Path(folder), number, counts)
        print(f"{arguments.cases} cases agree to the last digit: " + ", ".join(f"{n} {k}" for k, n in counts.items()))
        print(f"{redrawn} images drawn again: the script's own areas miss an overlap of exactly one half by rounding")
        time_both(official, generator, Path(folder))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder that holds eval/script.py")
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truth", help="folder of an ICDAR2015 dataset: compare on its scenes instead")
    parser.add_argument("--detections", help="folder of result files; scenes without one are left out")
    return parser.parse_args()


def real_images(truth: str, detections: str) -> list[Image]:
    """Scenes of a dataset that have a result file."""
    scenes = read_truth(DatasetSettings(path=truth, format="icdar2015"))
    scenes = tuple(scene for scene in scenes if (Path(detections) / f"res_{scene.name}.txt").exists())
    files, _ = read_paired(scenes, detections, protocol="icdar2015")
    return [
        (
            [round_detections(word.polygon_xy) for word in scene.words],
            [word.dont_care for word in scene.words],
            [round_detections(polygon) for polygon in file.polygons_xy],
            [],
        )
        for scene, file in zip(scenes, files, strict=True)
    ]


def random_image(generator: np.random.Generator, size: int, with_scores: bool) -> Image:
    words = [random_quad(generator, size) for _ in range(generator.integers(0, 7))]
    dont_care = [bool(flag) for flag in generator.random(len(words)) < 0.3]
    detections: list[np.ndarray] = []
    for _ in range(generator.integers(0, 9)):
        kind = generator.integers(0, 6)
        if not words or kind == 0:
            detections.append(random_quad(generator, size))
        elif kind == 1 and detections:
            detections.append(detections[generator.integers(len(detections))])
        elif kind == 2:
            detections.append(half_of(generator, words[generator.integers(len(words))]))
        else:
            word = words[generator.integers(len(words))]
            reach = int(generator.integers(0, max(2, size // 20)))
            detections.append(valid(word + generator.integers(-reach, reach + 1, size=(4, 2)), word))
    missing = generator.random() < 0.1
    scores = [f"{score:.1f}" for score in generator.random(len(detections))] if with_scores else []
    return words, dont_care, None if missing else detections, scores


def misses_a_tie(polygon: Any, image: Image) -> bool:
    """Whether the script's areas make an overlap that differs from one half by rounding only."""
    words, detections = [polygon(word) for word in image[0]], [polygon(quad) for quad in image[2] or []]
    for word in words:
        for detection in detections:
            shared = (detection & word).area()
            iou = shared / (detection.area() + word.area() - shared)
            if any(0 < abs(overlap - 0.5) < 1e-10 for overlap in (iou, shared / detection.area())):
                return True
    return False


def random_quad(generator: np.random.Generator, size: int) -> np.ndarray:
    x, y = generator.integers(0, size, size=2)
    width, height = generator.integers(1, max(3, size // 3), size=2)
    box = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    if generator.random() < 0.4:
        return box
    reach = max(1, int(min(width, height)) // 2)
    return valid(box + generator.integers(-reach, reach + 1, size=(4, 2)), box)


def word_quad(generator: np.random.Generator) -> np.ndarray:
    """A slanted word of 30 to 150 by 12 to 40 pixels in a picture of 1280 x 720."""
    x, y = generator.integers(0, (1100, 680))
    width, height = generator.integers((30, 12), (150, 40))
    slant = generator.integers(-10, 11)
    box = np.array([(x, y), (x + width, y + slant), (x + width, y + height + slant), (x, y + height)])
    return valid(box + generator.integers(-3, 4, size=(4, 2)), box)


def half_of(generator: np.random.Generator, word: np.ndarray) -> np.ndarray:
    """Exactly half or exactly twice a word where the middles of its sides are whole pixels, else nearly so."""
    half = word.copy()
    half[1], half[2] = (word[0] + word[1]) // 2, (word[3] + word[2]) // 2
    twice = word.copy()
    twice[1], twice[2] = 2 * word[1] - word[0], 2 * word[2] - word[3]
    return valid(half if generator.random() < 0.5 else twice, word)


def valid(quad: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The quad where it has an area, no crossing sides and runs clockwise; else the other."""
    return quad if signed_area(quad) > 0 and is_simple(quad) else otherwise


def compare(
    official: Any, images: list[Image], with_scores: bool, folder: Path, number: int, counts: dict[str, int]
) -> None:
    theirs = run_official(official, images, with_scores, folder)
    ours = run_ours(images, folder)
    where = f"case {number}"
    scores = ours.scores
    figures = [scores.precision, scores.recall, scores.hmean]
    wanted = [theirs["method"][name] for name in ("precision", "recall", "hmean")]
    if with_scores:
        figures.append(float(scores.average_precision or 0.0))
        wanted.append(theirs["method"]["AP"])
    expect(figures == wanted, where, figures, wanted)
    for index, score in enumerate(ours.image_scores):
        sample = theirs["per_sample"][str(index + 1)]
        place = f"{where}, image {index + 1}"
        figures = [score.precision, score.recall, score.hmean]
        expect(figures == [sample[name] for name in ("precision", "recall", "hmean")], place, figures, sample)
        if with_scores:
            expect(score.average_precision == sample["AP"], place, score.average_precision, sample["AP"])
        order = official_order(images[index], with_scores)
        pairs = [(match.truth[0], match.detections[0]) for match in score.matches]
        expect(pairs == [(pair["gt"], order[pair["det"]]) for pair in sample["pairs"]], place, pairs, sample["pairs"])
        ignored = sorted(order[position] for position in sample["detDontCare"])
        expect(list(score.ignored_detections) == ignored, place, score.ignored_detections, ignored)
        if images[index][0] and images[index][2]:
            counts["exact halves"] += sum(iou == 0.5 for row in sample["iouMat"] for iou in row)
    for name, amount in (
        ("images", scores.num_images),
        ("words", scores.num_truth),
        ("don't care", scores.num_dont_care),
        ("detections", scores.num_detections),
        ("ignored", scores.num_ignored),
        ("matched", int(scores.num_matched)),
    ):
        counts[name] += amount


def expect(holds: bool, where: str, ours: object, theirs: object) -> None:
    if not holds:
        raise SystemExit(f"{where}: ours {ours}\ntheirs {theirs}")


def official_order(image: Image, with_scores: bool) -> list[int]:
    """Where the script's detections stand in the file: it sorts them by falling score."""
    if not with_scores:
        return list(range(len(image[2] or [])))
    return np.argsort(-np.array([float(score) for score in image[3]])).tolist()


def run_official(official: Any, images: list[Image], with_scores: bool, folder: Path) -> dict[str, Any]:
    truth, results = folder / "gt.zip", folder / "submit.zip"
    write_zips(images, truth, results)
    parameters = {**official.default_evaluation_params(), "CONFIDENCES": with_scores}
    with contextlib.redirect_stdout(io.StringIO()):
        official.validate_data(str(truth), str(results), parameters)
        return official.evaluate_method(str(truth), str(results), parameters)


def run_ours(images: list[Image], folder: Path) -> Evaluation:
    scenes = [
        Scene(
            f"img_{number}.jpg",
            tuple(Word(word.astype(np.float32), dont_care=flag) for word, flag in zip(image[0], image[1], strict=True)),
            f"img_{number}",
        )
        for number, image in enumerate(images, start=1)
    ]
    if all(image[2] is None for image in images):
        write_zips([(*image[:2], [], []) for image in images], folder / "gt.zip", folder / "submit.zip")
    return evaluate_files(scenes, folder / "submit.zip", protocol="icdar2015")


def write_zips(images: list[Image], truth: Path, results: Path) -> None:
    with zipfile.ZipFile(truth, "w") as gt, zipfile.ZipFile(results, "w") as submit:
        for number, (words, dont_care, detections, scores) in enumerate(images, start=1):
            lines = [f"{numbers(w)},{'###' if flag else 'text'}" for w, flag in zip(words, dont_care, strict=True)]
            gt.writestr(f"gt_img_{number}.txt", "\n".join(lines))
            if detections is not None:
                fields = [numbers(detection) for detection in detections]
                if scores:
                    fields = [f"{field},{score}" for field, score in zip(fields, scores, strict=True)]
                submit.writestr(f"res_img_{number}.txt", "\n".join(fields))


def numbers(quad: np.ndarray) -> str:
    return ",".join(str(int(value)) for value in quad.reshape(-1))


def time_both(official: Any, generator: np.random.Generator, folder: Path) -> None:
    """200 images of 12 words and 12 detections, as large as ICDAR2015's, reading the zips included."""
    images: list[Image] = []
    for _ in range(200):
        words = [word_quad(generator) for _ in range(12)]
        detections = [valid(word + generator.integers(-3, 4, size=(4, 2)), word) for word in words]
        images.append((words, [bool(flag) for flag in generator.random(12) < 0.6], detections, []))
    theirs = run_official(official, images, False, folder)["method"]["hmean"]
    expect(run_ours(images, folder).scores.hmean == theirs, "timing", "another H-mean", theirs)
    spent: dict[str, list[float]] = {"official": [], "ours": []}
    for _ in range(7):  # in turn, so that a change of the machine's pace meets both
        start = time.perf_counter()
        run_official(official, images, False, folder)
        middle = time.perf_counter()
        run_ours(images, folder)
        spent["official"].append(middle - start)
        spent["ours"].append(time.perf_counter() - middle)
    ratios = [slow / fast for slow, fast in zip(*spent.values(), strict=True)]
    for name, seconds in spent.items():
        print(
            f"{name}: median {1e3 * statistics.median(seconds):.0f} ms, {1e3 * min(seconds):.0f} to "
            f"{1e3 * max(seconds):.0f} ms for 200 images"
        )
    print(
        f"ratio: median {statistics.median(ratios):.1f}, {min(ratios):.1f} to {max(ratios):.1f}; "
        f"Python {platform.python_version()}, numpy {np.__version__}, shapely {shapely.__version__}"
    )


if __name__ == "__main__":
    main()
