"""Fields of a JSON Lines record, checked. What is wrong is raised as a Problem without a location."""

import difflib
import math
import os
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.datasets.labels import check_unicode, shorten
from craft.errors import Problem

_LONGEST_NAME = 200
_WINDOWS_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[1-9]", re.IGNORECASE)


def use_slashes(record: dict[str, Any], folder: Path) -> None:
    """Turn the backslashes of a path written on Windows into slashes, unless they belong to a file's name."""
    image = record.get("image")
    if isinstance(image, str) and "\\" in image and not os.path.exists(folder / image):
        record["image"] = image.replace("\\", "/")


def check_path(path: str, key: str) -> None:
    """Refuse what cannot be the path of a file; bytes that are not UTF-8 may stand in it as Python escapes them."""
    if "\0" in path:
        raise Problem(f"{key} is {shorten(path)}, with a zero byte", f'correct "{key}"')
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        check_unicode(path, key)


def check_name(name: str) -> None:
    """Refuse a scene's name that cannot be a file's: drawings and results are filed under it."""
    check_path(name, "name")
    if "/" in name or "\\" in name or name in (".", ".."):
        raise Problem(f"name is {shorten(name)}, a path", 'give a "name" without slashes; results are filed under it')
    if _WINDOWS_DEVICE.fullmatch(name.partition(".")[0].rstrip()):
        raise Problem(
            f"name is {shorten(name)}, a device's name on Windows", 'give another "name"; files are called by it'
        )
    if len(name) > _LONGEST_NAME:
        raise Problem(f"name is {shorten(name)}, {len(name)} characters", f"use at most {_LONGEST_NAME}")


def character_corners(characters: list[Any]) -> NDArray[np.float64] | None:
    """(C, 4, 2), or None for an empty list; one by one where they are not all quads, to say which is wrong."""
    try:
        quads = np.asarray(characters, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        quads = np.empty(0)
    if quads.ndim == 3 and quads.shape[1:] == (4, 2) and _are_numbers(chain.from_iterable(characters)):
        return quads
    listed = [corners_of(quad, f"character {index}", fixed=4) for index, quad in enumerate(characters, 1)]
    return np.stack(listed) if listed else None


def corners_of(value: Any, what: str, *, fixed: int | None) -> NDArray[np.float64]:
    """Give the corners called `what` as (P, 2) float64; `fixed` is how many there must be, None for 4 or more."""
    remedy = f"give {fixed if fixed else '4 or more'} corners [x, y] in pixels"
    try:
        points = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise Problem(f"{what} is {shorten(str(value))}, not corners", remedy) from None
    if points.ndim == 2 and not _are_numbers(value):
        raise Problem(f"{what} is {shorten(str(value))}, not all numbers", remedy)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4 or (fixed and len(points) != fixed):
        raise Problem(f"{what} is {shorten(str(value))}, an array of {list(points.shape)} numbers", remedy)
    return points


def _are_numbers(corners: Iterable[list[Any]]) -> bool:
    """Whether all coordinates are numbers: numpy also takes true and "12" for some."""
    return set(map(type, chain.from_iterable(corners))) <= {int, float}


def typed(label: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    """Give the value of a key, or `default` where there is none or null; a Problem if it is of another kind."""
    value = label.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        wanted = {str: "a string", bool: "true or false"}[kind]
        raise Problem(f"{key} is {shorten(str(value))}, not {wanted}", f'correct "{key}" or leave it out')
    return value


def confidence_of(label: dict[str, Any]) -> float:
    """Give the confidence of a word's characters, 1 where left out."""
    value = label.get("confidence", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Problem(f"confidence is {shorten(str(value))}, not a number from 0 to 1", "correct it or leave it out")
    return float(value)


def refuse_unknown(record: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    """Refuse a key that is not known, naming the nearest that is; `what` is a word or a scene."""
    for key in record:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            guess = f'did you mean "{nearest[0]}"?' if nearest else f"known: {', '.join(known)};"
            raise Problem(f'a {what} has no key "{key}"', f'{guess} put anything else under "note"')


def plain_numbers(array: NDArray[np.float32]) -> Any:
    """Nested lists of the shortest decimals that give these float32 numbers back."""
    if array.ndim > 1:
        return [plain_numbers(row) for row in array]
    return [_shortest(value) for value in array]


def _shortest(value: np.float32) -> int | float:
    number = float(str(value))
    assert math.isfinite(number)
    return int(number) if number.is_integer() else number
