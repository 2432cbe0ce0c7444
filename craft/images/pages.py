"""Pages of files: all of a TIFF or PDF, frames of animations and videos by choice, standard input."""

import io
import math
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.errors import Problem
from craft.images.reader import (
    DECODER_ERRORS,
    MAX_PIXELS,
    count_pages,
    decode_image,
    image_bytes,
    open_image,
    pillow_to_rgb,
)
from craft.images.unreadable import VIDEO, other_kind, unreadable

STANDARD_INPUT = "-"
VIDEO_ENDINGS = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".3gp"))
_PDF_POINTS = 72  # per inch


class Page(NamedTuple):
    """A page or frame of a file."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    number: int | None  # from 1; None for the only page of a file


def read_pages(path: str | Path, *, dpi: int = 200, every: int = 0) -> Iterator[Page]:
    """Read the pages of a file, one after the other.

    Raises ValueError if the file, or its next page, cannot be read; an extra is missing; or a video is read with
    `every` 0.

    Args:
        path: an image, a PDF, a video, or "-" for an image or PDF from standard input.
        dpi: resolution at which pages of a PDF are rendered.
        every: of animations and videos, each frame of that step from the first on; 0: the first frame of an animation.
    """
    name = str(path)
    if name != STANDARD_INPUT and Path(path).suffix.lower() in VIDEO_ENDINGS:
        yield from _video_frames(name, every)
        return
    content = sys.stdin.buffer.read() if name == STANDARD_INPUT else image_bytes(path)
    if content[:1024].lstrip().startswith(b"%PDF"):
        yield from _pdf_pages(content, name, dpi)
        return
    if other_kind(content[:64]) == VIDEO:  # by another ending
        if name == STANDARD_INPUT:
            raise Problem("is a video", "give it as a file: videos are not read from standard input", where=name)
        yield from _video_frames(name, every)
        return
    pages = count_pages(io.BytesIO(content)) if content else 1
    if pages == 1:
        yield Page(decode_image(content, name=name), None)
        return
    yield from _image_pages(content, name, every)


def _image_pages(content: bytes, name: str, every: int) -> Iterator[Page]:
    try:
        with open_image(io.BytesIO(content)) as image:
            is_document = image.format == "TIFF"
            if not is_document and not every:
                yield Page(decode_image(content, name=name), None)
                return
            number = 0
            for index in range(0, getattr(image, "n_frames", 1), 1 if is_document else every):
                image.seek(index)
                if is_document and int(getattr(image, "tag_v2", {}).get(254, 0)) & 1:
                    continue  # a reduced copy of another page
                number = number + 1 if is_document else index + 1
                yield Page(pillow_to_rgb(image), number)
    except Problem as error:
        raise error.at(name) from None
    except DECODER_ERRORS as error:
        raise unreadable(name, error, content[:64]) from error


def _pdf_pages(content: bytes, name: str, dpi: int) -> Iterator[Page]:
    try:
        import pypdfium2
    except ImportError:
        remedy = "pip install pypdfium2, or convert its pages to images: pdftoppm -r 200 -png FILE PAGE"
        raise Problem("is a PDF, which craft reads with pypdfium2", remedy, where=name) from None
    page = ""
    try:
        with closing(pypdfium2.PdfDocument(content)) as document:
            for index in range(len(document)):
                page = f"page {index + 1} "
                sheet, scale = document[index], dpi / _PDF_POINTS
                width, height = (math.ceil(side * scale) for side in sheet.get_size())
                if width * height > MAX_PIXELS:
                    what = f"{page}has {width:,} x {height:,} pixels at {dpi} dpi, more than {MAX_PIXELS:,}"
                    raise Problem(what, "give a lower --dpi", where=name)
                pixels = sheet.render(scale=scale).to_numpy()
                code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 or pixels.shape[2] == 1 else cv2.COLOR_BGR2RGB
                yield Page(np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), code), np.uint8), index + 1)
    except pypdfium2.PdfiumError as error:
        remedy = "open it in a viewer; if it asks for a password there, save it without one"
        raise Problem(f"{page}cannot be read as a PDF ({error})", remedy, where=name) from None


def _video_frames(name: str, every: int) -> Iterator[Page]:
    if not Path(name).is_file():
        raise unreadable(name, FileNotFoundError())
    if not every:
        raise Problem("is a video", "say which frames to search: --frames 25 takes every 25th", where=name)
    video: Any = cv2.VideoCapture(name)
    try:
        index = 0
        while video.grab():
            if index % every == 0:
                decoded, frame = video.retrieve()
                if not decoded:
                    raise Problem(f"frame {index + 1} cannot be decoded", "convert the video again", where=name)
                yield Page(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8), index + 1)
            index += 1
        if index == 0:
            raise Problem("cannot be read as a video", "convert it to MP4 with H.264", where=name)
    finally:
        video.release()
