"""The `craft` command: each verb parses its arguments, calls one function and prints.

A verb imports what it needs when it runs, so `craft --help`, `check` and `evaluate` work without torch.
"""

import argparse
import difflib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from craft.cli import datasets, detect, evaluate, labels, settings, train
from craft.cli.log_lines import bars_as_lines
from craft.config import DatasetSettings
from craft.config_files import explain_error
from craft.errors import OUT_OF_MEMORY, is_out_of_memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with the words after `craft`, by default those of the process.

    Returns:
        Exit status: 0 success, 1 errors in the data, 2 the request could not be carried out, 130 or 143 stopped by a
        signal after saving a checkpoint.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the output's encoding lacks is printed with escapes
            stream.reconfigure(errors="backslashreplace")
    if not sys.stderr.isatty():  # a log file: at most a line a minute; tqdm reads this when a verb imports it
        os.environ.setdefault("TQDM_MININTERVAL", "60")
        os.environ.setdefault("TQDM_MAXINTERVAL", "60")
    warnings.filterwarnings("ignore", module="PIL")  # damaged files are named, with a remedy
    parser = _parser()
    _complete(parser)
    options = parser.parse_args(arguments)
    with bars_as_lines():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    """Run a verb; an error that a user can cause is one line."""
    try:
        return options.run(options)
    except ValidationError as error:
        mistakes = "; ".join(explain_error(mistake, DatasetSettings) for mistake in error.errors())
        print(f"craft {options.verb}: {mistakes}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        advice = str(error) if type(error) is MemoryError and str(error) else OUT_OF_MEMORY
        print(f"craft {options.verb}: {advice}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "craft").split(".")[0] == "craft":
            raise
        print(
            f"craft {options.verb}: needs {error.name}, which is not installed; pip install {error.name}",
            file=sys.stderr,
        )
        return 2
    except (ValueError, FloatingPointError) as error:
        print(f"craft {options.verb}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"craft {options.verb}: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest verb for an unknown one."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "verb" and action.choices is not None and value not in action.choices:
            nearest = difflib.get_close_matches(str(value), list(action.choices), n=1)
            suggestion = f"; did you mean {nearest[0]!r}?" if nearest else f"; choose from {', '.join(action.choices)}"
            raise argparse.ArgumentError(None, f"unknown verb {value!r}{suggestion}")
        super()._check_value(action, value)


class _Version(argparse.Action):
    """Prints what is installed, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> None:
        from craft.installation import version_line

        print(version_line())
        parser.exit()


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell where it asks for completions and argcomplete is installed (the extra `completion`)."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="craft", description="Train, run and compare CRAFT scene text detectors with online hard example mining."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print versions, device and weights, and exit")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=argparse.ArgumentParser)
    for add in (
        datasets.add_check,
        datasets.add_show,
        labels.add_convert_labels,
        labels.add_label,
        datasets.add_synth,
        labels.add_pack,
        train.add_train,
        train.add_refine,
        train.add_watch,
        train.add_bench,
        detect.add_detect,
        detect.add_export,
        detect.add_demo,
        evaluate.add_evaluate,
        train.add_compare,
        train.add_convert,
        settings.add_config,
        settings.add_doctor,
    ):
        add(verbs)
    return parser
