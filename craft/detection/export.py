"""Detection in many files, and their results: JSON, ICDAR result files, CSV and drawings, each complete or not at all."""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from craft.atomic_files import write_atomic
from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.detection.image_search import DRAWN, find_images
from craft.detection.result_table import ResultTable
from craft.errors import Problem
from craft.evaluation.protocols import round_detections
from craft.geometry import clockwise
from craft.images.drawing import fit_long_side, write_image
from craft.images.reader import count_pages, read_image

Format = Literal["json", "icdar", "csv"]
FORMATS: tuple[Format, ...] = ("json", "icdar", "csv")
_SHRUNK = 0.5  # of the image's size: below it, small text falls under reading size
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_MOST_JPEG_SIDE = 65_500


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
        remarks: on what was searched in part, shrunk or replaced.
    """

    num_images: int
    num_words: int
    failures: tuple[Problem, ...] = ()
    written: tuple[Path, ...] = field(default=(), repr=False)
    images: tuple[ImageResult, ...] = field(default=(), repr=False)
    remarks: tuple[Problem, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)  # words that a filter dropped, by the setting that did


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
    images, found_problems = find_images(paths)
    failures = [problem for problem in found_problems if problem.fatal]
    remarks = [problem for problem in found_problems if not problem.fatal]
    written, done, dropped = list[Path](), list[ImageResult](), Counter[str]()
    named = list(zip(images, result_names(images), strict=True))
    _refuse_overwriting(images, [out / f"{name}{DRAWN}" for _, name in named if draw])
    remarks += _replaced_results(out, named)
    table = ResultTable(out / "detections.csv") if "csv" in formats else None
    try:
        for path, name in tqdm(named, desc="detect", unit="image", disable=not progress):
            try:
                image = read_image(path)
                found = detector.detect(image, polygons=polygons, characters=characters, progress=progress)
                found = clip_to_image(replace(found, image_path=str(path)), (image.shape[0], image.shape[1]))
                files = _write_results(out, name, path, image, found, formats=formats, draw=draw)
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno in _FULL:
                    raise
                what = str(error).removeprefix(f"{path}: ")
                failures.append(Problem(what, "the other files were searched", where=str(path)))
                continue
            if table is not None:
                table.add(str(path), csv_rows(path, found))
            remarks += _image_remarks(path, found, sizing=detector.settings.sizing)
            dropped.update(found.dropped)
            written += files
            done.append(ImageResult(path, len(found), tuple(files)))
    finally:
        if table is not None:
            table.close()
            written.append(table.path)
    num_words = sum(result.num_words for result in done)
    return DetectionRun(len(done), num_words, tuple(failures), tuple(written), tuple(done), tuple(remarks), dropped)


def clip_to_image(found: Detections, size_hw: tuple[int, int]) -> Detections:
    """Move every corner that lies outside of an image of this size to its border."""
    limit = np.array(size_hw[::-1], np.float32)
    return replace(
        found,
        quads_xy=np.clip(found.quads_xy, 0, limit),
        polygons_xy=[np.clip(polygon, 0, limit) for polygon in found.polygons_xy],
        character_quads_xy=[np.clip(quads, 0, limit) for quads in found.character_quads_xy],
    )


def _image_remarks(path: Path, found: Detections, *, sizing: str) -> list[Problem]:
    """What a person should know about an image that was searched: pages left out, and text made small."""
    remarks = []
    pages = count_pages(path)
    if pages > 1:
        what = f"has {pages} pages or frames; only page 1 was searched"
        remarks.append(Problem(what, "save the others as images of their own", where=str(path), fatal=False))
    share = max(found.scales)
    if share < _SHRUNK and sizing != "auto":
        what = f"was shrunk to {share:.0%} of its size, at which small text may be missed"
        remedy = "to search it at full size too, add --set sizing=auto"
        remarks.append(Problem(what, remedy, where=str(path), fatal=False))
    return remarks


def _replaced_results(out: Path, named: Sequence[tuple[Path, str]]) -> list[Problem]:
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
        text = json.dumps(found.to_dict(), ensure_ascii=False) + "\n"
        written.append(write_atomic(out / f"{name}.json", _utf8(text), durable=False))
    if "icdar" in formats:
        written.append(write_atomic(out / f"res_{name}.txt", icdar_text(found).encode(), durable=False))
    if draw:
        drawn = found.draw(image)
        if max(drawn.shape[:2]) > _MOST_JPEG_SIDE:  # more than JPEG holds
            drawn = fit_long_side(drawn, _MOST_JPEG_SIDE)
        written.append(write_image(out / f"{name}{DRAWN}", drawn, quality=92))
    return written


def _utf8(text: str) -> bytes:
    """Text with names that are not UTF-8, whose bytes become escapes that JSON reads."""
    return text.encode(errors="backslashreplace")
