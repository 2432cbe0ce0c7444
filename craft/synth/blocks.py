"""Blocks of text: chosen, laid out on planes, placed where there is room, and painted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from craft.geometry import bounding_boxes, box_corners
from craft.synth.canvas import Canvas, PaintedWord, new_pose, weighted_choice
from craft.synth.clutter import symbol_outline
from craft.synth.colours import Colour, contrasting_colour, ink_contrast, natural_colour
from craft.synth.layouts import Item, arrange
from craft.synth.outlines import Outline, extent, join_outlines, polygons, rectangles
from craft.synth.paint import Painted, Style, choose_style, effect_contrast, paint
from craft.synth.placement import Matrix, PlacedText, place_text, project, project_outline, translated
from craft.synth.text import TextSampler

_TRIES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Text laid out around the origin of a plane, perhaps with a symbol beside it; all in plane pixels."""

    items: list[Item]
    bounds: NDArray[np.float64]  # (4,), x1, y1, x2, y2 of everything
    cap_height: float  # of the main text
    symbol: Outline | None


def add_block(canvas: Canvas) -> bool:
    """Lay out one block of text and paint it where there is room; return False where nothing was painted."""
    generator, settings = canvas.generator, canvas.settings
    scripts = {name: weight for name, weight in settings.scripts.items() if name in canvas.pool.families}
    script = weighted_choice(generator, scripts or {"Latin": 1.0})
    typeface = canvas.pool.choose(generator, script)
    case = str(generator.choice(["lower", "capital", "upper", "mixed"], p=[0.25, 0.3, 0.35, 0.1]))
    kind = weighted_choice(generator, settings.layouts)
    cap_height = _cap_height(canvas, kind)
    block = _new_block(canvas, TextSampler(generator, script, typeface, case), kind, cap_height)
    if block is None:
        return False
    padding = float(generator.uniform(0.15, 0.9)) * cap_height
    board = kind == "plate" or generator.random() < settings.boards
    bounds = block.bounds + np.array([-1, -1, 1, 1]) * (padding if board else 0.0)
    matrix = _find_room(canvas, bounds)
    if matrix is None:
        return False
    if board:
        _paint_board(canvas, bounds, matrix, padding, bordered=kind == "plate")
    _paint_block(canvas, block, matrix)
    return True


def _cap_height(canvas: Canvas, kind: str) -> float:
    low, high = canvas.settings.cap_height
    if kind == "small_print":
        low, high = max(0.6 * low, 5.0), 1.2 * low
    elif kind == "huge":
        low, high = 1.4 * high, 0.4 * min(canvas.settings.size_hw)
    elif kind in ("paragraph", "menu"):
        high = low + 0.35 * (high - low)
    return float(np.exp(canvas.generator.uniform(np.log(low), np.log(max(high, low)))))


def _new_block(canvas: Canvas, sampler: TextSampler, kind: str, cap_height: float) -> Block | None:
    generator = canvas.generator
    items = arrange(kind, sampler, size=cap_height / sampler.typeface.cap_height)
    if not items:
        return None
    bounds = bounding_boxes(np.concatenate([_plane_corners(item) for item in items]))
    symbol = None
    if generator.random() < 0.1:
        tall = min(float(bounds[3] - bounds[1]), 2.5 * cap_height)
        symbol = symbol_outline(canvas, size=tall)
        if symbol is not None:
            left = generator.random() < 0.5
            x = bounds[0] - 0.8 * tall if left else bounds[2] + 0.8 * tall
            symbol = Outline(symbol.points_xy + np.array([x, 0.5 * (bounds[1] + bounds[3])]), symbol.contour_ends)
            bounds = bounding_boxes(np.concatenate([box_corners(bounds), symbol.points_xy]))
    return Block(items, bounds, cap_height, symbol)


def _plane_corners(item: Item) -> NDArray[np.float64]:
    if item.bend:
        return _placed(item, np.eye(3)).polygon_xy.astype(np.float64)
    boxes = item.shaped.boxes_xyxy * item.size
    return np.stack([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)]) + item.origin_xy


def _placed(item: Item, matrix: Matrix, *, word_height: bool = False) -> PlacedText:
    return place_text(
        item.shaped,
        item.typeface,
        size=item.size,
        matrix=matrix,
        origin_xy=item.origin_xy,
        bend=item.bend,
        word_height=word_height,
    )


def _find_room(canvas: Canvas, bounds: NDArray[np.float64]) -> Matrix | None:
    """A pose at which the block is seen where nothing else is; it shrinks a little after every failure."""
    generator = canvas.generator
    height, width = canvas.image.shape[:2]
    lean = np.array([[generator.uniform(0.75, 1.25), generator.normal(0, 0.06), 0], [0, 1, 0], [0, 0, 1]])
    shrink = min(1.0, 0.95 * width / (bounds[2] - bounds[0]), 0.95 * height / (bounds[3] - bounds[1]))
    slack = 0.06 * width if generator.random() < 0.08 else 0.0
    corners = box_corners(bounds)
    for _ in range(_TRIES):
        target = generator.uniform(0.02, 0.98, 2) * [width, height]
        if generator.random() < 0.6:
            at = project(target, canvas.inverse_wall)
            if np.abs(at).max() > 1.5 * max(height, width):
                continue
            matrix = translated(canvas.wall, at)
        else:
            matrix = new_pose(generator, canvas.settings, target)
        matrix = matrix @ lean @ np.diag([shrink, shrink, 1.0])
        depths = corners @ matrix[2, :2] + matrix[2, 2]
        if depths.min() > 0.3 * depths.max() and canvas.reserve(project(corners, matrix), slack=slack):
            return matrix
        shrink *= 0.88
    return None


def _paint_board(
    canvas: Canvas, bounds: NDArray[np.float64], matrix: Matrix, padding: float, *, bordered: bool
) -> None:
    """A panel under the text, plain or with a border, its corners sharp or round."""
    generator = canvas.generator
    shape = _rounded(bounds, padding * generator.uniform(0.05, 0.9) if generator.random() < 0.4 else 0.0)
    style = choose_style(generator, canvas.settings.style, natural_colour(generator))
    vivid = Style(
        natural_colour(generator, vivid=0.4),
        second=style.second if generator.random() < 0.2 else None,
        shadow_xy=style.shadow_xy,
        texture=style.texture,
        opacity=style.opacity,
    )
    paint(generator, canvas.image, project_outline(shape, matrix), vivid, height=2 * padding)
    if bordered or generator.random() < 0.3:
        level = float(vivid.colour.mean())
        edge = contrasting_colour(generator, level, low_contrast=0.1)
        inset, thick = 0.25 * padding, max(0.08 * padding, 0.6)
        outer, inner = (bounds + np.array([1, 1, -1, -1]) * by for by in (inset, inset + thick))
        hole = _rounded(inner, 0.0)
        frame = join_outlines([_rounded(outer, 0.0), Outline(hole.points_xy[::-1], hole.contour_ends)])
        paint(generator, canvas.image, project_outline(frame, matrix), Style(edge), height=padding)


def _rounded(bounds: NDArray[np.float64], radius: float) -> Outline:
    """A rectangle with rounded corners."""
    if radius <= 0:
        return rectangles(bounds)
    angles = np.deg2rad(np.arange(180, 541, 15.0)).reshape(-1)[:-1].reshape(4, 6)
    angles = np.concatenate([angles, angles[:, -1:] + np.deg2rad(15)], axis=1)
    centres = box_corners(bounds + np.array([1, 1, -1, -1]) * radius)
    points = centres[:, None] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=2)
    return polygons(points.reshape(1, -1, 2))


def _paint_block(canvas: Canvas, block: Block, matrix: Matrix) -> None:
    """Paint every label, in one style or in one per size of letters."""
    generator = canvas.generator
    height = block.cap_height * float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    placed = [_placed(item, matrix, word_height=canvas.settings.word_height_boxes) for item in block.items]
    sizes = sorted({item.size for item in block.items}) if generator.random() < 0.4 else [None]
    for size in sizes:
        chosen = [pair for pair in zip(block.items, placed, strict=True) if size is None or pair[0].size == size]
        outline = join_outlines([text.outline for _, text in chosen])
        behind = _behind(canvas, outline)
        style = choose_style(generator, canvas.settings.style, behind)
        effects = effect_contrast(style, behind)
        painted = paint(generator, canvas.image, outline, style, height=height)
        for item, text in chosen:
            canvas.words.append(PaintedWord(text, item, max(_contrast(canvas, painted, text), effects)))
    if block.symbol is not None:
        symbol = project_outline(block.symbol, matrix)
        paint(generator, canvas.image, symbol, style, height=height)
    if generator.random() < 0.06:
        _underline(canvas, block, matrix, style)


def _underline(canvas: Canvas, block: Block, matrix: Matrix, style: Style) -> None:
    """A rule below the block."""
    x1, _, x2, y2 = block.bounds
    thick = canvas.generator.uniform(0.05, 0.15) * block.cap_height
    below = y2 + 0.2 * block.cap_height
    rule = project_outline(rectangles([x1, below, x2, below + thick]), matrix)
    paint(canvas.generator, canvas.image, rule, Style(style.colour), height=thick)


def _behind(canvas: Canvas, outline: Outline) -> Colour:
    """Mean colour of the image where a block will be."""
    height, width = canvas.image.shape[:2]
    limits = (width - 1, height - 1, width, height)
    x1, y1, x2, y2 = (
        int(min(max(value, 0), limit)) for value, limit in zip(extent(outline.points_xy), limits, strict=True)
    )
    patch = canvas.image[y1 : y2 + 1 : 3, x1 : x2 + 1 : 3]
    return patch.reshape(-1, 3).mean(axis=0)


def _contrast(canvas: Canvas, painted: Painted, text: PlacedText) -> float:
    x1, y1, x2, y2 = extent(text.polygon_xy)
    x1, y1, x2, y2 = round(x1 - 1), round(y1 - 1), round(x2 + 1), round(y2 + 1)
    return abs(float(ink_contrast(canvas.image, painted.mask, painted.top, painted.left, y1, x1, y2, x2)))
