"""Settings as users write them, in YAML files and as `--set a.b=c`, and what is said about mistakes in them."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

_MOST_NODES = 100_000

ABSENT = object()
"""Returned by `lookup` for a setting that is not given."""


def parse_settings(overrides: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Parse "a.b=c" settings from the command line into nested dictionaries; values are read as YAML.

    A number indexes a list: data.train.0.path=FOLDER. Raises ValueError if a setting has no "=", or its value is not
    YAML.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise ValueError(f"--set {override}: expected KEY=VALUE, such as --set ohem.ratio=5")
        try:
            value = load_yaml(text)
        except (yaml.YAMLError, RecursionError):
            raise ValueError(f"--set {override}: the value is not YAML; quote it") from None
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = deep_merge(values, nested)
    return values


def by_dotted_name(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give nested settings by their dotted names: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= by_dotted_name(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of nested settings; an empty file has none.

    Raises ValueError if the file cannot be read, is not YAML, or holds no mapping.
    """
    try:
        values = load_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give the path of a configuration file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 (byte {error.start}); save it again with UTF-8 encoding") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML that settings can be read from: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected settings as 'key: value' lines, found {type(values).__name__}")
    return values


def load_yaml(text: str) -> Any:
    """Parse YAML safely; aliases may not expand it beyond a hundred thousand nodes.

    Raises yaml.YAMLError if it is not YAML, has a key twice in one place, or is too large once its aliases are expanded.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None:
        _refuse_double_keys(root, set())
    if root is not None and _expanded_size(root, {}) > _MOST_NODES:
        raise yaml.YAMLError(f"its aliases expand to more than {_MOST_NODES:,} values")
    return yaml.safe_load(text)


def _refuse_double_keys(node: yaml.Node, seen: set[int]) -> None:
    """Refuse a key that stands twice in a mapping: YAML readers keep the last, in silence."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    keys: set[str] = set()
    for part in node.value:
        key, value = part if isinstance(part, tuple) else (None, part)
        if isinstance(key, yaml.ScalarNode) and key.value != "<<":
            if key.value in keys:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: {key.value!r} is given twice; join the two")
            keys.add(key.value)
        _refuse_double_keys(value, seen)


def _expanded_size(node: yaml.Node, sizes: dict[int, float]) -> float:
    """How many nodes the document has with every alias written out; infinite for one that contains itself."""
    if id(node) in sizes:
        return sizes[id(node)]
    if isinstance(node, yaml.ScalarNode):
        return 1
    sizes[id(node)] = float("inf")  # while its children are counted
    children = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    sizes[id(node)] = 1 + sum(_expanded_size(child, sizes) for child in children)
    return sizes[id(node)]


def inherited_settings(values: dict[str, Any], path: Path, *, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The merged settings of the files that the file at `path` extends, directly or indirectly; the nearest file wins."""
    base = values.get("extends")
    if base is None:
        return {}
    base_path = (path.parent / str(base)).resolve()
    if base_path in seen:
        raise ValueError(f"{path}: extends {base}, which extends it in turn; remove one of the two")
    base_values = read_yaml(base_path)
    merged = deep_merge(inherited_settings(base_values, base_path, seen=(*seen, base_path)), base_values)
    merged.pop("extends", None)
    return merged


def deep_merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge nested settings into others, changing neither; {"0": value} replaces the first item of a list."""
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[key] = deep_merge(before, value)
        elif isinstance(value, dict) and isinstance(before, list) and all(str(index).isdigit() for index in value):
            numbered = deep_merge({str(index): item for index, item in enumerate(before)}, value)
            merged[key] = list(numbered.values())
        else:
            merged[key] = value
    return merged


def lookup(values: dict[str, Any], key: str) -> Any:
    """The value of a setting by its dotted name, such as ohem.ratio; `ABSENT` where it is not given."""
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return ABSENT
        found = found[part]
    return found


def explain_error(error: Any, settings: type[BaseModel]) -> str:
    """Say in one line what is wrong with a setting, given an entry of `ValidationError.errors()` of the class."""
    path = [part for part in error["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    name = ".".join(str(part) for part in path)
    if error["type"] == "extra_forbidden":
        return f"unknown setting '{name}'; {_suggestion(path, settings)}"
    if error["type"] == "value_error":  # ours, which says what came
        return f"{name}: {error['ctx']['error']}" if name else str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"{name}: is missing"
    return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]} (got {error['input']!r})"


def _suggestion(path: list[Any], settings: type[BaseModel]) -> str:
    """The setting that an unknown one was probably meant to be: the same name elsewhere, or a similar name beside it."""
    section, key = list(map(str, path[:-1])), str(path[-1])
    known = _known_keys(path[:-1], settings)
    nearest = difflib.get_close_matches(key, known, n=1)
    elsewhere = [name for name in _all_keys(settings) if name.rpartition(".")[2] == key]
    if nearest or elsewhere:
        names = [".".join([*section, nearest[0]])] if nearest else elsewhere[:3]
        return "did you mean " + " or ".join(f"'{name}'" for name in names) + "?"
    return f"known here: {', '.join(known)}"


def _all_keys(settings: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in settings.model_fields.items():
        inner = [item for item in _types_in(field.annotation) if issubclass(item, BaseModel)]
        if inner:
            yield from _all_keys(inner[0], f"{prefix}{name}.")
        else:
            yield prefix + name


def _known_keys(path: list[Any], settings: type[BaseModel]) -> list[str]:
    model: Any = settings
    for part in path:
        if isinstance(part, int) or part not in model.model_fields:
            continue  # an item of a list, or a name that the user chose
        annotation = model.model_fields[part].annotation
        model = next(item for item in _types_in(annotation) if issubclass(item, BaseModel))
    return list(model.model_fields)


def _types_in(annotation: Any) -> list[type]:
    """The classes that an annotation is made of: of dict[str, tuple[A, ...]] str and A."""
    inner = [item for argument in getattr(annotation, "__args__", ()) for item in _types_in(argument)]
    return inner if inner else [annotation] * isinstance(annotation, type)
