"""Detection in many files: images are read ahead and results written behind while the network runs."""

import errno
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.detection.image_search import DRAWN, MAPS, find_images
from craft.detection.result_names import refuse_overwriting, replaced_results, result_names
from craft.detection.result_writer import FORMATS, Format, ResultWriter
from craft.errors import OUT_OF_MEMORY, Problem, is_out_of_memory
from craft.images.pages import Page, read_pages

_SHRUNK = 0.5  # of the image's size: below it, small text falls under reading size
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_AHEAD = 4  # images whose results wait to be written


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The number of words in an image, and the files written for it alone."""

    path: Path
    num_words: int
    written: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DetectionRun:
    """The outcome of detection in many files."""

    num_images: int  # images searched
    num_words: int  # words found in them
    failures: tuple[Problem, ...] = ()  # files and paths that could not be searched, each with a remedy
    written: tuple[Path, ...] = field(default=(), repr=False)  # files in the order of writing
    images: tuple[ImageResult, ...] = field(default=(), repr=False)  # the images searched, in order
    remarks: tuple[Problem, ...] = ()  # on what was searched in part, shrunk or replaced
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
    crops: str | Path | None = None,
    crop_lines: bool = False,
    draw_scores: bool = False,
    heat_maps: bool = False,
    dpi: int = 200,
    frames: int = 0,
    batch_size: int = 1,
) -> DetectionRun:
    """Detect words in files, folders and globs, and write the results; files that cannot be read are reported.

    An image `img_1.jpg` gives `img_1.json` (json), `res_img_1.txt` (icdar), rows of `detections.csv` (csv),
    `img_1.drawn.jpg` (draw), and what docs/formats.md says of the other formats. If several images share a name, their
    endings and then numbers are added to it; pages after the first add `.p2` and so on. The next image is read, and
    results are written, while the network runs. Raises ValueError if a format is unknown, `out` cannot be written to,
    or a drawing would overwrite an image.

    Args:
        paths: images, PDFs, videos, folders (searched recursively), globs ("scans/**/*.png") and "-", standard input.
        formats: any of `FORMATS`.
        draw: draw the words over copies of the images.
        polygons: find polygons, for the formats that hold them and drawings.
        characters: find characters, for json and drawings.
        crops: folder for upright crops of the words, or of lines with `crop_lines`.
        heat_maps: write the region and affinity maps over copies of the images, `img_1.maps.jpg`; runs the network again.
        dpi: resolution of pages of PDFs.
        frames: step between two frames of animations and videos; 0 searches the first frame of animations alone.
        batch_size: most images that go through the network together, where their sizes agree.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; at least one image goes through the network")
    _check_formats(formats)
    if crop_lines and crops is None:
        raise ValueError("--crop-lines has no effect without --crops FOLDER; add it")
    if draw_scores and not draw:
        raise ValueError("--draw-scores has no effect without drawings; add --draw")
    out, crops = Path(out), None if crops is None else Path(crops)
    _make_folders(out, crops)
    images, problems = find_images(paths)
    named = list(zip(images, result_names(images, taken=["coco"] if "coco" in formats else []), strict=True))
    endings = [ending for ending, written in ((DRAWN, draw), (MAPS, heat_maps)) if written]
    refuse_overwriting(images, [out / f"{name}{ending}" for _, name in named for ending in endings])
    if crops and (again := {path.parent.resolve() for path in images} & {crops.resolve()}):
        raise ValueError(
            f"{again.pop()}: holds images to search, as the crops would be next time; give another --crops"
        )
    problems += replaced_results(out, named)
    writer = ResultWriter(out, tuple(formats), draw=draw, scores=draw_scores, crops=crops, lines=crop_lines)
    run = _Run(detector, writer, problems)
    parts = {"polygons": polygons, "characters": characters}
    try:
        pages = _read_ahead(named, run, dpi=dpi, frames=frames, progress=progress)
        while batch := list(islice(pages, batch_size)):
            run.search(batch, parts, progress=progress, heat_maps=heat_maps)
    finally:
        run.finish()
    return run.result()


class _Read(NamedTuple):
    """A page that was read, and what its results are called."""

    path: Path
    name: str
    page: Page


class _Run:
    """What a run has found so far; results are written by another thread, in order."""

    def __init__(self, detector: Detector, writer: ResultWriter, problems: list[Problem]) -> None:
        self.detector, self.writer = detector, writer
        self.failures = [problem for problem in problems if problem.fatal]
        self.remarks = [problem for problem in problems if not problem.fatal]
        self.images, self.dropped = list[ImageResult](), Counter[str]()
        self._pool, self._pending = ThreadPoolExecutor(1), deque[tuple[_Read, Detections, Future[list[Path]]]]()

    def search(self, batch: list[_Read], parts: dict[str, bool], *, progress: bool, heat_maps: bool) -> None:
        """Find the words of a batch, and hand them to the writer."""
        try:
            if len(batch) == 1:
                every = [self.detector.detect(batch[0].page.image, progress=progress, **parts)]
            else:
                pages = [read.page.image for read in batch]
                every = list(self.detector.detect_many(pages, batch_size=len(batch), **parts))
        except (ValueError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            self.failures += [_problem(read.path, error) for read in batch]
            return
        for read, found in zip(batch, every, strict=True):
            image = read.page.image
            found = replace(found, image_path=str(read.path), page=read.page.number)
            found = clip_to_image(found, (image.shape[0], image.shape[1]))
            maps = self.detector.score_maps(image)[:2] if heat_maps else None
            self._pending.append((read, found, self._pool.submit(self.writer.write, read.name, image, found, maps)))
        while len(self._pending) > _AHEAD:
            self._collect()

    def finish(self) -> None:
        """Wait for the writer, whatever ended the run."""
        try:
            while self._pending:
                self._collect()
        finally:
            self._pool.shutdown()
            self.writer.close()

    def result(self) -> DetectionRun:
        """The outcome."""
        written = [path for image in self.images for path in image.written] + self.writer.shared
        num_words = sum(image.num_words for image in self.images)
        said = tuple(self.failures), tuple(written), tuple(self.images), tuple(self.remarks)
        return DetectionRun(len(self.images), num_words, *said, self.dropped)

    def _collect(self) -> None:
        read, found, future = self._pending.popleft()
        try:
            written = future.result()
        except (ValueError, OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno in _FULL:
                raise
            self.failures.append(_problem(read.path, error))
            return
        self.writer.add(str(read.path), found)
        self.dropped.update(found.dropped)
        self.images.append(ImageResult(read.path, len(found), tuple(written)))
        share = max(found.scales, default=1.0)
        if share < _SHRUNK and self.detector.settings.sizing != "auto":
            what = f"was shrunk to {share:.0%} of its size, at which small text may be missed"
            remedy = "to search it at full size too, add --set sizing=auto"
            self.remarks.append(Problem(what, remedy, where=str(read.path), fatal=False))


def _read_ahead(
    named: Sequence[tuple[Path, str]], run: _Run, *, dpi: int, frames: int, progress: bool
) -> Iterator[_Read]:
    """The pages of files, the next of which is read while the last is searched; reports files that cannot be read."""
    pages = _read_all(named, dpi=dpi, frames=frames)
    with (
        ThreadPoolExecutor(1) as pool,
        tqdm(total=len(named), desc="detect", unit="image", disable=not progress) as bar,
    ):
        following = pool.submit(next, pages, None)
        while (read := following.result()) is not None:
            following = pool.submit(next, pages, None)
            if isinstance(read, _Read):
                yield read
            elif isinstance(read, Exception):
                run.failures.append(read)
            else:
                bar.update()


def _read_all(named: Sequence[tuple[Path, str]], *, dpi: int, frames: int) -> Iterator[_Read | Problem | Path]:
    """The pages of files, a problem for each file that cannot be read further, and the path of each that is done."""
    for path, name in named:
        try:
            for page in read_pages(path, dpi=dpi, every=frames):
                yield _Read(path, name if page.number in (None, 1) else f"{name}.p{page.number}", page)
        except (ValueError, OSError, MemoryError) as error:
            yield _problem(path, error)
        yield path


def _problem(path: Path, error: Exception) -> Problem:
    what = OUT_OF_MEMORY if is_out_of_memory(error) else str(error).removeprefix(f"{path}: ")
    return Problem(what, "the other files were searched", where=str(path))


def clip_to_image(found: Detections, size_hw: tuple[int, int]) -> Detections:
    """Move every corner that lies outside of an image of this size to its border."""
    limit = np.array(size_hw[::-1], np.float32)
    return replace(
        found,
        quads_xy=np.clip(found.quads_xy, 0, limit),
        polygons_xy=[np.clip(polygon, 0, limit) for polygon in found.polygons_xy],
        character_quads_xy=[np.clip(quads, 0, limit) for quads in found.character_quads_xy],
    )


def _make_folders(out: Path, crops: Path | None) -> None:
    for folder in filter(None, (out, crops)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{folder}: cannot be created as a folder ({error.strerror}); name another one") from error


def _check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that are unknown or of one name."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f"format {unknown[0]!r} is unknown; use {', '.join(FORMATS)}")
    icdar = sorted({name for name in formats if name.startswith("icdar")})
    if len(icdar) > 1:
        raise ValueError(f"formats {' and '.join(icdar)} have files of one name, res_IMAGE.txt; ask for one of them")
