"""Tables 1 and 2 of OHEM on text: what a region head gains over the maps alone, for each way of choosing RoIs.

    python benchmarks/studies/region_tables.py benchmarks/studies/region.yaml --out runs/region --threads 1

The features of a frozen network are computed once and kept in --out; a head then trains in seconds. All heads of a seed
see the same crops and RoIs in the same order, from the same initial parameters. What is done is not done again by the next
call, which writes runs.csv, table.md and heads.png from all seeds that are complete.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from ranked_scores import Ranking, average_precision_of, figure_of, precision_at, resample_difference
from region_features import SceneWords, crop_features, join_words, word_features
from region_heads import HeadVariant, text_scores, train_head

from craft.config import Config, DatasetSettings, validate_config
from craft.config_files import read_yaml
from craft.datasets.reading import read_scenes
from craft.studies.statistics import detectable_difference, estimate, holm, p_value, paired_difference

ALONE = "maps-alone"
VARIANTS = (
    HeadVariant("heuristic-0.1", "heuristic, bg_lo 0.1", "heuristic", background_low=0.1, paper="67.2"),
    HeadVariant("heuristic-0", "heuristic, bg_lo 0", "heuristic", paper="67.5"),
    HeadVariant("all", "all RoIs", "all", rate=3, paper="68.7"),
    HeadVariant("ohem", "OHEM", "ohem", paper="69.9"),
    HeadVariant("bootstrap", "bootstrapping", "bootstrap"),
    HeadVariant("heuristic-0-256", "heuristic, bg_lo 0", "heuristic", 256),
    HeadVariant("ohem-256", "OHEM", "ohem", 256),
)
# New, reference, question. The plan gives them in this order.
HYPOTHESES = (
    ("ohem", "heuristic-0.1", "does mining beat the paper's heuristic?"),
    ("ohem", "heuristic-0", "does mining beat chance, 64 RoIs an image?"),
    ("ohem-256", "heuristic-0-256", "does mining beat chance, 256 RoIs an image?"),
    ("ohem", "all", "does mining beat every RoI?"),
    ("ohem", "bootstrap", "does mining beat bootstrapping?"),
    ("ohem", ALONE, "does a mined head help at all?"),
)
TEXT_THRESHOLDS = np.arange(0.5, 0.96, 0.05)
HEAD_THRESHOLDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LEAST_SCORES = (0.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
LEAST_SIDES = (0.0, 6.0, 8.0, 10.0, 12.0, 15.0)
WEIGHTS = (0.05, 0.1, 0.25, 0.5, 1.0)  # of the head in the score
RECALL_SHARES = (0.9, 0.95, 1.0)  # of the recall of the maps alone; precision at the first is the primary outcome


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A variant's settings, chosen on other scenes, and its rankings and figures by seed."""

    settings: dict[str, float]
    rankings: dict[int, Ranking]
    figures: dict[str, dict[int, float]]  # by name and seed, 0 to 1


def perform(values: dict[str, Any], config: Config, out: Path, seeds: list[int]) -> None:
    """Compute the features and train the heads of the seeds, or what is left of it."""
    words = {split: _words(values, config, out, split) for split in ("choose", "report")}
    crops = crop_features(config, values["crops"], out)
    for seed, variant in itertools.product(seeds, VARIANTS):
        file = _head_file(out, variant.name, seed)
        if file.exists():
            continue
        file.parent.mkdir(exist_ok=True)
        start = time.process_time()
        head = train_head(variant, crops, config, seed=seed)
        seconds = time.process_time() - start
        found = {split: text_scores(head, own) for split, own in words.items()}
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, seconds=seconds, **found)
        partial.replace(file)
        print(f"{file}: {seconds:.1f} s", flush=True)


def _words(values: dict[str, Any], config: Config, out: Path, split: str) -> SceneWords:
    parts = []
    for name, dataset in values[split].items():
        scenes = read_scenes(DatasetSettings(**dataset), on_error="skip", echo=print)
        parts.append(word_features(config, scenes, out / f"{split}_{name}.npz"))
    return join_words(parts)


def _head_file(out: Path, name: str, seed: int) -> Path:
    return out / f"seed_{seed}" / f"{name}.npz"


def read_results(values: dict[str, Any], config: Config, out: Path, seeds: list[int]) -> dict[str, Result]:
    """Choose each variant's settings on the one split, and compute its figures on the other."""
    choose, report = (_words(values, config, out, split) for split in ("choose", "report"))
    tried = itertools.product(TEXT_THRESHOLDS, LEAST_SCORES, LEAST_SIDES)
    text, score, side = max(tried, key=lambda one: hmean_of(choose, _passes(choose, *one)))
    passed = {split: _passes(words, 0, score, side) for split, words in (("choose", choose), ("report", report))}
    chosen, reported = choose.take(passed["choose"]), report.take(passed["report"])
    maps = {"text_threshold": text, "least_score": score, "least_side": side}
    kept = reported.peaks >= text
    recall = (kept & reported.hits).sum() / reported.truth.sum()
    results = {
        ALONE: _result(reported, maps, dict.fromkeys(seeds, reported.scores), dict.fromkeys(seeds, kept), recall)
    }
    for variant in VARIANTS:
        heads = {seed: np.load(_head_file(out, variant.name, seed)) for seed in seeds}
        of_choose, of_report = (
            {seed: head[split][passed[split]] for seed, head in heads.items()} for split in ("choose", "report")
        )
        settings = choose_settings(chosen, of_choose, RECALL_SHARES[0] * recall_of(chosen, chosen.peaks >= text))
        weight, text_threshold, head_threshold = settings.values()
        scores = {seed: mixed(reported, head, weight) for seed, head in of_report.items()}
        masks = {
            seed: (reported.peaks >= text_threshold) & (head >= head_threshold) for seed, head in of_report.items()
        }
        results[variant.name] = _result(reported, settings, scores, masks, recall)
        results[variant.name].figures["seconds"] = {seed: float(head["seconds"]) for seed, head in heads.items()}
    return results


def _passes(words: SceneWords, text: float, score: float, side: float) -> NDArray[np.bool_]:
    return (words.peaks >= text) & (words.scores >= score) & (words.sides >= side)


def mixed(words: SceneWords, head: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """A word's score, maps^(1 - weight) * head^weight."""
    return np.clip(words.scores, 0, 1) ** (1 - weight) * head**weight


def recall_of(words: SceneWords, kept: NDArray[np.bool_]) -> float:
    return float((kept & words.hits).sum() / words.truth.sum())


def hmean_of(words: SceneWords, kept: NDArray[np.bool_]) -> float:
    return float(2 * (kept & words.hits).sum() / max(1, (kept & words.counted).sum() + words.truth.sum()))


def ranking_of(words: SceneWords, scores: NDArray[np.float32]) -> Ranking:
    order = np.argsort(-scores, kind="stable")
    order = order[words.counted[order]]
    return Ranking(words.hits[order], words.image[order], words.truth)


def choose_settings(words: SceneWords, heads: dict[int, NDArray[np.float32]], recall: float) -> dict[str, float]:
    """The weight of the best mean precision at a recall, and the thresholds of the best mean H-mean, over seeds."""

    def mean(figure: Callable[[NDArray[np.float32]], float]) -> float:
        return statistics.mean(figure(head) for head in heads.values())

    at = precision_at(recall)
    weight = max(WEIGHTS, key=lambda one: mean(lambda head: figure_of(ranking_of(words, mixed(words, head, one)), at)))
    text, least = max(
        itertools.product(TEXT_THRESHOLDS, HEAD_THRESHOLDS),
        key=lambda one: mean(lambda head: hmean_of(words, (words.peaks >= one[0]) & (head >= one[1]))),
    )
    return {"weight": weight, "text_threshold": float(text), "head_threshold": least}


def _result(
    words: SceneWords,
    settings: dict[str, float],
    scores: dict[int, NDArray[np.float32]],
    kept: dict[int, NDArray[np.bool_]],
    recall: float,
) -> Result:
    rankings = {seed: ranking_of(words, own) for seed, own in scores.items()}
    ranked = {f"P at R {share * recall:.3f}": precision_at(share * recall) for share in RECALL_SHARES}
    figures = {
        name: {seed: figure_of(own, figure) for seed, own in rankings.items()}
        for name, figure in {**ranked, "AP": average_precision_of}.items()
    }
    figures["H-mean"] = {seed: hmean_of(words, own) for seed, own in kept.items()}
    figures["precision"] = {
        seed: float((own & words.hits).sum() / max(1, (own & words.counted).sum())) for seed, own in kept.items()
    }
    figures["recall"] = {seed: recall_of(words, own) for seed, own in kept.items()}
    return Result(settings, rankings, figures)


def table_1(results: dict[str, Result]) -> list[str]:
    """The paper's table 1 with ours beside: the same columns, then our figures, mean and standard deviation over seeds."""
    names = [name for name in results[ALONE].figures if name != "seconds"]
    lines = [
        f"| RoIs chosen by | N | LR | B | bg_lo | paper: VOC07 mAP | {' | '.join(names)} |",
        "| --- |" * (6 + len(names)),
    ]
    lines[1] = "|" + " --- |" * (6 + len(names))
    rows = [(ALONE, "maps alone | - | - | - | - | -")]
    for one in VARIANTS:
        batch = "all" if one.sampler == "all" else str(one.count * one.images)
        rows.append(
            (
                one.name,
                f"{one.title.split(',')[0]} | {one.images} | x {one.rate:g} | {batch} | {one.background_low:g} | {one.paper}",
            )
        )
    for name, title in rows:
        cells = []
        for figure in names:
            own = estimate(list(results[name].figures[figure].values()))
            cells.append(f"{100 * own.mean:.1f}" + ("" if name == ALONE else f" ± {100 * own.spread:.1f}"))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def table_of_hypotheses(results: dict[str, Result]) -> list[str]:
    """Differences in the primary outcome, their intervals over seeds, and over seeds and scenes, and Holm's p."""
    primary = next(iter(results[ALONE].figures))
    recall = float(primary.rsplit(" ", 1)[1])
    pairs = [(results[new], results[old]) for new, old, _question in HYPOTHESES]
    differences = [paired_difference(new.figures[primary], old.figures[primary]) for new, old in pairs]
    corrected = holm([p_value(one) for one in differences])
    lines = [
        f"| | question | {primary}, difference in points | over scenes too | p (Holm) | detectable | verdict |",
        "|" + " --- |" * 7,
    ]
    for (name, old, question), (new, reference), own, p in zip(HYPOTHESES, pairs, differences, corrected, strict=True):
        low, high = resample_difference(
            list(reference.rankings.values()), list(new.rankings.values()), precision_at(recall)
        )
        claimed = own.excludes_zero and p < 0.05
        verdict = ("**better**" if own.mean > 0 else "**worse**") if claimed else "no difference found"
        lines.append(
            f"| `{name}` minus `{old}` | {question} | **{100 * own.mean:+.1f}** ({100 * own.low:+.1f} to {100 * own.high:+.1f}) "
            f"| {100 * low:+.1f} to {100 * high:+.1f} | {p:.3f} | {100 * detectable_difference(own):.1f} | {verdict} |"
        )
    return lines


def table_of_settings(results: dict[str, Result]) -> list[str]:
    """What was chosen for each variant on other scenes, and what its heads cost."""
    lines = ["| | settings | CPU seconds per head |", "| --- | --- | --- |"]
    for name, result in results.items():
        settings = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in result.settings.items())
        seconds = result.figures.get("seconds")
        cost = f"{statistics.median(seconds.values()):.1f}" if seconds else "-"
        lines.append(f"| `{name}` | {settings} | {cost} |")
    return lines


def write_runs(results: dict[str, Result], path: Path) -> None:
    """A line per variant and seed."""
    names = list(results[VARIANTS[0].name].figures)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["variant", "seed", *names])
        for name, result in results.items():
            for seed in result.rankings:
                cells = [result.figures[figure][seed] if figure in result.figures else "" for figure in names]
                writer.writerow([name, seed, *(f"{cell:.5f}" if cell != "" else "" for cell in cells)])


def draw(results: dict[str, Result], path: Path) -> None:
    """Each seed's precision at the recall of the maps alone, with the mean and its 95 % interval."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    primary = next(iter(results[ALONE].figures))
    figure, axes = pyplot.subplots(figsize=(8, 3.6))
    for row, variant in enumerate(VARIANTS):
        values = 100 * np.array(list(results[variant.name].figures[primary].values()))
        own = estimate(values.tolist())
        colour = "tab:red" if variant.sampler == "ohem" else "tab:blue"
        axes.plot(values, np.full(len(values), row), "o", color=colour, alpha=0.3, markersize=4)
        axes.errorbar(
            own.mean, row, xerr=[[own.mean - own.low], [own.high - own.mean]], fmt="s", color=colour, capsize=3
        )
    axes.axvline(100 * next(iter(results[ALONE].figures[primary].values())), color="black", linestyle="--", linewidth=1)
    axes.set_yticks(
        range(len(VARIANTS)), [f"{one.title}, {'all' if one.sampler == 'all' else one.count}" for one in VARIANTS]
    )
    axes.invert_yaxis()
    axes.set_xlabel(
        f"precision at recall {primary.rsplit(' ', 1)[1]}, % (dashed: maps alone; bars: 95 % interval over seeds)"
    )
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="YAML file of settings, such as benchmarks/studies/region.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder; what is in it is not done again")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--threads", type=int, help="CPU threads")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    values = read_yaml(options.study)
    config = validate_config(values["run"], where=str(options.study))
    options.out.mkdir(parents=True, exist_ok=True)
    perform(values, config, options.out, options.seeds)
    results = read_results(values, config, options.out, options.seeds)
    write_runs(results, options.out / "runs.csv")
    draw(results, options.out / "heads.png")
    tables = (table_of_hypotheses(results), table_1(results), table_of_settings(results))
    text = "\n\n".join("\n".join(lines) for lines in tables)
    (options.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
