"""Arguments that several verbs share: paths, a dataset's folder and format, --set, --device."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from craft.config import DatasetFormat, DatasetSettings, Split
from craft.config_files import parse_settings
from craft.models.shipped import PACKAGED, RECIPES

WEIGHTS_HELP = (
    f"weights by name ({', '.join(RECIPES)}, or {', '.join(PACKAGED)} with its extra), or a weights file: ours, clovaai's "
    "or EasyOCR's"
)
READ_FORMATS = tuple(name for name in get_args(DatasetFormat) if name != "synth")


def named(text: str) -> str:
    """A path, URL or pattern that is not empty, as that of a shell variable nobody set would be."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; is a variable of the command unset?")
    return text


def user_path(text: str) -> Path:
    """A path on the command line; ~ is the home folder, also where the shell leaves it, as in --out=~/results."""
    return Path(named(text)).expanduser()


def at_least(least: int) -> Callable[[str], int]:
    """A whole number from `least` on."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is below {least}")
        return int(text)

    return number


def output_folder(text: str) -> Path:
    """The path of a folder that exists or can be created; refused before any work is done if it cannot."""
    path = user_path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a file; give a folder")
    _refuse_unwritable(path)
    return path


def output_file(text: str) -> Path:
    """The path of a file that can be written; refused before any work is done if it cannot."""
    path = user_path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; give a file in it")
    _refuse_unwritable(path.parent)
    return path


def output_image(text: str) -> Path:
    """The path of an image that can be written, with an ending that it can be written in."""
    path = output_file(text)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise argparse.ArgumentTypeError(f"{path} has no ending of an image; name a .png or .jpg file")
    return path


def _refuse_unwritable(folder: Path) -> None:
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        raise argparse.ArgumentTypeError(f"{nearest} is a file, so {folder} cannot be created; give another path")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{nearest} is not writable; give another path")


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which labels are read, and of which scenes."""
    add = parser.add_argument
    add("--format", choices=READ_FORMATS, help="label format; if left out, it follows from official folder names")
    add("--images", help="image folder inside the dataset, if it is not the official one")
    add("--labels", help="label folder or file inside the dataset, if it is not the official one")
    add("--split", choices=get_args(Split), default="train", help="official folders to read (default train)")
    add("--numbers", type=int, nargs=2, metavar=("FIRST", "LAST"), help="scene numbers to use, inclusive")


def dataset_settings(options: argparse.Namespace, path: str) -> DatasetSettings:
    """The dataset at a path, as the options above describe it."""
    return DatasetSettings(
        path=path,
        format=options.format,
        images=options.images,
        labels=options.labels,
        split=options.split,
        numbers=None if options.numbers is None else (options.numbers[0], options.numbers[1]),
    )


def add_set_option(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add --set KEY=VALUE, which may be given several times."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help_text)


def add_weights_option(parser: argparse.ArgumentParser, said: str = "", **keywords: Any) -> None:
    """Add --weights, whose help is what is said of them and how they are named."""
    parser.add_argument("--weights", metavar="NAME|FILE", help=f"{said}{WEIGHTS_HELP}", **keywords)


def add_lines_option(parser: argparse.ArgumentParser) -> None:
    """Add --lines."""
    parser.add_argument(
        "--lines", metavar="FILE", help="find lines of text instead of words, with this LinkRefiner (see craft refine)"
    )


def add_skip_errors_option(parser: argparse.ArgumentParser) -> None:
    """Add --skip-errors."""
    parser.add_argument("--skip-errors", action="store_true", help="leave scenes with errors out")


def add_server_options(parser: argparse.ArgumentParser, *, port: int) -> None:
    """Add --host and --port of a page that is served."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve on (default 127.0.0.1, this machine alone; 0.0.0.0 lets everyone on the network use the page)",
    )
    parser.add_argument("--port", type=int, default=port, help=f"port to serve on, 0 for any free one (default {port})")


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add --device."""
    parser.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N (default auto)")


def detection_overrides(settings: list[str]) -> dict[str, Any]:
    """Settings of detection by name, with or without the section that they have in a configuration."""
    overrides = parse_settings(settings)
    return {**overrides.pop("detection", {}), **overrides}
