"""Clutter: hard negatives over the scene, symbols beside text, and occluders in front of it."""

from functools import cache

import numpy as np

from craft.synth.canvas import Canvas, new_pose, weighted_choice
from craft.synth.colours import natural_colour
from craft.synth.hard_negatives import centre_outline, negative_outline, symbol_row
from craft.synth.outlines import Outline, coverage, extent
from craft.synth.paint import Style, choose_style, paint
from craft.synth.placement import pixel_window, project, project_outline, translated
from craft.synth.rendered_scene import Image
from craft.synth.typeface import Typeface, bundled_typeface, load_typeface

# Structures may fill the image; everything else stays smaller than two fifths of it.
WIDE = ("bricks", "windows", "shelf", "fence", "cables", "leaves", "stripes", "grille")
IN_FRONT = ("leaves", "cables", "fence", "grille", "scribbles")

# Arrows, geometric shapes, weather, chess, zodiac, ornaments: symbols that nobody labels as words.
_DINGBATS = (
    *range(0x2190, 0x21A0),
    *range(0x21D0, 0x21DA),
    *range(0x25A0, 0x2600),
    *range(0x2600, 0x2613),
    *range(0x2618, 0x2672),
    *range(0x2690, 0x26A9),
    *range(0x2701, 0x2776),
    *range(0x2798, 0x27BF),
)
# Icons of Font Awesome that show letters, digits or punctuation.
_READ_ICONS = {
    *(0x24, 0x2B, 0xF031, 0xF032, 0xF033, 0xF034, 0xF035, 0xF059, 0xF05A, 0xF06A, 0xF0CB, 0xF0CC, 0xF0CD, 0xF0D6),
    *(0xF0F8, 0xF0FD, 0xF128, 0xF129, 0xF12A, 0xF12B, 0xF12C, 0xF153, 0xF154, 0xF155, 0xF156, 0xF157, 0xF158, 0xF159),
    *(0xF15D, 0xF15E, 0xF162, 0xF163, 0xF1AB, 0xF1C1, 0xF1C2, 0xF1C3, 0xF1C4, 0xF1DC, 0xF1DD, 0xF1F9, 0xF1FA, 0xF20B),
    *(0xF25D, 0xF292, 0xF295, 0xF3D1, 0xF47D, 0xF47E, 0xF4B9, 0xF50D, 0xF540, 0xF541, 0xF534, 0xF52A, 0xF52B, 0xF53A),
    *(0xF53B, 0xF53C, 0xF570, 0xF571, 0xF572, 0xF573, 0xF5C4, 0xF601, 0xF641, 0xF64A, 0xF651, 0xF67B, 0xF683, 0xF687),
    *(0xF69A, 0xF6DD, 0xF6FF, 0xF773, 0xF78C, 0xF7A2, 0xF7F2, 0xF80D, 0xF891, 0xF893, 0xF897, 0xF22D, 0xF15A, 0xF379),
}
_ICONS = tuple(code for code in range(0xF000, 0xF900) if code not in _READ_ICONS)


def add_negative(canvas: Canvas, *, over_everything: bool) -> None:
    """Paint one hard negative, anywhere (before there is text) or only where no text is."""
    generator = canvas.generator
    kind = weighted_choice(generator, canvas.settings.negatives)
    height, width = canvas.image.shape[:2]
    low, high = (0.1 * width, 1.3 * width) if kind in WIDE else (0.03 * width, 0.4 * width)
    outline = _outline(canvas, kind, float(np.exp(generator.uniform(np.log(low), np.log(high)))))
    if outline is None:
        return
    target = generator.uniform(0, 1, 2) * [width, height]
    if generator.random() < 0.5:
        matrix = translated(canvas.wall, project(target, canvas.inverse_wall))
    else:
        matrix = new_pose(generator, canvas.settings, target)
    corners = outline.points_xy @ matrix[2, :2] + matrix[2, 2]
    if corners.min() < 0.25 * corners.max():
        return
    seen = project_outline(outline, matrix)
    box = np.array(extent(seen.points_xy))
    if not over_everything and not canvas.reserve(box.reshape(2, 2)[[[0, 0], [1, 1], [1, 1], [0, 0]], [[0, 1]] * 4]):
        return
    rows, columns = pixel_window(seen.points_xy, margin=0, size_hw=(height, width))
    patch = canvas.image[rows, columns][::4, ::4]
    if patch.size == 0:
        return
    style = choose_style(generator, canvas.settings.style, patch.reshape(-1, 3).mean(axis=0))
    paint(generator, canvas.image, seen, style, height=0.15 * float(min(box[2] - box[0], box[3] - box[1])))


def add_occluder(canvas: Canvas) -> Image:
    """Paint something in front of everything; return its mask, (H, W) uint8, 255 where it covers what was there."""
    generator = canvas.generator
    height, width = canvas.image.shape[:2]
    kind = IN_FRONT[int(generator.integers(len(IN_FRONT)))]
    outline = negative_outline(kind, generator, size=float(generator.uniform(0.15, 0.9)) * width)
    target = generator.uniform(0, 1, 2) * [width, height]
    seen = project_outline(outline, new_pose(generator, canvas.settings, target, strength=0.5))
    style = Style(natural_colour(generator), texture=float(generator.uniform(0, 0.6)))
    paint(generator, canvas.image, seen, style, height=10.0)
    return coverage(seen.points_xy, seen.contour_ends, size_hw=(height, width))


def symbol_outline(canvas: Canvas, *, size: float) -> Outline | None:
    """Outline a symbol of `size` plane pixels around the origin, to stand beside text; None if negatives are off."""
    symbols = ("icons", "dingbats", "arrows", "figures")
    weights = {kind: weight for kind, weight in canvas.settings.negatives.items() if kind in symbols and weight}
    return _outline(canvas, weighted_choice(canvas.generator, weights), size) if weights else None


def _outline(canvas: Canvas, kind: str, size: float) -> Outline | None:
    if kind not in ("icons", "dingbats"):
        return negative_outline(kind, canvas.generator, size=size)
    if kind == "icons" and canvas.pool.icons:
        face = canvas.pool.icons[int(canvas.generator.integers(len(canvas.pool.icons)))]
        typeface = load_typeface(face.path, face.index)
        wanted = _ICONS
    else:
        typeface, wanted = bundled_typeface("DejaVuSans"), _DINGBATS
    outline = symbol_row(canvas.generator, typeface, _inked(typeface, wanted))
    return centre_outline(outline, size=size) if len(outline.points_xy) else None


@cache
def _inked(typeface: Typeface, codepoints: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(code for code in codepoints if typeface.covers(chr(code)) and typeface.has_ink(chr(code)))
