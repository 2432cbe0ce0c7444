"""Read a study's run folders and compute its results: per run, per variant, and against the reference."""

import json
import math
import statistics
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from craft.config import Config
from craft.evaluation.thresholds import Thresholds
from craft.studies.scores import DETECTIONS, GridScores, read_scores, without_text_threshold
from craft.studies.statistics import Estimate, bootstrap_difference, estimate, holm, p_value, paired_difference
from craft.studies.study import DONE, Run, Study, read_study, study_runs
from craft.training.run_folder import read_run_config, read_run_record
from craft.training.run_log import read_metrics

Policy = Literal["shared", "own"]
_DAMAGED = (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile, zlib.error)  # files of a damaged run

POLICIES: dict[Policy, str] = {"shared": "the same thresholds for every run", "own": "each variant's own thresholds"}
RECALL = 0.4  # at which precisions are compared
METRICS = {
    "hmean": "H-mean",
    "precision": "precision",
    "recall": "recall",
    "average_precision": "average precision",
    "precision_at_recall": f"precision at recall {RECALL}",
    "calibration_error": "calibration error",
    "clean_scenes": "textless scenes without detections",
    "false_words": "false words per textless scene",
}


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a finished run left in its folder."""

    run: Run
    record: dict[str, Any]  # run.json
    scores: dict[str, GridScores]  # by "split/part", where the part is choose, report or without_text
    train: list[dict[str, Any]]  # training lines of the log
    validation: list[dict[str, Any]]  # validation lines of the log
    weights: str  # digest of the initial weights; "" where the log has none
    batches: tuple[str, ...]  # digests of the first and the last batch
    words: tuple[str, ...]  # the same without what a teacher decides: characters and confidences
    labels: list[dict[str, Any]]  # lines of the log about labellings by a teacher that took effect
    kept_pixels: dict[str, Any]  # probe.json

    @property
    def seconds_per_step(self) -> float:
        """Median time of a step over the log, without its first line, which holds the warm-up."""
        rates = [line["images_per_second"] for line in self.train[1:] or self.train]
        return float(self.record["batch_size"]) / statistics.median(rates)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The results of a variant on a split."""

    variant: str
    values: dict[str, dict[int, float]]  # by metric and seed
    estimates: dict[str, Estimate]  # by metric, over seeds
    difference: Estimate | None  # H-mean minus the reference's, paired by seed; None for the reference
    resampled: tuple[float, float]  # its 95 % interval over seeds and scenes; NaN without an interval over seeds
    p_value: float  # of the difference, corrected for all comparisons of the table; NaN where there is none


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The results of all variants on a split, a row for each that has runs, and the thresholds of every run."""

    split: str
    policy: Policy
    rows: tuple[Row, ...]
    thresholds: dict[Run, Thresholds]


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """A study and everything that its folder holds."""

    study: Study
    out: Path  # the study's folder
    runs: tuple[RunResult, ...]  # finished runs, in the study's order
    missing: dict[Run, str]  # unfinished runs, with the reason where it is known
    tables: tuple[Table, ...]  # one per split and policy
    configs: dict[str, Config]  # configuration of a run of each variant that has runs
    environment: dict[str, Any]  # where the study was last started; empty where unknown

    def table(self, split: str, policy: Policy) -> Table:
        """Return the table of a split under a policy."""
        return next(table for table in self.tables if table.split == split and table.policy == policy)

    def of_variant(self, variant: str) -> list[RunResult]:
        """List the finished runs of a variant."""
        return [result for result in self.runs if result.run.variant == variant]

    def reference_config(self) -> Config:
        """Return the configuration of the reference, or of the first variant where the reference has no runs."""
        return self.configs.get(self.study.reference) or next(iter(self.configs.values()))


def collect(out: Path) -> Results:
    """Read a study's folder; runs that are not done are listed.

    Raises ValueError if the folder holds no study, or none of its runs is done.
    """
    if not (out / "study.yaml").exists():
        raise ValueError(f"{out}: holds no study, study.yaml is missing; give the --out of a craft compare")
    study = read_study(out)
    runs: list[RunResult] = []
    missing: dict[Run, str] = {}
    for run in study_runs(study):
        if not (run.folder(out) / DONE).exists():
            missing[run] = _reason(run, out)
            continue
        try:
            runs.append(_read_run(run, out))
        except _DAMAGED as error:
            done = run.folder(out) / DONE
            missing[run] = f"its results cannot be read ({error}); remove {done} and run craft compare again"
    if not runs:
        reasons = "".join(f"\n  {run.name}: {reason}" for run, reason in missing.items())
        raise ValueError(f"{out}: no run is done, so there is nothing to report{reasons}")
    first_run = {result.run.variant: result.run for result in reversed(runs)}
    configs = {
        variant: read_run_config(first_run[variant].folder(out)) for variant in study.variants if variant in first_run
    }
    policies: tuple[Policy, ...] = get_args(Policy)
    tables = tuple(_table(study, runs, split, policy) for split in study.splits for policy in policies)
    return Results(study, out, tuple(runs), missing, tables, configs, (read_run_record(out) or [{}])[-1])


def choose_thresholds(study: Study, runs: Sequence[RunResult], split: str, policy: Policy) -> dict[Run, int]:
    """Choose thresholds on the scenes that a split keeps for it, and return indices into the study's grid by run.

    Args:
        policy: "shared": the thresholds with the highest mean H-mean, each variant counting the same; "own": those
            with the highest mean H-mean of the variant's runs.
    """
    hmeans: dict[str, list[NDArray[np.float64]]] = {}
    for result in runs:
        hmeans.setdefault(result.run.variant, []).append(result.scores[f"{split}/choose"].totals()[2])
    means = {variant: np.mean(of_runs, axis=0) for variant, of_runs in hmeans.items()}
    shared = np.mean(list(means.values()), axis=0)
    return {result.run: int(np.argmax(shared if policy == "shared" else means[result.run.variant])) for result in runs}


def steps_to_reach(result: RunResult, level: float) -> int | None:
    """Find the first validated step of a run with an H-mean of at least `level`; None without one."""
    return next((int(line["step"]) for line in result.validation if line["hmean"] >= level), None)


def fairness(results: Results) -> dict[int, dict[str, bool]]:
    """Check, by seed, that all runs had the same initial weights, first batch and last batch.

    Where variants differ in the source of their characters, batches are compared without characters; where they
    differ in their training datasets, only the initial weights are compared.
    """
    checks: dict[int, dict[str, bool]] = {}
    without_characters, same_data = differ_in_characters(results), not differ_in_data(results)
    for seed in results.study.seeds:
        of_seed = [result for result in results.runs if result.run.seed == seed]
        if of_seed:
            batches = [result.words if without_characters else result.batches for result in of_seed]
            last = {(result.record["steps"], seen[-1:]) for result, seen in zip(of_seed, batches, strict=True)}
            checks[seed] = {
                "weights": len({result.weights for result in of_seed}) == 1 and of_seed[0].weights != "",
                "first": not same_data or (len({seen[:1] for seen in batches}) == 1 and len(batches[0]) > 0),
                "last": not same_data or len(last) == 1,
            }
    return checks


def differ_in_characters(results: Results) -> bool:
    """Tell whether the variants differ in the source of their characters."""
    return len({config.data.characters for config in results.configs.values()}) > 1


def differ_in_data(results: Results) -> bool:
    """Tell whether the variants differ in their training datasets."""
    return len({config.data.train for config in results.configs.values()}) > 1


def _table(study: Study, runs: Sequence[RunResult], split: str, policy: Policy) -> Table:
    grid, chosen = study.grid(), choose_thresholds(study, runs, split, policy)
    values: dict[str, dict[str, dict[int, float]]] = {}
    for result in runs:
        of_variant = values.setdefault(result.run.variant, {metric: {} for metric in METRICS})
        for metric, value in _metrics(result, split, chosen[result.run], grid).items():
            of_variant[metric][result.run.seed] = value
    counts = {result.run: result.scores[f"{split}/report"].counts[chosen[result.run]] for result in runs}
    reference = values.get(study.reference, {}).get("hmean", {})
    differences = {
        variant: paired_difference(own["hmean"], reference)
        for variant, own in values.items()
        if variant != study.reference and reference
    }
    corrected = dict(zip(differences, holm([p_value(found) for found in differences.values()]), strict=True))
    rows = []
    for variant in [name for name in study.variants if name in values]:
        estimates = {metric: estimate(list(of_seeds.values())) for metric, of_seeds in values[variant].items()}
        difference = differences.get(variant)
        resampled = (math.nan, math.nan)
        if difference is not None and not math.isnan(difference.low):
            seeds = sorted(values[variant]["hmean"].keys() & reference.keys())
            pair = [np.stack([counts[Run(name, seed)] for seed in seeds]) for name in (study.reference, variant)]
            resampled = bootstrap_difference(*pair)
        p = corrected.get(variant, math.nan)
        rows.append(Row(variant, values[variant], estimates, difference, resampled, p))
    return Table(split, policy, tuple(rows), {run: grid[index] for run, index in chosen.items()})


def _metrics(result: RunResult, split: str, index: int, grid: Sequence[Thresholds]) -> dict[str, float]:
    reported = result.scores[f"{split}/report"]
    precision, recall, hmean = (float(values[index]) for values in reported.totals())
    metrics = {"hmean": hmean, "precision": precision, "recall": recall}
    everything = without_text_threshold(grid, index)
    ranked = {
        "average_precision": reported.average_precision(everything),
        "precision_at_recall": reported.precision_at_recall(everything, RECALL),
        "calibration_error": reported.calibration_error(index),
    }
    metrics |= {metric: value for metric, value in ranked.items() if not math.isnan(value)}
    textless = result.scores[f"{split}/without_text"].counts[index]
    if len(textless):
        metrics["clean_scenes"] = float((textless[:, DETECTIONS] == 0).mean())
        metrics["false_words"] = float(textless[:, DETECTIONS].mean())
    return metrics


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
        kept_pixels=_read_json(folder / "probe.json"),
    )


def _reason(run: Run, out: Path) -> str:
    path = run.folder(out) / "failure.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else "not done yet"


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
