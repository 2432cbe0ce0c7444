"""What flows between the parts of craft: words and scenes as labelled, samples as trained on."""

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One labelled word of a scene, in source image pixels."""

    polygon_xy: NDArray[np.float32]  # (P, 2) clockwise from the top-left of the text as it reads; P is 4 for a quad
    text: str | None = None  # the transcription, None where there is none
    script: str = ""  # "Latin", "Arabic", ... as the label says; "" where it says nothing
    dont_care: bool = False  # True where the word is in no loss, no count and no ranking
    character_quads_xy: NDArray[np.float32] | None = None  # (C, 4, 2) in reading order; None while unknown
    confidence: float = 1.0  # how far the characters are trusted, 0 to 1; 1 where a person or the generator gave them
    source: str = ""  # "file:line" of the label, for messages
    untranscribed: bool = False  # True where it is don't care only because nobody wrote down what it says
    line: int | None = None  # words with equal numbers follow each other in one line; None: a line of its own


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One image and its words."""

    image_path: str  # path of the image; of a rendered scene, words that say where it comes from
    words: tuple[Word, ...]  # its words, in the order of the label file
    name: str  # what results are filed under: the image's file name without its ending, "img_12"
    image: NDArray[np.uint8] | None = None  # (H, W, 3) RGB, of a rendered scene; None where the pixels are in a file


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training crop: pixels and quads, no maps. All coordinates are pixels of `image`."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    character_quads_xy: NDArray[np.float32]  # (C, 4, 2) of cared-for words, neighbours in a word side by side
    character_word: NDArray[np.int64]  # (C,) the word each character belongs to, an index into the arrays below
    strip_quads_xy: NDArray[np.float32]  # (S, 4, 2) together they cover the words: one for a quad
    strip_word: NDArray[np.int64]  # (S,) the word each strip belongs to
    word_confidence: NDArray[np.float32]  # (N,) 0 to 1, and 0 for a don't-care word
    seed: int  # the sample's own number, from (seed, epoch, position); rules that choose at random start from it
    name: str  # the scene's name, for messages and figures
    unreadable: tuple[str, ...] = ()  # what was wrong with images that were passed over to get this crop


def is_visible(character: str) -> bool:
    """Whether a character leaves a mark: not white space, a control character, or a joiner of zero width."""
    return character.isalnum() or not (character.isspace() or unicodedata.category(character) in ("Cc", "Cf"))
