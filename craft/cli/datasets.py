"""check, show, label, synth, pack: what is done with scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

from craft.cli.dataset_arguments import add_set_arguments, set_settings
from craft.config import SetSettings, load_config
from craft.config_files import parse_settings
from craft.models.shipped import RECIPES

PRESETS = ("quickstart", "full", "sample")
NAMES = " or ".join(RECIPES)


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
        return set_settings(options, options.folder)
    settings = parse_settings(options.set)
    return SetSettings(format="synth", preset=options.preset, seed=options.seed, count=options.count, settings=settings)


def add_check(verbs: argparse._SubParsersAction) -> None:
    """Add `craft check` to the verbs."""
    parser = verbs.add_parser("check", help="read a set's labels and images and report everything wrong with them")
    parser.add_argument("folder", nargs="?", help="folder of the set, or a .jsonl file")
    add_set_arguments(parser)
    _add_drawn_arguments(parser)
    parser.add_argument("--count", type=int, default=100, help="scenes drawn, with --preset (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes, with --preset (default 0)")
    parser.add_argument("--decode", action="store_true", help="decode every picture whole, not its header alone")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from craft.datasets.check import check_set, format_report

    report = check_set(_drawn_or_read(options), decode=options.decode)
    print(format_report(report))
    return 1 if report.has_errors else 0


def add_show(verbs: argparse._SubParsersAction) -> None:
    """Add `craft show` to the verbs."""
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
    add_set_arguments(parser)
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


def add_label(verbs: argparse._SubParsersAction) -> None:
    """Add `craft label` to the verbs."""
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
        choices=("cuts", "length", "watershed"),
        default="cuts",
        help="how words are split: between the likeliest characters for the text's length, each as tall as the word "
        "(cuts) or as it looks (length), or by watershed (default cuts)",
    )
    parser.add_argument("--height", type=int, default=64, help="height of the crops of words, pixels (default 64)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    parser.add_argument("--workers", type=int, default=2, help="threads beside the network (default 2)")
    add_set_arguments(parser)
    parser.set_defaults(run=_label)


def _label(options: argparse.Namespace) -> int:
    from craft.teacher.label_dataset import label_set

    origin = label_set(
        set_settings(options, options.folder),
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


def add_synth(verbs: argparse._SubParsersAction) -> None:
    """Add `craft synth` to the verbs."""
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
    from craft.memory import keep_freed_memory
    from craft.synth import preset, write_set, write_sheet

    keep_freed_memory()  # this process may be the one that draws
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


def add_pack(verbs: argparse._SubParsersAction) -> None:
    """Add `craft pack` to the verbs."""
    parser = verbs.add_parser(
        "pack", help="pack a set into tar shards (WebDataset's layout) that training reads in place"
    )
    parser.add_argument("folder", help="folder of the set, or a .jsonl file")
    parser.add_argument("--out", required=True, type=Path, help="folder for the shards and their index; a new one")
    parser.add_argument("--shard-size", default="256M", help="largest shard: bytes, or with K, M or G (default 256M)")
    parser.add_argument("--skip-errors", action="store_true", help="leave scenes with errors out")
    add_set_arguments(parser)
    parser.set_defaults(run=_pack)


def _pack(options: argparse.Namespace) -> int:
    from craft.datasets.shard_writer import pack_set, parse_size

    summary = pack_set(
        set_settings(options, options.folder),
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
