"""The facts that a reader needs to judge a study's tables: scenes, scoring, thresholds, definition, seeds, command."""

from craft.config_files import by_dotted_name
from craft.evaluation.protocols import PROTOCOLS
from craft.studies.collect import POLICIES, Results, differ_in_characters, differ_in_data, fairness
from craft.studies.scores import WORDS
from craft.studies.study import SYNTHETIC

OHEM_DEFINITION = (
    "Per image and per map (region, affinity), every cared-for pixel with a target above 0.1 is kept. Of the other "
    "cared-for pixels, hardest keeps the ratio x positives with the largest error (confidence x squared difference), at "
    "least min_negatives; random keeps as many at random; all keeps all. The loss of a map is the mean error of the "
    "kept positives plus that of the kept negatives, then the mean over the batch. none is one plain mean over all "
    "cared-for pixels; focal is all, each error multiplied by its power gamma / 2."
)


def facts(results: Results) -> list[tuple[str, str]]:
    """List (name, value) of what was run, in the order in which they are shown."""
    study, config = results.study, results.reference_config()
    variants = {
        name: [f"{key}: {value}" for key, value in by_dotted_name(changes).items()]
        for name, changes in study.variants.items()
    }
    num_done = len(results.runs)
    per_variant = ", ".join(f"{name} {len(results.of_variant(name))}" for name in study.variants)
    training = ", ".join(_title(results, dataset.title) for dataset in study.train or config.data.train)
    return [
        ("Runs", f"{num_done} of {num_done + len(results.missing)} done; seeds {', '.join(map(str, study.seeds))}"),
        ("Runs per variant", per_variant),
        *((f"Variant {name}", ", ".join(changes) or "the base") for name, changes in variants.items()),
        (
            "Network",
            f"CRAFT, width {config.model.width:g}, initial weights: {config.weights or config.model.pretrained}",
        ),
        ("Training", _training(results)),
        ("Training scenes", training),
        *((f"Split {name}", _split(results, name)) for name in study.splits),
        ("Scoring", f"{study.protocol}: {PROTOCOLS[study.protocol]}; weights of the last step, never the best ones"),
        (
            "Thresholds",
            f"{len(study.grid())} combinations tried on the scenes for choosing, none of which is reported. "
            f"{POLICIES['shared']}: those with the best mean H-mean, every variant counting the same; {POLICIES['own']}: "
            "those with the best mean H-mean of its runs",
        ),
        (
            "Intervals",
            "95 % of the mean over seeds (Student), of three seeds or more; differences are paired by seed. p: paired "
            "t-test, corrected for all comparisons of a table (Holm). Over scenes: seeds and scenes resampled 10,000 times",
        ),
        ("OHEM", OHEM_DEFINITION),
        ("Fairness", fairness_words(results)),
        *_provenance(results),
    ]


def fairness_words(results: Results) -> str:
    """State whether all variants of a seed had the same initial weights and the same batches."""
    unlike = [str(seed) for seed, checks in fairness(results).items() if not all(checks.values())]
    if unlike:
        return f"NOT shown for seeds {', '.join(unlike)}: see the digests"
    if differ_in_data(results):
        return (
            "variants differ in their training data; all of a seed had the same initial weights (their digests agree)"
        )
    if differ_in_characters(results):
        return (
            "all variants of a seed had the same initial weights and the same first and last batch, with the same "
            "pixels, words and random numbers, apart from the characters in the words (their digests agree)"
        )
    return (
        "all variants of a seed had the same initial weights and the same first and last batch, with the same pixels, "
        "quads and random numbers (their digests agree)"
    )


def threshold_words(results: Results, split: str) -> str:
    """Name the shared thresholds of a split's main table."""
    thresholds = next(iter(results.table(split, "shared").thresholds.values()))
    words = f"text {thresholds.text_threshold:g}, low {thresholds.low_text:g}, link {thresholds.link_threshold:g}"
    return words + (f", region head {thresholds.region_threshold:g}" if thresholds.region_threshold else "")


def _provenance(results: Results) -> list[tuple[str, str]]:
    environment = results.environment
    if not environment:
        return []
    versions = f"craft {environment['craft']} ({environment['commit'] or 'no commit'}), torch {environment['torch']}"
    machine = f"{environment['gpu'] or environment['processor']}, {environment['cores']} cores"
    return [("Command", environment["command"]), ("Versions", versions), ("Machine", machine)]


def _training(results: Results) -> str:
    config = results.reference_config()
    steps = sorted({int(result.record["steps"]) for result in results.runs})
    num_steps = " to ".join(f"{value:,}" for value in dict.fromkeys((steps[0], steps[-1])))
    budget = results.study.budget.model_dump(exclude_none=True)
    return (
        f"{num_steps} steps of {config.training.batch_size * config.optimizer.accumulate} crops of "
        f"{config.data.crop_size} px; budget {', '.join(f'{value:g} {name}' for name, value in budget.items())}"
    )


def _split(results: Results, name: str) -> str:
    first = results.runs[0].scores
    report, choose = first[f"{name}/report"].counts[0], first[f"{name}/choose"].counts[0]
    textless = len(first[f"{name}/without_text"].counts[0])
    also = f"; {textless} scenes without text" if textless else ""
    return (
        f"{len(report)} scenes with {int(report[:, WORDS].sum())} words reported, thresholds chosen on {len(choose)} "
        f"others ({threshold_words(results, name)}){also}"
    )


def _title(results: Results, title: str) -> str:
    if not title.startswith(SYNTHETIC):
        return title
    synth = results.study.synth[title.removeprefix(SYNTHETIC)]
    return f"{synth.count} of craft synth --preset {synth.preset} --seed {synth.seed}"
