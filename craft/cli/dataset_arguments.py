"""The arguments that name a labelled set, the same for every verb that reads one."""

from __future__ import annotations

import argparse

from craft.config import SetSettings

FORMATS = ("icdar2013", "icdar2015", "icdar2017", "icdar2019", "jsonl", "synthtext", "totaltext", "shards")


def add_set_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which labels are read, and which scenes of them."""
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


def set_settings(options: argparse.Namespace, path: str) -> SetSettings:
    """The set at a path, as the arguments above describe it."""
    numbers = None if options.numbers is None else (options.numbers[0], options.numbers[1])
    return SetSettings(
        path=path,
        format=options.format,
        images=options.images,
        labels=options.labels,
        split=options.split,
        numbers=numbers,
    )
