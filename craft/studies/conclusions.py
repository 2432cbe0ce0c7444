"""What a study's numbers support, in words, and no more. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from craft.config import Config
from craft.studies.collect import POLICIES, Policy, Results, Row, Table
from craft.studies.statistics import Estimate

_HOPELESS = 25  # points: a study that sees only larger differences than this sees none that occur
_LEAST_HMEAN = 0.02  # below it, differences are those of a few lucky words


def verdict(results: Results) -> tuple[str, ...]:
    """Say what the study shows.

    A variant differs from the reference where the interval of their paired difference over seeds, widened for all
    comparisons of the table, leaves out 0. Where only the plain interval does, that is called a hint.

    Args:
        results: of the study.

    Returns:
        Sentences, the most important first.
    """
    sentences = []
    if results.missing:
        total = len(results.missing) + len(results.runs)
        sentences.append(f"Not complete: {len(results.missing)} of {total} runs are missing.")
    if max(len(results.of_variant(name)) for name in results.study.variants) < 2:
        return (*sentences, "One seed is not a result: without a spread over seeds nothing can be said.")
    for split in results.study.splits:
        sentences.append(_on_split(results, split, "shared"))
        if not set(_classes(results.table(split, "shared")).values()) - {"reference", "unknown"}:
            continue
        fewer = _hard_against_random(results, split)
        if fewer:
            sentences.append(fewer)
        same = _classes(results.table(split, "own")) == _classes(results.table(split, "shared"))
        again = "the same is found" if same else _lower_first(_findings(results.table(split, "own"), results))
        sentences.append(f"On {split}, with {POLICIES['own']}: {again.rstrip('.')}.")
    sentences.append(_scope(results))
    return tuple(sentences)


def standing(row: Row) -> str:
    """Where a variant stands against the reference: "better", "worse", "hint", "same", "unknown" or "reference"."""
    if row.difference is None or row.strict is None:
        return "reference"
    if math.isnan(row.strict.low):
        return "unknown"
    if row.strict.excludes_zero:
        return "better" if row.strict.mean > 0 else "worse"
    return "hint" if row.difference.excludes_zero else "same"


def _on_split(results: Results, split: str, policy: Policy) -> str:
    return f"On {split}, {POLICIES[policy]}: {_findings(results.table(split, policy), results)}"


def _findings(table: Table, results: Results) -> str:
    reference = results.study.reference
    best = max(row.estimates["hmean"].mean for row in table.rows)
    if best < _LEAST_HMEAN:
        return f"no variant finds text yet (best H-mean {100 * best:.1f}), so that there is nothing to compare."
    rows = {name: [row for row in table.rows if standing(row) == name] for name in ("better", "worse", "hint", "same")}
    if not any(rows.values()):
        return f"{reference} has too few seeds in common with the others to compare."
    parts = [
        f"{row.variant} is {name} than {reference} by {_points(row.strict)}"
        for name in ("better", "worse")
        for row in rows[name]
    ]
    for row in rows["hint"]:
        parts.append(
            f"{row.variant} hints at a difference of {_signed(row)}, which counting all comparisons takes away"
        )
    if rows["same"]:
        if not parts:
            return f"no difference from {reference} beyond seed noise{_unseen(rows['same'])}."
        names = ", ".join(row.variant for row in rows["same"])
        parts.append(f"no difference beyond seed noise for {names}{_unseen(rows['same'])}")
    return "; ".join(parts) + "."


def _hard_against_random(results: Results, split: str) -> str:
    """Whether the hard pixels beat as many at random, where the study has both at one ratio."""
    hard = results.configs.get(results.study.reference)
    if hard is None or hard.ohem.rule != "hardest":
        return ""
    for row in results.table(split, "shared").rows:
        other: Config = results.configs[row.variant]
        if other.ohem.rule != "random" or other.ohem.ratio != hard.ohem.ratio or row.strict is None:
            continue
        found = standing(row)
        if found in ("better", "worse"):
            winner = "the hard ones win" if found == "worse" else "as many at random win"
            return f"On {split}, hard or merely fewer: {winner} by {_points(row.strict)}."
        if found in ("same", "hint"):
            return f"On {split}, hard or merely fewer: the study cannot tell hard pixels from as many at random."
    return ""


def _classes(table: Table) -> dict[str, str]:
    return {row.variant: standing(row) for row in table.rows}


def _unseen(rows: Sequence[Row]) -> str:
    reaches = [100 * (row.strict.high - row.strict.low) / 2 for row in rows if row.strict is not None]
    reach = statistics.median(reaches)
    if reach > _HOPELESS:
        return " (so few seeds could hardly show any)"
    return f" (differences under about {reach:.1f} points would not show)"


def _points(difference: Estimate | None) -> str:
    assert difference is not None
    ends = sorted((abs(100 * difference.low), abs(100 * difference.high)))
    return f"{abs(100 * difference.mean):.1f} points of H-mean (interval {ends[0]:.1f} to {ends[1]:.1f})"


def _signed(row: Row) -> str:
    assert row.difference is not None
    return f"{100 * row.difference.mean:+.1f} points"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def _scope(results: Results) -> str:
    config = results.configs.get(results.study.reference) or next(iter(results.configs.values()))
    seeds = len({one.run.seed for one in results.runs})
    return (
        f"This holds for what was run - width {config.model.width:g}, {config.training.steps:,} steps of "
        f"{config.training.batch_size * config.optimizer.accumulate} crops of {config.data.crop_size} px, {seeds} seeds - "
        "and says nothing about other sizes, budgets or scenes."
    )
