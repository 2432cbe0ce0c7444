"""What is said about a file that cannot be read as an image: what it is instead, and what to do."""

from PIL import Image

from craft.errors import Problem

VIDEO = (
    "is a video",
    "give it to craft detect --frames 25, or save its frames as images: ffmpeg -i FILE frame_%04d.png",
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_OTHER_KINDS = (
    (b"%PDF", 0, "is a PDF", "give it to craft detect, or convert its pages to images: pdftoppm -r 200 -png FILE PAGE"),
    (b"ftypavif", 4, "is an AVIF image", "convert it to JPEG or PNG, or install Pillow 11.3 or later"),
    (b"ftyp", 4, *VIDEO),
    (b"\x1a\x45\xdf\xa3", 0, *VIDEO),
    (b"AVI ", 8, *VIDEO),
    (b"<svg", 0, "is an SVG drawing", "convert it to PNG"),
    (b"<!doctype html", 0, "is a web page", "download the image itself"),
    (b"<html", 0, "is a web page", "download the image itself"),
    (b"PK\x03\x04", 0, "is a zip archive", "unpack it"),
    (b"version https://git-lfs", 0, "is a Git LFS pointer", "run git lfs pull"),
)
"""Beginnings of files that people take for images: bytes, their offset, what it is and what to do."""


def other_kind(start: bytes) -> tuple[str, str] | None:
    """What a file that begins so is instead of an image, and what to do; None if that cannot be told."""
    for mark, offset, kind, remedy in () if _is_heif(start) else _OTHER_KINDS:
        if start[offset : offset + len(mark)].lower() == mark.lower():
            return kind, remedy
    return None


def unreadable(name: str, error: BaseException, start: bytes = b"") -> Problem:
    """Say what is wrong with the file `name`, which an `error` met; `start` is how its content begins, where known."""
    if (other := other_kind(start)) is not None:
        return Problem(f"{other[0]}, which craft does not read", other[1], where=name)
    if isinstance(error, FileNotFoundError):
        return Problem("there is no such file", "correct the path", where=name)
    if _is_heif(start):
        what = f"is a HEIC image that cannot be decoded ({error})"
    elif isinstance(error, Image.UnidentifiedImageError):
        what = "is not an image, or a damaged one"
    else:
        what = f"cannot be read as an image ({getattr(error, 'strerror', None) or error or type(error).__name__})"
    remedy = "open it in a viewer, then convert or download it again, or remove it and its label"
    return Problem(what, remedy, where=name)


def register_heif(content: bytes, name: str) -> None:
    """Let Pillow open HEIC images, where `content` is one; a Problem if pillow-heif is not installed."""
    if not _is_heif(content):
        return
    try:
        import pillow_heif
    except ImportError:
        remedy = "pip install pillow-heif, or convert it to JPEG or PNG"
        raise Problem("is a HEIC image, which craft reads with pillow-heif", remedy, where=name) from None
    pillow_heif.register_heif_opener()
    Image.init()


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS
