"""What flows between the parts of craft: words and scenes as labelled, samples as trained on, detections as found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One labelled word of a scene.

    Attributes:
        polygon_xy: (P, 2) float32, source image pixels, clockwise, starting at the top-left of the text as it reads;
            P is 4 for a quad.
        text: the transcription, None where there is none.
        script: "Latin", "Arabic", ... as the label says; "" where it says nothing.
        dont_care: True where the word is in no loss, no count and no ranking.
        character_quads_xy: (C, 4, 2) float32, source image pixels, in reading order; None while unknown.
        confidence: how far the characters are trusted, 0 to 1; 1 where a person or the generator gave them.
        source: "file:line" of the label, for messages.
    """

    polygon_xy: NDArray[np.float32]
    text: str | None = None
    script: str = ""
    dont_care: bool = False
    character_quads_xy: NDArray[np.float32] | None = None
    confidence: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One image and its words.

    Attributes:
        image_path: path of the image; of a rendered scene, words that say where it comes from.
        words: its words, in the order of the label file.
        name: what results are filed under: the image's file name without its ending, "img_12".
        image: (H, W, 3) uint8, RGB, of a rendered scene; None where the pixels are in a file.
    """

    image_path: str
    words: tuple[Word, ...]
    name: str
    image: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training crop: pixels and quads, no maps. All coordinates are pixels of `image`.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        character_quads_xy: (C, 4, 2) float32, characters of cared-for words, neighbours in a word next to each other.
        character_word: (C,) int64, the word each character belongs to, an index into the arrays below.
        strip_quads_xy: (S, 4, 2) float32, quads that together cover the words: one for a quad, several for a polygon.
        strip_word: (S,) int64, the word each strip belongs to.
        word_confidence: (N,) float32, 0 to 1, and 0 for a don't-care word.
        seed: the sample's own number, from (seed, epoch, position); rules that choose at random start from it.
        name: the scene's name, for messages and figures.
    """

    image: NDArray[np.uint8]
    character_quads_xy: NDArray[np.float32]
    character_word: NDArray[np.int64]
    strip_quads_xy: NDArray[np.float32]
    strip_word: NDArray[np.int64]
    word_confidence: NDArray[np.float32]
    seed: int
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Words found in one image, in source image pixels.

    Attributes:
        quads_xy: (N, 4, 2) float32, clockwise.
        scores: (N,) float32, 0 to 1: mean region score over the word's pixels above the low threshold.
        polygons_xy: (P, 2) float32 each, one per word, where polygons were asked for; else empty.
        character_quads_xy: (C, 4, 2) float32 each, one array per word, where characters were asked for; else empty.
    """

    quads_xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    polygons_xy: list[NDArray[np.float32]] = field(default_factory=list)
    character_quads_xy: list[NDArray[np.float32]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.quads_xy)
