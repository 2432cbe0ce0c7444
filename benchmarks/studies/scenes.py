"""What scenes are worth: the same small network trained on unlike synthetic scenes, scored on real ones.

    python benchmarks/studies/scenes.py --real data/icdar2015 --out runs/scenes [--minutes 4] [--jobs 2]

Variants: the quickstart's scenes; the full preset; and the full preset without hard negatives, with every word readable
however small or faint, without perspective, and without halls and shops as backgrounds. Every variant has a set of --count scenes, drawn once and shared by its
seeds. Then one network per variant and seed is trained, one thread each, all for the same number of steps: --steps, or
as many as --minutes of processor time hold, measured once. Thresholds are chosen per variant on --choose, from a grid
that is the same for all and is written into the table; --report is scored with them and nothing else.

Runs are those of `craft compare`: OUT/study holds them, its page and its tables. What is done is not done again, so the
same command goes on where it was stopped; more --seeds may join. OUT/scenes.md and OUT/scenes.csv are the results here:
means and spreads over seeds, intervals over seeds and over images, and differences against `full`, image by image.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from measuring import scores_from_counts

from craft.config import load_config
from craft.evaluation.bootstrap import Interval, bootstrap_difference, bootstrap_interval
from craft.evaluation.image_score import ImageScore
from craft.evaluation.thresholds import Thresholds
from craft.studies.collect import Results, collect
from craft.studies.compare import compare
from craft.studies.statistics import Estimate, estimate
from craft.studies.study import Study, load_study
from craft.synth.presets import preset
from craft.synth.writer import write_dataset
from craft.training.loop import train

REFERENCE = "full"
VARIANTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "quickstart": ("quickstart", {}, "the quickstart's preset"),
    REFERENCE: ("full", {}, "the full preset"),
    "no-negatives": ("full", {"negative_count": [0, 0]}, "full without hard negatives"),
    "all-readable": ("full", {"readable_height": 0, "readable_contrast": 0}, "full, nothing unreadable is don't care"),
    "no-perspective": ("full", {"perspective": 0}, "full without perspective"),
    "no-rooms": ("full", {"rooms": 0}, "full without halls and shops behind the text"),
}
GRID = {"text": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7], "low": [0.2, 0.3, 0.4], "link": [0.2, 0.4]}
TIMED_STEPS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A variant's figures on the reported scenes.

    Attributes:
        variant: its name.
        thresholds: chosen for it.
        seeds: H-mean by seed.
        precision: over seeds.
        recall: over seeds.
        hmean: over seeds.
        images: interval of H-mean over images, all seeds counted together.
        difference: of H-mean against the reference, image by image; None for the reference.
    """

    variant: str
    thresholds: Thresholds
    seeds: dict[int, float]
    precision: Estimate
    recall: Estimate
    hmean: Estimate
    images: Interval
    difference: Interval | None


def main() -> None:
    options = parse_arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        for name in options.variants:
            draw(options, name)
        base = options.out / "base.yaml"
        base.write_text(yaml.safe_dump(base_values(options), sort_keys=False), encoding="utf-8")
        steps = options.steps or steps_in(options.out, base, options.minutes)
        study = study_file(options, steps)
        try:
            comparison = compare(study, options.out / "study", jobs=options.jobs)
        except ValueError as error:
            raise SystemExit(f"{error}") from None
        for failure in comparison.failures:
            print(f"failed: {failure.run.name}: {failure.reason}")
    results = collect(options.out / "study")
    found = [row_of(results, name) for name in results.configs]
    (options.out / "scenes.md").write_text(markdown(results, found), encoding="utf-8")
    write_csv(options.out / "scenes.csv", found)
    print((options.out / "scenes.md").read_text(encoding="utf-8"))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, help="folder of ICDAR2015's training scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder for sets, runs and tables")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the trainings (default 1 2 3)")
    parser.add_argument("--count", type=int, default=2000, help="scenes in a set (default 2000)")
    parser.add_argument("--scene-seed", type=int, default=31, help="seed of the scenes (default 31)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="optimizer steps of a run")
    budget.add_argument("--minutes", type=float, default=4.0, help="processor time of a training (default 4)")
    parser.add_argument("--width", type=float, default=0.125, help="of the network (default 0.125)")
    parser.add_argument("--crop", type=int, default=160, help="side of the crops, pixels (default 160)")
    parser.add_argument("--batch", type=int, default=8, help="crops in a batch (default 8)")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate (default 3e-3)")
    parser.add_argument("--scale", type=float, nargs=2, default=[0.6, 1.6], help="of the crops (default 0.6 1.6)")
    parser.add_argument("--long-side", type=int, default=1280, help="of the real scenes, pixels (default 1280)")
    parser.add_argument("--choose", type=int, nargs=2, default=[801, 830], help="real scenes that choose thresholds")
    parser.add_argument("--report", type=int, nargs=2, default=[901, 1000], help="real scenes that are reported")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument("--table", action="store_true", help="make the tables of what is done; run nothing")
    options = parser.parse_args()
    if options.real is None and not options.table:
        parser.error("give --real FOLDER, the training scenes of ICDAR2015")
    if REFERENCE not in options.variants:
        parser.error(f"--variants needs {REFERENCE}, which the others are compared with")
    return options


def draw(options: argparse.Namespace, name: str) -> None:
    """Draw a variant's set, unless it is there."""
    folder = set_folder(options, name)
    kind, changes, title = VARIANTS[name]
    wanted = {"count": options.count, "seed": options.scene_seed}
    record = folder / "generator.json"  # written last
    if record.exists():
        there = json.loads(record.read_text(encoding="utf-8"))
        if any(there[key] != value for key, value in wanted.items()):
            raise SystemExit(f"{folder} holds {there['count']} scenes of seed {there['seed']}; name another --out")
        return
    print(f"{folder}: {options.count} scenes of {title}")
    write_dataset(folder, settings=preset(kind, changes), **wanted, workers=options.jobs, progress=True)


def set_folder(options: argparse.Namespace, name: str) -> Path:
    return (options.out / "sets" / name).resolve()


def base_values(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration that all runs share."""
    return {
        "data": {
            "train": [train_set(options, REFERENCE)],
            "crop_size": options.crop,
            "workers": 0,
            "cache_mebibytes": 512,
        },
        "augment": {"scale": options.scale},
        "model": {"width": options.width},
        "ohem": {"min_negatives": 64},
        "optimizer": {"learning_rate": options.rate, "warmup_steps": 30, "average_decay": 0.98},
        "training": {
            "batch_size": options.batch,
            "device": "cpu",
            "precision": "fp32",
            "save_every": 100,
            "pictures_every": 10**9,
        },
        "detection": {"sizing": "long_side", "long_side": options.long_side},
    }


def train_set(options: argparse.Namespace, name: str) -> dict[str, str]:
    return {"path": str(set_folder(options, name) / "scenes.jsonl"), "format": "jsonl"}


def steps_in(out: Path, base: Path, minutes: float) -> int:
    """Steps that so many minutes of processor time hold, measured once for all runs and written down."""
    known = out / "steps.json"
    if known.exists():
        before = json.loads(known.read_text(encoding="utf-8"))
        if before["minutes"] == minutes:
            return int(before["steps"])
    seconds = {}
    for steps in (2, 2 + TIMED_STEPS):  # what only the start costs is in both
        quiet = load_config(base, overrides=[f"training.steps={steps}", "training.log_every=1000"])
        start = time.process_time()
        train(quiet, out / "timing" / f"steps_{steps}_{time.time_ns()}")
        seconds[steps] = time.process_time() - start
    per_step = (seconds[2 + TIMED_STEPS] - seconds[2]) / TIMED_STEPS
    steps = max(1, round(60 * minutes / max(per_step, 1e-3)))
    known.write_text(json.dumps({"minutes": minutes, "seconds_per_step": per_step, "steps": steps}), encoding="utf-8")
    print(f"{minutes:g} minutes of processor time: {steps} steps of {per_step:.2f} s")
    return steps


def study_file(options: argparse.Namespace, steps: int) -> Study:
    """Write the study that does the runs, and read it as `craft compare` would."""
    real = {"path": str(options.real.resolve()), "format": "icdar2015"}
    values = {
        "name": "scenes",
        "title": "What are synthetic scenes worth on real ones?",
        "base": "base.yaml",
        "reference": REFERENCE,
        "variants": {name: {"data": {"train": [train_set(options, name)]}} for name in options.variants},
        "seeds": options.seeds,
        "budget": {"steps": steps},
        "threads": 1,
        "splits": {
            "real": {
                "choose": [real | {"numbers": options.choose}],
                "report": [real | {"numbers": options.report}],
            }
        },
        "thresholds": GRID,
        "view": {"scenes": 0},
        "probe_crops": options.batch,
    }
    path = options.out / "study.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load_study(path)


def row_of(results: Results, variant: str) -> Row:
    """A variant's figures at the thresholds that its own runs did best with on the scenes for choosing."""
    runs = results.of_variant(variant)
    chosen = best_thresholds(results, variant)
    precision, recall, hmean = (
        {one.run.seed: float(one.scores["real/report"].totals()[figure][chosen]) for one in runs} for figure in range(3)
    )
    images = image_scores(results, variant)
    difference = None
    if variant != REFERENCE and REFERENCE in results.configs:
        shared = {one.run.seed for one in runs} & {one.run.seed for one in results.of_variant(REFERENCE)}
        first, second = (image_scores(results, name, seeds=shared) for name in (REFERENCE, variant))
        difference = bootstrap_difference(first, second, generator=np.random.default_rng(0))
    return Row(
        variant,
        results.study.grid()[chosen],
        hmean,
        estimate(list(precision.values())),
        estimate(list(recall.values())),
        estimate(list(hmean.values())),
        bootstrap_interval(images, generator=np.random.default_rng(0)),
        difference,
    )


def best_thresholds(results: Results, variant: str) -> int:
    """Index into the grid of the highest mean H-mean over a variant's seeds, on the scenes for choosing."""
    runs = results.of_variant(variant)
    return int(np.argmax(np.mean([one.scores["real/choose"].totals()[2] for one in runs], axis=0)))


def image_scores(results: Results, variant: str, *, seeds: set[int] | None = None) -> list[ImageScore]:
    """One score an image with the counts of all seeds added up, so that images are what is drawn and not networks."""
    chosen = best_thresholds(results, variant)
    runs = [one for one in results.of_variant(variant) if seeds is None or one.run.seed in seeds]
    counts = np.sum([one.scores["real/report"].counts[chosen] for one in runs], axis=0)
    return scores_from_counts(counts)


def markdown(results: Results, rows: Sequence[Row]) -> str:
    study, environment = results.study, results.environment
    config = next(iter(results.configs.values()))
    choose, report = (part[0].numbers or (1, 1) for part in (study.splits["real"].choose, study.splits["real"].report))
    lines = [
        "| scenes | seeds | precision | recall | H-mean, 95 % over seeds | 95 % over images | against full |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {VARIANTS[row.variant][2]} | {len(row.seeds)} | {spread(row.precision)} | {spread(row.recall)} | "
            f"{spread(row.hmean)}{over_seeds(row.hmean)} | "
            f"{row.images.low:.3f} to {row.images.high:.3f} | {against(row.difference)} |"
        )
    at = "; ".join(
        f"{row.variant} {row.thresholds.text_threshold:g}/{row.thresholds.low_text:g}/{row.thresholds.link_threshold:g}"
        for row in rows
    )
    grid = ", ".join(f"{name} {values}" for name, values in GRID.items())
    lines += [
        "",
        f"Real scenes {report[0]} to {report[1]} of ICDAR2015's training part, long side {config.detection.long_side}, "
        "IoU protocol, one-to-one at more than 0.5. Mean and standard deviation over seeds; Student's interval of the "
        "mean over seeds; percentile interval over images, the seeds' counts added up; differences of H-mean paired by "
        "image.",
        f"Thresholds (text/low/link), chosen per variant on scenes {choose[0]} to {choose[1]} from {grid}: {at}.",
        f"CRAFT of width {config.model.width:g}, {study.budget.steps} steps of {config.training.batch_size} crops of "
        f"{config.data.crop_size} px, scale {list(config.augment.scale)}, learning rate "
        f"{config.optimizer.learning_rate:g}, OHEM {config.ohem.rule} {config.ohem.ratio:g}, one thread. "
        f"Commit {environment.get('commit') or 'unknown'}, torch {environment.get('torch', 'unknown')}.",
    ]
    if results.missing:
        lines.append("Not done: " + ", ".join(run.name for run in results.missing) + ".")
    return "\n".join(lines) + "\n"


def spread(one: Estimate) -> str:
    return f"{one.mean:.3f}" if np.isnan(one.spread) else f"{one.mean:.3f} ± {one.spread:.3f}"


def over_seeds(one: Estimate) -> str:
    return "" if np.isnan(one.low) else f" ({one.low:.3f} to {one.high:.3f})"


def against(difference: Interval | None) -> str:
    return "" if difference is None else f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        figures = [
            f"{name}{part}" for name in ("precision", "recall", "hmean") for part in ("", "_sd", "_low", "_high")
        ]
        writer.writerow(["variant", "seeds", *figures, "images_low", "images_high", "difference", "low", "high"])
        for row in rows:
            values = [
                value
                for one in (row.precision, row.recall, row.hmean)
                for value in (one.mean, one.spread, one.low, one.high)
            ]
            values += [row.images.low, row.images.high]
            if row.difference is not None:
                values += [row.difference.value, row.difference.low, row.difference.high]
            writer.writerow([row.variant, len(row.seeds), *(f"{value:.5f}" for value in values)])


if __name__ == "__main__":
    main()
