"""The content of the page, as plain values for its scripts."""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from craft.config import RATIO_RULES
from craft.evaluation.protocols import score_scene
from craft.scene import Scene, Word
from craft.studies.collect import METRICS, POLICIES, Results, Row, RunResult, fairness
from craft.studies.conclusions import standing
from craft.studies.facts import facts, fairness_words, threshold_words
from craft.studies.figures import variant_colour
from craft.studies.pixel_locations import LOCATIONS
from craft.studies.statistics import Estimate
from craft.studies.study import Run, view_steps
from craft.studies.tables import costs


def page_data(results: Results, conclusions: Sequence[str]) -> dict[str, Any]:
    """Gather the content of the page as dictionaries, lists, numbers, strings and None; images as data URLs."""
    study = results.study
    rows = [row for table in results.tables for row in table.rows]
    return {
        "title": study.title,
        "name": study.name,
        "reference": study.reference,
        "conclusions": list(conclusions),
        "facts": facts(results),
        "policies": POLICIES,
        "metrics": {metric: name for metric, name in METRICS.items() if any(row.values[metric] for row in rows)},
        "variants": [_variant(results, name) for name in results.configs],
        "splits": list(study.splits),
        "thresholds": {split: threshold_words(results, split) for split in study.splits},
        "tables": {f"{table.split}/{table.policy}": [_row(row) for row in table.rows] for table in results.tables},
        "curves": {name: _curve(results.of_variant(name)) for name in results.configs},
        "locations": list(LOCATIONS),
        "kept": {name: _kept(results.of_variant(name)) for name in results.configs},
        "costs": [
            {key: _estimate(value) if isinstance(value, Estimate) else value for key, value in cost.items()}
            for cost in costs(results)
        ],
        "digests": [
            [result.run.seed, result.run.variant, result.weights, result.batches[0], result.batches[-1]]
            for result in results.runs
        ],
        "fair": all(all(checks.values()) for checks in fairness(results).values()),
        "fair_words": fairness_words(results),
        "missing": [[run.name, reason] for run, reason in results.missing.items()],
        "viewer": _viewer(results),
    }


def _variant(results: Results, name: str) -> dict[str, Any]:
    ohem = results.configs[name].ohem
    ratio = ohem.ratio if ohem.rule in RATIO_RULES else None
    return {"name": name, "rule": ohem.rule, "ratio": ratio, "colour": variant_colour(results.study, name)}


def _row(row: Row) -> dict[str, Any]:
    return {
        "variant": row.variant,
        "standing": standing(row),
        "seeds": {metric: list(values.values()) for metric, values in row.values.items()},
        "estimates": {metric: _estimate(shown) for metric, shown in row.estimates.items()},
        "difference": None if row.difference is None else _estimate(row.difference),
        "p": _finite(row.p_value),
    }


def _estimate(shown: Estimate) -> dict[str, float | None]:
    return {key: _finite(value) for key, value in asdict(shown).items()}


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _curve(runs: Sequence[RunResult]) -> dict[str, Any]:
    """The log of a variant's runs: mean, least and largest over seeds."""
    train = [result.train for result in runs]
    validated = [result.validation for result in runs if result.validation]
    keep = ("loss", "kept_negatives_region", "kept_negatives_affinity", "kept_positives_region")
    curve = {name: _band([[line[name] for line in lines] for lines in train]) for name in keep}
    return {
        "steps": [line["step"] for line in train[0]],
        **curve,
        "validated_steps": [line["step"] for line in validated[0]] if validated else [],
        "hmean": _band([[line["hmean"] for line in lines] for lines in validated]) if validated else None,
    }


def _kept(runs: Sequence[RunResult]) -> dict[str, Any]:
    """Means over seeds of what was found about the kept pixels at every snapshot, by map."""
    snapshots = [result.kept_pixels["snapshots"] for result in runs]
    found: dict[str, Any] = {"steps": [snapshot["step"] for snapshot in snapshots[0]]}
    for name in ("region", "affinity"):
        found[name] = {
            key: np.mean([[snapshot[name][key] for snapshot in of_run] for of_run in snapshots], axis=0)
            .round(5)
            .tolist()
            for key in ("kept_shares", "background_shares", "positive_gradient", "common_loss", "kept_negatives")
        }
    return found


def _band(series: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    values = np.asarray(series, dtype=np.float64)
    return {
        "mean": values.mean(axis=0).round(6).tolist(),
        "low": values.min(axis=0).round(6).tolist(),
        "high": values.max(axis=0).round(6).tolist(),
    }


def _viewer(results: Results) -> dict[str, Any] | None:
    listed = results.out / "view" / "scenes.json"
    shown = [result for result in results.runs if result.run.seed == results.study.seeds[0]]
    if not listed.exists() or not shown:
        return None
    scenes = json.loads(listed.read_text(encoding="utf-8"))
    if not scenes:
        return None
    for scene in scenes:
        scene["image"] = _data_url(results.out / "view" / f"{scene['file']}.webp")
        scene["target"] = _data_url(results.out / "view" / f"{scene['file']}_target.webp")
        truth = _truth(scene)
        for word, exact in zip(scene["words"], truth.words, strict=True):
            word["polygon"] = np.rint(exact.polygon_xy).astype(int).tolist()
        scene["variants"] = {result.run.variant: _predictions(results, result.run, scene, truth) for result in shown}
    moments = view_steps(int(shown[0].record["steps"]))
    return {"seed": results.study.seeds[0], "moments": moments, "scenes": scenes}


def _predictions(results: Results, run: Run, scene: dict[str, Any], truth: Scene) -> dict[str, Any]:
    """A run's maps of a scene, the pixels it kept, and its words at the shared thresholds, matched with the truth."""
    folder = run.folder(results.out) / "view"
    chosen = results.table(scene["split"], "shared").thresholds[run]
    found = json.loads((folder / f"{scene['file']}.json").read_text(encoding="utf-8"))
    words = found[f"{chosen.low_text:g} {chosen.link_threshold:g}"]
    passes = np.asarray(words["peaks"], dtype=np.float32) >= np.float32(chosen.text_threshold)
    if "text" in words:  # views written before the region head could be compared have none
        passes &= np.asarray(words["text"], dtype=np.float32) >= np.float32(chosen.region_threshold)
    kept = np.flatnonzero(passes)
    quads_xy = np.asarray(words["quads"], dtype=np.float32).reshape(-1, 4, 2)[kept]
    scores = np.asarray(words["scores"], dtype=np.float32)[kept]
    score = score_scene(truth, quads_xy, scores, protocol=results.study.protocol)
    hits = {index for match in score.matches for index in match.detections}
    ignored = set(score.ignored_detections)
    return {
        "score": _data_url(folder / f"{scene['file']}_score.webp"),
        "kept": _data_url(folder / f"{scene['file']}_kept.webp"),
        "words": [
            [np.rint(quad).astype(int).ravel().tolist(), round(float(value), 2), _outcome(index, hits, ignored)]
            for index, (quad, value) in enumerate(zip(quads_xy, scores, strict=True))
        ],
        "found": sorted({index for match in score.matches for index in match.truth}),
        "hmean": round(score.hmean, 4),
        "counts": [round(score.truth_credit), score.num_truth, score.num_detections],
    }


def _outcome(index: int, hits: set[int], ignored: set[int]) -> str:
    return "hit" if index in hits else "ignored" if index in ignored else "false"


def _truth(scene: dict[str, Any]) -> Scene:
    words = tuple(
        Word(np.asarray(word["polygon"], dtype=np.float32), word["text"], dont_care=word["dont_care"])
        for word in scene["words"]
    )
    return Scene("", words, scene["name"])


def _data_url(path: Path) -> str:
    return "data:image/webp;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
