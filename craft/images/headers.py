"""Headers of JPEG and PNG files: size, depth, channels, EXIF orientation.

Reading one takes some microseconds, needs no pixels, and tells which decoder is right for them.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Literal

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_EXIF_START = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
# Start-of-frame markers of JPEG; C4, C8 and CC between them have other meanings.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an image file."""

    kind: Literal["jpeg", "png"]  # file format
    size_hw: tuple[int, int]  # stored height and width, before EXIF orientation
    channels: int  # stored channels; 1 for a palette
    depth: int  # bits per channel
    orientation: int = 1  # EXIF orientation, 1 to 8; 1 if there is none
    indexed: bool = False  # whether there is a palette
    transparent: bool = False  # whether a colour or a channel marks transparency

    @property
    def upright_hw(self) -> tuple[int, int]:
        """Height and width once the EXIF orientation is applied."""
        return self.size_hw[::-1] if self.orientation >= 5 else self.size_hw


def read_header(file: BinaryIO) -> Header | None:
    """Read the header of a seekable JPEG or PNG file from its start.

    Returns:
        The header; None if the file is of another kind or its header is damaged, which a full decoder explains.
    """
    start = file.read(8)
    try:
        if start.startswith(_JPEG_START):
            file.seek(2)
            return _read_jpeg(file)
        if start == _PNG_START:
            return _read_png(file)
    except (struct.error, IndexError, KeyError):  # the file ends inside its header, or holds undefined values
        return None
    return None


def _read_jpeg(file: BinaryIO) -> Header | None:
    orientation = 1
    while True:
        marker = file.read(1)
        if marker != b"\xff":
            return None
        while marker == b"\xff":  # any number of fill bytes may precede a marker
            marker = file.read(1)
        code = marker[0]
        if code == 0x01 or 0xD0 <= code <= 0xD8:
            continue
        if code in (0xD9, 0xDA):  # pixels or the end before any frame header
            return None
        (length,) = struct.unpack(">H", file.read(2))
        if code in _FRAME_MARKERS:
            depth, height, width, channels = struct.unpack(">BHHB", file.read(6))
            return Header("jpeg", (height, width), channels, depth, orientation) if height and width else None
        if code == 0xE1 and orientation == 1:
            segment = file.read(length - 2)
            if segment.startswith(_EXIF_START):
                orientation = _orientation(segment[len(_EXIF_START) :])
        else:
            file.seek(length - 2, 1)


def _read_png(file: BinaryIO) -> Header | None:
    length, name, width, height, depth, colour = struct.unpack(">I4sIIBB", file.read(18))
    if name != b"IHDR":
        return None
    file.seek(8 + 12 + length)
    orientation, transparent = 1, colour in (4, 6)
    while chunk := file.read(8):
        length, name = struct.unpack(">I4s", chunk)
        if name == b"IEND":
            return Header("png", (height, width), _PNG_CHANNELS[colour], depth, orientation, colour == 3, transparent)
        transparent = transparent or name == b"tRNS"
        if name == b"eXIf":
            orientation = _orientation(file.read(length))
            length = 0
        file.seek(length + 4, 1)
    return None  # no end: the file is truncated


def _orientation(exif: bytes) -> int:
    """Orientation of a block of EXIF, which is laid out like a TIFF file; 1 if it is missing or invalid."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, entry)
            if tag == _ORIENTATION_TAG and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
