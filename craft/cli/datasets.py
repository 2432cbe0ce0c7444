"""Verbs on datasets: check, show, convert-labels, label, synth, pack."""

from __future__ import annotations

import argparse
import sys
from typing import get_args

from craft.cli.arguments import (
    WEIGHTS_HELP,
    add_dataset_arguments,
    add_device_option,
    add_set_option,
    dataset_settings,
    output_file,
    output_folder,
    user_path,
)
from craft.config import DatasetSettings, Preset, Splitter, load_config
from craft.config_files import parse_settings

PRESETS = get_args(Preset)


def _add_preset_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", choices=PRESETS, help="instead of a folder: scenes rendered on the fly, as with format: synth"
    )
    add_set_option(parser, "change a setting of the preset, such as size_hw=[320,320]")


def _read_or_rendered(options: argparse.Namespace) -> DatasetSettings:
    """The dataset of a verb that takes a folder, or a preset whose scenes are rendered on the fly."""
    if (options.preset is None) == (options.folder is None):
        raise ValueError("give either the folder of a dataset, or --preset for scenes rendered on the fly")
    if options.preset is None:
        if options.set:
            raise ValueError("--set changes the settings of a preset; add --preset, or leave --set out")
        return dataset_settings(options, options.folder)
    settings = parse_settings(options.set)
    return DatasetSettings(
        format="synth", preset=options.preset, seed=options.seed, count=options.count, settings=settings
    )


def add_check(verbs: argparse._SubParsersAction) -> None:
    """Add `craft check` to the verbs."""
    parser = verbs.add_parser(
        "check", help="read the labels and images of a dataset and report everything wrong with them"
    )
    parser.add_argument("folder", nargs="?", help="folder of the dataset, or a .jsonl file")
    add_dataset_arguments(parser)
    _add_preset_arguments(parser)
    parser.add_argument("--count", type=int, default=100, help="scenes to render, with --preset (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the scenes, with --preset (default 0)")
    parser.add_argument(
        "--decode", action="store_true", help="decode every image completely, not only its header and its end"
    )
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from craft.datasets.check import check_dataset, format_report, report_on
    from craft.datasets.formats import has_splits

    settings = _read_or_rendered(options)
    if settings.format == "synth":
        from craft.synth.source import read_synthetic

        report = report_on(read_synthetic(settings), title=settings.title, format="synth")
    else:
        report = check_dataset(settings, decode=options.decode)
        where = "" if options.images or not has_splits(report.format) else f" of the {options.split} split"
        images = (
            "decoded" if options.decode else "their images' headers and file ends checked; --decode reads every pixel"
        )
        print(
            f"{report.num_scenes:,} scene{'' if report.num_scenes == 1 else 's'}{where} read, {images}", file=sys.stderr
        )
    print(format_report(report))
    return 1 if report.has_errors else 0


def add_show(verbs: argparse._SubParsersAction) -> None:
    """Add `craft show` to the verbs."""
    parser = verbs.add_parser("show", help="draw words, characters, maps and don't-care masks as training sees them")
    parser.add_argument("folder", nargs="?", help="folder of the dataset, or a .jsonl file")
    parser.add_argument("--out", required=True, type=output_folder, help="folder for the drawings")
    parser.add_argument("--count", type=int, default=20, help="scenes to draw (default 20)")
    parser.add_argument("--augmented", action="store_true", help="draw training crops, after augmentation")
    parser.add_argument("--config", help="configuration that gives augmentation and crop size, with --augmented")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the augmentation, and of the scenes with --preset (default 0)"
    )
    parser.add_argument(
        "--characters", type=user_path, metavar="FILE", help="label file of craft label whose characters are drawn"
    )
    add_dataset_arguments(parser)
    _add_preset_arguments(parser)
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    from craft.config import Config
    from craft.training.preview import show_dataset

    config = Config() if options.config is None else load_config(options.config)
    paths = show_dataset(
        _read_or_rendered(options),
        options.out,
        count=options.count,
        augmented=options.augmented,
        augment=config.augment,
        crop_size=config.data.crop_size,
        seed=options.seed,
        label_file=options.characters,
    )
    print(f"{options.out}: {len(paths)} drawings")
    return 0


def add_convert_labels(verbs: argparse._SubParsersAction) -> None:
    """Add `craft convert-labels` to the verbs."""
    parser = verbs.add_parser(
        "convert-labels", help="write the labels of a dataset for another tool, and count what its format cannot hold"
    )
    parser.add_argument("folder", help="folder of the dataset, or a label file")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="format to write, such as coco or labelme")
    parser.add_argument("out", type=output_folder, help="folder for the labels; images stay where they are")
    parser.add_argument("--skip-errors", action="store_true", help="leave scenes with errors out")
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
    parser.add_argument("folder", help="folder of the dataset, or a .jsonl file")
    parser.add_argument(
        "--weights",
        required=True,
        metavar="NAME|FILE",
        help=f"the teacher: {WEIGHTS_HELP}",
    )
    parser.add_argument("--out", required=True, type=output_file, help="label file to write, .jsonl")
    parser.add_argument(
        "--splitter",
        choices=get_args(Splitter),
        default="cuts",
        help="how words are split: between the most likely characters for the text's length, each as tall as the word "
        "(cuts) or as it looks (length), or by watershed (default cuts)",
    )
    parser.add_argument("--height", type=int, default=64, help="height of the word crops, pixels (default 64)")
    add_device_option(parser)
    parser.add_argument(
        "--workers", type=int, default=2, help="threads that split words while the network runs (default 2)"
    )
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
    parser = verbs.add_parser("synth", help="render synthetic scenes in the ICDAR2017 layout, with exact characters")
    parser.add_argument("--out", type=output_folder, help="folder of the dataset; if left out, none is written")
    parser.add_argument("--count", type=int, default=100, help="scenes (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="a scene depends on seed and number alone (default 0)")
    parser.add_argument("--preset", choices=PRESETS, default="full", help="kind of scenes (default full)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1); the scenes do not depend on it")
    parser.add_argument(
        "--split", choices=("train", "validation"), default="train", help="official folders to write (default train)"
    )
    add_set_option(parser, "change a setting of the preset, such as size_hw=[320,320]")
    parser.add_argument("--sheet", type=output_file, help="file for a contact sheet of the scenes with their labels")
    parser.set_defaults(run=_synth)


def _synth(options: argparse.Namespace) -> int:
    from craft.memory import keep_freed_memory
    from craft.synth.contact_sheet import write_contact_sheet
    from craft.synth.presets import preset
    from craft.synth.source import missing_scripts_remark
    from craft.synth.writer import write_dataset

    keep_freed_memory()  # this process may be the one that renders
    if options.out is None and options.sheet is None:
        raise ValueError("give --out FOLDER for a dataset, --sheet FILE for a contact sheet, or both")
    settings = preset(options.preset, parse_settings(options.set))
    if (remark := missing_scripts_remark(settings)) is not None:
        print(f"craft synth: {remark}", file=sys.stderr)
    if options.sheet is not None:
        write_contact_sheet(options.sheet, settings=settings, count=options.count, seed=options.seed)
        print(f"{options.sheet}: {options.count} scenes with their labels")
    if options.out is None:
        return 0
    summary = write_dataset(
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
        "pack", help="pack a dataset into tar shards (WebDataset layout) that training reads in place"
    )
    parser.add_argument("folder", help="folder of the dataset, or a .jsonl file")
    parser.add_argument("--out", required=True, type=output_folder, help="new folder for the shards and their index")
    parser.add_argument(
        "--shard-size", default="256M", help="largest size of a shard in bytes, or with K, M or G (default 256M)"
    )
    parser.add_argument("--skip-errors", action="store_true", help="leave scenes with errors out")
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
