"""Result files of any detector: a text or JSON file per image, in a folder or zip, or one file of COCO results."""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from craft.geometry import box_corners

Layout = Literal["boxes", "quads", "polygons"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ERRORS_SHOWN = 20
# What zipfile raises for damaged, encrypted and unknown entries.
_DAMAGED_ZIP = (OSError, RuntimeError, EOFError, LookupError, ValueError, zipfile.BadZipFile, zlib.error)
_WANTED = {
    "boxes": "x1,y1,x2,y2 or x1,y1,...,x4,y4, optionally followed by a score and a text",
    "quads": "x1,y1,...,x4,y4, optionally followed by a score and a text",
    "polygons": "x1,y1,x2,y2,... with at least 3 corners, optionally followed by a score",
}


@dataclass(frozen=True, slots=True, eq=False)
class ResultFile:
    """The detections of one image."""

    name: str  # of the file, without folders
    polygons_xy: list[NDArray[np.float64]]  # (P, 2) each, in source image pixels, in the order of the file
    lines: tuple[int, ...]  # line number of each detection, counted from 1
    scores: NDArray[np.float64] | None  # (N,) None if the files hold no scores


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """A detection as read: its corners (P, 2), and the number after them if there is one."""

    number: int
    polygon_xy: NDArray[np.float64]
    score: float | None


def read_results(path: str | Path, *, layout: Layout) -> list[ResultFile]:
    """Read every .txt file of a folder or zip, in numerical order: res_img_10 follows res_img_9.

    Fields are separated by commas, or by white space in lines without a comma; empty lines, a byte order mark and
    Windows line ends are skipped. The number after the corners is a score if every line of every file has one;
    otherwise it is taken for the start of a text, and no detection has a score. Raises ValueError if the path cannot be
    read or holds no .txt file, or lines do not fit; they are named as file:line.

    Args:
        path: folder or .zip with one .txt file per image, or one .json file of `craft detect` each; or a .json file of
            COCO results, whose image_id is the number or name of a scene.
        layout: "quads" for 8 coordinates, "boxes" for 4 (two opposite corners) or 8, "polygons" for any even number.
    """
    parsed: dict[str, list[_Line]] = {}
    errors: list[str] = []
    if Path(path).suffix.lower() == ".json":
        parsed = _parse_coco(Path(path), layout)
    for name, content in () if parsed else _contents(Path(path)):
        if name in parsed:
            raise ValueError(f"{path}: holds {name} twice; remove one of them")
        parsed[name] = _parse_file(name, content, layout, errors)
    if not parsed:
        parsed = {name: _parse_json(name, content, layout, errors) for name, content in _contents(Path(path), ".json")}
    if errors:
        more = f"\nand {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
        raise ValueError(f"{path}:\n" + "\n".join(errors[:_ERRORS_SHOWN]) + more)
    if not parsed:
        raise ValueError(
            f"{path}: holds no .txt or .json file; give the folder or zip with the result files res_img_N.txt, or that of craft detect"
        )
    lines = [line for file_lines in parsed.values() for line in file_lines]
    has_scores = all(line.score is not None for line in lines)
    return [
        ResultFile(
            name,
            [line.polygon_xy for line in parsed[name]],
            tuple(line.number for line in parsed[name]),
            np.array([line.score for line in parsed[name]], dtype=np.float64) if has_scores else None,
        )
        for name in sorted(parsed, key=_natural)
    ]


def parse_line(line: str, *, layout: Layout) -> tuple[NDArray[np.float64], float | None]:
    """Read one detection: its corners (P, 2), and the number after them, if any; ValueError if it does not fit."""
    fields = [field.strip() for field in (line.split(",") if "," in line else line.split())]
    count = 0
    while count < len(fields) and _NUMBER.fullmatch(fields[count]):
        count += 1
    numbers = [float(field) for field in fields[:count]]
    if layout == "polygons":
        used = count - count % 2
        fits = used >= 6
    elif layout == "boxes" and count in (4, 5):
        used, fits = 4, True
    else:
        used, fits = 8, count >= 8
    if not fits or not np.isfinite(numbers).all():
        raise ValueError(f"found {line!r}, wanted {_WANTED[layout]}")
    corners = box_corners(numbers[:4]) if used == 4 else np.array(numbers[:used]).reshape(-1, 2)
    return corners, numbers[used] if count > used else None


def _contents(path: Path, ending: str = ".txt") -> Iterator[tuple[str, bytes]]:
    """Names without folders, and contents, of the files of a folder or zip that end so."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix.lower() == ending and not file.name.startswith("._") and file.is_file():
                yield file.name, file.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                name = Path(item.filename).name
                if not item.is_dir() and name.lower().endswith(ending) and not name.startswith("._"):
                    yield name, archive.read(item)
    except FileNotFoundError:
        raise ValueError(f"{path}: does not exist; give the folder or zip with the result files") from None
    except _DAMAGED_ZIP as error:
        raise ValueError(f"{path}: is neither a folder nor a readable zip ({error})") from None


def _parse_file(name: str, content: bytes, layout: Layout, errors: list[str]) -> list[_Line]:
    """Read the detections of a file, and add what is wrong with it to `errors`."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        errors.append(f"{name}: is not UTF-8 (byte {error.start}); save it as UTF-8")
        return []
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            polygon, score = parse_line(line.rstrip("\r"), layout=layout)
        except ValueError as error:
            errors.append(f"{name}:{number}: {error}; correct the line or export the results again")
            continue
        lines.append(_Line(number, polygon, score))
    return lines


def _parse_json(name: str, content: bytes, layout: Layout, errors: list[str]) -> list[_Line]:
    """Read the words of a file of `craft detect`, and add what is wrong with it to `errors`."""
    try:
        words = json.loads(content)["words"]
        return [
            _Line(
                number,
                np.array(word["polygon" if layout == "polygons" and "polygon" in word else "quad"], np.float64).reshape(
                    -1, 2
                ),
                float(word["score"]),
            )
            for number, word in enumerate(words, start=1)
        ]
    except (ValueError, KeyError, TypeError):
        errors.append(f"{name}: is not a result file of craft detect; give result files res_img_N.txt, or remove it")
        return []


def _parse_coco(path: Path, layout: Layout) -> dict[str, list[_Line]]:
    """Read COCO results: a list of annotations, or "annotations" beside "images" whose file names tell the scenes."""
    try:
        content = json.loads(path.read_bytes())
        listed = content["annotations"] if isinstance(content, dict) else content
        images = content["images"] if isinstance(content, dict) else []
        names = {item["id"]: f"{Path(str(item['file_name'])).stem}.txt" for item in images}
        parsed: dict[str, list[_Line]] = {name: [] for name in names.values()}
        for number, item in enumerate(listed, start=1):
            name = names.get(item["image_id"], f"{item['image_id']}.txt")
            score = None if item.get("score") is None else float(item["score"])
            parsed.setdefault(name, []).append(_Line(number, _coco_polygon(item, layout), score))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); correct the path") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"is not a file of COCO results ({type(error).__name__}: {error})"
        raise ValueError(f"{path}: {what}; give a list of image_id, bbox or segmentation, and score") from None
    if not parsed:
        raise ValueError(f"{path}: holds no detections; give a list of image_id, bbox or segmentation, and score")
    return parsed


def _coco_polygon(item: dict[str, Any], layout: Layout) -> NDArray[np.float64]:
    """The outline of a detection, where it has as many corners as the layout takes, or its box."""
    outline = item.get("segmentation")
    if isinstance(outline, list) and len(outline) == 1 and (layout == "polygons" or len(outline[0]) == 8):
        polygon = np.array(outline[0], dtype=np.float64).reshape(-1, 2)
    else:
        left, top, width, height = (float(number) for number in item["bbox"])
        right, bottom = left + width, top + height
        polygon = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if len(polygon) < 3 or not np.isfinite(polygon).all():
        raise ValueError(f"an outline of {polygon.tolist()}")
    return polygon


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", name)]
