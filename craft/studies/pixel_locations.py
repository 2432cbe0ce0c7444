"""Where background pixels lie: inside words, near them, on texture or on plain background."""

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.geometry import MAP_STRIDE

LOCATIONS = ("inside words", "within 2 characters", "texture", "plain")
INSIDE, NEAR, TEXTURE, PLAIN = range(4)  # indices into LOCATIONS

_TEXTURE_DEVIATION = 10.0  # grey levels; a pixel whose window deviates by more is texture
_WINDOW = 9  # map pixels on a side
_CHARACTERS_AWAY = 2
_FRACTION_BITS = 4


def locate_pixels(
    image: NDArray[np.uint8],
    strip_quads_xy: NDArray[np.float32],
    strip_word: NDArray[np.int64],
    character_quads_xy: NDArray[np.float32],
    character_word: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Locate every map pixel of a crop relative to its words.

    Args:
        image: (H, W, 3) uint8, RGB; height and width even.
        strip_quads_xy: (S, 4, 2) float32, quads that cover the crop's words, crop pixels.
        strip_word: (S,) int64, the word of each.
        character_quads_xy: (C, 4, 2) float32, characters of the cared-for words, crop pixels.
        character_word: (C,) int64, the word of each.

    Returns:
        (H / 2, W / 2) uint8, indices into LOCATIONS. Inside: the pixel's centre lies in a cared-for word's quad, so as
        background it lies between letters or at their feet. Near: within two mean character sides of such a word.
        Texture: the standard deviation of grey levels in 9 x 9 map pixels is above 10. Plain: the rest.
    """
    height, width = image.shape[0] // MAP_STRIDE, image.shape[1] // MAP_STRIDE
    locations = np.where(_deviation(image, (height, width)) > _TEXTURE_DEVIATION, TEXTURE, PLAIN).astype(np.uint8)
    inside = np.zeros((height, width), dtype=bool)
    for word in np.unique(character_word):
        mask = np.zeros((height, width), dtype=np.uint8)
        for quad_xy in strip_quads_xy[strip_word == word]:
            # A map pixel's centre lies at 2 (i + 0.5) crop pixels; OpenCV fills pixels whose centres lie at i.
            corners = np.rint((quad_xy / MAP_STRIDE - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)
            cv2.fillConvexPoly(mask, corners, 1, shift=_FRACTION_BITS)
        if not mask.any():
            continue
        reach = _CHARACTERS_AWAY * _character_side(character_quads_xy[character_word == word]) / MAP_STRIDE
        distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        locations[distance <= reach] = NEAR
        inside |= mask > 0
    locations[inside] = INSIDE
    return locations


def location_shares(weights: NDArray[np.floating], locations: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute (4,) shares of the weight that lies at each of `locate_pixels`' locations; zeros where none has weight.

    Weights are 0 for pixels that are not background or not kept.
    """
    sums = np.bincount(locations.ravel(), weights=weights.ravel().astype(np.float64), minlength=len(LOCATIONS))
    return sums / sums.sum() if sums.sum() > 0 else np.zeros(len(LOCATIONS))


def _character_side(quads_xy: NDArray[np.float32]) -> float:
    """Mean over a word's characters of the square root of their area, pixels."""
    x, y = quads_xy[..., 0].astype(np.float64), quads_xy[..., 1].astype(np.float64)
    areas = 0.5 * np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1))
    return float(np.sqrt(areas).mean())


def _deviation(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = np.asarray(cv2.resize(grey, size_hw[::-1], interpolation=cv2.INTER_AREA))
    mean = cv2.blur(grey, (_WINDOW, _WINDOW))
    square = cv2.blur(grey * grey, (_WINDOW, _WINDOW))
    return np.sqrt(np.maximum(square - mean * mean, 0)).astype(np.float32)
