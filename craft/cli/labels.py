"""Verbs that write the labels of a dataset anew: convert-labels, label, pack."""

import argparse
from typing import get_args

from craft.cli.arguments import (
    add_dataset_arguments,
    add_device_option,
    add_skip_errors_option,
    add_weights_option,
    at_least,
    dataset_settings,
    named,
    output_file,
    output_folder,
)
from craft.config import Splitter


def add_convert_labels(verbs: argparse._SubParsersAction) -> None:
    """Add `craft convert-labels` to the verbs."""
    parser = verbs.add_parser(
        "convert-labels", help="write the labels of a dataset for another tool, and count what its format cannot hold"
    )
    parser.add_argument("folder", type=named, help="folder of the dataset, or a label file")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="format to write, such as coco or labelme")
    parser.add_argument("out", type=output_folder, help="folder for the labels; images stay where they are")
    add_skip_errors_option(parser)
    add_dataset_arguments(parser)
    parser.set_defaults(run=_convert_labels)


def _convert_labels(options: argparse.Namespace) -> int:
    from craft.datasets.label_converter import WRITTEN_FORMATS, convert_labels

    if options.to not in WRITTEN_FORMATS:
        raise ValueError(f"--to {options.to}: not a format that is written; choose from {', '.join(WRITTEN_FORMATS)}")
    settings = dataset_settings(options, options.folder)
    done = convert_labels(settings, options.out, to=options.to, skip_errors=options.skip_errors)
    skipped = f", {done.skipped} left out for errors" if done.skipped else ""
    print(f"{done.path}: {done.scenes:,} scenes{skipped}, {done.words:,} words in format {options.to}")
    for what, count in done.lost.items():
        print(f"lost: {count:,} {what}")
    return 0


def add_label(verbs: argparse._SubParsersAction) -> None:
    """Add `craft label` to the verbs."""
    parser = verbs.add_parser("label", help="find the characters of a dataset's words with a network, to train on them")
    add = parser.add_argument
    add("folder", type=named, help="folder of the dataset, or a .jsonl file")
    add_weights_option(parser, "the teacher: ", required=True)
    add("--out", required=True, type=output_file, help="label file to write, .jsonl")
    add(
        "--splitter",
        choices=get_args(Splitter),
        default="cuts",
        help="how words are split: between the most likely characters for the text's length, each as tall as the word "
        "(cuts) or as it looks (length), or by watershed (default cuts)",
    )
    add(
        "--boxes-only",
        action="store_true",
        help="label words without a transcription too, which are don't care otherwise: their characters are counted",
    )
    add("--height", type=int, default=64, help="height of the word crops, pixels (default 64)")
    add_device_option(parser)
    add("--workers", type=at_least(0), default=2, help="threads that split words while the network runs (default 2)")
    add_dataset_arguments(parser)
    parser.set_defaults(run=_label)


def _label(options: argparse.Namespace) -> int:
    from craft.teacher.labeller import label_dataset

    origin = label_dataset(
        dataset_settings(options, options.folder),
        options.weights,
        options.out,
        splitter=options.splitter,
        height=options.height,
        boxes_only=options.boxes_only,
        device=options.device,
        workers=options.workers,
    )
    print(
        f"{options.out}: {origin.words:,} words, mean confidence {origin.mean_confidence:.3f}, "
        f"{origin.share_under_half:.1%} under 0.5 and split evenly, {origin.seconds:.1f} s"
    )
    return 0


def add_pack(verbs: argparse._SubParsersAction) -> None:
    """Add `craft pack` to the verbs."""
    parser = verbs.add_parser(
        "pack", help="pack a dataset into tar shards (WebDataset layout) that training reads in place"
    )
    parser.add_argument("folder", type=named, help="folder of the dataset, or a .jsonl file")
    parser.add_argument("--out", required=True, type=output_folder, help="new folder for the shards and their index")
    parser.add_argument(
        "--shard-size", default="256M", help="largest size of a shard in bytes, or with K, M or G (default 256M)"
    )
    add_skip_errors_option(parser)
    add_dataset_arguments(parser)
    parser.set_defaults(run=_pack)


def _pack(options: argparse.Namespace) -> int:
    from craft.datasets.shard_writer import pack_dataset, parse_size

    summary = pack_dataset(
        dataset_settings(options, options.folder),
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
