"""Read a study's run folders and work out its figures: per run, per variant, and against the reference."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from craft.config import Config
from craft.evaluation.thresholds import Thresholds
from craft.studies.run import DONE, read_study
from craft.studies.scoring import DETECTIONS, GridScores, read_scores
from craft.studies.statistics import Estimate, estimate, paired_difference
from craft.studies.study import Run, Study, study_runs
from craft.training.run_folder import read_run_config
from craft.training.run_log import read_metrics

Policy = Literal["shared", "own"]

POLICIES: dict[Policy, str] = {
    "shared": "the same thresholds for every run",
    "own": "each run's own thresholds",
}
METRICS = {
    "hmean": "H-mean",
    "precision": "precision",
    "recall": "recall",
    "average_precision": "average precision",
    "clean_scenes": "textless scenes left clean",
    "false_words": "false words per textless scene",
}


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a finished run left.

    Attributes:
        run: which.
        record: run.json.
        scores: by "split/part".
        train: lines of the log.
        validation: scores during training.
        weights: fingerprint of the first weights; "" where the log has none.
        batches: fingerprints of the first and the last batch.
        words: the same without what a teacher says: characters and confidences.
        labels: labellings by a teacher that took effect, lines of the log.
        probe: what was kept, and where.
    """

    run: Run
    record: dict[str, Any]
    scores: dict[str, GridScores]
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    weights: str
    batches: tuple[str, ...]
    words: tuple[str, ...]
    labels: list[dict[str, Any]]
    probe: dict[str, Any]

    @property
    def seconds_per_step(self) -> float:
        """Median over the log of the time of a step; the first line holds the warming up and is left out."""
        rates = [line["images_per_second"] for line in self.train[1:] or self.train]
        return float(self.record["batch_size"]) / statistics.median(rates)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A variant's figures on a split.

    Attributes:
        variant: its name.
        values: by metric and seed.
        estimates: by metric, over seeds.
        difference: of H-mean against the reference, seed by seed; None for the reference.
        strict: the same with an interval that holds for all comparisons of the table at once.
    """

    variant: str
    values: dict[str, dict[int, float]]
    estimates: dict[str, Estimate]
    difference: Estimate | None
    strict: Estimate | None


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The figures of all variants on a split.

    Attributes:
        split: its name.
        policy: how thresholds were chosen.
        rows: one a variant that has runs.
        thresholds: by run: what it was scored at.
    """

    split: str
    policy: Policy
    rows: tuple[Row, ...]
    thresholds: dict[Run, Thresholds]


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """A study and all that its folder says of it.

    Attributes:
        study: the study.
        out: its folder.
        runs: finished runs, in the study's order.
        missing: runs that are not done, with the reason where one is known.
        tables: per split and policy.
        configs: a run's settings by variant.
        environment: what the study ran on, of the last start; empty where unknown.
    """

    study: Study
    out: Path
    runs: tuple[RunResult, ...]
    missing: dict[Run, str]
    tables: tuple[Table, ...]
    configs: dict[str, Config]
    environment: dict[str, Any]

    def table(self, split: str, policy: Policy) -> Table:
        """The table of a split under a policy."""
        return next(one for one in self.tables if one.split == split and one.policy == policy)

    def of_variant(self, variant: str) -> list[RunResult]:
        """The finished runs of a variant."""
        return [one for one in self.runs if one.run.variant == variant]


def collect(out: Path) -> Results:
    """Read a study's folder.

    Args:
        out: the folder, with study.yaml and runs.

    Returns:
        Its results; runs that are not done are named.

    Raises:
        ValueError: the folder holds no study, or no run of it is done.
    """
    if not (out / "study.yaml").exists():
        raise ValueError(f"{out}: holds no study, study.yaml is missing; give the --out of a craft compare")
    study = read_study(out)
    runs = [_read_run(run, out) for run in study_runs(study) if (run.folder(out) / DONE).exists()]
    missing = {run: _reason(run, out) for run in study_runs(study) if not (run.folder(out) / DONE).exists()}
    if not runs:
        reasons = "".join(f"\n  {run.name}: {reason}" for run, reason in missing.items())
        raise ValueError(f"{out}: no run is done, so there is nothing to report{reasons}")
    done = [variant for variant in study.variants if any(one.run.variant == variant for one in runs)]
    configs = {
        variant: read_run_config(next(one.run for one in runs if one.run.variant == variant).folder(out))
        for variant in done
    }
    policies: tuple[Policy, ...] = ("shared", "own")
    tables = tuple(_table(study, runs, split, policy) for split in study.splits for policy in policies)
    return Results(study, out, tuple(runs), missing, tables, configs, _environment(out))


def choose_thresholds(study: Study, runs: Sequence[RunResult], split: str, policy: Policy) -> dict[Run, int]:
    """Choose thresholds on a split's scenes for choosing; none of them is reported.

    Args:
        study: the study.
        runs: finished runs.
        split: the split's name.
        policy: "shared": those with the highest mean H-mean, every variant counting the same; "own": each run's best.

    Returns:
        Index into the study's grid, by run.
    """
    hmeans = {one.run: one.scores[f"{split}/choose"].totals()[2] for one in runs}
    if policy == "own":
        return {run: int(np.argmax(values)) for run, values in hmeans.items()}
    of_variants = [
        np.mean([values for run, values in hmeans.items() if run.variant == variant], axis=0)
        for variant in dict.fromkeys(run.variant for run in hmeans)
    ]
    best = int(np.argmax(np.mean(of_variants, axis=0)))
    return dict.fromkeys(hmeans, best)


def steps_to_reach(result: RunResult, level: float) -> int | None:
    """The first validated step of a run whose H-mean is at least a level; None where none is."""
    return next((int(line["step"]) for line in result.validation if line["hmean"] >= level), None)


def fairness(results: Results) -> dict[int, dict[str, bool]]:
    """Whether all runs of a seed began with the same weights and had the same first and last batches, by seed.

    Where variants differ in where characters come from, batches are compared without them.
    """
    found = {}
    unlike = differ_in_characters(results)
    for seed in results.study.seeds:
        of_seed = [one for one in results.runs if one.run.seed == seed]
        if of_seed:
            seen = [one.words if unlike else one.batches for one in of_seed]
            found[seed] = {
                "weights": len({one.weights for one in of_seed}) == 1 and of_seed[0].weights != "",
                "first": len({batches[:1] for batches in seen}) == 1 and len(seen[0]) > 0,
                "last": len({(one.record["steps"], batches[-1:]) for one, batches in zip(of_seed, seen, strict=True)})
                == 1,
            }
    return found


def differ_in_characters(results: Results) -> bool:
    """Whether a study's variants differ in where characters come from."""
    return len({config.data.characters for config in results.configs.values()}) > 1


def _table(study: Study, runs: Sequence[RunResult], split: str, policy: Policy) -> Table:
    grid, chosen = study.grid(), choose_thresholds(study, runs, split, policy)
    values: dict[str, dict[str, dict[int, float]]] = {}
    for one in runs:
        figures = _figures(one, split, chosen[one.run])
        of_variant = values.setdefault(one.run.variant, {metric: {} for metric in METRICS})
        for metric, value in figures.items():
            of_variant[metric][one.run.seed] = value
    reference = values.get(study.reference, {}).get("hmean", {})
    comparisons = len(values) - 1
    rows = []
    for variant in [name for name in study.variants if name in values]:
        own = values[variant]
        estimates = {metric: estimate(list(of_seeds.values())) for metric, of_seeds in own.items()}
        plain = strict = None
        if variant != study.reference and reference:
            plain = paired_difference(own["hmean"], reference)
            strict = paired_difference(own["hmean"], reference, num_comparisons=comparisons)
        rows.append(Row(variant, own, estimates, plain, strict))
    return Table(split, policy, tuple(rows), {run: grid[index] for run, index in chosen.items()})


def _figures(result: RunResult, split: str, index: int) -> dict[str, float]:
    reported = result.scores[f"{split}/report"]
    precision, recall, hmean = (float(values[index]) for values in reported.totals())
    figures = {"hmean": hmean, "precision": precision, "recall": recall}
    area = float(reported.average_precision[index])
    if not math.isnan(area):
        figures["average_precision"] = area
    textless = result.scores[f"{split}/without_text"].counts[index]
    if len(textless):
        figures["clean_scenes"] = float((textless[:, DETECTIONS] == 0).mean())
        figures["false_words"] = float(textless[:, DETECTIONS].mean())
    return figures


def _read_run(run: Run, out: Path) -> RunResult:
    folder = run.folder(out)
    metrics = folder / "metrics.jsonl"
    start, batches = read_metrics(metrics, kind="start"), read_metrics(metrics, kind="batch")
    return RunResult(
        run=run,
        record=_read_json(folder / DONE),
        scores=read_scores(folder / "scores.npz"),
        train=read_metrics(metrics, kind="train"),
        validation=read_metrics(metrics, kind="validation"),
        weights=start[0]["weights"] if start else "",
        batches=tuple(line["digest"] for line in batches),
        words=tuple(line.get("words", line["digest"]) for line in batches),
        labels=read_metrics(metrics, kind="labels"),
        probe=_read_json(folder / "probe.json"),
    )


def _reason(run: Run, out: Path) -> str:
    path = run.folder(out) / "failure.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else "not done yet"


def _environment(out: Path) -> dict[str, Any]:
    path = out / "environment.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(json.loads(lines[-1])) if lines else {}


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
