"""A study's tables as CSV and Markdown."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from craft.studies.collect import METRICS, POLICIES, Policy, Results, Row, steps_to_reach
from craft.studies.conclusions import standing
from craft.studies.facts import facts, threshold_words
from craft.studies.statistics import Estimate, detectable_difference, estimate

_STANDINGS = {
    "reference": "reference",
    "better": "better",
    "worse": "worse",
    "hint": "hint only",
    "same": "no difference",
    "unknown": "too few seeds",
}


def table_csv(results: Results) -> str:
    """Format mean, standard deviation and 95 % interval of every metric of every variant, and its difference in H-mean.

    The text does not depend on when or where the runs were done, or on how often they were interrupted.
    """
    head = ["split", "thresholds", "variant", "seeds"]
    for metric in METRICS:
        head += [metric, f"{metric}_sd", f"{metric}_low", f"{metric}_high"]
    head += ["difference", "difference_low", "difference_high", "resampled_low", "resampled_high", "p_value"]
    head += ["detectable", "standing"]
    rows = []
    for table in results.tables:
        for row in table.rows:
            line = [table.split, table.policy, row.variant, str(row.estimates["hmean"].num_seeds)]
            for metric in METRICS:
                shown = row.estimates[metric]
                line += _cells(shown.mean, shown.spread, shown.low, shown.high)
            difference = row.difference or estimate([])
            line += _cells(difference.mean, difference.low, difference.high, *row.resampled, row.p_value)
            line += _cells(detectable_difference(difference))
            rows.append([*line, standing(row)])
    return _csv(head, rows)


def runs_csv(results: Results) -> str:
    """Format the metrics, thresholds, digests and cost of every run."""
    head = ["split", "thresholds", "variant", "seed", *METRICS, "text_threshold", "low_text", "link_threshold"]
    head += ["region_threshold", "steps", "weights", "first_batch", "last_batch", "seconds_per_step", "peak_mebibytes"]
    rows = []
    for table in results.tables:
        for row in table.rows:
            for result in results.of_variant(row.variant):
                seed, chosen = result.run.seed, table.thresholds[result.run]
                line: list[Any] = [table.split, table.policy, row.variant, seed]
                line += _cells(*(row.values[metric].get(seed, math.nan) for metric in METRICS))
                line += [chosen.text_threshold, chosen.low_text, chosen.link_threshold, chosen.region_threshold]
                line += [result.record["steps"], result.weights, result.batches[0], result.batches[-1]]
                rows.append([*line, f"{result.seconds_per_step:.4f}", result.record["peak_mebibytes"]])
    return _csv(head, rows)


def costs(results: Results) -> list[dict[str, Any]]:
    """Compute per variant the seconds per step, the peak memory, and the mean step at which it reached each H-mean."""
    listed = []
    for variant in results.configs:
        runs = results.of_variant(variant)
        levels = []
        for level in results.study.curve.levels if results.study.curve.sets else ():
            reached = [step for step in (steps_to_reach(result, level) for result in runs) if step is not None]
            mean = sum(reached) / len(reached) if reached else None
            levels.append({"level": level, "step": mean, "reached": len(reached), "runs": len(runs)})
        listed.append(
            {
                "variant": variant,
                "seconds_per_step": estimate([result.seconds_per_step for result in runs]),
                "peak_mebibytes": estimate([float(result.record["peak_mebibytes"]) for result in runs]),
                "memory_of": runs[0].record["memory_of"],
                "levels": levels,
            }
        )
    return listed


def markdown(results: Results, conclusions: Sequence[str], figures: Sequence[tuple[str, str]]) -> str:
    """Format the report as Markdown, with the figures (title, file name) that lie beside it."""
    lines = [f"# {results.study.title}", "", *[f"- {sentence}" for sentence in conclusions], ""]
    for split in results.study.splits:
        lines += [f"## {split}: {POLICIES['shared']} ({threshold_words(results, split)})", ""]
        lines += [*_split_table(results, split, "shared"), ""]
        lines += [f"With {POLICIES['own']}:", "", *_split_table(results, split, "own"), ""]
    lines += ["## Cost", "", *_cost_table(results), ""]
    for title, name in figures:
        lines += [f"![{title}]({name})", ""]
    if results.missing:
        lines += ["## Missing runs", "", *[f"- {run.name}: {reason}" for run, reason in results.missing.items()], ""]
    lines += ["## What was run", "", *[f"- **{name}**: {value}" for name, value in facts(results)]]
    return "\n".join(lines) + "\n"


def _split_table(results: Results, split: str, policy: Policy) -> list[str]:
    table = results.table(split, policy)
    metrics = [metric for metric in METRICS if any(row.values[metric] for row in table.rows)]
    head = ["variant", "seeds", "", f"H-mean - {results.study.reference}", "over scenes", "p", "detectable"]
    head += [METRICS[metric] for metric in metrics]
    rows = [
        [
            row.variant,
            str(row.estimates["hmean"].num_seeds),
            _STANDINGS[standing(row)],
            *_shown_difference(row),
            *(_shown(row.estimates[metric], metric) for metric in metrics),
        ]
        for row in table.rows
    ]
    return _markdown_table(head, rows)


def _cost_table(results: Results) -> list[str]:
    listed = costs(results)
    head = ["variant", "seconds per step", f"peak MiB ({listed[0]['memory_of']})"]
    head += [f"steps to H-mean {level['level']:g}" for level in listed[0]["levels"]]
    rows = []
    for cost in listed:
        row = [cost["variant"], f"{cost['seconds_per_step'].mean:.3f}", f"{cost['peak_mebibytes'].mean:,.0f}"]
        rows.append([*row, *(_reached(level) for level in cost["levels"])])
    return _markdown_table(head, rows)


def _reached(level: dict[str, Any]) -> str:
    if level["step"] is None:
        return "-"
    return f"{level['step']:,.0f}" + (f" ({level['reached']} of {level['runs']})" * (level["reached"] < level["runs"]))


def _shown(shown: Estimate, metric: str) -> str:
    if shown.num_seeds == 0:
        return ""
    scale = 1.0 if metric == "false_words" else 100.0
    text = f"{scale * shown.mean:.1f}"
    return text if math.isnan(shown.spread) else f"{text} ± {scale * (shown.high - shown.low) / 2:.1f}"


def _shown_difference(row: Row) -> list[str]:
    """The difference with its interval over seeds, the interval over scenes too, p, and the detectable difference."""
    if row.difference is None or math.isnan(row.difference.mean):
        return [""] * 4
    text = f"{100 * row.difference.mean:+.1f}"
    if math.isnan(row.difference.low):
        return [text, "", "", ""]
    over_seeds, over_scenes = (
        f"{100 * low:+.1f} to {100 * high:+.1f}"
        for low, high in ((row.difference.low, row.difference.high), row.resampled)
    )
    p = f"{row.p_value:.3f}" if row.p_value >= 0.001 else "< 0.001"
    return [f"{text} ({over_seeds})", over_scenes, p, f"{100 * detectable_difference(row.difference):.1f}"]


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


def _cells(*values: float) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6f}" for value in values]


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue()
