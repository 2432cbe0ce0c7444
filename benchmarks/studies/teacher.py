"""Train on real scenes with a teacher's characters and with words split evenly, and say what the difference is worth.

    python benchmarks/studies/teacher.py --out runs/teacher [--weights W] [--data data/icdar2015] [--jobs 2] [--crop 256]
        [--magnify 1.25] [--set budget.steps=400 --set seeds=[1,2,3] ...]

Runs configs/compare_teacher.yaml (the even split, and teachers with two splitters) as `craft compare` does: same start
weights, batches and steps for all, one thread a run; runs that are done are skipped and those cut short go on, so the
command may be stopped and given again. Weights of the last step; thresholds chosen on the scenes of `choose`, once the same
for all runs and once for each run. Then writes to the folder:

teacher.md      H-mean per seed and way on the scenes of `report`; mean differences with two intervals of 95 %: over seeds
                (Student, seed by seed), and over scenes (paired bootstrap of the counts that the seeds' runs add up to).
confidence.png  mean confidence of the teachers, and the share of words under a half, over their labellings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from measuring import scores_from_counts
from numpy.typing import NDArray

from craft.evaluation.bootstrap import bootstrap_difference
from craft.evaluation.image_score import ImageScore
from craft.models.weights import build_model, read_weights
from craft.studies.collect import POLICIES, Policy, Results, Table, collect
from craft.studies.compare import compare
from craft.studies.facts import facts, threshold_words
from craft.studies.statistics import paired_difference
from craft.studies.study import load_study

STUDY = Path(__file__).parents[2] / "configs" / "compare_teacher.yaml"


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
    parser.add_argument("--magnify", type=float, help="enlargement of the scenes that are scored")
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
    for way in load_study(STUDY).variants:
        listed += [f"variants.{way}.weights={options.weights}", f"variants.{way}.model.width={width}"]
        listed += [f"variants.{way}.data.crop_size={options.crop}"] * (options.crop is not None)
        listed += [f"variants.{way}.training.batch_size={options.batch}"] * (options.batch is not None)
        listed += [f"variants.{way}.detection.magnify={options.magnify}"] * (options.magnify is not None)
    return [*listed, *options.set]


def report(results: Results) -> str:
    """The comparison as Markdown."""
    lines = [f"# {results.study.title}", ""]
    policies: dict[Policy, str] = {
        "shared": f"{POLICIES['shared']}, {threshold_words(results, 'real')}",
        "own": POLICIES["own"],
    }
    for policy, words in policies.items():
        lines += [f"## With {words}", "", *compared(results, results.table("real", policy)), ""]
    lines += ["## The teachers", "", *labellings(results)]
    lines += ["", "![Confidence of the teachers](confidence.png)", "", "## What was run", ""]
    lines += [f"- **{name}**: {value}" for name, value in facts(results)]
    return "\n".join(lines) + "\n"


def compared(results: Results, table: Table) -> list[str]:
    """H-mean by way and seed, and what the reference is apart from the others."""
    seeds = results.study.seeds
    lines = [
        f"| H-mean by seed | {' | '.join(map(str, seeds))} | mean | precision | recall |",
        "| --- " * (len(seeds) + 4) + "|",
    ]
    for row in table.rows:
        cells = [f"{row.values['hmean'][seed]:.4f}" if seed in row.values["hmean"] else "" for seed in seeds]
        means = [f"{row.estimates[metric].mean:.4f}" for metric in ("hmean", "precision", "recall")]
        lines.append(f"| {' | '.join([row.variant, *cells, *means])} |")
    values = {row.variant: row.values["hmean"] for row in table.rows}
    reference = results.study.reference
    lines.append("")
    for way in values:
        shared = sorted(values[way].keys() & values.get(reference, {}).keys())
        if way != reference and shared:
            lines.append(difference(results, table, values, way, shared))
    return lines


def difference(results: Results, table: Table, values: dict[str, dict[int, float]], way: str, seeds: list[int]) -> str:
    reference = results.study.reference
    of_way, of_reference = (pooled_scores(results, table, one, seeds) for one in (way, reference))
    over_seeds = paired_difference(values[way], values[reference])
    over_scenes = bootstrap_difference(of_reference, of_way, generator=np.random.default_rng(0))
    spread = "no interval over one seed"
    if len(seeds) > 1:
        spread = f"over seeds {over_seeds.low:+.4f} to {over_seeds.high:+.4f}"
    return (
        f"- {way} minus {reference}, {len(seeds)} seeds: {over_seeds.mean:+.4f}; {spread}; over scenes, seeds' counts "
        f"added up, {over_scenes.value:+.4f}, {over_scenes.low:+.4f} to {over_scenes.high:+.4f}"
    )


def pooled_scores(results: Results, table: Table, way: str, seeds: list[int]) -> list[ImageScore]:
    """Per reported scene, what the runs of all seeds matched, detected and had to find, added up."""
    grid = results.study.grid()
    total: NDArray[np.int64] | None = None
    for one in results.of_variant(way):
        if one.run.seed in seeds:
            counts = one.scores["real/report"].counts[grid.index(table.thresholds[one.run])].astype(np.int64)
            total = counts if total is None else total + counts
    assert total is not None
    return scores_from_counts(total)


def labellings(results: Results) -> list[str]:
    lines = ["| way | seed | labelled at step | words | mean confidence | under 0.5 | seconds |", "| --- " * 7 + "|"]
    for one in results.runs:
        for line in one.labels:
            lines.append(
                f"| {one.run.variant} | {one.run.seed} | {line['made_at']} | {line['words']:,} | "
                f"{line['mean_confidence']:.4f} | {line['share_under_half']:.4f} | {line['seconds']:.1f} |"
            )
    return lines


def draw_confidence(results: Results, path: Path) -> None:
    figure = Figure(figsize=(7, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, 1)
    taught = [one for one in results.runs if one.labels]
    for one in taught:
        steps = [line["made_at"] for line in one.labels]
        label = f"{one.run.variant}, seed {one.run.seed}"
        [drawn] = axes.plot(steps, [line["mean_confidence"] for line in one.labels], "o-", label=label)
        axes.plot(steps, [line["share_under_half"] for line in one.labels], "x--", color=drawn.get_color())
    axes.set(xlabel="labelled at step", ylim=(0, 1), title="Mean confidence (line), share of words under 0.5 (dashed)")
    if taught:
        axes.legend(fontsize="small", ncols=2)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
