"""Table 1 of OHEM on text: average precision and H-mean of words for each way of choosing RoIs, several seeds.

    python benchmarks/region_tables.py --train runs/quickstart/train --choose SET --report SET --out runs/region_tables
    python benchmarks/region_tables.py --train data/icdar2015:1-800 --choose data/icdar2015:801-900 \\
        --report data/icdar2015:901-1000 --weights FILE --out runs/region_icdar2015

For every seed the maps are trained once (or taken from --weights); then each variant trains a head alone on their frozen
features, so that rows of a seed differ in the choice of RoIs and in nothing else. --joint trains head and maps together.
How a word's score is mixed and below what it is dropped is chosen by H-mean on --choose, for each variant and seed;
every setting tried is in settings.json. Steps are resumed where a run was stopped. Table 2 is benchmarks/region.py.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np

from craft.config import SetSettings, load_config
from craft.datasets.images import read_image
from craft.detection.detector import Detector
from craft.evaluation.matching import score_scene
from craft.evaluation.summary import Scores, summarise
from craft.scene import Detections
from craft.training.loop import train
from craft.training.runlog import read_metrics
from craft.training.scenes import read_scenes

ALONE = "pixel path alone"
# Name: images a batch, factor on the learning rate, settings of the region path, and VOC07 mAP in the paper's table 1.
VARIANTS = {
    "heuristic, bg_lo 0.1, N=2, B=128": (2, 1, {"sampler": "heuristic", "rois_per_image": 64}, "67.2"),
    "heuristic, bg_lo 0, N=2, B=128": (
        2,
        1,
        {"sampler": "heuristic", "rois_per_image": 64, "background_low": 0},
        "67.5",
    ),
    "heuristic, bg_lo 0.1, N=1, B=128": (1, 1, {"sampler": "heuristic", "rois_per_image": 128}, "66.3"),
    "all, N=1, B=2048, lr x3": (1, 3, {"sampler": "all"}, "67.5"),
    "all, N=2, B=2048, lr x3": (2, 3, {"sampler": "all"}, "68.7"),
    "OHEM, N=1": (1, 1, {"sampler": "ohem", "rois_per_image": 64}, "69.7"),
    "OHEM, N=2": (2, 1, {"sampler": "ohem", "rois_per_image": 64}, "69.9"),
    "bootstrap, N=2": (2, 1, {"sampler": "bootstrap", "rois_per_image": 64}, "-"),
}
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
THRESHOLDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
EQUAL_RECALL = 0.9  # precision is compared at this share of the recall of the maps alone


def parse_set(text: str) -> dict:
    """FOLDER, or FOLDER:FIRST-LAST."""
    path, _, numbers = text.partition(":")
    return {"path": path} | ({"numbers": [int(number) for number in numbers.split("-")]} if numbers else {})


def run(arguments: argparse.Namespace, seed: int, name: str, folder: Path, maps: Path | None) -> Path:
    """Train one row, or what is left of it; the weights of its last step."""
    sets = json.dumps([parse_set(arguments.train)])
    overrides = [f"data.train={sets}", f"training.seed={seed}", *arguments.set]
    if name == ALONE:
        overrides.append(f"training.steps={arguments.steps}")
    else:
        images, factor, region, _paper = VARIANTS[name]
        rate = load_config(arguments.config).optimizer.learning_rate * factor
        joint = arguments.joint and region["sampler"] != "bootstrap"
        steps = arguments.head_steps * max(images for images, *_ in VARIANTS.values()) // images
        chosen = region | {"enabled": True, "train": "joint" if joint else "alone"}
        if region["sampler"] == "bootstrap":
            chosen |= {"bootstrap_every": max(1, steps // 4), "bootstrap_crops": arguments.bootstrap_crops}
        overrides += [f"training.steps={steps}", f"training.batch_size={images}", f"optimizer.learning_rate={rate}"]
        overrides += [f"region.{key}={value}" for key, value in chosen.items()] + [f"weights={maps}"]
    train(load_config(arguments.config, overrides=overrides), folder, resume=True)
    return folder / "last.safetensors"


def detect(weights: Path, scenes: list, device: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Quads, scores of the maps and scores of the head (ones where there is none) for each scene."""
    found = []
    plain = Detector.from_weights(weights, device=device)
    with_head = getattr(plain.model, "region", None) is not None
    settings = plain.settings.model_copy(update={"region_weight": 0.0, "region_threshold": 0.0, "region_refine": False})
    maps = Detector(plain.model, settings, device=device)
    head = Detector(plain.model, settings.model_copy(update={"region_weight": 1.0}), device=device)
    for scene in scenes:
        image = read_image(scene.image_path)
        words = maps.detect(image)
        scores = head.detect(image).scores if with_head else np.ones_like(words.scores)
        found.append((words.quads_xy, words.scores, scores))
    return found


def score(scenes: list, found: list, weight: float, threshold: float) -> tuple[Scores, list]:
    scored = []
    for scene, (quads, maps, head) in zip(scenes, found, strict=True):
        kept = head >= threshold
        words = Detections(quads[kept], (np.clip(maps, 0, 1) ** (1 - weight) * head**weight)[kept])
        scored.append(score_scene(scene, words.quads_xy, words.scores, protocol="icdar2015"))
    return summarise(scored), scored


def precision_at(scored: list, recall: float) -> float:
    """Largest precision of all score thresholds that reach a recall; 0 where none does."""
    scores = np.concatenate([one.ranked_scores for one in scored])
    hits = np.concatenate([one.ranked_hits for one in scored])[np.argsort(-scores, kind="stable")]
    words = sum(one.num_truth for one in scored)
    matched = np.cumsum(hits)
    precision = matched / np.arange(1, len(hits) + 1)
    return float(precision[matched >= recall * words].max(initial=0.0))


def calibration(scored: list) -> list[dict]:
    """How often words of each band of scores are right: what a score of 0.8 is worth."""
    scores = np.concatenate([one.ranked_scores for one in scored])
    hits = np.concatenate([one.ranked_hits for one in scored])
    bands = np.clip((scores * 5).astype(int), 0, 4)
    rows = []
    for band in range(5):
        inside = bands == band
        if inside.any():
            right = float(hits[inside].mean())
            rows.append({"score": round(float(scores[inside].mean()), 3), "right": right, "words": int(inside.sum())})
    return rows


def evaluate(weights: Path, choose: list, report: list, device: str, recall: float | None) -> dict:
    found = detect(weights, choose, device)
    with_head = any((head != 1).any() for _quads, _maps, head in found)
    grid = [(w, t) for w in (WEIGHTS if with_head else (0.0,)) for t in (THRESHOLDS if with_head else (0.0,))]
    tried = []
    for weight, threshold in grid:
        scores, _ = score(choose, found, weight, threshold)
        tried.append({"weight": weight, "threshold": threshold, "hmean": scores.hmean, "ap": scores.average_precision})
    best = max(tried, key=lambda row: (row["hmean"], row["ap"]))
    found = detect(weights, report, device)
    scores, _ = score(report, found, best["weight"], best["threshold"])
    wanted = EQUAL_RECALL * scores.recall if recall is None else recall
    return {
        "chosen": best,
        "tried": tried,
        "average_precision": scores.average_precision,
        "hmean": scores.hmean,
        "precision": scores.precision,
        "recall": scores.recall,
        "equal_recall": wanted,
        "precision_at_equal_recall": precision_at(score(report, found, best["weight"], 0.0)[1], wanted),
        "calibration": calibration(score(report, found, best["weight"], 0.0)[1]),
    }


def cell(values: list[float]) -> str:
    spread = f" +- {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/quickstart.yaml")
    for name in ("--train", "--choose", "--report", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--weights", type=Path, help="maps to build on; trained here where left out")
    parser.add_argument("--joint", action="store_true", help="train head and maps together")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=300, help="of the maps")
    parser.add_argument("--head-steps", type=int, default=300, help="of two images each; twice as many of one image")
    parser.add_argument("--bootstrap-crops", type=int, default=320)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of every training")
    arguments = parser.parse_args()
    choose, report = (
        read_scenes(SetSettings(**parse_set(one)), on_error="skip", say=print)
        for one in (arguments.choose, arguments.report)
    )
    out = Path(arguments.out)
    results: dict[str, list[dict]] = {name: [] for name in (ALONE, *arguments.variants)}
    for seed in arguments.seeds:
        maps = arguments.weights
        for index, name in enumerate(results):
            folder = out / f"seed_{seed}" / ("maps" if name == ALONE else f"head_{list(VARIANTS).index(name)}")
            weights = maps if name == ALONE and maps is not None else run(arguments, seed, name, folder, maps)
            maps = weights if index == 0 else maps
            recall = results[ALONE][-1]["equal_recall"] if name != ALONE else None
            results[name].append(evaluate(weights, choose, report, arguments.device, recall) | {"seed": seed})
            collected = folder / "metrics.jsonl"
            if "bootstrap" in name and collected.exists():
                results[name][-1]["bootstrap"] = read_metrics(collected, kind="bootstrap")
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(
        f"\n{len(report)} images, IoU 0.5 (ICDAR2015 protocol), seeds {arguments.seeds}: mean +- standard deviation, %"
    )
    print(f"{'':<34}{'AP':>13}{'H-mean':>13}{'P at R':>13}   paper: VOC07 mAP")
    for name, rows in results.items():
        keys = ("average_precision", "hmean", "precision_at_equal_recall")
        cells = "".join(f"{cell([row[key] for row in rows]):>13}" for key in keys)
        print(f"{name:<34}{cells}   {'-' if name == ALONE else VARIANTS[name][3]}")
    print(f"P at R: precision at {EQUAL_RECALL:.0%} of the recall of the maps alone, the same for every row of a seed.")
    for name, rows in results.items():
        for one in rows[0].get("bootstrap", []):
            print(f"{name}: {one['false_positives']} false positives in {one['crops']} crops, {one['seconds']} s")
    print(f"Settings tried, calibration of the scores: {out / 'settings.json'}")


if __name__ == "__main__":
    main()
