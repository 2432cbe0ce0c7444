"""The files of a detection run: one of each format for an image, and those that hold all images."""

import json
import os
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from craft.atomic_files import write_atomic
from craft.decode.crops import text_crops
from craft.decode.detections import Detections
from craft.detection.image_search import DRAWN, MAPS
from craft.detection.layout_formats import LAYOUTS
from craft.detection.result_formats import coco_dict, csv_rows, icdar_text, labelme_dict
from craft.detection.result_table import ResultTable
from craft.images.drawing import add_caption, fit_long_side, overlay_map, tile_images, write_image

Format = Literal["json", "icdar", "csv", "icdar2013", "icdar2019", "labelme", "coco", "hocr", "alto", "page"]
FORMATS: tuple[Format, ...] = get_args(Format)
_MOST_JPEG_SIDE = 65_500


class ResultWriter:
    """Writes what is asked for into a folder; tables of all images grow image by image, or are written at the end."""

    def __init__(
        self, out: Path, formats: tuple[Format, ...], *, draw: bool, scores: bool, crops: Path | None, lines: bool
    ) -> None:
        """Open the tables; arguments as in `detect_paths`.

        Raises ValueError if there is a file in the place of a table that is none.
        """
        self._out, self._formats, self._draw, self._scores = out, formats, draw, scores
        self._crops, self._lines = crops, lines
        self._table = ResultTable(out / "detections.csv") if "csv" in formats else None
        self._coco: list[tuple[str, Detections]] = []
        self.shared: list[Path] = []  # the files that hold several images, once they are closed

    def write(
        self, name: str, image: NDArray[np.uint8], found: Detections, maps: tuple[NDArray[np.float32], ...] | None
    ) -> list[Path]:
        """Write the files of one image, whose results are called `name`; `maps` are drawn where they are given."""
        texts = {}
        if "json" in self._formats:
            texts[f"{name}.json"] = json.dumps(found.to_dict(), ensure_ascii=False) + "\n"
        if {"icdar", "icdar2013", "icdar2019"} & set(self._formats):
            boxes, scores = "icdar2013" in self._formats, "icdar2019" in self._formats
            texts[f"res_{name}.txt"] = icdar_text(found, boxes=boxes, scores=scores)
        if "labelme" in self._formats:
            values = labelme_dict(_from(self._out, found.image_path), found)
            texts[f"{name}.labelme.json"] = json.dumps(values, ensure_ascii=False) + "\n"
        for layout in LAYOUTS.keys() & set(self._formats):
            ending, text_of = LAYOUTS[layout]
            texts[f"{name}{ending}"] = text_of(found.image_path, found)
        written = [
            write_atomic(self._out / file, _utf8(text), shared=True, durable=False) for file, text in texts.items()
        ]
        if self._draw:
            drawn = found.draw(image, scores=self._scores)
            if max(drawn.shape[:2]) > _MOST_JPEG_SIDE:  # more than JPEG holds
                drawn = fit_long_side(drawn, _MOST_JPEG_SIDE)
            written.append(write_image(self._out / f"{name}{DRAWN}", drawn, quality=92))
        if maps is not None:
            written.append(write_image(self._out / f"{name}{MAPS}", _draw_maps(image, maps)))
        if self._crops is not None:
            crops = enumerate(text_crops(image, found, lines=self._lines), start=1)
            written += [write_image(self._crops / f"{name}_{number:04d}.png", crop) for number, crop in crops]
        return written

    def add(self, path: str, found: Detections) -> None:
        """Add a finished image to the files that hold several."""
        if self._table is not None:
            self._table.add(path, csv_rows(path, found))
        if "coco" in self._formats:
            self._coco.append((path, found))

    def close(self) -> None:
        """Finish the files that hold several images."""
        if self._table is not None:
            self._table.close()
            self.shared.append(self._table.path)
        if "coco" in self._formats:
            text = json.dumps(coco_dict(self._coco), ensure_ascii=False) + "\n"
            self.shared.append(write_atomic(self._out / "coco.json", _utf8(text), shared=True, durable=False))


def _draw_maps(image: NDArray[np.uint8], maps: tuple[NDArray[np.float32], ...]) -> NDArray[np.uint8]:
    """Both score maps over copies of an image, side by side, with a line that says what the colours mean."""
    smaller = fit_long_side(image, min(max(image.shape[:2]), 1600))
    named = zip(maps, ("region score", "affinity score"), strict=True)
    shown = [add_caption(overlay_map(smaller, scores), f"{text}: blue 0, green 0.5, red 1") for scores, text in named]
    return tile_images(shown, columns=2, gap=4)


def _from(folder: Path, path: str) -> str:
    """A path as seen from a folder; whole where none leads there, as between drives of Windows."""
    try:
        return os.path.relpath(path, folder)
    except ValueError:
        return os.path.abspath(path)


def _utf8(text: str) -> bytes:
    """Text with names that are not UTF-8, whose bytes become escapes that JSON reads."""
    return text.encode(errors="backslashreplace")
