"""The verb evaluate: scores of result files, the search for thresholds, and calibration."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, get_args

from craft.cli.arguments import (
    add_dataset_arguments,
    add_device_option,
    add_set_option,
    add_weights_option,
    at_least,
    dataset_settings,
    detection_overrides,
    named,
    output_file,
    output_folder,
    output_image,
)
from craft.config import Protocol
from craft.models.exported import is_exported
from craft.scene import Scene

if TYPE_CHECKING:
    from craft.evaluation.evaluate import Evaluation


def add_evaluate(verbs: argparse._SubParsersAction) -> None:
    """Add `craft evaluate` to the verbs."""
    parser = verbs.add_parser(
        "evaluate", help="score result files by an official protocol, or search for the best thresholds"
    )
    add = parser.add_argument
    add(
        "--detections",
        type=named,
        help="folder or .zip of result files res_img_N.txt or of craft detect's JSON, or a .json file of COCO results",
    )
    add("--truth", required=True, type=named, help="folder of the dataset, or of its label files alone")
    add("--protocol", choices=get_args(Protocol), required=True, help="official scoring protocol")
    add("--json", action="store_true", help="print the scores as JSON")
    add("--against", metavar="FOLDER", help="other result files, to compare with on the same images")
    add("--breakdown", action="store_true", help="also print recall by height, angle, length and script")
    add("--per-image", type=output_file, metavar="FILE", help="file for every image's score as JSON")
    add(
        "--failures",
        type=output_image,
        metavar="FILE",
        help="file for a drawing of the worst scenes, missed words in red",
    )
    add("--worst", type=at_least(1), default=12, help="number of scenes that --failures draws (default 12)")
    _add_search_options(parser)
    add_dataset_arguments(parser)
    parser.set_defaults(run=_evaluate)


def _add_search_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of --sweep and --calibrate."""
    add = parser.add_argument
    add(
        "--sweep",
        action="store_true",
        help="search for the best thresholds of --weights, or of the scores in --detections",
    )
    add(
        "--calibrate",
        action="store_true",
        help="fit the scores of --weights to the share of words that are right, on scenes not trained on",
    )
    add("--save", type=output_file, metavar="FILE", help="with --calibrate: write the weights with their calibration")
    add_weights_option(parser, "with --sweep or --calibrate: ")
    add_device_option(parser)
    add_set_option(parser, "with --sweep: change a detection setting")
    add("--grid", action="append", default=[], metavar="NAME=V,V", help="with --sweep: values of a threshold to try")
    add("--workers", type=at_least(1), default=2, help="with --sweep: processes that decode (default 2)")
    add(
        "--maps",
        type=output_folder,
        metavar="FOLDER",
        help="with --sweep: folder that keeps score maps for the next one",
    )


def _evaluate(options: argparse.Namespace) -> int:
    from craft.datasets.reading import read_truth

    named = options.format or (options.protocol if options.protocol.startswith("icdar") else None)
    settings = dataset_settings(options, options.truth).model_copy(update={"format": named})
    scenes = read_truth(settings)
    if options.sweep:
        return _sweep(options, scenes)
    if options.calibrate:
        return _calibrate(options, scenes)
    if options.detections is None:
        raise ValueError("give --detections FOLDER, or --sweep with --weights FILE")
    from craft.evaluation.evaluate import evaluate_files, evaluation_as_dict, write_evaluation
    from craft.evaluation.summary import format_scores

    evaluation = evaluate_files(scenes, options.detections, protocol=options.protocol)
    if options.per_image is not None:
        write_evaluation(evaluation, options.per_image)
    if options.failures is not None:
        from craft.detection.failures import worst_scenes, write_failures

        worst = worst_scenes(scenes, options.detections, protocol=options.protocol, count=options.worst)
        unread = write_failures(options.failures, worst)
        for problem in unread:
            print(f"not drawn: {problem}", file=sys.stderr)
        print(f"{options.failures}: the {len(worst) - len(unread)} worst scenes", file=sys.stderr)
    if options.json:
        print(json.dumps(evaluation_as_dict(evaluation), indent=2))
        return 0
    unit = "characters" if options.protocol == "cleval" else "words"
    title = f"{options.detections} against {options.truth}, {options.protocol}"
    print(format_scores(evaluation.scores, title=title, unit=unit))
    _print_details(options, scenes, evaluation)
    for remark in evaluation.remarks:
        print(remark, file=sys.stderr)
    return 0


def _print_details(options: argparse.Namespace, scenes: Sequence[Scene], evaluation: Evaluation) -> None:
    """Print intervals over images, the difference from other results, and the recall of kinds of words."""
    from craft.evaluation.bootstrap import format_intervals
    from craft.evaluation.breakdown import breakdown, format_breakdown
    from craft.evaluation.evaluate import evaluate_files

    if options.breakdown or options.against is not None:
        print(f"\nintervals over {len(scenes)} images\n{format_intervals(evaluation.image_scores)}")
    if options.against is not None:
        other = evaluate_files(scenes, options.against, protocol=options.protocol)
        print(f"\n{options.detections} minus {options.against}, image by image")
        print(format_intervals(other.image_scores, evaluation.image_scores))
    if options.breakdown:
        print(f"\n{format_breakdown(breakdown(scenes, evaluation.image_scores))}")


def _sweep(options: argparse.Namespace, scenes: Sequence[Scene]) -> int:
    """Search thresholds: those of decoding with --weights, otherwise those of the scores in result files."""
    from craft.evaluation.thresholds import format_search, search_as_dict, search_scores

    split = _split_name(options)
    if options.weights is not None:
        from craft.detection.threshold_search import parse_grid, search_thresholds

        search = search_thresholds(
            options.weights,
            scenes,
            split=split,
            protocol=options.protocol,
            device=options.device,
            overrides=detection_overrides(options.set),
            grid=parse_grid(options.grid),
            workers=options.workers,
            maps=options.maps,
        )
    elif options.detections is not None:
        search = search_scores(scenes, options.detections, split=split, protocol=options.protocol)
    else:
        raise ValueError("--sweep needs --weights FILE, or --detections FOLDER with scores in the files")
    print(json.dumps(search_as_dict(search), indent=2) if options.json else format_search(search))
    if options.weights is not None and not options.json and not is_exported(options.weights):
        from craft.models.weights import read_weights

        values = {**detection_overrides(options.set), **asdict(search.best.thresholds)}
        if "region" not in read_weights(options.weights).metadata:
            values = {name: value for name, value in values.items() if not name.startswith("region_")}
        best = " ".join(f"--set {name}={value}" for name, value in values.items())
        print(f"To store them with the weights: craft convert {shlex.quote(options.weights)} OUT.safetensors {best}")
    return 0


def _split_name(options: argparse.Namespace) -> str:
    numbers = "" if options.numbers is None else f", scenes {options.numbers[0]} to {options.numbers[1]}"
    return f"{options.truth} ({options.split}{numbers})"


def _calibrate(options: argparse.Namespace, scenes: Sequence[Scene]) -> int:
    """Fit the scores of --weights, print how well they hold, and write the weights if asked for."""
    from craft.detection.score_calibration import calibrate_weights

    if options.weights is None:
        raise ValueError("--calibrate needs --weights FILE")
    overrides = detection_overrides(options.set)
    result = calibrate_weights(
        options.weights,
        scenes,
        split=_split_name(options),
        protocol=options.protocol,
        device=options.device,
        overrides=overrides,
    )
    print(result.report)
    values = {**overrides, "calibration": list(result.calibration)}
    if options.save is None:
        settings = " ".join(f"--set {shlex.quote(f'{name}={value}')}" for name, value in values.items())
        print(
            f"To store it with the weights, add --save FILE, or: craft convert {shlex.quote(options.weights)} OUT {settings}"
        )
        return 0
    from craft.models.weights import read_weights
    from craft.training.convert import convert_weights

    kind: Literal["int8"] | None = "int8" if read_weights(options.weights).storage == "int8" else None
    convert_weights(options.weights, options.save, to=kind, detection=values)
    print(f"{options.save}: written with calibration={values['calibration']}")
    return 0
