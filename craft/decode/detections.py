"""The words found in one image: what can be asked of them, as arrays, as plain values, as a table and as a drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from craft.decode.reading_order import ReadingOrder, reading_order
from craft.geometry import quad_sides
from craft.images.drawing import (
    CHARACTER_COLOUR,
    POLYGON_COLOUR,
    WORD_COLOUR,
    draw_polygons,
    draw_scores,
    encode_image,
    fit_long_side,
    line_thickness,
)
from craft.images.image_like import ImageLike, load_image
from craft.images.reader import read_image

SCHEMA = {"schema": "craft-detections", "version": 2}
"""What `Detections.to_dict` and the json format are; docs/formats.md describes it. Version 1 had no such keys."""
_SMALL = 20  # pixels of a word's shorter side, below which its outline is a single thin line
_SHOWN_SIDE = 1024  # pixels of a drawing in a notebook


class FoundWord(NamedTuple):
    """One word of `Detections`, in source image pixels."""

    quad_xy: NDArray[np.float32]  # (4, 2) clockwise
    score: float
    raw_score: float
    polygon_xy: NDArray[np.float32] | None  # (P, 2) if asked for
    character_quads_xy: NDArray[np.float32] | None  # (C, 4, 2) if asked for


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections:
    """Words found in one image, in source image pixels.

    `len`, iteration and integer indices give words; slices, index arrays and masks give fewer words in the same form:
    `words[words.scores > 0.6]`.
    """

    quads_xy: NDArray[np.float32]  # (N, 4, 2) clockwise
    scores: NDArray[
        np.float32
    ]  # (N,) 0 to 1: how likely it is a word if the weights are calibrated, else as raw_scores
    polygons_xy: list[NDArray[np.float32]] = field(default_factory=list)  # (P, 2) each, if asked for
    character_quads_xy: list[NDArray[np.float32]] = field(default_factory=list)  # (C, 4, 2) each, if asked for
    raw_scores: NDArray[np.float32] | None = None  # (N,) mean region score of the pixels above the low threshold
    dropped: Mapping[str, int] = field(default_factory=dict)  # words that a filter dropped, by the setting that did
    size_hw: tuple[int, int] | None = None  # of the image, where known
    image_path: str = ""  # of the image, where it was given as a path
    page: int | None = None  # of a file with several, from 1
    scales: tuple[float, ...] = ()  # network input pixels per source pixel, of each pass over the image

    def __len__(self) -> int:
        return len(self.quads_xy)

    def __repr__(self) -> str:
        size = "" if self.size_hw is None else f" in {self.size_hw[1]} x {self.size_hw[0]} pixels"
        dropped = f", {sum(self.dropped.values())} dropped by {', '.join(self.dropped)}" if self.dropped else ""
        image = f" of {self.image_path}" if self.image_path else ""
        return f"<Detections: {len(self)} words{size}{image}{dropped}>"

    def __iter__(self) -> Iterator[FoundWord]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, chosen: int | np.integer) -> FoundWord: ...

    @overload
    def __getitem__(self, chosen: slice | list[int] | NDArray[np.integer] | NDArray[np.bool_]) -> Detections: ...

    def __getitem__(self, chosen: Any) -> FoundWord | Detections:
        if isinstance(chosen, int | np.integer):
            return FoundWord(
                self.quads_xy[chosen],
                float(self.scores[chosen]),
                float(self._raw[chosen]),
                self.polygons_xy[chosen] if self.polygons_xy else None,
                self.character_quads_xy[chosen] if self.character_quads_xy else None,
            )
        kept = np.arange(len(self))[slice(0) if isinstance(chosen, list) and not chosen else chosen]
        if kept.ndim != 1:
            raise IndexError(
                f"words are chosen by a number, a slice, a list or an array of one dimension, not {chosen!r}"
            )
        return replace(
            self,
            quads_xy=self.quads_xy[kept],
            scores=self.scores[kept],
            raw_scores=None if self.raw_scores is None else self.raw_scores[kept],
            polygons_xy=[self.polygons_xy[index] for index in kept] if self.polygons_xy else [],
            character_quads_xy=[self.character_quads_xy[index] for index in kept] if self.character_quads_xy else [],
        )

    @property
    def _raw(self) -> NDArray[np.float32]:
        return self.scores if self.raw_scores is None else self.raw_scores

    def filter(self, *, least_score: float = 0.0, least_side: float = 0.0) -> Detections:
        """The words with at least this score, and this shorter side in source image pixels."""
        return self[(self.scores >= least_score) & (np.minimum(*quad_sides(self.quads_xy)) >= least_side)]

    def reading_order(self) -> ReadingOrder:
        """Group the words into lines and blocks, and put them into the order in which one reads them."""
        return reading_order(self.quads_xy)

    def in_reading_order(self) -> Detections:
        """The same words in the order in which one reads them."""
        return self[self.reading_order().words]

    def to_dict(self) -> dict[str, Any]:
        """Describe the words in plain values, as in the json format: in reading order, coordinates to a hundredth.

        Returns:
            {"schema", "version", "image", "height", "width", "page"?, "dropped"?, "words": [{"quad", "score", "raw_score", "line",
            "block", "polygon"?, "characters"?}]}; lines and blocks count from 1.
        """
        order = self.reading_order()
        height, width = self.size_hw or (None, None)
        values = {**SCHEMA, "image": self.image_path, "height": height, "width": width}
        if self.page is not None:
            values["page"] = self.page
        if self.dropped:
            values["dropped"] = dict(self.dropped)
        return {**values, "words": [self._word_as_dict(index, order) for index in order.words.tolist()]}

    def _word_as_dict(self, index: int, order: ReadingOrder) -> dict[str, Any]:
        word: dict[str, Any] = {
            "quad": _rounded(self.quads_xy[index]),
            "score": round(float(self.scores[index]), 4),
            "raw_score": round(float(self._raw[index]), 4),
            "line": int(order.line[index]) + 1,
            "block": int(order.block[index]) + 1,
        }
        if self.polygons_xy:
            word["polygon"] = _rounded(self.polygons_xy[index])
        if self.character_quads_xy:
            word["characters"] = _rounded(self.character_quads_xy[index])
        return word

    def to_dataframe(self) -> Any:
        """The words as a pandas table in reading order: score, raw_score, line, block, x1, y1, ..., x4, y4.

        Raises:
            ValueError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ValueError("to_dataframe needs pandas; pip install pandas, or use to_dict") from None
        names = [f"{axis}{corner}" for corner in range(1, 5) for axis in "xy"]
        rows = []
        for word in self.to_dict()["words"]:
            corners = dict(zip(names, np.ravel(word["quad"]).tolist(), strict=True))
            rows.append({name: word[name] for name in ("score", "raw_score", "line", "block")} | corners)
        return pandas.DataFrame(rows, columns=["score", "raw_score", "line", "block", *names])

    def draw(self, image: ImageLike, *, scores: bool = False) -> NDArray[np.uint8]:
        """Draw the words over a copy of their image, in any form that `Detector.detect` takes; (H, W, 3) uint8, RGB.

        Characters come first, then polygons, or quads where there are none, then the scores if asked for.
        """
        pixels = load_image(image)
        thin = max(1, line_thickness(pixels) // 2)
        characters = [quad for quads in self.character_quads_xy for quad in quads]
        drawn = draw_polygons(pixels, characters, colour=CHARACTER_COLOUR, thickness=thin)
        outlines, colour = (self.polygons_xy, POLYGON_COLOUR) if self.polygons_xy else (self.quads_xy, WORD_COLOUR)
        small = (
            np.minimum(*quad_sides(self.quads_xy)) < _SMALL + 4 * thin
        )  # a dark edge would hide them and their neighbours
        for chosen, thickness, edged in ((small, max(1, round(0.6 * thin)), False), (~small, thin, True)):
            group = [outlines[index] for index in np.flatnonzero(chosen)]
            drawn = draw_polygons(drawn, group, colour=colour, thickness=thickness, edged=edged)
        return draw_scores(drawn, self.quads_xy, self.scores) if scores else drawn

    def _repr_png_(self) -> bytes:
        """The drawing that a notebook shows: over the image if it was given as a path and is still there, else over white."""
        try:
            image = read_image(self.image_path)
        except ValueError:
            far = self.quads_xy.reshape(-1, 2).max(axis=0, initial=31)
            size_hw = self.size_hw or (int(far[1]) + 1, int(far[0]) + 1)
            image = np.full((*size_hw, 3), 255, np.uint8)
        drawn = self.draw(image)
        if max(drawn.shape[:2]) > _SHOWN_SIDE:
            drawn = fit_long_side(drawn, _SHOWN_SIDE)
        return encode_image(drawn, ending=".png")


def join(parts: Sequence[Detections]) -> Detections:
    """The words of several detections of one image, in their order; the rest is the first one's, dropped words added up."""
    raw = [part.raw_scores for part in parts if part.raw_scores is not None]
    return replace(
        parts[0],
        quads_xy=np.concatenate([part.quads_xy for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        raw_scores=np.concatenate(raw) if len(raw) == len(parts) else None,
        polygons_xy=[polygon for part in parts for polygon in part.polygons_xy],
        character_quads_xy=[quads for part in parts for quads in part.character_quads_xy],
        dropped=dict(sum((Counter(part.dropped) for part in parts), Counter())),
        scales=tuple(scale for part in parts for scale in part.scales),
    )


def _rounded(points: NDArray[np.floating]) -> list[Any]:
    return np.round(points.astype(np.float64), 2).tolist()
