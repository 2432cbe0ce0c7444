"""What a study's numbers support, in words, and no more."""

import math
import statistics
from collections.abc import Sequence

from craft.studies.collect import POLICIES, Policy, Results, Row, Table
from craft.studies.statistics import CONFIDENCE, detectable_difference

_LEVEL = 1 - CONFIDENCE
_LEAST_HMEAN = 0.02  # below it, differences are those of a few lucky words


def draw_conclusions(results: Results) -> tuple[str, ...]:
    """State what the study shows, in sentences, the most important first.

    A variant differs from the reference where the p-value of their paired difference over seeds, corrected for all
    comparisons of the table, is below 5 %. Where only the interval leaves out 0, that is called a hint.
    """
    sentences = []
    if results.missing:
        total = len(results.missing) + len(results.runs)
        sentences.append(f"Incomplete: {len(results.missing)} of {total} runs are missing.")
    if max(len(results.of_variant(name)) for name in results.study.variants) < 2:
        return (*sentences, "One seed is not a result: without a spread over seeds nothing can be concluded.")
    for split in results.study.splits:
        shared, own = results.table(split, "shared"), results.table(split, "own")
        sentences.append(_sentence(split, "shared", _findings(shared, results)))
        if not set(_standings(shared).values()) - {"reference", "unknown"}:
            continue
        against_random = _compare_with_random(results, split)
        if against_random:
            sentences.append(against_random)
        if _standings(own) == _standings(shared):
            sentences.append(_sentence(split, "own", "the conclusions are the same"))
        else:
            sentences.append(_sentence(split, "own", _findings(own, results)))
    sentences.append(_scope(results))
    return tuple(sentences)


def standing(row: Row) -> str:
    """Rate a variant against the reference: "better", "worse", "hint", "same", "unknown" or "reference"."""
    if row.difference is None:
        return "reference"
    if math.isnan(row.difference.low):
        return "unknown"
    if row.p_value < _LEVEL:
        return "better" if row.difference.mean > 0 else "worse"
    return "hint" if row.difference.excludes_zero else "same"


def _sentence(split: str, policy: Policy, findings: str) -> str:
    return f"On {split}, with {POLICIES[policy]}: {findings}."


def _findings(table: Table, results: Results) -> str:
    reference = results.study.reference
    best = max(row.estimates["hmean"].mean for row in table.rows)
    if best < _LEAST_HMEAN:
        return f"no variant finds text yet (best H-mean {100 * best:.1f}), so there is nothing to compare"
    rows = {name: [row for row in table.rows if standing(row) == name] for name in ("better", "worse", "hint", "same")}
    if not any(rows.values()):
        return f"{reference} has too few seeds in common with the others for a comparison"
    parts = [
        f"{row.variant} is {name} than {reference} by {_points(row)}"
        for name in ("better", "worse")
        for row in rows[name]
    ]
    parts += [
        f"{row.variant} hints at a difference of {_signed_points(row)}, which does not stand once all comparisons count"
        for row in rows["hint"]
    ]
    if rows["same"] and not parts:
        return f"no difference from {reference} beyond seed noise{_detectable(rows['same'])}"
    if rows["same"]:
        names = ", ".join(row.variant for row in rows["same"])
        parts.append(f"no difference beyond seed noise for {names}{_detectable(rows['same'])}")
    return "; ".join(parts)


def _compare_with_random(results: Results, split: str) -> str:
    """Compare the hardest pixels with as many random ones, where the study has both at one ratio."""
    hardest = results.configs.get(results.study.reference)
    if hardest is None or hardest.ohem.rule != "hardest":
        return ""
    for row in results.table(split, "shared").rows:
        other = results.configs[row.variant].ohem
        if other.rule != "random" or other.ratio != hardest.ohem.ratio:
            continue
        found = standing(row)
        if found in ("better", "worse"):
            order = "the hardest are better than" if found == "worse" else "the hardest are worse than"
            return f"On {split}, among equally many background pixels {order} random ones by {_points(row)}."
        if found in ("same", "hint"):
            return f"On {split}, the study cannot tell the hardest background pixels from as many random ones."
    return ""


def _standings(table: Table) -> dict[str, str]:
    return {row.variant: standing(row) for row in table.rows}


def _detectable(rows: Sequence[Row]) -> str:
    """The difference that would have been found to be one: the median over variants."""
    found = [detectable_difference(row.difference) for row in rows if row.difference is not None]
    return (
        f" (a true difference of {100 * statistics.median(found):.1f} points would be detected with 80 % probability)"
    )


def _points(row: Row) -> str:
    assert row.difference is not None
    low, high = sorted((abs(100 * row.difference.low), abs(100 * row.difference.high)))
    p = "p < 0.001" if row.p_value < 0.001 else f"p = {row.p_value:.3f}"
    return f"{abs(100 * row.difference.mean):.1f} points of H-mean (interval {low:.1f} to {high:.1f}, {p})"


def _signed_points(row: Row) -> str:
    assert row.difference is not None
    return f"{100 * row.difference.mean:+.1f} points"


def _scope(results: Results) -> str:
    config = results.reference_config()
    seeds = len({result.run.seed for result in results.runs})
    return (
        f"This holds for what was run (width {config.model.width:g}, {config.training.steps:,} steps of "
        f"{config.training.batch_size * config.optimizer.accumulate} crops of {config.data.crop_size} px, {seeds} seeds) "
        "and says nothing about other sizes, budgets or scenes."
    )
