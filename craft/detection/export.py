"""Detection in many files, and their results: JSON, ICDAR result files, CSV and drawings, each complete or not at all."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.atomic_files import write_atomic
from craft.detection.detector import Detector
from craft.errors import Problem
from craft.evaluation.protocols import round_detections
from craft.geometry import clockwise
from craft.images.drawing import draw_detections, write_image
from craft.images.reader import IMAGE_ENDINGS, read_image
from craft.scene import Detections

Format = Literal["json", "icdar", "csv"]
FORMATS: tuple[Format, ...] = ("json", "icdar", "csv")
_DRAWN = ".drawn.jpg"
_CSV_HEADER = ("image", "word", "score", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The number of words in an image, and the files written for it alone."""

    path: Path
    num_words: int
    written: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DetectionRun:
    """The outcome of detection in many files.

    Attributes:
        num_images: images searched.
        num_words: words found in them.
        failures: files and paths that could not be searched, each with a remedy.
        written: files in the order of writing.
        images: the images searched, in order.
    """

    num_images: int
    num_words: int
    failures: tuple[Problem, ...] = ()
    written: tuple[Path, ...] = field(default=(), repr=False)
    images: tuple[ImageResult, ...] = field(default=(), repr=False)


def detect_paths(
    detector: Detector,
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    formats: Sequence[Format] = ("json",),
    draw: bool = False,
    polygons: bool = False,
    characters: bool = False,
    progress: bool = True,
) -> DetectionRun:
    """Detect words in files, folders and globs, and write the results; files that cannot be read are reported.

    An image `img_1.jpg` gives `img_1.json` (json), `res_img_1.txt` (icdar), rows of `detections.csv` (csv) and
    `img_1.drawn.jpg` (draw). If several images share a name, their endings and then numbers are added to it.

    Args:
        detector: finds the words.
        paths: images, folders (searched recursively) and globs ("scans/**/*.png").
        out: folder for the results, created if missing.
        formats: any of "json", "icdar", "csv".
        draw: draw the words over copies of the images.
        polygons: find polygons, for json and drawings.
        characters: find characters, for json and drawings.
        progress: show a progress bar on standard error.

    Raises:
        ValueError: a format is unknown, `out` cannot be written to, or a drawing would overwrite an image.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f"format {unknown[0]!r} is unknown; use {', '.join(FORMATS)}")
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out}: cannot be created as a folder ({error.strerror}); name another one") from error
    images, problems = find_images(paths)
    failures, written, rows, done = list(problems), [], list[list[Any]](), list[ImageResult]()
    named = list(zip(images, result_names(images), strict=True))
    _refuse_overwriting(images, [out / f"{name}{_DRAWN}" for _, name in named if draw])
    for path, name in tqdm(named, desc="detect", unit="image", disable=not progress):
        try:
            image = read_image(path)
            found = detector.detect(image, polygons=polygons, characters=characters)
        except ValueError as error:
            what = str(error).removeprefix(f"{path}: ")
            failures.append(Problem(what, "the other files were searched", where=str(path)))
            continue
        rows += csv_rows(path, found)
        files = _write_results(out, name, path, image, found, formats=formats, draw=draw)
        written += files
        done.append(ImageResult(path, len(found), tuple(files)))
    if "csv" in formats:
        written.append(write_atomic(out / "detections.csv", _csv_text(rows).encode(), durable=False))
    num_words = sum(result.num_words for result in done)
    return DetectionRun(len(done), num_words, tuple(failures), tuple(written), tuple(done))


def find_images(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """List the images that files, folders and globs stand for; a file that is named itself may have any ending.

    Returns:
        The files, each once, in the order of `paths` and by name inside a folder or glob; and a problem for each path
        that stands for no image.
    """
    found: dict[Path, None] = {}
    problems = []
    for path in map(Path, paths):
        if path.is_dir():
            files = _images_only(path.rglob("*"))
        elif path.exists():
            files = [path]
        else:
            files = _images_only(Path(match) for match in glob.glob(str(path), recursive=True))
        if not files:
            what = "holds no images" if path.is_dir() else "is not a file or folder, and matches nothing"
            problems.append(Problem(what, f"images end in {', '.join(sorted(IMAGE_ENDINGS))}", where=str(path)))
        found.update(dict.fromkeys(files))
    return list(found), problems


def result_names(images: Sequence[Path]) -> list[str]:
    """Name the results of images: their names without ending, made unique."""
    stems = Counter(path.stem for path in images)
    names: dict[str, None] = {}
    for path in images:
        base = path.stem if stems[path.stem] == 1 else path.name.replace(".", "_")
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names[name] = None
    return list(names)


def detections_as_dict(path: str | Path, size_hw: tuple[int, int], found: Detections) -> dict[str, Any]:
    """Describe the words of an image in the json format.

    Returns:
        {"image", "height", "width", "words": [{"quad", "score", "polygon"?, "characters"?}]}, with coordinates in source
        pixels to a hundredth, (0, 0) at the top-left corner of the top-left pixel.
    """
    words: list[dict[str, Any]] = []
    for index, (quad, score) in enumerate(zip(found.quads_xy, found.scores, strict=True)):
        word: dict[str, Any] = {"quad": _rounded(quad), "score": round(float(score), 4)}
        if found.polygons_xy:
            word["polygon"] = _rounded(found.polygons_xy[index])
        if found.character_quads_xy:
            word["characters"] = _rounded(found.character_quads_xy[index])
        words.append(word)
    return {"image": str(path), "height": size_hw[0], "width": size_hw[1], "words": words}


def icdar_text(found: Detections) -> str:
    """The content of an ICDAR 2015 or 2017 result file: lines "x1,y1,x2,y2,x3,y3,x4,y4" of integers, clockwise."""
    quads = (clockwise(quad).astype(np.int64) for quad in round_detections(found.quads_xy))
    return "".join(",".join(map(str, quad.ravel().tolist())) + "\n" for quad in quads)


def csv_rows(path: str | Path, found: Detections) -> list[list[Any]]:
    """The rows of an image in `detections.csv`: image, word (from 1), score, then eight coordinates."""
    return [
        [str(path), index, f"{score:.4f}", *(f"{value:.2f}" for value in quad.ravel())]
        for index, (quad, score) in enumerate(zip(found.quads_xy, found.scores, strict=True), 1)
    ]


def _refuse_overwriting(images: Sequence[Path], drawings: Sequence[Path]) -> None:
    searched = {path.resolve() for path in images}
    for drawing in drawings:
        if drawing.resolve() in searched:
            raise ValueError(
                f"{drawing}: is an image to search and would be overwritten; give another folder for results"
            )


def _write_results(
    out: Path,
    name: str,
    path: Path,
    image: NDArray[np.uint8],
    found: Detections,
    *,
    formats: Sequence[Format],
    draw: bool,
) -> list[Path]:
    written = []
    if "json" in formats:
        record = detections_as_dict(path, (image.shape[0], image.shape[1]), found)
        written.append(
            write_atomic(out / f"{name}.json", (json.dumps(record, ensure_ascii=False) + "\n").encode(), durable=False)
        )
    if "icdar" in formats:
        written.append(write_atomic(out / f"res_{name}.txt", icdar_text(found).encode(), durable=False))
    if draw:
        written.append(write_image(out / f"{name}{_DRAWN}", draw_detections(image, found), quality=92))
    return written


def _images_only(paths: Iterable[Path]) -> list[Path]:
    """Images among files, by name, without the drawings of an earlier run."""
    candidates = (path for path in paths if path.suffix.lower() in IMAGE_ENDINGS)
    return sorted(path for path in candidates if not path.name.endswith(_DRAWN) and path.is_file())


def _rounded(points: NDArray[np.floating]) -> list[Any]:
    return np.round(points.astype(np.float64), 2).tolist()


def _csv_text(rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    writer.writerows(rows)
    return buffer.getvalue()
