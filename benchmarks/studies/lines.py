"""Lines of unseen scenes, found from words in reading order and with a LinkRefiner: precision, recall, H-mean.

    OMP_NUM_THREADS=1 python benchmarks/studies/lines.py --lines lines.safetensors --scenes 24 [--draw figure.jpg]
    OMP_NUM_THREADS=1 python benchmarks/studies/lines.py --lines lines.safetensors --icdar2015 FOLDER

Scenes are those of `craft refine` with another seed, or 45 of ICDAR2015 whose words were joined to lines by eye
(icdar2015_lines.json). Lines are matched at IoU above 0.5 as polygons, without don't-care lines. "several words" is the
recall of lines of at least two words.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from craft.config import DatasetSettings
from craft.datasets.reading import read_dataset
from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.evaluation.iou import evaluate_image
from craft.images.drawing import draw_polygons
from craft.images.reader import read_image
from craft.scene import Scene
from craft.synth.source import synthetic_scenes
from craft.targets.lines import join_polygons, scene_lines
from craft.training.refiner import RENDERED


def words_joined(found: Detections) -> list[np.ndarray]:
    """The words of each line in reading order as one polygon."""
    order = found.reading_order()
    return [
        join_polygons([found.quads_xy[index] for index in order.words if order.line[index] == line])
        for line in np.unique(order.line)
    ]


def rendered_scenes(seed: int, count: int) -> Iterator[Scene]:
    """Scenes of `craft refine`, with another seed than its own."""
    scenes = synthetic_scenes(RENDERED.model_copy(update={"seed": seed}))
    return (scenes[number] for number in range(count))


def icdar2015_scenes(folder: Path) -> Iterator[Scene]:
    """Training scenes of ICDAR2015 with the lines that a reader joined their words to.

    The numbers in the file are those of words in their label files, from 0, in the order of reading. "unclear" words may
    belong to one line or to several, or to a line with words that have no label.
    """
    joined = json.loads(Path(__file__).with_name("icdar2015_lines.json").read_text())
    first, last = min(map(int, joined)), max(map(int, joined))
    reading = read_dataset(DatasetSettings(path=str(folder), format="icdar2015", numbers=(first, last)))
    for scene in reading.scenes:
        if (known := joined.get(scene.name.removeprefix("img_"))) is None:
            continue
        lines = {
            word: (number, place)
            for number, line in enumerate(known.get("lines", []))
            for place, word in enumerate(line)
        }
        words = [
            replace(
                word, line=lines.get(index, (None, 0))[0], dont_care=word.dont_care or index in known.get("unclear", [])
            )
            for index, word in enumerate(scene.words)
        ]
        order = sorted(range(len(words)), key=lambda index: lines.get(index, (len(words), index)))
        yield replace(scene, words=tuple(words[index] for index in order), image=read_image(scene.image_path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="small")
    parser.add_argument("--lines", type=Path, required=True, help="file of craft refine")
    parser.add_argument("--icdar2015", type=Path, metavar="FOLDER", help="lines of its scenes, not of rendered ones")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1, help="other than that of the training scenes, 0")
    parser.add_argument("--draw", type=Path, help="figure of the first three scenes: words above, lines below")
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenes = icdar2015_scenes(options.icdar2015) if options.icdar2015 else rendered_scenes(options.seed, options.scenes)
    words = Detector.from_weights(options.weights, device="cpu")
    lines = Detector.from_weights(options.weights, device="cpu", refiner=options.lines)
    counts: dict[str, Counter[str]] = {
        "words": Counter(),
        "words in reading order": Counter(),
        "LinkRefiner": Counter(),
    }
    shown = []
    for scene in scenes:
        assert scene.image is not None
        truth = scene_lines(scene.words)
        sizes = Counter(
            word.line if word.line is not None else ("alone", index) for index, word in enumerate(scene.words)
        )
        several = np.array([size > 1 for size in sizes.values()])
        plain = words.detect(scene.image, polygons=True)
        joined = lines.detect(scene.image, polygons=True)
        found = {
            "words": plain.polygons_xy,
            "words in reading order": words_joined(plain),
            "LinkRefiner": joined.polygons_xy,
        }
        for name, polygons in found.items():
            score = evaluate_image([polygon for polygon, _ in truth], [ignored for _, ignored in truth], polygons)
            hit = np.zeros(len(truth), bool)
            hit[[index for match in score.matches for index in match.truth]] = True
            cared = several & ~np.array([ignored for _, ignored in truth], bool)
            counts[name] += Counter(
                hits=len(score.matches),
                truth=score.num_truth,
                found=score.num_detections,
                several=int((hit & cared).sum()),
                several_there=int(cared.sum()),
            )
        if len(shown) < 3 and several.sum() > 1:
            shown.append(
                np.vstack([draw_polygons(scene.image, polygons) for polygons in (found["words"], found["LinkRefiner"])])
            )
    print("| lines from | precision | recall | H-mean | recall, several words |\n| --- | --- | --- | --- | --- |")
    for name, count in counts.items():
        precision, recall = count["hits"] / max(count["found"], 1), count["hits"] / max(count["truth"], 1)
        mean = 2 * precision * recall / max(precision + recall, 1e-9)
        several_recall = count["several"] / max(count["several_there"], 1)
        print(
            f"| {name} | {precision:.3f} | {recall:.3f} | {mean:.3f} | {several_recall:.3f} of {count['several_there']} |"
        )
    if options.draw:
        cv2.imwrite(str(options.draw), np.hstack(shown)[:, :, ::-1])


if __name__ == "__main__":
    main()
