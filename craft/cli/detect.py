"""detect and evaluate: words in pictures, and how right they are."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from craft.cli.dataset_arguments import add_set_arguments, set_settings
from craft.config_files import parse_settings
from craft.models.shipped import DEFAULT_WEIGHTS, RECIPES
from craft.scene import Scene

NAMES = " or ".join(RECIPES)
PICTURES_LISTED = 20
PROTOCOLS = ("icdar2013", "icdar2015", "icdar2017", "icdar2019", "polygons")


def add_detect(verbs: argparse._SubParsersAction) -> None:
    """Add `craft detect` to the verbs."""
    parser = verbs.add_parser("detect", help="find text in images")
    parser.add_argument("paths", nargs="+", help="images, folders and glob patterns")
    parser.add_argument(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="NAME|FILE",
        help=f"weights that ship ({NAMES}), or a file: ours, clovaai's or EasyOCR's (default {DEFAULT_WEIGHTS})",
    )
    parser.add_argument("--out", type=Path, default=Path("found"), help="folder for results (default found)")
    parser.add_argument(
        "--format", choices=("json", "icdar", "csv"), help="result files (default json, and the pictures drawn over)"
    )
    parser.add_argument(
        "--draw",
        action=argparse.BooleanOptionalAction,
        help="draw what was found on copies of the pictures (default only where no --format is given)",
    )
    parser.add_argument("--polygons", action="store_true", help="find curved outlines too")
    parser.add_argument("--characters", action="store_true", help="find the characters of each word too")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="text_threshold=0.6, long_side=2240"
    )
    parser.set_defaults(run=_detect)


def _detect(options: argparse.Namespace) -> int:
    from craft.detection.detector import Detector
    from craft.detection.export import detect_paths

    overrides = parse_settings(options.set)
    detector = Detector.from_weights(options.weights, device=options.device, **overrides)
    start = time.perf_counter()
    run = detect_paths(
        detector,
        options.paths,
        options.out,
        formats=(options.format or "json",),
        draw=options.format is None if options.draw is None else options.draw,
        polygons=options.polygons,
        characters=options.characters,
    )
    seconds = time.perf_counter() - start
    for failure in run.failures:
        print(failure, file=sys.stderr)
    for one in run.pictures if len(run.pictures) <= PICTURES_LISTED else ():
        print(": ".join(filter(None, (str(one.path), f"{one.num_words} words", ", ".join(map(str, one.written))))))
    print(f"{run.num_words} words in {run.num_images} images, {seconds:.1f} s: {options.out}")
    return 1 if run.failures else 0


def add_evaluate(verbs: argparse._SubParsersAction) -> None:
    """Add `craft evaluate` to the verbs."""
    parser = verbs.add_parser(
        "evaluate", help="score result files by an official protocol, or find the best thresholds"
    )
    parser.add_argument("--detections", help="folder or .zip of result files: res_img_N.txt")
    parser.add_argument("--truth", required=True, help="folder of the labelled set, or of its label files alone")
    parser.add_argument("--protocol", choices=PROTOCOLS, required=True, help="how to score")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.add_argument("--per-image", type=Path, metavar="FILE", help="write every image's score as JSON")
    parser.add_argument("--failures", type=Path, metavar="FILE", help="draw the worst scenes: a .png of misses in red")
    parser.add_argument("--worst", type=int, default=12, help="scenes that --failures draws (default 12)")
    parser.add_argument("--sweep", action="store_true", help="detect with --weights at many thresholds and score each")
    parser.add_argument("--weights", metavar="NAME|FILE", help=f"weights, with --sweep: {NAMES}, or a file")
    parser.add_argument("--device", default="auto", help="device for --sweep: auto, cpu, cuda or mps (default auto)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="detection settings, with --sweep"
    )
    parser.add_argument(
        "--grid", action="append", default=[], metavar="NAME=V,V", help="values of a threshold to try, with --sweep"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that decode, with --sweep (default 2)")
    parser.add_argument("--maps", type=Path, metavar="FOLDER", help="keep score maps for the next --sweep there")
    add_set_arguments(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from craft.datasets.reading import read_truth

    named = options.format or (None if options.protocol == "polygons" else options.protocol)
    settings = set_settings(options, options.truth).model_copy(update={"format": named})
    scenes = read_truth(settings)
    if options.sweep:
        return _sweep(options, scenes)
    if options.detections is None:
        raise ValueError("give --detections FOLDER, or --sweep with --weights FILE")
    from craft.evaluation.matching import evaluate_files, evaluation_as_dict, write_evaluation
    from craft.evaluation.summary import format_scores

    evaluation = evaluate_files(scenes, options.detections, protocol=options.protocol)
    if options.per_image is not None:
        write_evaluation(evaluation, options.per_image)
    if options.failures is not None:
        from craft.detection.failures import worst_scenes, write_failures

        worst = worst_scenes(scenes, options.detections, protocol=options.protocol, count=options.worst)
        write_failures(options.failures, worst)
        print(f"{options.failures}: the {len(worst)} worst scenes", file=sys.stderr)
    if options.json:
        print(json.dumps(evaluation_as_dict(evaluation), indent=2))
        return 0
    print(format_scores(evaluation.scores, title=f"{options.detections} against {options.truth}, {options.protocol}"))
    for remark in evaluation.remarks:
        print(remark, file=sys.stderr)
    return 0


def _sweep(options: argparse.Namespace, scenes: Sequence[Scene]) -> int:
    """Score many thresholds: of decoding with --weights, else of the scores in result files."""
    from craft.evaluation.sweep import format_sweep, setting_as_dict, sweep_as_dict, sweep_scores

    numbers = "" if options.numbers is None else f", scenes {options.numbers[0]} to {options.numbers[1]}"
    split = f"{options.truth} ({options.split}{numbers})"
    if options.weights is not None:
        from craft.detection.threshold_search import parse_grid, sweep_weights

        sweep = sweep_weights(
            options.weights,
            scenes,
            split=split,
            protocol=options.protocol,
            device=options.device,
            overrides=parse_settings(options.set),
            grid=parse_grid(options.grid),
            workers=options.workers,
            maps=options.maps,
        )
    elif options.detections is not None:
        sweep = sweep_scores(scenes, options.detections, split=split, protocol=options.protocol)
    else:
        raise ValueError("--sweep needs --weights FILE, or --detections FOLDER with scores in the files")
    print(json.dumps(sweep_as_dict(sweep), indent=2) if options.json else format_sweep(sweep))
    if options.weights is not None and not options.json:
        best = " ".join(f"--set {name}={value:g}" for name, value in setting_as_dict(sweep.best.setting).items())
        print(f"to keep them with the weights: craft convert {options.weights} OUT.safetensors {best}")
    return 0
