"""What the generator makes: a picture and its words, with exact character quads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.scene import Word

Picture = NDArray[Any]  # (H, W) or (H, W, 3) uint8; OpenCV's type stubs promise less


@dataclass(frozen=True, slots=True, eq=False)
class RenderedScene:
    """One synthetic scene.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        words: its words in pixels of `image`, each with its character quads; those of a don't-care word too.
        fonts: name of the typeface of each word, for the counts that are written with a set.
    """

    image: NDArray[np.uint8]
    words: tuple[Word, ...]
    fonts: tuple[str, ...]
