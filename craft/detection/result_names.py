"""The names of the results of images, and what of theirs is in a folder already."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from craft.atomic_files import shorten_name
from craft.detection.image_search import DRAWN
from craft.errors import Problem

_PART = re.compile(r"\.(?=p\d|labelme)")  # begins what results add to an image's name before their ending


def result_names(images: Sequence[Path], *, taken: Sequence[str] = ()) -> list[str]:
    """Name the results of images: their names without ending, made unique, and cut where no file could be called so.

    No name equals another in capitals alone, that of another's page ("scan.p2") or one of `taken`.
    """
    stems = Counter(path.stem.casefold() for path in images)
    names: dict[str, None] = {name: None for name in taken}
    result = []
    for path in images:
        stem = path.stem.casefold()
        alike = stems[stem] > 1 or stem in names or any(stem[: dot.start()] in stems for dot in _PART.finditer(stem))
        base = shorten_name(path.name.replace(".", "_") if alike else path.stem)
        name, number = base, 1
        while name.casefold() in names:
            number += 1
            name = f"{base}_{number}"
        names[name.casefold()] = None
        result.append(name)
    return result


def refuse_overwriting(images: Sequence[Path], drawings: Sequence[Path]) -> None:
    """Raise ValueError where a drawing would replace an image to search."""
    searched = {path.resolve() for path in images}
    for drawing in drawings:
        if drawing.resolve() in searched:
            raise ValueError(
                f"{drawing}: is an image to search and would be overwritten; give another folder for results"
            )


def replaced_results(out: Path, named: Sequence[tuple[Path, str]]) -> list[Problem]:
    """A remark if results of an earlier run are there; ValueError if they belong to another image of the same name."""
    replaced = 0
    for path, name in named:
        replaced += any((out / file).exists() for file in (f"{name}.json", f"res_{name}.txt", f"{name}{DRAWN}"))
        try:
            earlier = json.loads((out / f"{name}.json").read_bytes())["image"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if earlier != str(path) and Path(earlier).resolve() != path.resolve():
            raise ValueError(f"{out / name}.json: holds the words of {earlier}; give another folder for {path}")
    if not replaced:
        return []
    return [Problem(f"results of {replaced} images from an earlier run were replaced", where=str(out), fatal=False)]
