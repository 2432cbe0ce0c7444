import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from craft.images.reader import decode_image, image_size, pillow_to_rgb, read_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def colours(height=6, width=9):
    """Smooth colours, so that JPEG changes them little, and no symmetry, so that turning shows."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack(
        [rows * 200 // height, columns * 200 // width, (rows + columns) * 100 // (height + width)], 2
    ).astype(np.uint8)


def save(path, array_or_image, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    image.save(path, **options)
    return path


def png_chunk(name, content):
    import zlib

    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("ending", ["png", "gif", "bmp", "tif", "webp", "PNG"])
def test_reads_rgb_of_every_lossless_kind(tmp_path, ending):
    flat = np.zeros((5, 7, 3), np.uint8)
    flat[:, :3] = RED
    flat[3:, 3:] = BLUE
    options = {"lossless": True} if ending == "webp" else {}

    path = save(tmp_path / f"a.{ending}", flat, **options)

    np.testing.assert_array_equal(read_image(path), flat)
    assert image_size(path) == (5, 7)
    assert read_image(path).flags.c_contiguous


def test_jpeg_is_within_two_levels_of_pillow(tmp_path):
    path = save(tmp_path / "a.jpg", colours(60, 90), quality=95)

    with Image.open(path) as reference:
        difference = read_image(path).astype(int) - np.asarray(reference.convert("RGB"))

    assert np.abs(difference).max() <= 2
    assert image_size(path) == (60, 90)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_applies_every_exif_orientation(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == "webp" else {"quality": 100, "subsampling": 0} if ending == "jpg" else {}
    path = save(tmp_path / f"a.{ending}", colours(), exif=exif, **options)

    result = read_image(path)

    upright_image = Image.fromarray(colours())
    upright_image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(upright_image))
    assert result.shape == upright.shape
    assert np.abs(result.astype(int) - upright).max() <= (4 if ending == "jpg" else 0)
    assert image_size(path) == upright.shape[:2]


def test_exif_orientation_six_puts_the_top_row_at_the_right(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((2, 3, 3), np.uint8)
    stored[0] = RED

    result = read_image(save(tmp_path / "a.png", stored, exif=exif))

    assert result.shape == (3, 2, 3)
    np.testing.assert_array_equal(result[:, 1], np.tile(RED, (3, 1)))


def test_nonsense_in_exif_means_upright(tmp_path):
    plain = io.BytesIO()
    Image.fromarray(colours()).save(plain, "JPEG")
    for block in (
        b"Exif\x00\x00",
        b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
        b"Exif\x00\x00XX" + b"\x01" * 20,
        b"http://x",
    ):
        segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
        path = tmp_path / "a.jpg"
        path.write_bytes(plain.getvalue()[:2] + segment + plain.getvalue()[2:])

        assert read_image(path).shape == (6, 9, 3)
        assert image_size(path) == (6, 9)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_three_channels_of_the_same_grey(tmp_path, mode):
    grey = Image.new("L", (4, 3), 255).convert(mode)

    packed = {"compression": "tiff_lzw"} if mode == "YCbCr" else {}  # Pillow 12 cannot read what it writes without
    path = save(tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png"), grey, **packed)

    np.testing.assert_array_equal(read_image(path), np.full((3, 4, 3), 255, np.uint8))


def test_grey_jpeg_has_three_equal_channels(tmp_path):
    result = read_image(save(tmp_path / "a.jpg", Image.new("L", (8, 8), 77)))

    assert result.shape == (8, 8, 3)
    assert (result == 77).all()


def test_cmyk_jpeg_keeps_its_colours(tmp_path):
    result = read_image(save(tmp_path / "a.jpg", Image.new("RGB", (16, 16), RED).convert("CMYK"), quality=95))

    assert np.abs(result.astype(int) - RED).max() <= 3
    assert image_size(tmp_path / "a.jpg") == (16, 16)


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0] = [(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]

    result = read_image(save(tmp_path / "a.png", pixels))

    np.testing.assert_allclose(result[0].astype(int), [RED, WHITE, (127, 127, 127)], atol=1)


def test_a_palettes_transparent_colour_becomes_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0] + [0] * 762)
    palette.putdata([0, 1])
    for ending in ("png", "gif"):
        path = save(tmp_path / f"a.{ending}", palette, transparency=1)

        np.testing.assert_array_equal(read_image(path)[0], [RED, WHITE])


def test_a_transparent_colour_of_an_rgb_png_becomes_white(tmp_path):
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)

    result = read_image(save(tmp_path / "a.png", image, transparency=GREEN))

    np.testing.assert_array_equal(result[0], [RED, WHITE])


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, ending, channels):
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    pixels = levels if channels == 1 else np.stack([levels, levels * 0, levels], 2)  # blue, green, red for OpenCV
    path = tmp_path / f"a.{ending}"
    assert cv2.imwrite(str(path), pixels)

    result = read_image(path)

    assert result[0, :, 0].tolist() == [0, 1, 128, 255]
    assert result[0, :, 1].tolist() == ([0, 1, 128, 255] if channels == 1 else [0, 0, 0, 0])


def test_sixteen_bits_keep_red_red_and_lay_transparency_on_white(tmp_path):
    pixels = np.zeros((1, 2, 4), np.uint16)
    pixels[0] = [(0, 0, 65535, 65535), (0, 0, 65535, 0)]  # blue, green, red, alpha for OpenCV
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)

    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], [RED, WHITE])


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]

    path = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])

    np.testing.assert_array_equal(read_image(path), np.asarray(frames[0]))


def test_a_wrong_ending_does_not_matter(tmp_path):
    path = save(tmp_path / "a.jpg", colours(), format="PNG")

    np.testing.assert_array_equal(read_image(path), colours())


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "tif", "webp", "bmp"])
def test_a_truncated_file_is_refused_by_name(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{ending}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    with pytest.raises(ValueError, match=rf"a\.{ending}: .*; .*download it again"):
        read_image(path)


@pytest.mark.parametrize(
    "content", [b"", b"not an image at all", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00"]
)
def test_what_is_not_an_image_is_refused_by_name(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    for read in (read_image, image_size):
        with pytest.raises(ValueError, match=r"a\.jpg: "):
            read(path)


@pytest.mark.parametrize("length", range(1, 20))
def test_the_shortest_files_are_no_images(tmp_path, length):
    (tmp_path / "note.txt").write_bytes(b"hi, this is a readme"[:length])

    with pytest.raises(ValueError, match=r"note.txt: is not an image, or a damaged one"):
        read_image(tmp_path / "note.txt")


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    for read in (read_image, image_size):
        with pytest.raises(ValueError, match="there is no such file; correct the path"):
            read(tmp_path / "missing.jpg")
        with pytest.raises(ValueError, match="directory"):
            read(tmp_path)


def test_floating_point_pixels_are_refused(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(np.zeros((2, 2), np.float32)))

    with pytest.raises(ValueError, match="floating-point"):
        read_image(path)


def test_a_png_with_other_chunks_before_its_pixels_is_read(tmp_path):
    content = io.BytesIO()
    Image.fromarray(colours()).save(content, "PNG")
    head, rest = content.getvalue()[:33], content.getvalue()[33:]

    result = decode_image(head + png_chunk(b"tEXt", b"a\x00b") + rest)

    np.testing.assert_array_equal(result, colours())


def test_pillow_images_follow_the_same_rules():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))

    np.testing.assert_array_equal(pillow_to_rgb(image)[0], [WHITE, WHITE])
    assert pillow_to_rgb(Image.fromarray(np.full((2, 2), 65535, np.uint16))).tolist() == [[[255] * 3] * 2] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"\0\0\0\x18ftypheic" + bytes(64), "is a HEIC image"),
        (b"\0\0\0\x18ftypmp42" + bytes(64), "is a video"),
        (b"<!DOCTYPE html><html>", "is a web page"),
    ],
)
def test_files_that_are_no_images_are_named_for_what_they_are(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)

    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "a.jpg")


def test_huge_images_are_refused_before_they_are_decoded_and_plans_of_one_bit_are_read(tmp_path, monkeypatch):
    Image.new("1", (300, 200), 1).save(tmp_path / "plan.tif", compression="group4")
    Image.new("1", (300, 200), 1).save(tmp_path / "plan.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("plan.tif", "plan.png"):
        assert (read_image(tmp_path / name) == 255).all()
    monkeypatch.setattr("craft.images.reader.MAX_PIXELS", 59_999)

    for name in ("plan.tif", "plan.png"):
        with pytest.raises(ValueError, match=f"{name}: has 300 x 200 pixels, more than the 59,999"):
            read_image(tmp_path / name)
