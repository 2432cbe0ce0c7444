"""Verbs on datasets: check, show, synth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from craft.cli.arguments import (
    add_dataset_arguments,
    add_device_option,
    add_set_option,
    add_weights_option,
    at_least,
    dataset_settings,
    named,
    output_file,
    output_folder,
    output_image,
    user_path,
)
from craft.config import DatasetSettings, Preset, load_config
from craft.config_files import parse_settings

if TYPE_CHECKING:
    from craft.datasets.check import CheckReport
    from craft.scene import Scene

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
    add = parser.add_argument
    add("folder", nargs="?", type=named, help="folder of the dataset, or a .jsonl file")
    add_dataset_arguments(parser)
    _add_preset_arguments(parser)
    add("--count", type=at_least(1), default=100, help="scenes to render, with --preset (default 100)")
    add("--seed", type=at_least(0), default=0, help="seed of the scenes, with --preset (default 0)")
    add("--decode", action="store_true", help="decode every image completely, not only its header and its end")
    add(
        "--page", type=output_file, metavar="FILE.html", help="write a page: distributions, and suspicious labels drawn"
    )
    add_weights_option(parser, "with --page: what this network finds beside the labels; ")
    add_device_option(parser)
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from craft.datasets.check import format_report, report_on
    from craft.datasets.formats import format_of, has_splits
    from craft.datasets.reading import read_dataset

    if options.weights is not None and options.page is None:
        raise ValueError("--weights compares labels with a network for the page; add --page FILE.html")
    settings = _read_or_rendered(options)
    said = f"{options.count} scenes rendered"
    if settings.format == "synth":
        from craft.synth.source import read_synthetic

        reading = read_synthetic(settings)
        report = report_on(reading, title=settings.title, format="synth")
    else:
        reading = read_dataset(settings, decode=options.decode)
        report = report_on(reading, title=settings.path, format=format_of(settings).name)
        where = "" if options.images or not has_splits(report.format) else f" of the {options.split} split"
        images = (
            "decoded" if options.decode else "their images' headers and file ends checked; --decode reads every pixel"
        )
        said = f"{report.num_scenes:,} scene{'' if report.num_scenes == 1 else 's'}{where} read, {images}"
        print(said, file=sys.stderr)
    print(format_report(report))
    if options.page is not None:
        _write_page(options, report, reading.scenes, said)
    return 1 if report.has_errors else 0


def _write_page(options: argparse.Namespace, report: CheckReport, scenes: Sequence[Scene], said: str) -> None:
    from craft.datasets.check_page import write_check_page
    from craft.datasets.suspicious import suspicious_words

    suspects = suspicious_words(scenes)
    if options.weights is not None:
        from craft.detection.detector import Detector
        from craft.detection.label_audit import audit_labels

        suspects += audit_labels(scenes, Detector.from_weights(options.weights, device=options.device), progress=True)
    write_check_page(options.page, report, scenes, suspects, read=said)
    print(f"{options.page}: {len(suspects):,} suspicious labels")


def add_show(verbs: argparse._SubParsersAction) -> None:
    """Add `craft show` to the verbs."""
    parser = verbs.add_parser("show", help="draw words, characters, maps and don't-care masks as training sees them")
    add = parser.add_argument
    add("folder", nargs="?", type=named, help="folder of the dataset, or a .jsonl file")
    add("--out", required=True, type=output_folder, help="folder for the drawings")
    add("--count", type=at_least(1), default=20, help="scenes to draw (default 20)")
    add("--augmented", action="store_true", help="draw training crops, after augmentation")
    add("--config", help="configuration that gives augmentation and crop size, with --augmented")
    add(
        "--seed",
        type=at_least(0),
        default=0,
        help="seed of the augmentation, and of the scenes with --preset (default 0)",
    )
    add("--characters", type=user_path, metavar="FILE", help="label file of craft label whose characters are drawn")
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


def add_synth(verbs: argparse._SubParsersAction) -> None:
    """Add `craft synth` to the verbs."""
    parser = verbs.add_parser("synth", help="render synthetic scenes in the ICDAR2017 layout, with exact characters")
    add = parser.add_argument
    add("--out", type=output_folder, help="folder of the dataset; if left out, none is written")
    add("--count", type=at_least(1), default=100, help="scenes (default 100)")
    add("--seed", type=at_least(0), default=0, help="a scene depends on seed and number alone (default 0)")
    add("--preset", choices=PRESETS, default="full", help="kind of scenes (default full)")
    add("--workers", type=at_least(1), default=1, help="processes (default 1); the scenes do not depend on it")
    add("--split", choices=("train", "validation"), default="train", help="official folders to write (default train)")
    add_set_option(parser, "change a setting of the preset, such as size_hw=[320,320]")
    add("--sheet", type=output_image, help="file for a contact sheet of the scenes with their labels")
    parser.set_defaults(run=_synth)


def _synth(options: argparse.Namespace) -> int:
    from craft.memory import keep_freed_memory
    from craft.synth.presets import preset
    from craft.synth.source import missing_scripts_remark
    from craft.synth.writer import write_contact_sheet, write_dataset

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
