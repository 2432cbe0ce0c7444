"""Crops: pixels and quads move together, words that are cut become don't care, and a seed decides everything."""

import itertools
import math

import cv2
import numpy as np
import pytest

from craft.config import AugmentSettings
from craft.datasets.augment import make_sample
from craft.datasets.crop_matrix import plain_matrix, sample_matrix
from craft.datasets.warp import source_quad
from craft.geometry import signed_area, transform_points
from craft.images.reader import EncodedImage
from craft.scene import Word

STILL = {"colour": 0, "blur": 0, "noise": 0, "jpeg": 0, "grey": 0}
UNCHANGED = AugmentSettings(scale=(1, 1), rotation=0, perspective=0, aspect=1, word_crops=0, **STILL)
STRONG = AugmentSettings(scale=(0.3, 3), rotation=180, perspective=0.4, aspect=2, word_crops=0.7, flip=0.3, **STILL)


def rectangle(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)


def word(left, top, right, bottom, *, characters=2, **fields):
    edges = np.linspace(left, right, characters + 1)
    quads = [rectangle(first, top, last, bottom) for first, last in itertools.pairwise(edges)]
    return Word(rectangle(left, top, right, bottom), text="ab", character_quads_xy=np.array(quads), **fields)


def dots(centres_xy, size_hw):
    """An image with a soft white dot at every point, (H, W, 3) uint8."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    image = np.zeros(size_hw)
    for x, y in centres_xy:
        image += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 5.0**2))
    return np.repeat((255 * image.clip(0, 1))[..., None], 3, axis=2).astype(np.uint8)


def centroid(image, around_xy, radius):
    """Centre of brightness near a place, in pixels with the origin at the corner."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    weight = image[..., 0] * (np.hypot(columns - around_xy[0], rows - around_xy[1]) < radius)
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def draw_matrix(seed, settings, words=(), image_size_hw=(300, 400), crop_size_hw=(128, 128)):
    return sample_matrix(
        np.random.default_rng(seed),
        image_size_hw=image_size_hw,
        crop_size_hw=crop_size_hw,
        word_polygons_xy=[word.polygon_xy for word in words],
        readable=np.array([not word.dont_care for word in words], dtype=bool),
        settings=settings,
    )


@pytest.mark.parametrize("scale", [0.25, 0.45, 0.8, 1.7])
def test_quads_stay_on_what_they_mark_within_a_tenth_of_a_pixel(scale):
    settings = UNCHANGED.model_copy(
        update={"scale": (scale, scale), "rotation": 40, "perspective": 0.05, "aspect": 1.2, "word_crops": 1.0}
    )
    places = [(x, y) for x in (60.3, 160.8, 290.1) for y in (50.6, 200.2)]
    image = dots(places, (256, 356))
    words = tuple(word(x - 12, y - 12, x + 12, y + 12, characters=1) for x, y in places)

    checked = 0
    for seed in range(24):
        sample = make_sample(image, words, seed=seed, crop_size=160, settings=settings)
        for quad in sample.character_quads_xy:
            if quad.min() > 0 and quad.max() < 160:
                middle = quad.mean(axis=0)
                found = centroid(sample.image, middle, radius=20 * scale)
                assert np.abs(found - middle).max() < 0.1 + 0.1 * scale
                checked += 1
    assert checked > 15


def test_without_changes_the_crop_is_the_image_itself():
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)

    sample = make_sample(image, (word(10, 20, 50, 40),), seed=0, crop_size=(96, 128), settings=None, name="img_1")

    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.strip_quads_xy, [rectangle(10, 20, 50, 40)])
    np.testing.assert_array_equal(sample.character_quads_xy, [rectangle(10, 20, 30, 40), rectangle(30, 20, 50, 40)])
    assert sample.name == "img_1"
    assert sample.word_confidence.tolist() == [1.0]


def test_a_word_with_less_than_half_in_the_crop_is_dont_care_and_a_word_outside_is_gone():
    image = np.zeros((64, 300, 3), dtype=np.uint8)
    words = (
        word(-60, 10, 39, 20),  # 39 of 99 columns inside
        word(-38, 10, 40, 20, characters=3),  # 40 of 78
        word(200, 10, 240, 20, dont_care=True),  # outside, and not among those the crop is placed around
        word(20, 30, 60, 40, characters=1),
    )

    sample = make_sample(image, words, seed=0, crop_size=64, settings=None)  # starts at column 0

    assert sample.word_confidence.tolist() == [0.0, 1.0, 1.0]
    assert sample.character_word.tolist() == [1, 1, 1, 2]
    assert sample.strip_word.tolist() == [0, 1, 2]


def test_dont_care_words_keep_their_strips_and_lose_their_characters():
    words = (
        word(5, 5, 25, 15, dont_care=True),
        word(30, 30, 50, 40, confidence=0.5),
        word(5, 50, 20, 60, confidence=0),
    )

    sample = make_sample(np.zeros((64, 64, 3), np.uint8), words, seed=0, crop_size=64, settings=None)

    assert sample.word_confidence.tolist() == [0.0, 0.5, 0.0]
    assert sample.character_word.tolist() == [1, 1]
    assert len(sample.strip_quads_xy) == 3


def test_a_polygon_comes_as_strips():
    polygon = np.array([[0, 0], [10, 0], [20, 0], [20, 10], [10, 10], [0, 10]], dtype=np.float32)
    curved = Word(polygon, text="a", character_quads_xy=rectangle(0, 0, 20, 10)[None])

    sample = make_sample(np.zeros((32, 32, 3), np.uint8), (curved,), seed=0, crop_size=32, settings=None)

    np.testing.assert_array_equal(sample.strip_quads_xy, [rectangle(0, 0, 10, 10), rectangle(10, 0, 20, 10)])
    assert sample.strip_word.tolist() == [0, 0]


@pytest.mark.parametrize("settings", [None, AugmentSettings()])
def test_an_image_without_words_is_normal(settings):
    sample = make_sample(np.zeros((40, 40, 3), np.uint8), (), seed=3, crop_size=64, settings=settings)

    assert sample.image.shape == (64, 64, 3)
    assert sample.character_quads_xy.shape == (0, 4, 2)
    assert sample.strip_quads_xy.shape == (0, 4, 2)
    assert sample.word_confidence.shape == (0,)


def test_a_readable_word_without_characters_is_refused_by_name():
    unsplit = Word(rectangle(0, 0, 20, 10), text="shop", source="gt_img_7.txt:3")

    with pytest.raises(ValueError, match=r"gt_img_7\.txt:3: 'shop' has no characters"):
        make_sample(np.zeros((32, 32, 3), np.uint8), (unsplit,), seed=0, crop_size=32, settings=None)


def test_quads_are_clockwise_after_mirroring():
    mirrored = UNCHANGED.model_copy(update={"flip": 1.0})
    image = dots([(20, 30)], (64, 64))

    sample = make_sample(image, (word(10, 20, 30, 40, characters=1),), seed=0, crop_size=64, settings=mirrored)

    np.testing.assert_allclose(sample.character_quads_xy, [rectangle(34, 20, 54, 40)], atol=1e-4)
    assert np.abs(centroid(sample.image, (44, 30), 20) - (44, 30)).max() < 0.1


def test_every_quad_of_strong_changes_is_finite_and_clockwise():
    image = np.zeros((240, 900, 3), dtype=np.uint8)
    words = tuple(word(x, y, x + 70, y + 25, characters=4) for x in range(0, 900, 90) for y in range(0, 240, 60))

    for seed in range(60):
        sample = make_sample(image, words, seed=seed, crop_size=96, settings=STRONG)
        assert np.isfinite(sample.strip_quads_xy).all()
        assert (signed_area(sample.strip_quads_xy) > 0).all()
        assert (signed_area(sample.character_quads_xy) > 0).all()


def test_the_horizon_stays_away_from_the_crop_and_its_words():
    words = (word(0, 0, 900, 40), word(300, 100, 340, 120), word(880, 230, 899, 239))

    for seed in range(200):
        matrix = draw_matrix(seed, STRONG, words, image_size_hw=(240, 900), crop_size_hw=(96, 160))
        shown = source_quad(matrix, size_hw=(96, 160))
        middle = transform_points(np.array([80.0, 48.0]), np.linalg.inv(matrix))
        points = [shown]
        for polygon in (label.polygon_xy for label in words):
            touches = (polygon.min(0) <= shown.max(0)).all() and (polygon.max(0) >= shown.min(0)).all()
            points += [polygon] if touches else []
        depths = np.concatenate(points) @ matrix[2, :2] + matrix[2, 2]
        assert middle @ matrix[2, :2] + matrix[2, 2] == pytest.approx(1, abs=1e-4)
        assert depths.min() >= 0.2499


def test_crops_placed_around_words_hold_a_whole_word():
    settings = AugmentSettings(scale=(0.5, 1.0), rotation=30, perspective=0.2, word_crops=1)
    words = (word(3, 3, 40, 20), word(350, 270, 399, 299), word(100, 100, 140, 130, dont_care=True))

    for seed in range(100):
        matrix = draw_matrix(seed, settings, words)
        held = [transform_points(word.polygon_xy, matrix) for word in words[:2]]
        assert any(quad.min() >= -1e-3 and quad.max() <= 128 + 1e-3 for quad in held)


def test_a_word_larger_than_the_crop_fills_it():
    settings = UNCHANGED.model_copy(update={"word_crops": 1.0})

    for seed in range(20):
        matrix = draw_matrix(seed, settings, (word(20, 40, 390, 290),))
        low, high = source_quad(matrix, size_hw=(128, 128))[[0, 2]]
        assert low[0] >= 20
        assert low[1] >= 40
        assert high[0] <= 390
        assert high[1] <= 290


def test_without_rotation_crops_stay_inside_a_larger_image_and_hold_a_smaller_image():
    settings = UNCHANGED.model_copy(update={"scale": (0.8, 1.2)})

    for seed in range(30):
        shown = source_quad(draw_matrix(seed, settings), size_hw=(128, 128))
        assert shown.min() >= -1e-3
        assert (shown.max(axis=0) <= (400 + 1e-3, 300 + 1e-3)).all()
        small = source_quad(draw_matrix(seed, settings, image_size_hw=(50, 60)), size_hw=(128, 128))
        assert (small.min(axis=0) <= 1e-3).all()
        assert (small.max(axis=0) >= (60 - 1e-3, 50 - 1e-3)).all()


def test_scale_aspect_and_rotation_keep_to_their_ranges():
    settings = UNCHANGED.model_copy(update={"scale": (0.5, 2.0), "rotation": 10.0, "aspect": 1.2})

    matrices = [draw_matrix(seed, settings) for seed in range(300)]

    scales = np.array([math.sqrt(np.linalg.det(matrix[:2, :2])) for matrix in matrices])
    angles = np.array([math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])) for matrix in matrices])
    widths = np.array([np.linalg.norm(matrix[:2, 0]) / np.linalg.norm(matrix[:2, 1]) for matrix in matrices])
    assert 0.5 <= scales.min() < 0.52
    assert 1.92 < scales.max() <= 2.0
    assert abs(np.median(scales) - 1) < 0.15  # log-uniform
    assert -10 <= angles.min() < -9.5
    assert 9.5 < angles.max() <= 10
    assert 1 / 1.2 - 1e-9 <= widths.min() < 0.85
    assert 1.17 < widths.max() <= 1.2 + 1e-9


def test_the_seed_alone_decides_a_sample():
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    settings = AugmentSettings(colour=1, blur=1, noise=1, jpeg=1, grey=0.5)
    words = (word(10, 20, 50, 40),)

    first = make_sample(image, words, seed=11, crop_size=64, settings=settings)
    other = make_sample(image, words, seed=12, crop_size=64, settings=settings)
    again = make_sample(image, words, seed=11, crop_size=64, settings=settings)

    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.strip_quads_xy, again.strip_quads_xy)
    assert (first.image != other.image).any()


def test_the_plain_crop_is_around_the_readable_words_and_inside_the_image():
    near_border = plain_matrix(
        image_size_hw=(100, 200),
        crop_size_hw=(64, 64),
        word_polygons_xy=[rectangle(180, 40, 200, 60), rectangle(0, 0, 10, 10)],
        readable=np.array([True, False]),
    )
    wordless = plain_matrix(
        image_size_hw=(40, 200), crop_size_hw=(64, 64), word_polygons_xy=[], readable=np.zeros(0, dtype=bool)
    )

    assert near_border[:2, 2].tolist() == [-136, -18]  # as far right as it goes; 50 - 32 down
    assert wordless[:2, 2].tolist() == [-68, 0]  # 100 - 32 to the right; lower than the crop: from its top


def test_a_crop_at_its_own_scale_copies_pixels():
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    words = (word(100, 120, 160, 150),)

    settings = UNCHANGED.model_copy(update={"word_crops": 1.0})
    for seed in range(5):
        sample = make_sample(image, words, seed=seed, crop_size=128, settings=settings)

        left, top = (np.array([100, 120]) - sample.strip_quads_xy[0, 0]).astype(int)
        np.testing.assert_array_equal(sample.image, image[top : top + 128, left : left + 128])


def test_a_file_gives_the_sample_of_its_decoded_image():
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    content = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    words = (word(100, 120, 160, 150),)

    for seed in range(5):
        expected = make_sample(image, words, seed=seed, crop_size=128, settings=STRONG)
        sample = make_sample(EncodedImage(content, name="a.png"), words, seed=seed, crop_size=128, settings=STRONG)

        np.testing.assert_array_equal(sample.image, expected.image)
        np.testing.assert_array_equal(sample.character_quads_xy, expected.character_quads_xy)


def test_half_a_word_is_enough_and_less_or_none_is_not():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    words = (
        word(-40, 10, 40, 20),  # 40 of 80 columns inside
        word(-44, 30, 36, 40),  # 36 of 80
        word(-30, 50, 0, 60),  # ends where the image begins
    )

    sample = make_sample(image, words, seed=0, crop_size=64, settings=None)

    assert sample.word_confidence.tolist() == [1.0, 0.0]
    assert sample.strip_word.tolist() == [0, 1]
