"""Verbs that say what is set and what is installed: config and doctor."""

import argparse

from craft.cli.arguments import add_set_option, named
from craft.config import load_config


def add_config(verbs: argparse._SubParsersAction) -> None:
    """Add `craft config` to the verbs."""
    parser = verbs.add_parser("config", help="list the settings, or show what a configuration file comes to")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="print every setting: values, default and what it does")
    listed.add_argument("word", nargs="?", help="print only settings with this word in name or description")
    listed.add_argument("--markdown", action="store_true", help="print the page docs/settings.md")
    listed.set_defaults(run=_list)
    shown = actions.add_parser("show", help="print the settings that a file comes to, with what it extends and --set")
    shown.add_argument("config", type=named, help="configuration file")
    add_set_option(shown, "change a setting: ohem.ratio=5")
    shown.set_defaults(run=_show)


def _list(options: argparse.Namespace) -> int:
    from craft.settings_reference import format_settings, list_settings, settings_page

    if options.markdown:
        print(settings_page(), end="")
        return 0
    settings = list_settings(options.word)
    if not settings:
        raise ValueError(f"no setting has {options.word!r} in its name or description; craft config list prints all")
    print(format_settings(settings))
    return 0


def _show(options: argparse.Namespace) -> int:
    from craft.settings_reference import explain_config

    print(explain_config(load_config(options.config, overrides=options.set)), end="")
    return 0


def add_doctor(verbs: argparse._SubParsersAction) -> None:
    """Add `craft doctor` to the verbs."""
    parser = verbs.add_parser("doctor", help="check the installation, and print what a question about it needs")
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from craft.installation import describe_installation

    installation = describe_installation()
    print("\n".join(f"{name:<14} {value}" for name, value in installation.facts.items()))
    for fault in installation.faults:
        print(f"fault: {fault}")
    print("no fault found" if not installation.faults else f"{len(installation.faults)} to look at")
    return 1 if installation.faults else 0
