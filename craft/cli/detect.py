"""Verbs that run networks: detect and export."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from craft.cli.arguments import (
    WEIGHTS_HELP,
    add_device_option,
    add_lines_option,
    add_server_options,
    add_set_option,
    add_weights_option,
    at_least,
    detection_overrides,
    named,
    output_file,
    output_folder,
)
from craft.models.exported import BACKENDS
from craft.models.shipped import DEFAULT_WEIGHTS

if TYPE_CHECKING:
    from craft.config import DetectionSettings
    from craft.detection.export import DetectionRun

MAX_IMAGES_LISTED, MAX_FILES_LISTED = 20, 6


def add_detect(verbs: argparse._SubParsersAction) -> None:
    """Add `craft detect` to the verbs."""
    parser = verbs.add_parser("detect", help="find text in images")
    add = parser.add_argument
    add("paths", nargs="+", type=named, help="images, PDFs, videos, folders and glob patterns; - is standard input")
    add_weights_option(parser, f"default {DEFAULT_WEIGHTS}: ", default=DEFAULT_WEIGHTS)
    _add_result_options(parser)
    add("--dpi", type=at_least(1), default=200, help="resolution at which PDFs are rendered (default 200)")
    add("--frames", type=at_least(0), default=0, metavar="N", help="search every Nth frame of animations and videos")
    add(
        "--batch-size",
        type=at_least(1),
        default=1,
        help="images of one size that go through the network together (default 1)",
    )
    add("--polygons", action="store_true", help="also find the outlines of curved words")
    add("--characters", action="store_true", help="also find the characters of each word")
    add_lines_option(parser)
    add(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what runs the network; onnx and openvino run files of craft export (default auto: by the file's ending)",
    )
    add_device_option(parser)
    add_set_option(parser, "change a detection setting: text_threshold=0.6")
    parser.set_defaults(run=_detect)


def _add_result_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is written, and where."""
    add = parser.add_argument
    add("--out", type=output_folder, default=Path("found"), help="folder for results (default found)")
    add(
        "--format",
        choices=("json", "icdar", "csv", "icdar2013", "icdar2019", "labelme", "coco", "hocr", "alto", "page"),
        action="append",
        help="format of the result files; may be given several times (default json, with drawings)",
    )
    add("--crops", type=output_folder, metavar="FOLDER", help="folder for upright crops of the words")
    add("--crop-lines", action="store_true", help="with --crops: crop lines instead of words")
    add(
        "--draw",
        action=argparse.BooleanOptionalAction,
        help="draw the words on copies of the images (default only if no --format is given)",
    )
    add("--draw-scores", action="store_true", help="write the scores beside the words of drawings")
    add("--heat-maps", action="store_true", help="draw the region and affinity maps; runs twice as long")


def _detect(options: argparse.Namespace) -> int:
    from craft.detection.detector import Detector
    from craft.detection.export import detect_paths

    overrides = detection_overrides(options.set)
    detector = Detector.from_weights(
        options.weights, device=options.device, backend=options.backend, refiner=options.lines, **overrides
    )
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
            crops=options.crops,
            crop_lines=options.crop_lines,
            draw_scores=options.draw_scores,
            heat_maps=options.heat_maps,
            dpi=options.dpi,
            frames=options.frames,
            batch_size=options.batch_size,
        )
    except KeyboardInterrupt:
        print(f"craft detect: stopped; the results of finished images are in {options.out}", file=sys.stderr)
        return 130
    _print_run(options, run, detector.settings, time.perf_counter() - start)
    return 1 if run.failures else 0


def _print_run(options: argparse.Namespace, run: DetectionRun, settings: DetectionSettings, seconds: float) -> None:
    for problem in (*run.failures, *run.remarks):
        print(problem, file=sys.stderr)
    for image in run.images if len(run.images) <= MAX_IMAGES_LISTED else ():
        files = [str(path) for path in image.written]
        if len(files) > MAX_FILES_LISTED:  # crops
            files[MAX_FILES_LISTED:] = [f"and {len(files) - MAX_FILES_LISTED} more files"]
        print(": ".join(filter(None, (str(image.path), f"{image.num_words} words", ", ".join(files)))))
    print(f"{run.num_words} words in {run.num_images} images, {seconds:.1f} s: {options.out}")
    for name, count in run.dropped.items():
        value = getattr(settings, name)
        print(f"{count} more words were dropped by {name}={value:g}; to keep them, add --set {name}=0")
    if run.num_images and {"json", "icdar"} & set(options.format or ["json"]):
        out = shlex.quote(str(options.out))
        print(f"To score them against labels: craft evaluate --detections {out} --truth DATASET --protocol icdar2015")


def add_export(verbs: argparse._SubParsersAction) -> None:
    """Add `craft export` to the verbs."""
    parser = verbs.add_parser(
        "export", help="write a network for ONNX Runtime, OpenVINO or torch.export, checked against torch"
    )
    add = parser.add_argument
    add("weights", metavar="NAME|FILE", help=WEIGHTS_HELP)
    add("out", type=output_file, help="file to write: .onnx, .xml (OpenVINO) or .pt2 (torch.export)")
    add("--images", nargs="+", default=[], metavar="FILE", help="images to check on (default four rendered scenes)")
    add("--int8", action="store_true", help="convolutions in 8 bits, for .onnx: faster, less exact")
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


def add_demo(verbs: argparse._SubParsersAction) -> None:
    """Add `craft demo` to the verbs."""
    parser = verbs.add_parser("demo", help="serve a page on which to drop images and move thresholds")
    add_weights_option(parser, default=DEFAULT_WEIGHTS)
    add_lines_option(parser)
    add_server_options(parser, port=8765)
    add_device_option(parser)
    add_set_option(parser, "change a detection setting: sizing=scale")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    from craft.demo.scored_images import ScoredImages
    from craft.demo.server import DemoServer
    from craft.detection.detector import Detector

    overrides = detection_overrides(options.set)
    detector = Detector.from_weights(options.weights, device=options.device, refiner=options.lines, **overrides)
    with DemoServer(ScoredImages(detector), host=options.host, port=options.port) as server:
        print(f"open {server.url} in a browser; Ctrl-C stops", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
