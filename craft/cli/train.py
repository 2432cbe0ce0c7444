"""Verbs on networks: train, watch, refine, bench, compare, convert."""

import argparse
import sys
from pathlib import Path

from craft.cli.arguments import (
    add_dataset_arguments,
    add_device_option,
    add_server_options,
    add_set_option,
    add_weights_option,
    at_least,
    dataset_settings,
    named,
    output_file,
    output_folder,
    user_path,
)
from craft.config import Config, load_config
from craft.config_files import parse_settings


def add_train(verbs: argparse._SubParsersAction) -> None:
    """Add `craft train` to the verbs."""
    parser = verbs.add_parser(
        "train", help="train a network; with torchrun -m craft train ... on several GPUs or machines"
    )
    parser.add_argument("config", type=named, help="configuration file")
    add_set_option(parser, "change a setting: ohem.ratio=5")
    parser.add_argument(
        "--out", type=output_folder, help="run folder (default runs/ and the name of the configuration)"
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in the folder, if it holds one")
    rehearsals = parser.add_mutually_exclusive_group()
    rehearsals.add_argument(
        "--dry-run",
        action="store_true",
        help="read everything and do a few steps, then say what the run will take: memory, images/s, time, disk",
    )
    rehearsals.add_argument(
        "--find-learning-rate",
        type=output_folder,
        metavar="FOLDER",
        help="try learning rates from 1e-6 to 1 on 100 steps and draw the loss into this folder",
    )
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    config = load_config(options.config, overrides=options.set)
    folder = options.out or Path("runs") / Path(options.config).stem
    if options.dry_run or options.find_learning_rate is not None:
        return _rehearse(config, folder, options.find_learning_rate)
    from craft.training.loop import train

    outcome = train(config, folder, resume=options.resume)
    if not outcome.finished:
        print(f"stopped after step {outcome.step} with a checkpoint saved; add --resume to continue", file=sys.stderr)
        return 128 + outcome.signal
    best = f", best H-mean {outcome.best_hmean:.3f}" if outcome.best_hmean >= 0 else ""
    if outcome.writes:
        print(f"{folder}: {outcome.step} steps done{best}")
    return 0


def _rehearse(config: Config, folder: Path, curve_folder: Path | None) -> int:
    from craft.training.rehearsal import dry_run, find_learning_rate, format_dry_run

    if curve_folder is None:
        found = dry_run(config, folder)
        if found.writes:
            print(format_dry_run(found))
        return 0
    curve = find_learning_rate(config, curve_folder)
    if curve.writes:
        steepest = (
            "the loss never falls" if curve.suggestion is None else f"the loss falls fastest at {curve.suggestion:.1e}"
        )
        now = config.optimizer.learning_rate
        print(f"{curve_folder}: learning_rate.png; {steepest}, optimizer.learning_rate is {now:.1e}")
    return 0


def add_refine(verbs: argparse._SubParsersAction) -> None:
    """Add `craft refine` to the verbs."""
    parser = verbs.add_parser(
        "refine", help="train a LinkRefiner, which joins the words of a line, on a network that does not change"
    )
    add = parser.add_argument
    add("datasets", nargs="*", help="datasets with labelled lines (default lines rendered on the fly)")
    add_weights_option(parser, "the network: ", required=True)
    add("--out", type=output_file, required=True, help=".safetensors file to write")
    add("--steps", type=at_least(1), default=1000, help="optimizer steps (default 1000)")
    add("--batch-size", type=int, default=4, help="crops per step (default 4)")
    add("--crop-size", type=int, default=384, help="side of the crops in pixels (default 384)")
    add("--seed", type=at_least(0), default=0, help="seed of all random choices (default 0)")
    add("--workers", type=at_least(0), default=1, help="processes that prepare crops (default 1)")
    add_dataset_arguments(parser)
    add_device_option(parser)
    parser.set_defaults(run=_refine)


def _refine(options: argparse.Namespace) -> int:
    from craft.training.refiner import train_refiner

    loss = train_refiner(
        options.weights,
        options.out,
        datasets=[dataset_settings(options, path) for path in options.datasets],
        steps=options.steps,
        batch_size=options.batch_size,
        crop_size=options.crop_size,
        seed=options.seed,
        workers=options.workers,
        device=options.device,
    )
    print(f"{options.out}: {options.steps} steps, loss {loss:.4f}; use it with craft detect --lines {options.out}")
    return 0


def add_watch(verbs: argparse._SubParsersAction) -> None:
    """Add `craft watch` to the verbs."""
    parser = verbs.add_parser(
        "watch", help="serve the page of a run, with curves, maps and found words, while it trains"
    )
    parser.add_argument("folder", type=user_path, metavar="RUN", help="run folder")
    add_server_options(parser, port=8008)
    parser.set_defaults(run=_watch)


def _watch(options: argparse.Namespace) -> int:
    from craft.training.report import serve_report

    serve_report(options.folder, host=options.host, port=options.port, echo=print)
    return 0


def add_bench(verbs: argparse._SubParsersAction) -> None:
    """Add `craft bench` to the verbs."""
    parser = verbs.add_parser(
        "bench", help="time the parts of training: loader, targets, loss, step, and all of them together"
    )
    parser.add_argument("config", type=named, help="configuration file of the training run")
    add_set_option(parser, "change a setting: training.batch_size=16")
    parser.add_argument(
        "--steps", type=at_least(1), default=20, help="batches or steps to time of each part (default 20)"
    )
    parser.add_argument(
        "--out", type=output_folder, help="folder for bench.json and bench.md; if left out, the table is only printed"
    )
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


def add_compare(verbs: argparse._SubParsersAction) -> None:
    """Add `craft compare` to the verbs."""
    parser = verbs.add_parser(
        "compare", help="train variants of a configuration with several seeds; write tables and one HTML page"
    )
    add = parser.add_argument
    add("study", type=named, help="study file, such as configs/compare_quick.yaml")
    add(
        "--out",
        type=output_folder,
        help="folder of the study (default runs/ and the name of the file); finished runs in it are kept",
    )
    add_set_option(parser, "change the study: seeds=[0,1] budget.steps=50")
    add("--jobs", type=at_least(1), help="runs at the same time (default one per GPU, or as many as the cores allow)")
    add(
        "--executor",
        choices=("processes", "inline", "ray"),
        default="processes",
        help="where runs are executed: processes of this machine, one after another in this process, or a Ray cluster",
    )
    add("--report", action="store_true", help="write the report from the finished runs and start none")
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    from craft.studies.compare import compare
    from craft.studies.report import write_report
    from craft.studies.study import load_study

    out = options.out or Path("runs") / Path(options.study).stem
    if options.report:
        comparison = write_report(out)
    else:
        study = load_study(options.study, overrides=options.set)
        comparison = compare(study, out, executor=options.executor, jobs=options.jobs)
    for failure in comparison.failures:
        print(f"failed: {failure.run.name}: {failure.reason}", file=sys.stderr)
    print("\n".join(f"- {sentence}" for sentence in comparison.conclusions))
    print(f"{comparison.num_done} runs; open {comparison.page}")
    return 1 if comparison.failures else 0


def add_convert(verbs: argparse._SubParsersAction) -> None:
    """Add `craft convert` to the verbs."""
    parser = verbs.add_parser(
        "convert", help="write weights as safetensors, also in 8 bits, or as a .pth file for the original code"
    )
    add = parser.add_argument
    add("weights", help="weights file, or a name: small, mlt")
    add("out", type=output_file, help="file to write: .safetensors, or .pth in the original's format")
    add(
        "--to",
        choices=("float", "int8", "original"),
        help="float (default) or int8 (a quarter of the size) for .safetensors; original (default) for .pth",
    )
    add_set_option(parser, "detection setting to store with the weights")
    add("--note", help="a sentence about the training data to store with the weights")
    parser.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    from craft.training.convert import convert_weights

    done = convert_weights(
        options.weights, options.out, to=options.to, detection=parse_settings(options.set), note=options.note
    )
    print(f"{options.out}: {done.num_tensors} tensors, {done.kind}, {done.num_bytes / 1e6:.2f} MB; read as {done.was}")
    if done.width != 1:
        print(f"{options.out}: only craft can load it: other programs expect width 1, and this is {done.width:g}")
    return 0
