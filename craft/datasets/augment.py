"""From a picture and its words to a training crop: one random matrix for pixels and quads, then colours. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from craft.config import AugmentSettings
from craft.datasets.colours import change_colours
from craft.datasets.warp import source_quad, warp_image, warp_picture
from craft.geometry import homographies_from_square, polygon_to_strips, transform_points, visible_shares
from craft.images.reader import EncodedPicture
from craft.scene import Sample, Word

LEAST_VISIBLE = 0.5
"""Share of a word's area that must lie in the crop for its characters to be trained on."""

_LEAST_DEPTH = 0.25
"""Least denominator of the homography at a crop's corner or at a word it shows, against 1 at the crop's centre."""


def make_sample(
    image: NDArray[np.uint8] | EncodedPicture,
    words: tuple[Word, ...],
    *,
    seed: int,
    crop_size: int | tuple[int, int],
    settings: AugmentSettings | None,
    name: str = "",
) -> Sample:
    """Cut a crop out of a picture and move its words along.

    Args:
        image: (H, W, 3) uint8, RGB, not changed; or a picture file, decoded as finely as the crop needs it.
        words: the picture's words, in its pixels; cared-for ones with their characters.
        seed: >= 0, the sample's own number; the same seed gives the same sample.
        crop_size: side of the square crop, or its height and width, in pixels.
        settings: the random changes; None for a plain crop at the picture's own scale around its words.
        name: what the sample is called in messages and pictures.

    Returns:
        The crop with all words of which something is in it. A word with less than half its area in it is don't care:
        confidence 0, no characters. Mirrored quads are clockwise again.

    Raises:
        ValueError: a cared-for word without characters, or a file that cannot be decoded.
    """
    size_hw = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
    polygons_xy = [word.polygon_xy for word in words]
    readable = np.array([not word.dont_care and word.confidence > 0 for word in words], dtype=bool)
    image_size_hw = image.size_hw if isinstance(image, EncodedPicture) else image.shape[:2]
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


def sample_matrix(
    generator: np.random.Generator,
    *,
    image_size_hw: tuple[int, int],
    crop_size_hw: tuple[int, int],
    word_polygons_xy: list[NDArray[np.float32]],
    readable: NDArray[np.bool_],
    settings: AugmentSettings,
) -> NDArray[np.float64]:
    """Draw the homography of a random crop: mirroring, scale, aspect, rotation, place, perspective.

    Args:
        generator: what is random here.
        image_size_hw: height and width of the source image.
        crop_size_hw: height and width of the crop.
        word_polygons_xy: (P, 2) float32 each, all words, source pixels.
        readable: (number of words,) bool, the words that crops are placed around.
        settings: ranges and probabilities.

    Returns:
        (3, 3) float64, source pixels to crop pixels, origin at the corner of the first pixel in both. Its denominator
        is 1 at the crop's centre and at least 0.25 at the crop's corners and at all corners of words that it may
        show: a perspective that would bring the horizon nearer is made milder.
    """
    crop_xy = np.array(crop_size_hw[::-1], dtype=np.float64)
    linear = _sample_linear(generator, settings)
    candidates = np.flatnonzero(readable)
    anchor = None
    if generator.random() < settings.word_crops and len(candidates):
        anchor = word_polygons_xy[int(generator.choice(candidates))]
    affine = np.eye(3)
    affine[:2, :2] = linear
    affine[:2, 2] = _sample_offset(generator, linear, crop_xy, image_size_hw, anchor)
    if settings.perspective == 0:
        return affine
    shifts = generator.uniform(-settings.perspective, settings.perspective, size=(4, 2)) * crop_xy
    boxes_xyxy = _boxes(word_polygons_xy)
    for amount in (1.0, 0.5, 0.25, 0.125):
        matrix = _with_perspective(affine, amount * shifts, crop_xy, anchor)
        if matrix is not None and _is_mild(matrix, crop_size_hw, boxes_xyxy, word_polygons_xy):
            return matrix
    return affine


def plain_matrix(
    *,
    image_size_hw: tuple[int, int],
    crop_size_hw: tuple[int, int],
    word_polygons_xy: list[NDArray[np.float32]],
    readable: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The shift by whole pixels that brings the middle of a picture's readable words into a crop.

    Args:
        image_size_hw: height and width of the source image.
        crop_size_hw: height and width of the crop.
        word_polygons_xy: (P, 2) float32 each, source pixels.
        readable: (number of words,) bool.

    Returns:
        (3, 3) float64, source pixels to crop pixels; the crop stays inside the picture where it fits, and a picture
        smaller than the crop starts at its top-left corner.
    """
    centres = [
        polygon.mean(axis=0, dtype=np.float64)
        for polygon, wanted in zip(word_polygons_xy, readable, strict=True)
        if wanted
    ]
    image_xy = np.array(image_size_hw[::-1], dtype=np.float64)
    crop_xy = np.array(crop_size_hw[::-1], dtype=np.float64)
    centre = np.mean(centres, axis=0) if centres else 0.5 * image_xy
    matrix = np.eye(3)
    matrix[:2, 2] = -np.clip(np.round(centre - 0.5 * crop_xy), 0.0, np.maximum(image_xy - crop_xy, 0.0))
    return matrix


def _warped(
    image: NDArray[np.uint8] | EncodedPicture, matrix: NDArray[np.float64], size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    if isinstance(image, EncodedPicture):
        return warp_picture(image, matrix, size_hw=size_hw)
    return warp_image(image, matrix, size_hw=size_hw)


def _sample_linear(generator: np.random.Generator, settings: AugmentSettings) -> NDArray[np.float64]:
    """Mirroring, then scale and aspect, then rotation, as (2, 2) float64."""
    scale = np.exp(generator.uniform(*np.log(settings.scale)))
    stretch = np.exp(0.5 * generator.uniform(-1.0, 1.0) * np.log(settings.aspect))
    angle = np.deg2rad(generator.uniform(-settings.rotation, settings.rotation))
    mirror = -1.0 if generator.random() < settings.flip else 1.0
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return rotation @ np.diag([mirror * scale * stretch, scale / stretch])


def _sample_offset(
    generator: np.random.Generator,
    linear: NDArray[np.float64],
    crop_xy: NDArray[np.float64],
    image_size_hw: tuple[int, int],
    anchor_xy: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    """A shift that keeps the crop in the picture (or the picture in the crop), with the anchor word inside it.

    It is by whole pixels where nothing else changes: they are then copied as they are.
    """
    height, width = image_size_hw
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    low, high = _shifts_inside(corners @ linear.T, crop_xy)
    if anchor_xy is not None:
        anchor_low, anchor_high = _shifts_inside(anchor_xy @ linear.T, crop_xy)
        narrow_low, narrow_high = np.maximum(low, anchor_low), np.minimum(high, anchor_high)
        outside = narrow_low > narrow_high  # a label that reaches out of its picture
        low, high = np.where(outside, anchor_low, narrow_low), np.where(outside, anchor_high, narrow_high)
    offset = generator.uniform(low, high)
    return np.round(offset) if np.array_equal(linear, np.eye(2)) else offset


def _shifts_inside(
    points_xy: NDArray[np.floating], crop_xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest shift with the points' box inside the crop, or the crop inside the box if that is larger."""
    first, last = -points_xy.min(axis=0), crop_xy - points_xy.max(axis=0)
    return np.minimum(first, last), np.maximum(first, last)


def _with_perspective(
    affine: NDArray[np.float64],
    shifts_xy: NDArray[np.float64],
    crop_xy: NDArray[np.float64],
    anchor_xy: NDArray[np.float32] | None,
) -> NDArray[np.float64] | None:
    """The matrix whose crop has its corners shifted, with the anchor word moved back inside; None where it folds."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * crop_xy
    try:
        to_square = np.linalg.inv(homographies_from_square(corners + shifts_xy))
        matrix = homographies_from_square(corners) @ to_square @ affine
        centre = np.linalg.solve(matrix, [*(0.5 * crop_xy), 1.0])
    except np.linalg.LinAlgError:
        return None
    if anchor_xy is not None:
        depths = anchor_xy @ matrix[2, :2] + matrix[2, 2]
        if depths.min() * depths.max() <= 0:
            return None
        moved = transform_points(anchor_xy, matrix)
        low, high = _shifts_inside(moved, crop_xy)
        back = np.eye(3)
        back[:2, 2] = np.clip(0.0, low, high)
        matrix = back @ matrix
        centre = np.linalg.solve(matrix, [*(0.5 * crop_xy), 1.0])
    return matrix * centre[2]  # matrix @ (centre / centre[2]) has a last entry of 1 / centre[2]


def _is_mild(
    matrix: NDArray[np.float64],
    crop_size_hw: tuple[int, int],
    boxes_xyxy: NDArray[np.float32],
    word_polygons_xy: list[NDArray[np.float32]],
) -> bool:
    """Whether the horizon stays away from the crop and from every word that may be seen in it."""
    height, width = crop_size_hw
    crop_corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=np.float64)
    inverse_depths = crop_corners @ np.linalg.inv(matrix)[2]
    if inverse_depths.min() <= 0 or inverse_depths.max() > 1 / _LEAST_DEPTH:
        return False
    near = _near_crop(matrix, crop_size_hw, boxes_xyxy)
    points = [polygon for polygon, is_near in zip(word_polygons_xy, near, strict=True) if is_near]
    if not points:
        return True
    return bool((np.concatenate(points) @ matrix[2, :2] + matrix[2, 2]).min() >= _LEAST_DEPTH)


def _boxes(polygons_xy: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N, 4) x1, y1, x2, y2 of each polygon's box."""
    if not polygons_xy:
        return np.zeros((0, 4), dtype=np.float32)
    points = np.concatenate(polygons_xy)
    first = np.cumsum([0, *(len(polygon) for polygon in polygons_xy[:-1])])
    return np.concatenate([np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)], axis=1)


def _near_crop(
    matrix: NDArray[np.float64], crop_size_hw: tuple[int, int], boxes_xyxy: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """(N,) bool: the word's box in the source touches the box of what the crop shows."""
    shown = source_quad(matrix, size_hw=crop_size_hw)
    reaches_in = (boxes_xyxy[:, :2] <= shown.max(axis=0)) & (boxes_xyxy[:, 2:] >= shown.min(axis=0))
    return np.asarray(reaches_in.all(axis=1))


def _sample_of_words(
    crop: NDArray[np.uint8], words: tuple[Word, ...], matrix: NDArray[np.float64], *, seed: int, name: str
) -> Sample:
    size_hw = crop.shape[:2]
    near = _near_crop(matrix, size_hw, _boxes([word.polygon_xy for word in words]))
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


_NO_POINTS = np.zeros((0, 2), dtype=np.float32)
_NO_QUADS = np.zeros((0, 4, 2), dtype=np.float32)


def _trained_characters(word: Word, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """(C, 4, 2) float32, source pixels; none for a don't-care word, nor for one drawn far outside its own polygon."""
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
