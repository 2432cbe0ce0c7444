"""What the generator makes: an image and its words, with exact character quads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.scene import Word

Image = NDArray[Any]  # (H, W) or (H, W, 3) uint8; OpenCV's type stubs promise less


@dataclass(frozen=True, slots=True, eq=False)
class RenderedScene:
    """One synthetic scene."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    words: tuple[Word, ...]  # in image pixels, each with its character quads, don't-care words too
    fonts: tuple[str, ...]  # name of the typeface of each word
