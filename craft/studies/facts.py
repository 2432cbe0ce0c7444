"""What a reader needs to know to judge a study's tables: scenes, rule of scoring, thresholds, definition, seeds, command."""

from __future__ import annotations

from craft.evaluation.protocols import PROTOCOLS
from craft.studies.collect import POLICIES, Results, differ_in_characters, fairness
from craft.studies.scoring import WORDS

OHEM_DEFINITION = (
    "Per image and per map (region, affinity): every cared-for pixel with a target above 0.1 is kept; of the other "
    "cared-for pixels hardest keeps the ratio x positives with the largest error (confidence x squared difference), at "
    "least min_negatives; random keeps as many at random; all keeps all. A map's loss is the mean error of the "
    "positives kept plus that of the negatives kept, then the mean over the batch. none is one plain mean over all "
    "cared-for pixels."
)


def facts(results: Results) -> list[tuple[str, str]]:
    """List what was run, as names and values for people.

    Args:
        results: of the study.

    Returns:
        (name, value) in the order in which they are shown.
    """
    study, environment = results.study, results.environment
    config = results.configs.get(study.reference) or next(iter(results.configs.values()))
    steps = sorted({int(one.record["steps"]) for one in results.runs})
    per_variant = ", ".join(f"{name} {len(results.of_variant(name))}" for name in study.variants)
    listed = [
        (
            "Runs",
            f"{len(results.runs)} of {len(results.runs) + len(results.missing)} done; seeds {_listed(study.seeds)}",
        ),
        ("Runs by variant", per_variant),
        ("Network", f"CRAFT, width {config.model.width:g}, start: {config.weights or config.model.pretrained}"),
        (
            "Training",
            f"{' to '.join(f'{value:,}' for value in {steps[0]: 0, steps[-1]: 0})} steps of "
            f"{config.training.batch_size * config.optimizer.accumulate} crops of {config.data.crop_size} px; "
            f"budget {_budget(results)}",
        ),
        ("Training scenes", ", ".join(_path(results, one.title) for one in study.train or config.data.train)),
    ]
    for name in study.splits:
        listed.append((f"Split {name}", _split(results, name)))
    listed += [
        (
            "Scored",
            f"{study.protocol}: {PROTOCOLS[study.protocol]}; weights of the last step, never the best on the way",
        ),
        (
            "Thresholds",
            f"{len(study.grid())} combinations tried on the scenes for choosing, none of which is reported. "
            f"Main table: {POLICIES['shared']}, those with the best mean H-mean over all runs",
        ),
        (
            "Intervals",
            "95 % of the mean over seeds (Student); differences seed by seed; strict: all comparisons at once",
        ),
        ("OHEM", OHEM_DEFINITION),
        ("Fair", fairness_words(results)),
    ]
    if environment:
        versions = (
            f"craft {environment['craft']} ({environment['commit'] or 'no commit'}), torch {environment['torch']}"
        )
        machine = f"{environment['gpu'] or environment['processor']}, {environment['cores']} cores"
        listed += [("Command", environment["command"]), ("Versions", versions), ("Machine", machine)]
    return listed


def fairness_words(results: Results) -> str:
    """Say whether all variants of a seed began alike and saw the same batches."""
    checks = fairness(results)
    unlike = [str(seed) for seed, found in checks.items() if not all(found.values())]
    if unlike:
        return f"NOT shown for seeds {', '.join(unlike)}: see the fingerprints"
    if differ_in_characters(results):
        return (
            "all variants of a seed began with the same weights and had the same first and last batch, pixels, words "
            "and random numbers included, but for the characters in the words (fingerprints agree)"
        )
    return (
        "all variants of a seed began with the same weights and had the same first and last batch, pixels, quads and "
        "random numbers included (fingerprints agree)"
    )


def threshold_words(results: Results, split: str) -> str:
    """The thresholds that every run of a split's main table was scored at."""
    one = next(iter(results.table(split, "shared").thresholds.values()))
    words = f"text {one.text_threshold:g}, low {one.low_text:g}, link {one.link_threshold:g}"
    return words + (f", region head {one.region_threshold:g}" if one.region_threshold else "")


def _split(results: Results, name: str) -> str:
    first = results.runs[0].scores
    report, choose = first[f"{name}/report"].counts[0], first[f"{name}/choose"].counts[0]
    textless = len(first[f"{name}/without_text"].counts[0])
    also = f"; {textless} scenes without text" if textless else ""
    return (
        f"{len(report)} scenes with {int(report[:, WORDS].sum())} words reported, thresholds chosen on {len(choose)} "
        f"others ({threshold_words(results, name)}){also}"
    )


def _budget(results: Results) -> str:
    budget = results.study.budget
    return next(
        f"{value:g} {name}"
        for name, value in (("steps", budget.steps), ("images", budget.images), ("seconds", budget.seconds))
        if value is not None
    )


def _path(results: Results, path: str) -> str:
    if not path.startswith("synth:"):
        return path
    synth = results.study.synth[path.removeprefix("synth:")]
    return f"{synth.count} of craft synth --preset {synth.preset} --seed {synth.seed}"


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
