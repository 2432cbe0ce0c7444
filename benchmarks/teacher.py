"""Train on real scenes with a teacher's characters and with words split evenly, and say what the difference is worth.

    python benchmarks/teacher.py --out runs/teacher [--weights W] [--data data/icdar2015] [--jobs 2] [--crop 256]
        [--set budget.steps=400 --set seeds=[1,2,3] ...]

Runs configs/compare_teacher.yaml as `craft compare` does: same start weights, batches and steps for both, one thread a run,
runs that are done are skipped and those cut short go on, so the command may be stopped and given again. Weights of the last
step; thresholds chosen on the scenes of `choose`, the same for all runs. Then writes to the folder:

teacher.md      H-mean per seed and way on the scenes of `report`; the mean difference with two intervals of 95 %: over seeds
                (Student, seed by seed), and over scenes (paired bootstrap of the counts that the seeds' runs add up to).
confidence.png  mean confidence of the teacher, and the share of words under a half, over its labellings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from craft.comparison.collect import Results, collect
from craft.comparison.facts import facts, threshold_words
from craft.comparison.scoring import DETECTIONS, MATCHED, WORDS
from craft.comparison.statistics import paired_difference
from craft.comparison.study import load_study
from craft.comparison.sweep import compare
from craft.evaluation.image_score import ImageScore, harmonic_mean
from craft.evaluation.summary import bootstrap_difference, bootstrap_interval
from craft.models.weights import build_model, read_weights

STUDY = Path(__file__).parent.parent / "configs" / "compare_teacher.yaml"
WAYS = ("even", "teacher")


def main() -> int:
    options = arguments()
    study = load_study(STUDY, overrides=overrides(options))
    done = compare(study, options.out, jobs=options.jobs)
    for failure in done.failures:
        print(f"failed: {failure.run.name}: {failure.reason}", file=sys.stderr)
    results = collect(options.out)
    text = report(results)
    (options.out / "teacher.md").write_text(text, encoding="utf-8")
    draw_confidence(results, options.out / "confidence.png")
    print(text)
    return 1 if done.failures else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the study's folder")
    parser.add_argument("--weights", default="small", help="start of every run and first teacher (default small)")
    parser.add_argument("--data", default="data/icdar2015", help="ICDAR2015's folder")
    parser.add_argument("--crop", type=int, help="side of the training crops, pixels")
    parser.add_argument("--batch", type=int, help="crops a step")
    parser.add_argument("--jobs", type=int, help="runs at a time")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the study")
    return parser.parse_args()


def overrides(options: argparse.Namespace) -> list[str]:
    """The study's settings that the options stand for; those of --set come last and win."""
    width = build_model(read_weights(options.weights)).width
    listed = [
        f"train=[{{path: {options.data}, format: icdar2015, numbers: [1, 800]}}]",
        f"splits.real.choose=[{{path: {options.data}, format: icdar2015, numbers: [801, 850]}}]",
        f"splits.real.report=[{{path: {options.data}, format: icdar2015, numbers: [901, 1000]}}]",
    ]
    for way in WAYS:
        listed += [f"variants.{way}.weights={options.weights}", f"variants.{way}.model.width={width}"]
        listed += [f"variants.{way}.data.crop_size={options.crop}"] * (options.crop is not None)
        listed += [f"variants.{way}.training.batch_size={options.batch}"] * (options.batch is not None)
    return [*listed, *options.set]


def report(results: Results) -> str:
    """The comparison as Markdown."""
    table = results.table("real", "shared")
    rows = {row.variant: row for row in table.rows}
    lines = [f"# {results.study.title}", "", f"Thresholds: {threshold_words(results, 'real')}.", ""]
    lines += ["| seed | even | teacher | difference |", "| --- | --- | --- | --- |"]
    values = {way: rows[way].values["hmean"] if way in rows else {} for way in WAYS}
    for seed in results.study.seeds:
        even, teacher = (values[way].get(seed) for way in WAYS)
        apart = "" if even is None or teacher is None else f"{teacher - even:+.4f}"
        lines.append(f"| {seed} | {cell(even)} | {cell(teacher)} | {apart} |")
    shared = sorted(values["even"].keys() & values["teacher"].keys())
    if shared:
        lines += ["", *differences(results, values, shared)]
    lines += ["", "## The teacher", "", *labellings(results)]
    lines += ["", "![Confidence of the teacher](confidence.png)", "", "## What was run", ""]
    lines += [f"- **{name}**: {value}" for name, value in facts(results)]
    return "\n".join(lines) + "\n"


def cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def differences(results: Results, values: dict[str, dict[int, float]], seeds: list[int]) -> list[str]:
    generator = np.random.default_rng(0)
    pooled = {way: pooled_scores(results, way, seeds) for way in WAYS}
    lines = []
    for way in WAYS:
        own = bootstrap_interval(pooled[way], generator=generator)
        mean = np.mean([values[way][seed] for seed in seeds])
        lines.append(f"- {way}: mean H-mean {mean:.4f}; over scenes {own.low:.4f} to {own.high:.4f}")
    over_seeds = paired_difference(values["teacher"], values["even"])
    over_scenes = bootstrap_difference(pooled["even"], pooled["teacher"], generator=generator)
    spread = "no interval over one seed"
    if len(seeds) > 1:
        spread = f"over seeds {over_seeds.low:+.4f} to {over_seeds.high:+.4f}"
    lines.append(
        f"- teacher minus even, {len(seeds)} seeds: {over_seeds.mean:+.4f}; {spread}; over scenes, seeds' counts added up, "
        f"{over_scenes.value:+.4f}, {over_scenes.low:+.4f} to {over_scenes.high:+.4f}"
    )
    return lines


def pooled_scores(results: Results, way: str, seeds: list[int]) -> list[ImageScore]:
    """Per reported scene, what the runs of all seeds matched, detected and had to find, added up."""
    table, grid = results.table("real", "shared"), results.study.grid()
    total: NDArray[np.int64] | None = None
    for one in results.of_variant(way):
        if one.run.seed in seeds:
            counts = one.scores["real/report"].counts[grid.index(table.thresholds[one.run])].astype(np.int64)
            total = counts if total is None else total + counts
    assert total is not None
    return [image_score(row) for row in total]


def image_score(row: NDArray[np.int64]) -> ImageScore:
    matched, detections, words = (int(row[column]) for column in (MATCHED, DETECTIONS, WORDS))
    precision, recall = matched / max(detections, 1), matched / max(words, 1)
    return ImageScore(
        precision, recall, harmonic_mean(precision, recall), None, (), matched, matched, words, 0, detections
    )


def labellings(results: Results) -> list[str]:
    lines = ["| seed | labelled at step | words | mean confidence | under 0.5 | seconds |", "| --- " * 6 + "|"]
    for one in results.of_variant("teacher"):
        for line in one.labels:
            lines.append(
                f"| {one.run.seed} | {line['made_at']} | {line['words']:,} | {line['mean_confidence']:.4f} | "
                f"{line['share_under_half']:.4f} | {line['seconds']:.1f} |"
            )
    return lines


def draw_confidence(results: Results, path: Path) -> None:
    figure = Figure(figsize=(7, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, 1)
    for one in results.of_variant("teacher"):
        steps = [line["made_at"] for line in one.labels]
        [drawn] = axes.plot(steps, [line["mean_confidence"] for line in one.labels], "o-", label=f"seed {one.run.seed}")
        axes.plot(steps, [line["share_under_half"] for line in one.labels], "x--", color=drawn.get_color())
    axes.set(xlabel="labelled at step", ylim=(0, 1), title="Mean confidence (line), share of words under 0.5 (dashed)")
    if results.of_variant("teacher"):
        axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
