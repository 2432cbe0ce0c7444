"""Table 1 of OHEM on text: what a region head gains over the maps alone, for each way of choosing RoIs, several seeds.

    python benchmarks/studies/region_tables.py --train runs/quickstart/train --choose SET --report SET --out runs/region_tables
    python benchmarks/studies/region_tables.py --train data/icdar2015:1-800 --choose data/icdar2015:801-900 \\
        --report data/icdar2015:901-1000 --weights FILE --out runs/region_icdar2015

For every seed the maps are trained once (or taken from --weights); then heads are trained on their frozen features, side by
side, on the same crops and RoIs, so that rows of a seed differ in the choice of RoIs and in nothing else. --joint trains maps
and head together, every row from the same start for --steps; there the rows are those of N=2, with the configuration's batch.
Thresholds and the head's share in the score are chosen on --choose, for each row and seed; everything tried is in
settings.json. What is done is not done again by the next call. Table 2 is benchmarks/speed/region.py.
"""

import argparse
import hashlib
import itertools
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from frozen_heads import HeadVariant, train_heads
from ranked_scores import average_precision_of, bootstrap_ranked_difference, figure_of, precision_at
from region_rows import TRIED, Row, Split, calibration, find_words, make_row, pooled

from craft.config import DatasetSettings, load_config
from craft.datasets.collection import read_scenes
from craft.distributed.processes import start_processes
from craft.evaluation.bootstrap import Interval, bootstrap_difference
from craft.evaluation.image_score import ImageScore
from craft.evaluation.summary import summarise
from craft.training.loop import train
from craft.training.run_log import read_metrics

ALONE = "maps-alone"
# Name, what it is, and VOC07 mAP in the paper's table 1.
VARIANTS = (
    (HeadVariant("heuristic-0.1", "heuristic"), "heuristic, bg_lo 0.1, N=2, B=128", "67.2"),
    (HeadVariant("heuristic-0", "heuristic", background_low=0.0), "heuristic, bg_lo 0, N=2, B=128", "67.5"),
    (HeadVariant("heuristic-0.1-n1", "heuristic", 128, images=1), "heuristic, bg_lo 0.1, N=1, B=128", "66.3"),
    (HeadVariant("all-n1", "all", images=1, rate_factor=3), "all RoIs, N=1, lr x3", "67.5"),
    (HeadVariant("all", "all", rate_factor=3), "all RoIs, N=2, lr x3", "68.7"),
    (HeadVariant("ohem-n1", "ohem", 128, images=1), "OHEM, N=1, B=128", "69.7"),
    (HeadVariant("ohem", "ohem"), "OHEM, N=2, B=128", "69.9"),
    (HeadVariant("ohem-text", "ohem", rank_by="text"), "OHEM by log loss alone, N=2, B=128", "-"),
    (HeadVariant("heuristic-0-512", "heuristic", 256, background_low=0.0), "heuristic, bg_lo 0, N=2, B=512", "-"),
    (HeadVariant("ohem-512", "ohem", 256), "OHEM, N=2, B=512", "-"),
    (HeadVariant("bootstrap", "bootstrap"), "bootstrap, N=2, B=128", "-"),
)
TITLES = {ALONE: "maps alone"} | {variant.name: title for variant, title, _paper in VARIANTS}
PAPER = {ALONE: "-"} | {variant.name: figure for variant, _title, figure in VARIANTS}
EQUAL_RECALLS = (0.8, 0.9, 0.95)  # of the recall of the maps alone, at which precision is compared


def parse_set(text: str) -> dict:
    """FOLDER, or FOLDER:FIRST-LAST."""
    path, _, numbers = text.partition(":")
    return {"path": path} | ({"numbers": [int(number) for number in numbers.split("-")]} if numbers else {})


def settings_of(arguments: argparse.Namespace, seed: int, *given: str):
    sets = json.dumps([parse_set(arguments.train)])
    overrides = [f"data.train={sets}", f"training.seed={seed}", *given, *arguments.set]
    return load_config(arguments.config, overrides=overrides)


def heads_of(arguments: argparse.Namespace, seed: int, maps: Path, folder: Path) -> dict[str, Path]:
    """The heads of a seed on the maps' frozen features."""
    region = ("region.enabled=true", "region.train=alone")
    steps = (f"training.steps={arguments.head_steps}", "training.batch_size=2", f"weights={maps}")
    config = settings_of(arguments, seed, *region, *steps)
    collects = {"collect_every": max(1, arguments.head_steps // 2), "collect_crops": arguments.bootstrap_crops}
    chosen = [
        HeadVariant(**{**{key: getattr(one, key) for key in one.__dataclass_fields__}, **collects})
        for one, _title, _paper in VARIANTS
        if one.name in arguments.rows
    ]
    return train_heads(config, chosen, folder, start_processes(config.training.device))


def trained(arguments: argparse.Namespace, seed: int, name: str, folder: Path) -> Path:
    """Maps alone, or maps and head together; the weights of the last step."""
    given = [f"training.steps={arguments.steps}"]
    if arguments.weights:
        given.append(f"weights={arguments.weights}")
    if name != ALONE:
        one = next(variant for variant, *_ in VARIANTS if variant.name == name)
        given += ["region.enabled=true", f"region.sampler={one.sampler}"]
        if one.sampler == "ohem":
            given.append(f"region.rank_by={one.rank_by}")
        if one.sampler != "all":
            given.append(f"region.rois_per_image={one.rois_per_image}")
        if one.sampler == "heuristic":
            given.append(f"region.background_low={one.background_low}")
    train(settings_of(arguments, seed, *given), folder, resume=True)
    return folder / "last.safetensors"


def all_rows(arguments: argparse.Namespace, choose: list, report: list) -> dict[str, list[Row]]:
    """Rows by name, seed after seed, from training to figures."""
    out, seeds = Path(arguments.out), arguments.seeds
    rows: dict[str, list[Row]] = {}

    def look(folder: Path, network: Path, heads: dict[str, Path]) -> list[Split]:
        folder.mkdir(parents=True, exist_ok=True)
        both = (("choose", choose), ("report", report))
        return [
            Split(scenes, find_words(network, heads, scenes, folder / f"words_{part}.npz", arguments.device))
            for part, scenes in both
        ]

    if arguments.joint:
        for seed, name in itertools.product(seeds, (ALONE, *arguments.rows)):
            folder = out / f"seed_{seed}" / name
            network = trained(arguments, seed, name, folder)
            head = None if name == ALONE else name
            rows.setdefault(name, []).append(make_row(*look(folder, network, {name: network} if head else {}), head))
        return rows
    maps = {seed: arguments.weights or trained(arguments, seed, ALONE, out / f"seed_{seed}" / ALONE) for seed in seeds}
    heads = {seed: heads_of(arguments, seed, maps[seed], out / f"seed_{seed}" / "heads") for seed in seeds}
    groups = [seeds] if arguments.weights else [[seed] for seed in seeds]  # one pass of a network serves all its heads
    for group in groups:
        files = {f"{seed} {name}": file for seed in group for name, file in heads[seed].items()}
        digest = hashlib.blake2b(" ".join(files).encode(), digest_size=4).hexdigest()
        both = look(out / f"words_{digest}", maps[group[0]], files)
        for seed, name in itertools.product(group, (ALONE, *arguments.rows)):
            rows.setdefault(name, []).append(make_row(*both, None if name == ALONE else f"{seed} {name}"))
    return rows


def cell(values: list[float]) -> str:
    spread = f" +- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread}"


def interval_cell(interval: Interval) -> str:
    return f"{100 * interval.value:+.2f} ({100 * interval.low:+.2f} to {100 * interval.high:+.2f})"


def figures_of(alone: list[Row]) -> dict[str, Callable[[list[ImageScore]], float]]:
    recall = statistics.mean(summarise(row.at_thresholds).recall for row in alone)
    ranked = {f"P at R {share * recall:.3f}": precision_at(share * recall) for share in EQUAL_RECALLS}
    return {"AP": average_precision_of, **ranked}


def report_lines(rows: dict[str, list[Row]], seeds: list[int], num_images: int) -> list[str]:
    """The tables, as Markdown."""
    figures = figures_of(rows[ALONE])
    names = ["H-mean", "precision", "recall", *figures]
    lines = [
        f"{num_images} images, IoU > 0.5 (ICDAR2015 protocol), seeds {', '.join(map(str, seeds))}; mean and standard "
        "deviation over seeds, percent. H-mean, precision and recall at thresholds chosen on other scenes; AP and "
        f"precision at equal recall (P at R) rank all words that the maps give at text threshold 0.3. Tried: {TRIED}.",
        "",
        f"| | {' | '.join(names)} | paper: VOC07 mAP |",
        "| --- |" + " --- |" * (len(names) + 1),
    ]
    for name, of_seeds in rows.items():
        totals = [summarise(row.at_thresholds) for row in of_seeds]
        cells = [cell([getattr(one, key) for one in totals]) for key in ("hmean", "precision", "recall")]
        cells += [cell([figure_of(row.ranked, figure) for row in of_seeds]) for figure in figures.values()]
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} | {PAPER[name]} |")
    pairs = [(name, ALONE) for name in rows if name != ALONE]
    pairs += [
        (name, other)
        for name, other in (
            *itertools.product(("ohem", "ohem-text"), ("heuristic-0.1", "heuristic-0")),
            ("ohem-512", "heuristic-0-512"),
        )
        if {name, other} <= set(rows)
    ]
    lines += [
        "",
        "Differences, points, with the 95 % interval of a paired bootstrap over images (all seeds of an image drawn together):",
    ]
    lines += [
        "",
        f"| | H-mean | {' | '.join(figures)} | H-mean seed by seed |",
        "| --- |" + " --- |" * (len(figures) + 2),
    ]
    for name, other in pairs:
        generator = np.random.default_rng(0)
        cells = [interval_cell(bootstrap_difference(pooled(rows[other]), pooled(rows[name]), generator=generator))]
        for figure in figures.values():
            ranked = ([row.ranked for row in rows[one]] for one in (other, name))
            cells.append(
                interval_cell(bootstrap_ranked_difference(*ranked, figure, generator=np.random.default_rng(0)))
            )
        hmeans = ([summarise(row.at_thresholds).hmean for row in rows[one]] for one in (other, name))
        cells.append(", ".join(f"{100 * (new - old):+.2f}" for old, new in zip(*hmeans, strict=True)))
        lines.append(f"| {TITLES[name]} minus {TITLES[other]} | {' | '.join(cells)} |")
    lines += [
        "",
        "Calibration, all seeds together: mean score of a fifth of the range, and the share of its words that are right.",
        "",
    ]
    for name, of_seeds in rows.items():
        bands = "; ".join(f"{one['score']:.2f}: {one['right']:.2f} of {one['words']}" for one in calibration(of_seeds))
        lines.append(f"- {TITLES[name]}: {bands}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/quickstart.yaml")
    for name in ("--train", "--choose", "--report", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--weights", type=Path, help="maps to build on; trained here where left out")
    parser.add_argument("--joint", action="store_true", help="train head and maps together")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=300, help="of the maps, and of maps and head together")
    parser.add_argument("--head-steps", type=int, default=300, help="of two crops each")
    parser.add_argument("--bootstrap-crops", type=int, default=320)
    names = [variant.name for variant, *_ in VARIANTS]
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of every training")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.joint and (unfit := [name for name in arguments.rows if name.endswith("-n1") or name == "bootstrap"]):
        parser.error(f"--joint has no rows {', '.join(unfit)}; name others with --rows")
    choose, report = (
        read_scenes(DatasetSettings(**parse_set(one)), on_error="skip", echo=print)
        for one in (arguments.choose, arguments.report)
    )
    rows = all_rows(arguments, choose, report)
    out = Path(arguments.out)
    settings = {
        name: [
            {"seed": seed, "chosen": row.chosen, "tried": row.tried}
            for seed, row in zip(arguments.seeds, of_seeds, strict=True)
        ]
        for name, of_seeds in rows.items()
    }
    (out / "settings.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    lines = report_lines(rows, arguments.seeds, len(report))
    for seed in arguments.seeds:
        log = out / f"seed_{seed}" / "heads" / "metrics.jsonl"
        for one in read_metrics(log, kind="bootstrap") if log.exists() else []:
            lines.append(
                f"- seed {seed}: bootstrap collected {one['false_positives']} false positives in {one['crops']} crops, "
                f"{one['seconds']} s ({one['processor_seconds']} of the processor)"
            )
    (out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(["", *lines, "", f"Settings tried: {out / 'settings.json'}"]))


if __name__ == "__main__":
    main()
