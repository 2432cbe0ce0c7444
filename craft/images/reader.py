"""Images from files, as people see them: upright, RGB, 8 bits, without transparency.

OpenCV decodes what it decodes correctly and fastest (8-bit JPEG and PNG in grey or RGB, and 16-bit PNG and TIFF). Pillow
decodes the rest and everything that looks damaged, since OpenCV returns a part of a truncated file without an error.
"""

import io
import struct
import zlib
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from craft.errors import Problem, refuse_device
from craft.images.headers import Header, read_header
from craft.images.pixels import to_8_bits, turn_upright
from craft.images.tar_members import parse_member, read_member
from craft.images.unreadable import register_heif, unreadable

MAX_PIXELS = 500_000_000
"""Most pixels of an image that is decoded: 1.5 GB of RGB."""
IMAGE_ENDINGS = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp"),
        *(".jp2", ".j2k", ".avif", ".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    )
)
"""Endings, in lower case, of the files in folders that are read as images, by every verb."""

# OpenCV's flags by reduction of the size. Those of colour images ask for blue first; RGB is asked for apart.
_REDUCING = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_TAIL_BYTES = 512
_DEVICE_REMEDY = "give an image file, or remove it and its label"
_TIFF_STARTS = (b"II*\x00", b"MM\x00*")
DECODER_ERRORS = (  # of Pillow and its plug-ins, whose decoders stumble over damaged files in as many ways
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image as (H, W, 3) uint8, RGB.

    EXIF orientation is applied; grey, palettes and CMYK become RGB; transparency is laid on white; 16 bits become 8; the
    first frame of an animation is read.

    `path` is a JPEG, PNG, GIF, BMP, TIFF, WebP or anything else that Pillow opens. ValueError: the file is missing, empty,
    truncated or not an image.
    """
    return decode_image(image_bytes(path), name=str(path))


def decode_image(buffer: bytes, *, name: str = "image in memory") -> NDArray[np.uint8]:
    """Decode the content of an image file, called `name` in messages, as `read_image` does.

    Raises ValueError if the content is empty, truncated or not an image.
    """
    if not buffer:
        raise Problem("is empty", "copy or download it again, or remove it and its label", where=name)
    header = read_header(io.BytesIO(buffer))
    if header is not None:
        _refuse_huge(header.size_hw, name=name)
    image = _decode_plain(buffer, header) if header is not None and _is_plain(header, buffer) else None
    if image is None and ((header is not None and header.depth == 16) or buffer.startswith(_TIFF_STARTS)):
        image = _decode_16_bits(buffer, header)
    if image is not None:
        return image
    register_heif(buffer, name)
    try:
        with open_image(io.BytesIO(buffer)) as image_file:
            return pillow_to_rgb(image_file)
    except Problem as error:
        raise error.at(name) from None
    except DECODER_ERRORS as error:
        raise unreadable(name, error, buffer[:64]) from error


class EncodedImage:
    """The content of an image file, decoded on demand and no finer than needed."""

    def __init__(self, content: bytes, *, name: str) -> None:
        """Read the header of an image called `name` in messages; without one, the image is decoded at once.

        Raises ValueError if the content is truncated or not an image.
        """
        self._content, self._name = content, name
        header = read_header(io.BytesIO(content))
        self._header = header if header is not None and _is_plain(header, content) else None
        self._image = None if self._header is not None else decode_image(content, name=name)
        if self._header is not None:
            self.size_hw = self._header.upright_hw
        else:
            assert self._image is not None
            self.size_hw = self._image.shape[:2]

    def decode(self, *, coarsest: int = 1) -> tuple[NDArray[np.uint8], int]:
        """Decode; an upright JPEG is reduced to a half, a quarter or an eighth if that is fine enough.

        Raises ValueError if the file is truncated.

        Args:
            coarsest: largest reduction allowed.

        Returns:
            (H, W, 3) uint8, RGB, and the reduction: 1, 2, 4 or 8. Each pixel is the average of a square block of that
            side; the last blocks may reach beyond the border.

        Source: libjpeg transforms fewer coefficients of each block of 8 x 8 pixels.
        """
        if self._image is not None:
            return self._image, 1
        assert self._header is not None
        reduction = max(number for number in _REDUCING if number <= max(1, coarsest))
        if reduction == 1 or self._header.kind != "jpeg" or self._header.orientation != 1:
            return decode_image(self._content, name=self._name), 1
        image = _cv2_decode(self._content, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | _REDUCING[reduction])
        if image is None:  # decode_image tries other decoders, and says what is wrong
            return decode_image(self._content, name=self._name), 1
        return np.asarray(image, dtype=np.uint8), reduction


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image as `read_image` returns it: a JPEG's or PNG's from its header, once its end is there.

    Other files, and those whose end is not where their format puts it, are decoded.

    Raises:
        ValueError: as `read_image`. A JPEG or PNG damaged within its pixels may pass.
    """
    member = parse_member(str(path))
    if member is None:
        refuse_device(path, _DEVICE_REMEDY)
    try:
        with open(path, "rb") if member is None else io.BytesIO(read_member(member)) as file:
            header = read_header(file)
            whole = header is not None and (header.kind == "png" or _ends_with(file, b"\xff\xd9"))
    except OSError as error:
        raise unreadable(str(path), error) from error
    if header is None or not whole:
        return read_image(path).shape[:2]
    _refuse_huge(header.size_hw, name=str(path))
    return header.upright_hw


def pillow_to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Turn a Pillow image into (H, W, 3) uint8, RGB, by the rules of `read_image`.

    Raises ValueError if the mode has no agreed range of brightness (I and F), or the image has more than `MAX_PIXELS`.
    """
    _refuse_huge(image.size[::-1])
    image = _upright(image)
    if image.mode.startswith("I;16"):
        return to_8_bits(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels are {'32-bit integers' if image.mode == 'I' else 'floating-point numbers'}")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if image.mode in ("1", "L"):  # without Pillow's fourth byte: plans of hundreds of megapixels
        return np.asarray(cv2.cvtColor(np.asarray(image.convert("L")), cv2.COLOR_GRAY2RGB), np.uint8)
    return np.array(image.convert("RGB"))


def count_pages(path: str | Path | BinaryIO) -> int:
    """Number of pages or frames of an image file, without the reduced copies in a TIFF; 1 if unknown."""
    try:
        with open_image(path) as image:
            pages = getattr(image, "n_frames", 1) if image.format in ("TIFF", "GIF", "WEBP", "PNG", "AVIF") else 1
            if pages == 1 or image.format != "TIFF":
                return int(pages)
            reduced = 0
            for page in range(pages):
                image.seek(page)
                reduced += int(getattr(image, "tag_v2", {}).get(254, 0)) & 1
            return int(pages) - reduced
    except DECODER_ERRORS:
        return 1


def image_bytes(path: str | Path) -> bytes:
    """Read the content of an image file, which may be a member of a shard (tar_members.py).

    Raises ValueError if the file is missing or cannot be read, or the shard is damaged.
    """
    member = parse_member(str(path))
    if member is not None:
        return read_member(member)
    refuse_device(path, _DEVICE_REMEDY)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise unreadable(str(path), error) from error


def _ends_with(file: BinaryIO, end: bytes) -> bool:
    """Whether a file ends as its format wants it, but for zeros that padded it."""
    file.seek(max(0, file.seek(0, io.SEEK_END) - _TAIL_BYTES))
    return file.read().rstrip(b"\0").endswith(end)


def open_image(file: str | Path | BinaryIO) -> Image.Image:
    """Open an image as Pillow does, with `MAX_PIXELS` in place of Pillow's own limit, which few plans and maps keep."""
    opened = open(file, "rb") if isinstance(file, str | Path) else file  # noqa: SIM115 - the image closes it
    prefix = opened.read(16)
    Image.init()
    for name in Image.ID:
        factory, accepts = Image.OPEN[name]
        try:
            accepted = not accepts or accepts(prefix)
            if accepted and not isinstance(accepted, str):
                opened.seek(0)
                return factory(opened, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # not of this format, or too short for it
            continue
    raise Image.UnidentifiedImageError("cannot identify image file")


def _refuse_huge(size_hw: tuple[int, int], *, name: str = "") -> None:
    height, width = size_hw
    if height * width > MAX_PIXELS:
        what = f"has {width:,} x {height:,} pixels, more than the {MAX_PIXELS:,} that craft decodes"
        raise Problem(what, "cut it into parts, or make it smaller", where=name)


_pillow_limit = Lock()


def _upright(image: Image.Image) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or image.width * image.height <= limit:
        image.load()
    else:  # TIFF asks again when it is decoded
        with _pillow_limit:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image.load()
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    return ImageOps.exif_transpose(image)


def _is_plain(header: Header, buffer: bytes) -> bool:
    """Whether OpenCV decodes the file correctly: 8 bits, grey or RGB, nothing transparent, and not truncated."""
    if header.depth != 8 or header.channels not in (1, 3) or header.indexed or header.transparent:
        return False
    return header.kind == "png" or buffer.endswith(b"\xff\xd9")


def _decode_plain(buffer: bytes, header: Header) -> NDArray[np.uint8] | None:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return turn_upright(_cv2_decode(buffer, flags), orientation=header.orientation)


def _decode_16_bits(buffer: bytes, header: Header | None) -> NDArray[np.uint8] | None:
    """Decode 16 bits per channel; None if there are not as many, or OpenCV cannot read the file."""
    pixels = _cv2_decode(buffer, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]  # OpenCV has blue first
    orientation = header.orientation if header is not None else _pillow_orientation(buffer)
    return turn_upright(to_8_bits(pixels), orientation=orientation)


def _cv2_decode(buffer: bytes, flags: int) -> NDArray | None:
    try:
        return cv2.imdecode(np.frombuffer(buffer, dtype=np.uint8), flags)
    except cv2.error:  # more pixels than OpenCV's limit
        return None


def _pillow_orientation(buffer: bytes) -> int:
    try:
        with open_image(io.BytesIO(buffer)) as image:
            return int(image.getexif().get(0x0112, 1))
    except DECODER_ERRORS:
        return 1
