"""Verbs on detections: detect and evaluate."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from craft.cli.arguments import (
    WEIGHTS_HELP,
    add_dataset_arguments,
    add_device_option,
    add_set_option,
    dataset_settings,
    output_file,
    output_folder,
)
from craft.config import Protocol
from craft.config_files import parse_settings
from craft.memory import bound_memory_of_sizes
from craft.models.exported import BACKENDS, is_exported
from craft.models.shipped import DEFAULT_WEIGHTS
from craft.scene import Scene

if TYPE_CHECKING:
    from craft.evaluation.evaluate import Evaluation

MAX_IMAGES_LISTED = 20


def add_detect(verbs: argparse._SubParsersAction) -> None:
    """Add `craft detect` to the verbs."""
    parser = verbs.add_parser("detect", help="find text in images")
    parser.add_argument("paths", nargs="+", help="images, folders and glob patterns")
    parser.add_argument(
        "--weights",
        default=DEFAULT_WEIGHTS,
        metavar="NAME|FILE",
        help=f"{WEIGHTS_HELP} (default {DEFAULT_WEIGHTS})",
    )
    parser.add_argument("--out", type=output_folder, default=Path("found"), help="folder for results (default found)")
    parser.add_argument(
        "--format",
        choices=("json", "icdar", "csv"),
        action="append",
        help="format of the result files; may be given several times (default json, with drawings)",
    )
    parser.add_argument(
        "--draw",
        action=argparse.BooleanOptionalAction,
        help="draw the words on copies of the images (default only if no --format is given)",
    )
    parser.add_argument("--polygons", action="store_true", help="also find the outlines of curved words")
    parser.add_argument("--characters", action="store_true", help="also find the characters of each word")
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what runs the network; onnx and openvino run files of craft export (default auto: by the file's ending)",
    )
    add_device_option(parser)
    add_set_option(parser, "change a detection setting: text_threshold=0.6")
    parser.set_defaults(run=_detect)


def _detection_overrides(settings: list[str]) -> dict[str, Any]:
    """Settings of detection by name, with or without the section that they have in a configuration."""
    overrides = parse_settings(settings)
    return {**overrides.pop("detection", {}), **overrides}


def _detect(options: argparse.Namespace) -> int:
    from craft.detection.detector import Detector
    from craft.detection.export import detect_paths

    bound_memory_of_sizes()
    overrides = _detection_overrides(options.set)
    detector = Detector.from_weights(options.weights, device=options.device, backend=options.backend, **overrides)
    start = time.perf_counter()
    try:
        run = detect_paths(
            detector,
            options.paths,
            options.out,
            formats=tuple(options.format or ["json"]),
            draw=options.format is None if options.draw is None else options.draw,
            polygons=options.polygons,
            characters=options.characters,
        )
    except KeyboardInterrupt:
        print(f"craft detect: stopped; the results of finished images are in {options.out}", file=sys.stderr)
        return 130
    seconds = time.perf_counter() - start
    for problem in (*run.failures, *run.remarks):
        print(problem, file=sys.stderr)
    for image in run.images if len(run.images) <= MAX_IMAGES_LISTED else ():
        print(
            ": ".join(filter(None, (str(image.path), f"{image.num_words} words", ", ".join(map(str, image.written)))))
        )
    print(f"{run.num_words} words in {run.num_images} images, {seconds:.1f} s: {options.out}")
    for name, count in run.dropped.items():
        value = getattr(detector.settings, name)
        print(f"{count} more words were dropped by {name}={value:g}; to keep them, add --set {name}=0")
    if run.num_images and {"json", "icdar"} & set(options.format or ["json"]):
        out = shlex.quote(str(options.out))
        print(f"To score them against labels: craft evaluate --detections {out} --truth DATASET --protocol icdar2015")
    return 1 if run.failures else 0


def add_export(verbs: argparse._SubParsersAction) -> None:
    """Add `craft export` to the verbs."""
    parser = verbs.add_parser(
        "export", help="write a network for ONNX Runtime, OpenVINO or torch.export, checked against torch"
    )
    parser.add_argument("weights", metavar="NAME|FILE", help=WEIGHTS_HELP)
    parser.add_argument("out", type=output_file, help="file to write: .onnx, .xml (OpenVINO) or .pt2 (torch.export)")
    parser.add_argument(
        "--images", nargs="+", default=[], metavar="FILE", help="images to check on (default four rendered scenes)"
    )
    parser.add_argument("--int8", action="store_true", help="convolutions in 8 bits, for .onnx: faster, less exact")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from craft.detection.network_export import export_network

    done = export_network(options.weights, options.out, images=options.images, int8=options.int8)
    if done.had_region_head:
        print(f"{done.path}: without the region head: words are scored by the maps alone", file=sys.stderr)
    print(
        f"{done.path}: {done.num_bytes / 1e6:.1f} MB; greatest difference from torch {done.difference:.2g} "
        f"on {done.num_images} images"
    )
    return 0


def add_evaluate(verbs: argparse._SubParsersAction) -> None:
    """Add `craft evaluate` to the verbs."""
    parser = verbs.add_parser(
        "evaluate", help="score result files by an official protocol, or search for the best thresholds"
    )
    parser.add_argument(
        "--detections",
        help="folder or .zip of result files res_img_N.txt or of craft detect's JSON, or a .json file of COCO results",
    )
    parser.add_argument("--truth", required=True, help="folder of the dataset, or of its label files alone")
    parser.add_argument("--protocol", choices=get_args(Protocol), required=True, help="official scoring protocol")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.add_argument("--against", metavar="FOLDER", help="other result files, to compare with on the same images")
    parser.add_argument(
        "--breakdown", action="store_true", help="also print recall by height, angle, length and script"
    )
    parser.add_argument("--per-image", type=output_file, metavar="FILE", help="file for every image's score as JSON")
    parser.add_argument(
        "--failures",
        type=output_file,
        metavar="FILE",
        help="file for a drawing of the worst scenes, missed words in red",
    )
    parser.add_argument("--worst", type=int, default=12, help="number of scenes that --failures draws (default 12)")
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="search for the best thresholds of --weights, or of the scores in --detections",
    )
    parser.add_argument("--weights", metavar="NAME|FILE", help=f"with --sweep: {WEIGHTS_HELP}")
    parser.add_argument("--device", default="auto", help="with --sweep: auto, cpu, cuda or mps (default auto)")
    add_set_option(parser, "with --sweep: change a detection setting")
    parser.add_argument(
        "--grid", action="append", default=[], metavar="NAME=V,V", help="with --sweep: values of a threshold to try"
    )
    parser.add_argument("--workers", type=int, default=2, help="with --sweep: processes that decode (default 2)")
    parser.add_argument(
        "--maps",
        type=output_folder,
        metavar="FOLDER",
        help="with --sweep: folder that keeps score maps for the next one",
    )
    add_dataset_arguments(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from craft.datasets.reading import read_truth

    named = options.format or (options.protocol if options.protocol.startswith("icdar") else None)
    settings = dataset_settings(options, options.truth).model_copy(update={"format": named})
    scenes = read_truth(settings)
    if options.sweep:
        return _sweep(options, scenes)
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

    numbers = "" if options.numbers is None else f", scenes {options.numbers[0]} to {options.numbers[1]}"
    split = f"{options.truth} ({options.split}{numbers})"
    if options.weights is not None:
        from craft.detection.threshold_search import parse_grid, search_thresholds

        search = search_thresholds(
            options.weights,
            scenes,
            split=split,
            protocol=options.protocol,
            device=options.device,
            overrides=_detection_overrides(options.set),
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

        values = {**_detection_overrides(options.set), **asdict(search.best.thresholds)}
        if "region" not in read_weights(options.weights).metadata:
            values = {name: value for name, value in values.items() if not name.startswith("region_")}
        best = " ".join(f"--set {name}={value}" for name, value in values.items())
        print(f"To store them with the weights: craft convert {shlex.quote(options.weights)} OUT.safetensors {best}")
    return 0
