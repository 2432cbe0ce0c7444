"""The `craft` command: each verb parses its arguments, calls one function and prints.

Nothing heavy is imported before a verb runs, so that `craft --help`, `check` and `evaluate` work without torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import craft
from craft.config import SetSettings, load_config, parse_settings
from craft.models.shipped import DEFAULT_WEIGHTS, RECIPES
from craft.scene import Scene

FORMATS = ("icdar2013", "icdar2015", "icdar2017", "icdar2019", "jsonl", "synthtext", "totaltext", "shards")
PRESETS = ("quickstart", "full", "sample")
NAMES = " or ".join(RECIPES)
PICTURES_LISTED = 20
PROTOCOLS = ("icdar2013", "icdar2015", "icdar2017", "icdar2019", "polygons")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after `craft`; those of the process where left out.

    Returns:
        Exit status: 0 all well, 1 something in the data was wrong, 2 the request could not be carried out,
        130 or 143 stopped by a signal with everything saved.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, FloatingPointError) as error:
        print(f"craft {options.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="craft", description="Train, run and compare CRAFT scene text detectors with online hard example mining."
    )
    parser.add_argument("--version", action="version", version=f"craft {craft.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        _add_check,
        _add_show,
        _add_label,
        _add_synth,
        _add_pack,
        _add_train,
        _add_bench,
        _add_detect,
        _add_evaluate,
        _add_compare,
        _add_convert,
    ):
        add(verbs)
    return parser


def _add_set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=FORMATS, help="label format; found from official folder names where left out"
    )
    parser.add_argument("--images", help="image folder inside the set, where it is not the official one")
    parser.add_argument("--labels", help="label folder inside the set, where it is not the official one")
    parser.add_argument(
        "--split", choices=("train", "validation", "all"), default="train", help="official folders read"
    )
    parser.add_argument(
        "--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"), help="scene numbers used, both included"
    )


def _add_drawn_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", choices=PRESETS, help="instead of a folder: scenes that training draws, format synth"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the preset"
    )


def _drawn_or_read(options: argparse.Namespace) -> SetSettings:
    """The set of a verb that takes a folder, or a preset whose scenes are drawn."""
    if (options.preset is None) == (options.folder is None):
        raise ValueError("give the folder of a set, or --preset for scenes that are drawn, and not both")
    if options.preset is None:
        if options.set:
            raise ValueError("--set changes the settings of a preset; give --preset too, or leave --set out")
        return _set_settings(options, options.folder)
    settings = parse_settings(options.set)
    return SetSettings(format="synth", preset=options.preset, seed=options.seed, count=options.count, settings=settings)


def _set_settings(options: argparse.Namespace, path: str) -> SetSettings:
    numbers = None if options.numbers is None else (options.numbers[0], options.numbers[1])
    return SetSettings(
        path=path,
        format=options.format,
        images=options.images,
        labels=options.labels,
        split=options.split,
        numbers=numbers,
    )


def _add_check(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("check", help="read a set's labels and images and report everything wrong with them")
    parser.add_argument("folder", nargs="?", help="folder of the set, or a .jsonl file")
    _add_set_arguments(parser)
    _add_drawn_arguments(parser)
    parser.add_argument("--count", type=int, default=100, help="scenes drawn, with --preset (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes, with --preset (default 0)")
    parser.add_argument("--decode", action="store_true", help="decode every picture whole, not its header alone")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from craft.datasets.checking import check_set, format_report

    report = check_set(_drawn_or_read(options), decode=options.decode)
    print(format_report(report))
    return 1 if report.has_errors else 0


def _add_show(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("show", help="draw words, characters, maps and don't-care masks as training sees them")
    parser.add_argument("folder", nargs="?", help="folder of the set, or a .jsonl file")
    parser.add_argument("--out", required=True, type=Path, help="folder for the pictures")
    parser.add_argument("--count", type=int, default=20, help="scenes drawn (default 20)")
    parser.add_argument("--augmented", action="store_true", help="draw training crops, after augmentation")
    parser.add_argument("--config", help="configuration whose augmentation and crop size are used, with --augmented")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the augmentation, and of the scenes with --preset (default 0)"
    )
    parser.add_argument("--characters", type=Path, metavar="FILE", help="draw the characters that craft label found")
    _add_set_arguments(parser)
    _add_drawn_arguments(parser)
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from craft.config import Config
    from craft.training.preview import show_set

    config = Config() if options.config is None else load_config(options.config)
    paths = show_set(
        _drawn_or_read(options),
        options.out,
        count=options.count,
        augmented=options.augmented,
        augment=config.augment,
        crop_size=config.data.crop_size,
        seed=options.seed,
        label_file=options.characters,
    )
    print(f"{len(paths)} pictures in {options.out}")
    return 0


def _add_label(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("label", help="find the characters of a set's words with a network, for training on them")
    parser.add_argument("folder", help="folder of the set, or a .jsonl file")
    parser.add_argument(
        "--weights",
        required=True,
        metavar="NAME|FILE",
        help=f"the teacher: weights that ship ({NAMES}), or a file: ours, clovaai's or EasyOCR's",
    )
    parser.add_argument("--out", required=True, type=Path, help="label file to write, .jsonl")
    parser.add_argument(
        "--splitter",
        choices=("length", "watershed"),
        default="length",
        help="how words are split: by the cuts that fit the text's length, or by watershed (default length)",
    )
    parser.add_argument("--height", type=int, default=64, help="height of the crops of words, pixels (default 64)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    parser.add_argument("--workers", type=int, default=2, help="threads beside the network (default 2)")
    _add_set_arguments(parser)
    parser.set_defaults(run=_label)


def _label(options: argparse.Namespace) -> int:
    from craft.training.labelling import label_set

    origin = label_set(
        _set_settings(options, options.folder),
        options.weights,
        options.out,
        splitter=options.splitter,
        height=options.height,
        device=options.device,
        workers=options.workers,
    )
    print(
        f"{options.out}: {origin.words:,} words, mean confidence {origin.mean_confidence:.3f}, "
        f"{origin.share_under_half:.1%} under 0.5 and split evenly, {origin.seconds:.1f} s"
    )
    return 0


def _add_synth(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("synth", help="make synthetic scenes in the ICDAR2017 layout, with exact characters")
    parser.add_argument("--out", type=Path, help="folder of the set; none is written where left out")
    parser.add_argument("--count", type=int, default=100, help="scenes (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="scenes follow from seed and number alone (default 0)")
    parser.add_argument("--preset", choices=PRESETS, default="full", help="kind of scenes")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1); the scenes do not depend on it")
    parser.add_argument("--split", choices=("train", "validation"), default="train", help="official folders written")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the preset"
    )
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the scenes with their labels drawn")
    parser.set_defaults(run=_synth)


def _synth(options: argparse.Namespace) -> int:
    from craft.datasets.generator import preset, write_set, write_sheet

    if options.out is None and options.sheet is None:
        raise ValueError("give --out FOLDER for a set, --sheet FILE for a contact sheet, or both")
    settings = preset(options.preset, parse_settings(options.set))
    if options.sheet is not None:
        write_sheet(options.sheet, settings=settings, count=options.count, seed=options.seed)
        print(f"{options.sheet}: {options.count} scenes with their labels")
    if options.out is None:
        return 0
    summary = write_set(
        options.out,
        settings=settings,
        count=options.count,
        seed=options.seed,
        workers=options.workers,
        split=options.split,
        progress=True,
    )
    print(
        f"{options.out}: {summary.scenes:,} scenes, {summary.words:,} words ({summary.dont_care:,} don't care), "
        f"{summary.characters:,} characters"
    )
    return 0


def _add_pack(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "pack", help="pack a set into tar shards (WebDataset's layout) that training reads in place"
    )
    parser.add_argument("folder", help="folder of the set, or a .jsonl file")
    parser.add_argument("--out", required=True, type=Path, help="folder for the shards and their index; a new one")
    parser.add_argument("--shard-size", default="256M", help="largest shard: bytes, or with K, M or G (default 256M)")
    parser.add_argument("--skip-errors", action="store_true", help="leave scenes with errors out")
    _add_set_arguments(parser)
    parser.set_defaults(run=_pack)


def _pack(options: argparse.Namespace) -> int:
    from craft.datasets.shard_writing import pack_set, parse_size

    summary = pack_set(
        _set_settings(options, options.folder),
        options.out,
        shard_bytes=parse_size(options.shard_size),
        skip_errors=options.skip_errors,
        progress=True,
    )
    skipped = f", {summary.skipped} left out for errors" if summary.skipped else ""
    print(
        f"{options.out}: {summary.scenes:,} scenes{skipped} in {summary.shards} shards, {summary.bytes / 2**20:,.1f} MiB; "
        f"train on them with --set 'data.train=[{{path: {options.out}, format: shards}}]'"
    )
    return 0


def _add_train(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("train", help="train a network; torchrun -m craft train ... for several GPUs or machines")
    parser.add_argument("config", help="configuration file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting: ohem.ratio=5"
    )
    parser.add_argument("--out", type=Path, help="run folder (default runs/NAME OF THE CONFIGURATION)")
    parser.add_argument("--resume", action="store_true", help="continue the run in the folder, if there is one")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from craft.training.loop import train

    config = load_config(options.config, overrides=options.set)
    folder = options.out or Path("runs") / Path(options.config).stem
    outcome = train(config, folder, resume=options.resume)
    if not outcome.finished:
        print(f"stopped after step {outcome.step}, everything is saved; add --resume to go on", file=sys.stderr)
        return 143
    best = f", best H-mean {outcome.best_hmean:.3f}" if outcome.best_hmean >= 0 else ""
    if outcome.writes:
        print(f"{folder}: {outcome.step} steps done{best}")
    return 0


def _add_bench(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("bench", help="time the parts of training: loader, targets, loss, step, and all together")
    parser.add_argument("config", help="configuration file of the training")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting: training.batch_size=16"
    )
    parser.add_argument("--steps", type=int, default=20, help="batches and steps timed of each part (default 20)")
    parser.add_argument("--out", type=Path, help="folder for bench.json and bench.md; none is written where left out")
    parser.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    from craft.training.bench import bench
    from craft.training.bench_report import format_bench, write_bench

    report = bench(load_config(options.config, overrides=options.set), steps=options.steps)
    if report.writes:
        print(format_bench(report))
        if options.out is not None:
            write_bench(report, options.out)
            print(f"{options.out}: bench.json, bench.md")
    return 0


def _add_detect(verbs: argparse._SubParsersAction) -> None:
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


def _add_evaluate(verbs: argparse._SubParsersAction) -> None:
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
    _add_set_arguments(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from craft.datasets.reading import read_truth

    named = options.format or (None if options.protocol == "polygons" else options.protocol)
    settings = _set_settings(options, options.truth).model_copy(update={"format": named})
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
        from craft.comparison.failures import worst_scenes, write_failures

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
        from craft.comparison.thresholds import parse_grid, sweep_weights

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


def _add_compare(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "compare", help="train variants of a configuration under several seeds; one table, one page with a viewer"
    )
    parser.add_argument("study", help="the study's file, such as configs/compare.yaml")
    parser.add_argument(
        "--out", type=Path, help="the study's folder (default runs/NAME OF THE FILE); runs done are kept"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change the study: seeds=[0,1] budget.steps=50"
    )
    parser.add_argument("--jobs", type=int, help="runs at a time (default one a GPU, or as many as the cores allow)")
    parser.add_argument(
        "--executor",
        choices=("processes", "inline", "ray"),
        default="processes",
        help="where runs are done: processes of this machine, one after another in this one, or a Ray cluster",
    )
    parser.add_argument("--report", action="store_true", help="make the report from what is done; run nothing")
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    from craft.comparison.study import load_study
    from craft.comparison.sweep import compare, report

    out = options.out or Path("runs") / Path(options.study).stem
    if options.report:
        comparison = report(out)
    else:
        study = load_study(options.study, overrides=options.set)
        comparison = compare(study, out, executor=options.executor, jobs=options.jobs)
    for failure in comparison.failures:
        print(f"failed: {failure.run.name}: {failure.reason}", file=sys.stderr)
    print("\n".join(f"- {sentence}" for sentence in comparison.verdict))
    print(f"{comparison.num_done} runs; open {comparison.page}")
    return 1 if comparison.failures else 0


def _add_convert(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "convert", help="write weights as safetensors, in 8 bits too, or as a .pth that the original code loads"
    )
    parser.add_argument("weights", help="weights file, or the name of weights that ship")
    parser.add_argument("out", type=Path, help="file to write: .safetensors, or .pth for the original's format")
    parser.add_argument(
        "--to",
        choices=("float", "int8", "original"),
        help="float or int8 (8 bits, a quarter of the size) for .safetensors, original for .pth (default float, original)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="detection setting that travels with the weights",
    )
    parser.add_argument("--note", help="a sentence on the training data that travels with the weights")
    parser.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    from craft.training.converting import convert_weights

    done = convert_weights(
        options.weights, options.out, to=options.to, detection=parse_settings(options.set), note=options.note
    )
    print(f"{options.out}: {done.num_tensors} tensors, {done.kind}, {done.num_bytes / 1e6:.2f} MB; read as {done.was}")
    return 0
