"""Every setting with its type, range, default and sentence: for `craft config` and the page docs/settings.md."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from craft.config import USED_ONLY_WITH, Config, effective_settings

_WIDTH = 110
_BOUNDS = {"gt": "above {}", "ge": "from {}", "lt": "below {}", "le": "to {}", "multiple_of": "a multiple of {}"}
_WORDS = {float: "number", int: "whole number", bool: "true or false", str: "text", dict: "settings"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as users see it."""

    name: str  # dotted: ohem.ratio
    type: str
    default: str  # in YAML
    description: str
    needs: str  # what it has no effect without, such as "ohem.rule: hardest or random"; "" for nothing


def list_settings(word: str | None = None) -> list[Setting]:
    """All settings in the order of the configuration, or those that a word is in, in name or description."""
    settings = list(_settings_of(Config, ""))
    if word is None:
        return settings
    return [item for item in settings if word.lower() in f"{item.name} {item.description} {item.type}".lower()]


def format_settings(settings: list[Setting]) -> str:
    """Write settings for a terminal, two lines or more each."""
    lines = []
    for item in settings:
        lines.append(f"{item.name} = {item.default}    ({item.type})")
        lines += textwrap.wrap(_sentence(item), _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def settings_page() -> str:
    """Write the page of documentation, in Markdown."""
    lines = [
        "# Settings",
        "",
        "Every setting of a configuration file, as `craft config list` prints them; `craft config list WORD` searches.",
        "`craft config show FILE` prints what a file comes to. This page is written by `craft config list --markdown`.",
    ]
    section = None
    for item in list_settings():
        head = item.name.rpartition(".")[0]
        if head != section:
            section = head
            lines += [
                "",
                f"## {head or 'Top level'}",
                "",
                "| setting | values | default | |",
                "| --- | --- | --- | --- |",
            ]
        cells = (f"`{item.name.rpartition('.')[2]}`", item.type, f"`{item.default}`", _sentence(item))
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def explain_config(config: Config) -> str:
    """Write the settings that have an effect as YAML, each with its sentence above it, and its default if it differs."""
    values = effective_settings(config)
    del values["extends"]  # what it gave is here
    return "\n".join(_explained(values, Config, "")) + "\n"


def _explained(values: dict[str, Any], model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, value in values.items():
        field = model.model_fields[name]
        inner = _model_in(field.annotation)
        if inner is not None and isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _explained(value, inner, indent + "  ")
            continue
        default = "" if _same(value, field) else f" Default: {_default(field)}."
        text = (field.description or "") + default
        yield from textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        written = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=_WIDTH)
        yield textwrap.indent(written.rstrip("\n"), indent)


def _settings_of(model: type[BaseModel], prefix: str) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        inner, key = _model_in(field.annotation), prefix + name
        if inner is not None and get_origin(field.annotation) is None and not _is_list(field):
            yield from _settings_of(inner, f"{key}.")
            continue
        needs = [f"{other}: {' or '.join(map(_plain, users))}" for used, other, users in USED_ONLY_WITH if used == key]
        description = " ".join((field.description or "").split())
        yield Setting(
            key, _type_text(field.annotation, field.metadata), _default(field), description, " and ".join(needs)
        )
        if inner is not None and name == "train":
            yield from _settings_of(inner, f"{key}.0.")


def _sentence(item: Setting) -> str:
    return item.description + (f" Only with {item.needs}." if item.needs else "")


def _is_list(field: FieldInfo) -> bool:
    return isinstance(field.default, tuple)


def _same(value: Any, field: FieldInfo) -> bool:
    default = field.get_default(call_default_factory=True)
    return bool(value == (list(default) if isinstance(default, tuple) else default))


def _default(field: FieldInfo) -> str:
    return _plain(field.get_default(call_default_factory=True))


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return '""' if value == "" else yaml.safe_dump(value).removesuffix("\n...\n").strip()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _type_text(annotation: Any, metadata: list[Any]) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(parts[0], [*parts[1:], *metadata])
    if origin is Literal:
        return ", ".join(map(str, parts))
    if origin in (Union, UnionType):
        return " or ".join(_type_text(part, metadata) for part in parts if part is not NoneType) + ", or null"
    if origin is tuple:
        if len(parts) == 2 and parts[1] is Ellipsis:
            return "list of datasets" if _model_in(parts[0]) else f"list of: {_type_text(parts[0], [])}"
        return f"[{', '.join(_type_text(part, []) for part in parts)}]"
    bounds = [
        text.format(_plain(value))
        for item in metadata
        for name, text in _BOUNDS.items()
        if (value := getattr(item, name, None)) is not None
    ]
    return " ".join([_WORDS.get(origin or annotation, "text"), *bounds])
