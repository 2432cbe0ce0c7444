"""A study's tables as CSV and Markdown. No torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from craft.studies.collect import METRICS, POLICIES, Results, Row, steps_to_reach
from craft.studies.conclusions import standing
from craft.studies.facts import facts, threshold_words
from craft.studies.statistics import Estimate, estimate

_STANDINGS = {
    "reference": "reference",
    "better": "better",
    "worse": "worse",
    "hint": "hint only",
    "same": "no difference",
    "unknown": "too few seeds",
}


def table_csv(results: Results) -> str:
    """Every figure of every variant: mean, spread over seeds, 95 % interval; and H-mean against the reference.

    Nothing in it depends on when, where or in how many goes the runs were done.
    """
    head = ["split", "thresholds", "variant", "seeds"]
    for metric in METRICS:
        head += [metric, f"{metric}_sd", f"{metric}_low", f"{metric}_high"]
    head += ["difference", "difference_low", "difference_high", "strict_low", "strict_high", "standing"]
    rows = []
    for table in results.tables:
        for row in table.rows:
            line = [table.split, table.policy, row.variant, str(row.estimates["hmean"].num_seeds)]
            for metric in METRICS:
                line += _cells(row.estimates[metric])
            difference, strict = row.difference or estimate([]), row.strict or estimate([])
            line += [_cell(difference.mean), _cell(difference.low), _cell(difference.high)]
            rows.append([*line, _cell(strict.low), _cell(strict.high), standing(row)])
    return _csv(head, rows)


def runs_csv(results: Results) -> str:
    """Every run's figures, thresholds, fingerprints and cost."""
    head = ["split", "thresholds", "variant", "seed", *METRICS, "text_threshold", "low_text", "link_threshold"]
    head += ["region_threshold", "steps", "weights", "first_batch", "last_batch", "seconds_per_step", "peak_mebibytes"]
    rows = []
    for table in results.tables:
        for row in table.rows:
            for one in results.of_variant(row.variant):
                at = table.thresholds[one.run]
                line: list[Any] = [table.split, table.policy, row.variant, one.run.seed]
                line += [_cell(row.values[metric].get(one.run.seed, math.nan)) for metric in METRICS]
                line += [at.text_threshold, at.low_text, at.link_threshold]
                line += [at.region_threshold, one.record["steps"], one.weights]
                line += [one.batches[0], one.batches[-1], f"{one.seconds_per_step:.4f}", one.record["peak_mebibytes"]]
                rows.append(line)
    return _csv(head, rows)


def costs(results: Results) -> list[dict[str, Any]]:
    """What each variant costs and how soon it learns.

    Args:
        results: of the study.

    Returns:
        Per variant: estimates of seconds a step and of peak memory, and per level of H-mean the mean step at which it
        was reached, with how many of the runs did.
    """
    listed = []
    for variant in results.configs:
        runs = results.of_variant(variant)
        levels = []
        for level in results.study.curve.levels if results.study.curve.sets else ():
            reached = [step for step in (steps_to_reach(one, level) for one in runs) if step is not None]
            mean = sum(reached) / len(reached) if reached else None
            levels.append({"level": level, "step": mean, "reached": len(reached), "runs": len(runs)})
        listed.append(
            {
                "variant": variant,
                "seconds_per_step": estimate([one.seconds_per_step for one in runs]),
                "peak_mebibytes": estimate([float(one.record["peak_mebibytes"]) for one in runs]),
                "memory_of": runs[0].record["memory_of"],
                "levels": levels,
            }
        )
    return listed


def markdown(results: Results, verdict: Sequence[str], pictures: Sequence[tuple[str, str]]) -> str:
    """The report as Markdown.

    Args:
        results: of the study.
        verdict: its sentences.
        pictures: (title, file name) of the figures beside it.

    Returns:
        The text.
    """
    lines = [f"# {results.study.title}", "", *[f"- {sentence}" for sentence in verdict], ""]
    for split in results.study.splits:
        lines += [f"## {split}: {POLICIES['shared']} ({threshold_words(results, split)})", ""]
        lines += [*_split_table(results, split, own=False), ""]
        lines += [f"With {POLICIES['own']}:", "", *_split_table(results, split, own=True), ""]
    lines += ["## Cost", "", *_cost_table(results), ""]
    for title, name in pictures:
        lines += [f"![{title}]({name})", ""]
    if results.missing:
        lines += ["## Missing runs", "", *[f"- {run.name}: {reason}" for run, reason in results.missing.items()], ""]
    lines += ["## What was run", "", *[f"- **{name}**: {value}" for name, value in facts(results)]]
    return "\n".join(lines) + "\n"


def _split_table(results: Results, split: str, *, own: bool) -> list[str]:
    table = results.table(split, "own" if own else "shared")
    metrics = [metric for metric in METRICS if any(row.values[metric] for row in table.rows)]
    head = ["variant", "seeds", *(METRICS[metric] for metric in metrics), f"H-mean - {results.study.reference}", ""]
    rows = [
        [
            row.variant,
            str(row.estimates["hmean"].num_seeds),
            *(_shown(row.estimates[metric], metric) for metric in metrics),
            _shown_difference(row),
            _STANDINGS[standing(row)],
        ]
        for row in table.rows
    ]
    return _markdown_table(head, rows)


def _cost_table(results: Results) -> list[str]:
    listed = costs(results)
    levels = [one["level"] for one in listed[0]["levels"]]
    head = ["variant", "seconds a step", f"peak MiB ({listed[0]['memory_of']})"]
    head += [f"steps to H-mean {level:g}" for level in levels]
    rows = []
    for one in listed:
        row = [one["variant"], f"{one['seconds_per_step'].mean:.3f}", f"{one['peak_mebibytes'].mean:,.0f}"]
        row += [_reached(level) for level in one["levels"]]
        rows.append(row)
    return _markdown_table(head, rows)


def _reached(level: dict[str, Any]) -> str:
    if level["step"] is None:
        return "-"
    return f"{level['step']:,.0f}" + (f" ({level['reached']} of {level['runs']})" * (level["reached"] < level["runs"]))


def _shown(one: Estimate, metric: str) -> str:
    if one.num_seeds == 0:
        return ""
    scale = 1.0 if metric == "false_words" else 100.0
    text = f"{scale * one.mean:.1f}"
    return text if math.isnan(one.spread) else f"{text} ± {scale * (one.high - one.low) / 2:.1f}"


def _shown_difference(row: Row) -> str:
    if row.difference is None or math.isnan(row.difference.mean):
        return ""
    text = f"{100 * row.difference.mean:+.1f}"
    ends = f" ({100 * row.difference.low:+.1f} to {100 * row.difference.high:+.1f})"
    return text if math.isnan(row.difference.low) else text + ends


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _cells(one: Estimate) -> list[str]:
    return [_cell(one.mean), _cell(one.spread), _cell(one.low), _cell(one.high)]


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
