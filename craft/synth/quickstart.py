"""The quickstart preset: small, plain scenes that a narrow network learns in minutes.

Frozen: results are compared across versions on these scenes, so fonts, ranges, clutter and the order in which random
numbers are drawn stay as they are. Better scenes are the business of the `full` preset.
"""

from functools import cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from craft.scene import Word
from craft.synth.colours import LUMINANCE
from craft.synth.outlines import coverage
from craft.synth.placement import PlacedText, pixel_window, place_text, plane_matrix
from craft.synth.presets import QuickstartSettings
from craft.synth.rendered_scene import Image, RenderedScene
from craft.synth.text import word_list
from craft.synth.typeface import Typeface, bundled_typeface

# The fonts that come with matplotlib, under their own free licences (DejaVu, STIX under the OFL, Computer Modern).
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-Bold"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta"),
    *("cmr10", "cmss10", "cmb10", "cmtt10"),
)


def render_quickstart(settings: QuickstartSettings, seed: int, index: int) -> RenderedScene:
    """Render scene `index` of the quickstart preset, the same on every call."""
    generator = np.random.default_rng([seed, index, 1])
    image = _background(generator, settings)
    taken = np.zeros((settings.size // 4, settings.size // 4), np.uint8)
    words: list[Word] = []
    fonts: list[str] = []
    for number in range(int(generator.integers(settings.words[0], settings.words[1] + 1))):
        unreadable = number > 0 and generator.random() < settings.unreadable
        typeface = bundled_typeface(FONTS[int(generator.integers(len(FONTS)))])
        placed = _find_room(generator, settings, typeface, taken, unreadable=unreadable)
        if placed is None:
            continue
        _paint_word(generator, image, placed)
        quads = placed.character_quads_xy
        words.append(Word(placed.polygon_xy, placed.text, "Latin", dont_care=unreadable, character_quads_xy=quads))
        fonts.append(typeface.name)
    return RenderedScene(_photograph(generator, image), tuple(words), tuple(fonts))


def _word_text(generator: Generator) -> str:
    kind = generator.random()
    if kind < 0.15:
        return str(generator.integers(0, 10 ** int(generator.integers(1, 6))))
    words = word_list("en")
    text = words[int(len(words) * generator.random() ** 1.5)]
    case = generator.random()
    text = text.upper() if case < 0.3 else text.capitalize() if case < 0.6 else text
    return text + (str(generator.integers(0, 100)) if kind > 0.92 else "")


def _find_room(
    generator: Generator, settings: QuickstartSettings, typeface: Typeface, taken: Image, *, unreadable: bool
) -> PlacedText | None:
    """Choose text, size, turn and tilt, and a spot that no other word has; None after a dozen tries."""
    for _ in range(12):
        low, high = (4.0, 6.0) if unreadable else settings.cap_height
        size = float(np.exp(generator.uniform(np.log(low), np.log(high)))) / typeface.cap_height
        shaped = typeface.shape(_word_text(generator))
        boxes = shaped.boxes_xyxy * size
        half = 0.5 * (boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0))
        centre = boxes[:, :2].min(axis=0) + half
        spread = 45.0 if generator.random() < 0.1 else settings.rotation
        target = generator.uniform(0, settings.size, 2)
        tilt = generator.uniform(-settings.perspective, settings.perspective, 2) / np.maximum(half, 1.0)
        degrees = float(generator.uniform(-spread, spread))
        matrix = plane_matrix(centre, target_xy=target, degrees=degrees, tilt=tilt)
        placed = place_text(shaped, typeface, size=size, matrix=matrix)
        if placed.polygon_xy.min() < 2 or placed.polygon_xy.max() > settings.size - 2:
            continue
        spot = np.zeros_like(taken)
        cv2.fillConvexPoly(spot, np.round(placed.polygon_xy / 4).astype(np.int32), 1)
        spot = cv2.dilate(spot, np.ones((5, 5), np.uint8))
        if not (spot & taken).any():
            taken |= spot
            return placed
    return None


def _paint_word(generator: Generator, image: Image, placed: PlacedText) -> None:
    size_hw = image.shape[:2]
    height = float(np.linalg.norm(placed.polygon_xy[3] - placed.polygon_xy[0]))
    rows, columns = pixel_window(placed.polygon_xy, margin=3 + 0.4 * height, size_hw=size_hw)
    patch = image[rows, columns]
    origin = np.array([columns.start, rows.start], np.float64)
    if generator.random() < 0.25:
        middle = placed.polygon_xy.mean(axis=0)
        panel = middle + (placed.polygon_xy - middle) * np.array([1.1, 1.5]) - origin
        cv2.fillConvexPoly(patch, np.round(panel).astype(np.int32), _colour(generator), cv2.LINE_AA)
    mask = coverage(placed.outline.points_xy - origin, placed.outline.contour_ends, size_hw=patch.shape[:2])
    behind = patch.reshape(-1, 3).mean(axis=0)
    colour = _contrasting(generator, behind)
    style = generator.random()
    if style < 0.1:
        step = max(round(0.06 * height), 1)
        shifted = np.roll(mask, (step, step), axis=(0, 1))
        _blend(patch, shifted, (20, 20, 20) if float(np.mean(colour)) > 100 else (235, 235, 235), 0.7)
    elif style < 0.2:
        edge = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        _blend(patch, edge, (10, 10, 10) if float(np.mean(colour)) > 127 else (245, 245, 245), 1.0)
    _blend(patch, mask, colour, float(generator.uniform(0.8, 1.0)))


def _blend(patch: Image, mask: Image, colour: tuple[int, ...], opacity: float) -> None:
    share = mask[..., None].astype(np.float32) * np.float32(opacity / 255)
    patch[:] = (patch + share * (np.array(colour, np.float32) - patch) + 0.5).astype(np.uint8)


def _colour(generator: Generator) -> tuple[int, int, int]:
    red, green, blue = generator.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def _contrasting(generator: Generator, behind: NDArray[np.float64]) -> tuple[int, int, int]:
    for _ in range(20):
        colour = _colour(generator)
        if abs(float(LUMINANCE @ (np.array(colour) - behind))) >= 70.0:
            return colour
    return (0, 0, 0) if float(LUMINANCE @ behind) > 127 else (255, 255, 255)


def _background(generator: Generator, settings: QuickstartSettings) -> Image:
    """A gradient with soft noise, flat shapes, and things that look a little like text but are none."""
    size = settings.size
    corners = generator.uniform(20, 235, (2, 2, 3)).astype(np.float32)
    coarse = cv2.resize(corners, (64, 64), interpolation=cv2.INTER_LINEAR)
    for cells, strength in ((4, 25), (16, 14), (64, 8)):
        noise = generator.normal(0, strength, (cells, cells)).astype(np.float32)
        coarse = coarse + cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC)[..., None]
    image = cv2.resize(np.clip(coarse, 0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(generator.integers(0, settings.shapes + 1))):
        _add_shape(generator, image)
    for _ in range(int(generator.integers(0, settings.clutter + 1))):
        _add_clutter(generator, image)
    return cv2.GaussianBlur(image, (0, 0), 0.8) if generator.random() < 0.5 else image


def _add_shape(generator: Generator, image: Image) -> None:
    size = image.shape[0]
    kind, colour = generator.integers(3), _colour(generator)
    x, y = (int(value) for value in generator.integers(0, size, 2))
    width, height = (int(value) for value in generator.integers(size // 16, size // 2, 2))
    if kind == 0:
        cv2.rectangle(image, (x, y), (x + width, y + height), colour, -1)
    elif kind == 1:
        cv2.ellipse(image, (x, y), (width // 2, height // 2), int(generator.integers(180)), 0, 360, colour, -1)
    else:
        points = generator.integers(0, max(width, height), (int(generator.integers(3, 7)), 2)) + np.array([x, y])
        cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)


def _add_clutter(generator: Generator, image: Image) -> None:
    """Repeated strokes: a grille, bricks, a row of windows, circles, or crossing lines."""
    size = image.shape[0]
    kind, colour, thick = generator.integers(5), _colour(generator), int(generator.integers(1, 5))
    x, y = (int(value) for value in generator.integers(0, size * 3 // 4, 2))
    pitch, count = int(generator.integers(7, 40)), int(generator.integers(3, 14))
    length = int(generator.integers(10, 120))
    for number in range(count):
        left = x + number * pitch
        if kind == 0:
            cv2.line(image, (left, y), (left, y + length), colour, thick, cv2.LINE_AA)
        elif kind == 1:
            for row in range(3):
                corner = (left + row % 2 * pitch // 2, y + row * pitch // 2)
                cv2.rectangle(image, corner, (corner[0] + pitch, corner[1] + pitch // 2), colour, 1)
        elif kind == 2:
            cv2.rectangle(image, (left, y), (left + pitch * 2 // 3, y + length), colour, -1)
        elif kind == 3:
            cv2.circle(image, (left, y), max(pitch // 3, 2), colour, thick, cv2.LINE_AA)
        else:
            ends = generator.integers(0, length + 10, 4)
            cv2.line(image, (x + ends[0], y + ends[1]), (x + ends[2], y + ends[3]), colour, thick, cv2.LINE_AA)


def _photograph(generator: Generator, image: Image) -> Image:
    """Add a little blur and sensor noise."""
    if generator.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(generator.uniform(0.4, 1.0)))
    table = np.round(_normal_quantiles() * generator.uniform(0, 8)).astype(np.int16)
    noise = table[generator.integers(0, 256, image.shape[:2], dtype=np.uint8)]
    return cv2.add(image, cv2.merge([noise, noise, noise]), dtype=cv2.CV_8U)


@cache
def _normal_quantiles() -> NDArray[np.float64]:
    normal = NormalDist()
    return np.array([normal.inv_cdf((level + 0.5) / 256) for level in range(256)])
