"""One warp: where pixels land, and that shrinking averages."""

import cv2
import numpy as np

from craft.datasets.warp import source_quad, warp_encoded, warp_image
from craft.images.reader import EncodedImage, decode_image


def scaling(factor):
    return np.diag([factor, factor, 1.0])


def test_doubling_puts_new_pixels_a_quarter_off_the_old_centres():
    row = np.repeat(np.array([[0, 100, 200, 200]], dtype=np.uint8), 4, axis=0)
    image = np.repeat(row[..., None], 3, axis=2)

    doubled = warp_image(image, scaling(2), size_hw=(8, 8))

    # Target pixel 2 has its centre at 2.5 / 2 = 1.25: a quarter of the way from 0.5 to 1.5 is three quarters, and so on.
    assert doubled[4, 1:6, 0].tolist() == [25, 75, 125, 175, 200]


def test_shrinking_by_whole_factors_gives_means_of_blocks():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)

    for factor in (2, 4):
        small = warp_image(image, scaling(1 / factor), size_hw=(64 // factor, 96 // factor))
        blocks = image.reshape(64 // factor, factor, 96 // factor, factor, 3).mean(axis=(1, 3))
        assert np.abs(small - blocks).max() <= 1


def test_shrinking_fine_stripes_gives_grey_and_no_new_pattern():
    image = np.zeros((200, 201, 3), dtype=np.uint8)
    image[:, ::2] = 255

    small = warp_image(image, scaling(0.3), size_hw=(50, 50))

    assert small[5:-5, 5:-5].min() > 80
    assert small[5:-5, 5:-5].max() < 175


def test_a_whole_shift_copies_pixels():
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    shift = np.array([[1.0, 0, -5], [0, 1.0, 3], [0, 0, 1.0]])

    moved = warp_image(image, shift, size_hw=(16, 16))

    np.testing.assert_array_equal(moved[3:], image[:13, 5:21])
    assert not moved[:3].any()


def test_fractional_and_whole_shifts_agree_with_each_other():
    image = np.random.default_rng(2).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    shift = np.array([[1.0, 0, 2], [0, 1.0, 4], [0, 0, 1.0]])
    hardly_off = shift + np.array([[0, 0, 1e-4], [0, 0, 0], [1e-9, 0, 0]])

    np.testing.assert_array_equal(
        warp_image(image, shift, size_hw=(24, 24)), warp_image(image, hardly_off, size_hw=(24, 24))
    )


def test_what_lies_outside_the_image_is_black():
    image = np.full((20, 20, 3), 255, dtype=np.uint8)
    away = np.array([[0.5, 0, 100.25], [0, 0.5, 0], [0, 0, 1.0]])
    whole_away = np.array([[1.0, 0, 100], [0, 1.0, 0], [0, 0, 1.0]])

    assert not warp_image(image, away, size_hw=(16, 16)).any()
    assert not warp_image(image, whole_away, size_hw=(16, 16)).any()


def test_the_scale_of_a_matrix_as_a_whole_does_not_matter():
    image = np.random.default_rng(3).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    matrix = np.array([[0.4, 0.1, 3], [-0.1, 0.4, 5], [1e-3, 0, 1.0]])

    np.testing.assert_array_equal(
        warp_image(image, matrix, size_hw=(24, 24)), warp_image(image, 0.5 * matrix, size_hw=(24, 24))
    )


def test_reducing_first_moves_nothing():
    rows, columns = np.mgrid[:240, :240] + 0.5
    soft = np.exp(-((columns - 101.3) ** 2 + (rows - 87.7) ** 2) / (2 * 12.0**2))
    image = np.repeat((255 * soft)[..., None], 3, axis=2).astype(np.uint8)
    matrix = np.array([[0.22, 0.03, 4.2], [-0.03, 0.22, 9.1], [0, 0, 1.0]])

    small = warp_image(image, matrix, size_hw=(60, 60))[..., 0].astype(float)

    rows, columns = np.mgrid[:60, :60] + 0.5
    centre = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    assert np.abs(centre - (matrix[:2, :2] @ (101.3, 87.7) + matrix[:2, 2])).max() < 0.03


def test_source_quad_is_where_the_corners_come_from():
    np.testing.assert_allclose(
        source_quad(scaling(0.5), size_hw=(10, 20)), [[0, 0], [40, 0], [40, 20], [0, 20]], atol=1e-5
    )


def test_a_file_decoded_coarsely_is_warped_like_the_whole_image():
    soft = cv2.GaussianBlur(np.random.default_rng(4).integers(0, 256, (403, 505, 3), dtype=np.uint8), (0, 0), 6)
    content = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    for scale in (0.45, 0.3, 0.12):
        matrix = scaling(scale) @ np.array([[1, 0.05, -20.3], [-0.05, 1, -10.1], [1e-5, 0, 1]])
        size_hw = (int(360 * scale), int(440 * scale))

        drawn = warp_encoded(EncodedImage(content, name="soft.jpg"), matrix, size_hw=size_hw)

        whole = warp_image(decode_image(content), matrix, size_hw=size_hw)
        assert drawn.shape == whole.shape
        assert np.abs(drawn.astype(int) - whole).max() <= 4


def test_a_file_warped_at_its_own_size_is_the_decoded_image_warped():
    content = cv2.imencode(".jpg", np.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=np.uint8))[1].tobytes()
    matrix = np.array([[0.9, 0.1, 3], [-0.1, 0.9, 5], [1e-4, 0, 1.0]])

    drawn = warp_encoded(EncodedImage(content, name="noise.jpg"), matrix, size_hw=(48, 64))

    np.testing.assert_array_equal(drawn, warp_image(decode_image(content), matrix, size_hw=(48, 64)))


def test_an_image_that_shrinks_to_more_than_half_is_not_averaged():
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)

    small = warp_image(image, scaling(0.6), size_hw=(36, 36))

    half_pixel = np.array([[0.6, 0, 0.5 * 0.6 - 0.5], [0, 0.6, 0.5 * 0.6 - 0.5]])
    np.testing.assert_array_equal(small, cv2.warpAffine(image, half_pixel, (36, 36), flags=cv2.INTER_LINEAR))


def test_a_crop_from_the_middle_of_an_image_has_the_pixels_of_the_whole_at_its_border_too():
    image = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = warp_image(image, scaling(2), size_hw=(80, 80))
    shifted = np.array([[2.0, 0, -20], [0, 2.0, -20], [0, 0, 1]])

    crop = warp_image(image, shifted, size_hw=(24, 24))

    np.testing.assert_array_equal(crop, whole[20:44, 20:44])
