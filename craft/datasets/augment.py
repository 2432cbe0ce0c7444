"""From an image and its words to a training crop: one random matrix for pixels and quads, then colours. No torch."""

import numpy as np
from numpy.typing import NDArray

from craft.config import AugmentSettings
from craft.datasets.colours import change_colours
from craft.datasets.crop_matrix import find_near_words, plain_matrix, polygon_boxes, sample_matrix
from craft.datasets.warp import warp_encoded, warp_image
from craft.geometry import polygon_to_strips, transform_points, visible_shares
from craft.images.reader import EncodedImage
from craft.scene import Sample, Word

LEAST_VISIBLE = 0.5  # share of a word's area that must lie in the crop for its characters to be trained on

_NO_POINTS = np.zeros((0, 2), dtype=np.float32)
_NO_QUADS = np.zeros((0, 4, 2), dtype=np.float32)


def make_sample(
    image: NDArray[np.uint8] | EncodedImage,
    words: tuple[Word, ...],
    *,
    seed: int,
    crop_size: int | tuple[int, int],
    settings: AugmentSettings | None,
    name: str = "",
) -> Sample:
    """Cut a crop out of an image and move its words along; the same seed gives the same sample.

    An image file is decoded as finely as the crop needs it. Without `settings` it is a plain crop at the image's own
    scale around its words. A word with less than half its area in the crop is don't care: confidence 0, no characters.
    Mirrored quads are clockwise again. ValueError for a cared-for word without characters or a bad file.
    """
    size_hw = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
    polygons_xy = [word.polygon_xy for word in words]
    readable = np.array([not word.dont_care and word.confidence > 0 for word in words], dtype=bool)
    image_size_hw = image.size_hw if isinstance(image, EncodedImage) else image.shape[:2]
    if settings is None:
        matrix = plain_matrix(
            image_size_hw=image_size_hw, crop_size_hw=size_hw, word_polygons_xy=polygons_xy, readable=readable
        )
        crop = _warped(image, matrix, size_hw)
    else:
        generator = np.random.default_rng(seed)
        matrix = sample_matrix(
            generator,
            image_size_hw=image_size_hw,
            crop_size_hw=size_hw,
            word_polygons_xy=polygons_xy,
            readable=readable,
            settings=settings,
        )
        colour_seed = int(generator.integers(2**63))
        crop = change_colours(_warped(image, matrix, size_hw), colour_seed, settings)
    return _sample_of_words(np.ascontiguousarray(crop), words, matrix, seed=seed, name=name)


def _warped(
    image: NDArray[np.uint8] | EncodedImage, matrix: NDArray[np.float64], size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    if isinstance(image, EncodedImage):
        return warp_encoded(image, matrix, size_hw=size_hw)
    return warp_image(image, matrix, size_hw=size_hw)


def _sample_of_words(
    crop: NDArray[np.uint8], words: tuple[Word, ...], matrix: NDArray[np.float64], *, seed: int, name: str
) -> Sample:
    size_hw = crop.shape[:2]
    near = find_near_words(matrix, size_hw, polygon_boxes([word.polygon_xy for word in words]))
    words = tuple(word for word, is_near in zip(words, near, strict=True) if is_near)
    ends = np.cumsum([len(word.polygon_xy) for word in words])[:-1]
    moved = transform_points(np.concatenate([_NO_POINTS, *(word.polygon_xy for word in words)]), matrix)
    shares = visible_shares(np.split(moved, ends) if words else [], size_hw=size_hw)
    seen = [(word, share) for word, share in zip(words, shares, strict=True) if share > 0]
    strips = [polygon_to_strips(word.polygon_xy) for word, _ in seen]
    characters = [_trained_characters(word, matrix) if share >= LEAST_VISIBLE else _NO_QUADS for word, share in seen]
    confidence = [word.confidence if len(own) else 0.0 for (word, _), own in zip(seen, characters, strict=True)]
    return Sample(
        image=crop,
        character_quads_xy=_moved_quads(characters, matrix),
        character_word=_owners(characters),
        strip_quads_xy=_moved_quads(strips, matrix),
        strip_word=_owners(strips),
        word_confidence=np.array(confidence, dtype=np.float32),
        seed=seed,
        name=name,
    )


def _trained_characters(word: Word, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """(C, 4, 2) float32, source pixels; none for a don't-care word, nor where they lie beyond the horizon."""
    if word.dont_care or word.confidence <= 0:
        return _NO_QUADS
    if word.character_quads_xy is None:
        raise ValueError(
            f"{word.source or 'a word'}: {word.text!r} has no characters; split words into characters before training"
        )
    depths = word.character_quads_xy @ matrix[2, :2] + matrix[2, 2]
    return word.character_quads_xy if depths.min(initial=1.0) > 0 else _NO_QUADS


def _moved_quads(quads_xy: list[NDArray[np.float32]], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """All quads in one (N, 4, 2) float32 array, in crop pixels, clockwise also where the matrix mirrors."""
    moved = transform_points(np.concatenate([_NO_QUADS, *quads_xy]), matrix)
    if np.linalg.det(matrix) < 0:
        moved = np.ascontiguousarray(moved[:, [1, 0, 3, 2]])
    return moved


def _owners(quads_xy: list[NDArray[np.float32]]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(quads_xy)), [len(quads) for quads in quads_xy]).astype(np.int64)
