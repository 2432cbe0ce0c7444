"""Image files decoded as finely as needed: nothing moves, and what cannot be reduced comes whole."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from craft.images.reader import EncodedImage, decode_image


def soft_dot(size_hw, centre_xy):
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    dot = np.exp(-((columns - centre_xy[0]) ** 2 + (rows - centre_xy[1]) ** 2) / (2 * 12.0**2))
    return np.repeat((255 * dot)[..., None], 3, axis=2).astype(np.uint8) // [1, 2, 4]


def jpeg(image):
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


@pytest.mark.parametrize(("coarsest", "expected"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (9, 8)])
def test_a_jpeg_is_reduced_if_that_is_fine_enough_and_nothing_moves(coarsest, expected):
    content = jpeg(soft_dot((203, 301), (150.3, 90.7)))  # sizes that no reduction divides
    encoded = EncodedImage(content, name="dot.jpg")

    image, reduction = encoded.decode(coarsest=coarsest)

    assert encoded.size_hw == (203, 301)
    assert reduction == expected
    assert image.shape == (-(-203 // expected), -(-301 // expected), 3)
    rows, columns = reduction * (np.mgrid[: image.shape[0], : image.shape[1]] + 0.5)
    red = image[..., 0].astype(float)
    assert (red * columns).sum() / red.sum() == pytest.approx(150.3, abs=0.1)
    assert (red * rows).sum() / red.sum() == pytest.approx(90.7, abs=0.1)
    assert image[..., 0].max() > image[..., 1].max() > image[..., 2].max()  # red comes first


def test_coarse_pixels_are_averages_of_blocks():
    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8), (0, 0), 2)
    content = jpeg(smooth)
    whole = decode_image(content)

    for factor in (2, 4, 8):
        image, _ = EncodedImage(content, name="noise.jpg").decode(coarsest=factor)
        blocks = whole.reshape(64 // factor, factor, 96 // factor, factor, 3).mean(axis=(1, 3))
        assert np.abs(image - blocks).mean() < 3


def test_what_cannot_be_reduced_comes_whole():
    image = soft_dot((40, 60), (20, 20)).astype(np.uint8)
    png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    Image.fromarray(image).save(turned, format="JPEG", exif=exif)

    for content, size_hw in ((png, (40, 60)), (turned.getvalue(), (60, 40))):
        encoded = EncodedImage(content, name="image")
        decoded, reduction = encoded.decode(coarsest=4)
        assert reduction == 1
        assert decoded.shape[:2] == encoded.size_hw == size_hw
        np.testing.assert_array_equal(decoded, decode_image(content))


def test_a_truncated_file_is_refused_by_name():
    content = jpeg(soft_dot((40, 60), (20, 20)))[:-200]

    with pytest.raises(ValueError, match=r"cut\.jpg"):
        EncodedImage(content, name="cut.jpg").decode(coarsest=4)
