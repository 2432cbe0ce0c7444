"""train, bench, compare, convert: what is done with networks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from craft.config import load_config
from craft.config_files import parse_settings


def add_train(verbs: argparse._SubParsersAction) -> None:
    """Add `craft train` to the verbs."""
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


def add_bench(verbs: argparse._SubParsersAction) -> None:
    """Add `craft bench` to the verbs."""
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


def add_compare(verbs: argparse._SubParsersAction) -> None:
    """Add `craft compare` to the verbs."""
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
    from craft.studies.compare import compare, report
    from craft.studies.study import load_study

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


def add_convert(verbs: argparse._SubParsersAction) -> None:
    """Add `craft convert` to the verbs."""
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
    from craft.training.convert import convert_weights

    done = convert_weights(
        options.weights, options.out, to=options.to, detection=parse_settings(options.set), note=options.note
    )
    print(f"{options.out}: {done.num_tensors} tensors, {done.kind}, {done.num_bytes / 1e6:.2f} MB; read as {done.was}")
    return 0
