"""Everything that is drawn for people: outlines, score maps and captions over images, tiled images, and image files.

Images are (H, W, 3) uint8, RGB; every function returns a new one.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from craft.atomic_files import write_atomic

Colour = tuple[int, int, int]
WORD_COLOUR: Colour = (0, 220, 70)
POLYGON_COLOUR: Colour = (255, 180, 0)
CHARACTER_COLOUR: Colour = (0, 150, 255)
DONT_CARE_COLOUR: Colour = (255, 40, 40)
DARK, WHITE = 32, 255  # grey levels of captions' bars, on which text is white or black, whichever shows
_FRACTION_BITS = 4  # cv2 draws at sixteenths of a pixel
_LARGEST_COORDINATE = 1e6  # far outside of any image, and inside cv2's 32 bits
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_QUALITY_FLAGS = {
    ".jpg": cv2.IMWRITE_JPEG_QUALITY,
    ".jpeg": cv2.IMWRITE_JPEG_QUALITY,
    ".webp": cv2.IMWRITE_WEBP_QUALITY,
}


def draw_polygons(
    image: NDArray[np.uint8],
    polygons_xy: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    *,
    colour: Colour = WORD_COLOUR,
    thickness: int | None = None,
    edged: bool = False,
) -> NDArray[np.uint8]:
    """Draw closed outlines (P, 2), in pixels of the image; `thickness` follows the image's size where None.

    With a dark edge along them, `edged`, they show on any ground.
    """
    drawn = np.ascontiguousarray(image).copy()
    thickness = thickness or line_thickness(image)
    outlines = [_fixed_point(polygon) for polygon in polygons_xy if len(polygon)]
    if edged:
        cv2.polylines(drawn, outlines, True, (0, 0, 0), thickness + 2, cv2.LINE_AA, _FRACTION_BITS)
    cv2.polylines(drawn, outlines, True, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)
    return drawn


def draw_scores(
    image: NDArray[np.uint8],
    quads_xy: NDArray[np.floating],
    scores: NDArray[np.floating],
    *,
    colour: Colour = WORD_COLOUR,
) -> NDArray[np.uint8]:
    """Write the scores (N,) of quads (N, 4, 2) above them with two digits, about half as high as the word."""
    drawn = np.ascontiguousarray(image).copy()
    for quad, score in zip(quads_xy, scores, strict=True):
        finite = np.clip(np.nan_to_num(quad), -_LARGEST_COORDINATE, _LARGEST_COORDINATE)
        side = min(np.linalg.norm(finite[1] - finite[0]), np.linalg.norm(finite[2] - finite[1]))
        size = float(np.clip(side / 44, 0.3, 2.0))  # letters of the font are 22 pixels high at size 1
        text, thickness = f"{score:.2f}", max(1, round(size))
        (_, height), below = cv2.getTextSize(text, _FONT, size, thickness)
        left, top = int(max(finite[:, 0].min(), 0)), int(finite[:, 1].min()) - below
        start = (left, top if top >= height else int(finite[:, 1].max()) + height + below)
        cv2.putText(drawn, text, start, _FONT, size, (0, 0, 0), thickness + 2, cv2.LINE_AA)
        cv2.putText(drawn, text, start, _FONT, size, colour, thickness, cv2.LINE_AA)
    return drawn


def heat_map(scores: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour a score map (H, W) from blue (0) over green to red (1); NaN counts as 0."""
    levels = np.rint(np.clip(np.nan_to_num(scores), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_JET)[:, :, ::-1])


def overlay_map(image: NDArray[np.uint8], scores: NDArray[np.floating], *, opacity: float = 0.6) -> NDArray[np.uint8]:
    """Lay a score map (h, w), 0 to 1, of any size over a whole image; a score of 1 has the full `opacity`."""
    clipped = np.clip(np.nan_to_num(scores), 0, 1).astype(np.float32)
    resized = cv2.resize(clipped, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    weight = opacity * resized[:, :, None]
    return np.rint(image * (1 - weight) + heat_map(resized) * weight).astype(np.uint8)


def overlay_mask(
    image: NDArray[np.uint8], mask: NDArray[np.floating], *, colour: Colour = DONT_CARE_COLOUR, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Lay one colour over an image, the more opaque the higher the mask (h, w), 0 to 1, of any size."""
    weight = opacity * cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
    return np.rint(image * (1 - weight) + np.array(colour) * weight).astype(np.uint8)


def fit_long_side(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize an image so that its longer side has `side` pixels."""
    scale = side / max(image.shape[:2])
    size_wh = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size_wh, interpolation=interpolation), np.uint8)


def text_bar(
    width: int, texts: Sequence[tuple[int, str]], *, height: int = 18, font_scale: float = 0.42, ground: int = DARK
) -> NDArray[np.uint8]:
    """Write texts, each from its left edge in pixels, on a line of a grey bar; letters outside ASCII become "?"."""
    bar = np.full((height, width, 3), ground, dtype=np.uint8)
    ink = (255, 255, 255) if ground < 128 else (0, 0, 0)
    for left, text in texts:
        plain = text.encode("ascii", "replace").decode()  # the only letters that OpenCV draws
        cv2.putText(bar, plain, (left, round(0.7 * height)), _FONT, font_scale, ink, 1, cv2.LINE_AA)
    return bar


def add_caption(
    image: NDArray[np.uint8],
    text: str,
    *,
    height: int = 18,
    left: int = 4,
    font_scale: float = 0.42,
    ground: int = DARK,
) -> NDArray[np.uint8]:
    """Put an image below a `text_bar` with one text."""
    bar = text_bar(image.shape[1], [(left, text)], height=height, font_scale=font_scale, ground=ground)
    return np.concatenate([bar, image])


def tile_images(
    images: Sequence[NDArray[np.uint8]], *, columns: int, gap: int = 0, ground: int = WHITE
) -> NDArray[np.uint8]:
    """Lay images out in rows, each at the top left of its cell; cells are as large as the largest image."""
    height, width = (max(image.shape[axis] for image in images) + gap for axis in (0, 1))
    rows, columns = -(-len(images) // columns), min(columns, len(images))
    sheet = np.full((rows * height - gap, columns * width - gap, 3), ground, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def encode_image(image: NDArray[np.uint8], *, ending: str = ".jpg", quality: int = 90) -> bytes:
    """Encode an image as .jpg, .png or .webp; `quality` is of JPEG and WebP, 1 to 100 (101 is lossless WebP)."""
    flags = [_QUALITY_FLAGS[ending.lower()], quality] if ending.lower() in _QUALITY_FLAGS else []
    encoded, content = cv2.imencode(ending, np.ascontiguousarray(image[..., ::-1]), flags)
    if not encoded:
        height, width = image.shape[:2]
        raise ValueError(f"an image of {width} x {height} pixels is too large for {ending}; write it as .png")
    return content.tobytes()


def write_image(path: str | Path, image: NDArray[np.uint8], *, quality: int = 90) -> Path:
    """Write a .jpg, .png or .webp file, complete or not at all; ValueError if it is another."""
    try:
        content = encode_image(image, ending=Path(path).suffix, quality=quality)
    except cv2.error:
        raise ValueError(f"{path}: has no ending of an image; name a .png or .jpg file") from None
    return write_atomic(path, content, shared=True, durable=False)


def line_thickness(image: NDArray[np.uint8]) -> int:
    """Thickness in pixels of lines that show on an image of this size: 2 at 1280 pixels."""
    long, short = max(image.shape[:2]), min(image.shape[:2])
    return max(1, round(min(long, 2 * short) / 640))


def _fixed_point(polygon_xy: NDArray[np.floating]) -> NDArray[np.int32]:
    """Corners in OpenCV's sixteenths of a pixel, counted from the first pixel's centre."""
    corners = np.clip(np.nan_to_num(np.asarray(polygon_xy, np.float64)), -_LARGEST_COORDINATE, _LARGEST_COORDINATE)
    return np.rint((corners - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)[:, None, :]
