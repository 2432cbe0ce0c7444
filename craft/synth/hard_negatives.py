"""Outlines of hard negatives: repeated strokes, structures, symbols and pseudo letters, which look a little like text.

Every kind is an outline around the origin of a plane, so that it is tilted, painted, blurred and lit exactly as text
is: only its shape tells it apart.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from craft.synth.outlines import Outline, discs, extent, join_outlines, lines, polygons, polylines, rectangles
from craft.synth.placement import rotation
from craft.synth.typeface import Typeface


def negative_outline(kind: str, generator: Generator, *, size: float) -> Outline:
    """Outline a hard negative, `kind` a key of `KINDS`, around the origin; `size` is its larger side, plane pixels."""
    return centre_outline(KINDS[kind](generator), size=size)


def centre_outline(outline: Outline, *, size: float) -> Outline:
    """Move the middle of an outline's box to the origin and scale the box's larger side to `size`."""
    x1, y1, x2, y2 = extent(outline.points_xy)
    scale = size / max(x2 - x1, y2 - y1, 1e-6)
    middle = np.array([0.5 * (x1 + x2), 0.5 * (y1 + y2)])
    return Outline((outline.points_xy - middle) * scale, outline.contour_ends)


def symbol_row(generator: Generator, typeface: Typeface, codepoints: tuple[int, ...]) -> Outline:
    """Outline a symbol among a typeface's `codepoints`, or a row of a few, in em."""
    count = 1 if generator.random() < 0.6 else int(generator.integers(2, 6))
    same = generator.random() < 0.4
    chosen = generator.integers(0, len(codepoints), count)
    text = "".join(chr(codepoints[int(chosen[0 if same else position])]) for position in range(count))
    return typeface.shape(text).outline


def _grid(generator: Generator, columns: tuple[int, int], rows: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every cell of a grid of random extent."""
    across, down = int(generator.integers(*columns)), int(generator.integers(*rows))
    x, y = np.meshgrid(np.arange(across, dtype=np.float64), np.arange(down, dtype=np.float64))
    return x.ravel(), y.ravel()


def _bricks(generator: Generator) -> Outline:
    x, y = _grid(generator, (4, 14), (4, 16))
    wide, gap = float(generator.uniform(1.6, 3.2)), float(generator.uniform(0.06, 0.2))
    left = (x + 0.5 * (y % 2)) * wide
    return rectangles(np.stack([left + gap, y + gap, left + wide - gap, y + 1 - gap], axis=1))


def _fence(generator: Generator) -> Outline:
    count, pitch = int(generator.integers(6, 24)), 1.0
    width, height = float(generator.uniform(0.12, 0.6)), float(generator.uniform(3, 9))
    x = np.arange(count) * pitch
    low = generator.uniform(0, 0.4, count) if generator.random() < 0.3 else np.zeros(count)
    pickets = rectangles(np.stack([x, low, x + width, np.full(count, height)], axis=1))
    rails = rectangles([[0, height * share, count * pitch, height * share + 0.3] for share in (0.2, 0.75)])
    return join_outlines([pickets, rails])


def _windows(generator: Generator) -> Outline:
    x, y = _grid(generator, (3, 10), (1, 7))
    wide, high = float(generator.uniform(0.35, 0.8)), float(generator.uniform(0.5, 1.2))
    pitch = high + float(generator.uniform(0.2, 0.8))
    split = np.array([[0, 0], [0.52, 0], [0, 0.52], [0.52, 0.52]]) if generator.random() < 0.6 else np.array([[0, 0]])
    pane = np.array([0.48, 0.48]) if len(split) > 1 else np.array([1.0, 1.0])
    corner = np.stack([x, y * pitch], axis=1)[:, None] + split * [wide, high]
    return rectangles(np.concatenate([corner, corner + pane * [wide, high]], axis=2))


def _leaves(generator: Generator) -> Outline:
    count = int(generator.integers(15, 90))
    middle = generator.normal(0, 1, (count, 2)) * generator.uniform(0.4, 1, 2)
    length, angle = generator.uniform(0.15, 0.5, count), generator.uniform(0, 2 * np.pi, count)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * generator.uniform(0.15, 0.45, (count, 1))
    shape = [along, 0.4 * along + across, -0.4 * along + 0.8 * across, -along]
    shape += [-0.4 * along - 0.8 * across, 0.4 * along - across]
    return polygons(middle[:, None] + np.stack(shape, axis=1))


def _grille(generator: Generator) -> Outline:
    count, thick = int(generator.integers(5, 18)), float(generator.uniform(0.05, 0.3))
    offsets, zeros, ends = np.arange(count, dtype=np.float64), np.zeros(count), np.full(count, float(count - 1))
    upright = lines(np.stack([offsets, zeros], 1), np.stack([offsets, ends], 1), thick)
    level = lines(np.stack([zeros, offsets], 1), np.stack([ends, offsets], 1), thick)
    grid = join_outlines([upright, level])
    if generator.random() < 0.5:
        turning = rotation(np.deg2rad(45 + generator.uniform(-10, 10)))
        grid = Outline(grid.points_xy @ turning, grid.contour_ends)
    return grid


def _stripes(generator: Generator) -> Outline:
    count = int(generator.integers(3, 30))
    width, lean = float(generator.uniform(0.2, 0.7)), float(generator.uniform(-1, 1)) * (generator.random() < 0.5)
    height = float(generator.uniform(1.5, 12))
    x = np.arange(count, dtype=np.float64)
    if generator.random() < 0.3:  # as in bar codes
        x, width = np.cumsum(generator.uniform(0.5, 1.8, count)), 0.45
    corners = [[0, 0], [width, 0], [width + lean * height, height], [lean * height, height]]
    return polygons(np.array(corners) + np.stack([x, np.zeros(count)], axis=1)[:, None])


def _checkers(generator: Generator) -> Outline:
    x, y = _grid(generator, (4, 16), (2, 10))
    chosen = (x + y) % 2 == 0 if generator.random() < 0.6 else generator.random(len(x)) < 0.5
    chosen[0] = True
    x, y = x[chosen], y[chosen]
    return rectangles(np.stack([x, y, x + 1, y + 1], axis=1))


def _dots(generator: Generator) -> Outline:
    x, y = _grid(generator, (4, 20), (1, 12))
    radius = float(generator.uniform(0.15, 0.45))
    shift = 0.5 * (y % 2) if generator.random() < 0.5 else 0.0
    return discs(np.stack([x + shift, y], axis=1), np.full(len(x), radius), corners=12)


def _arrows(generator: Generator) -> Outline:
    count = int(generator.integers(1, 5))
    shaft, head = float(generator.uniform(0.1, 0.5)), float(generator.uniform(0.5, 1.0))
    length = float(generator.uniform(0.3, 2.5))
    if generator.random() < 0.3:  # chevrons
        shape = [[0, -1], [0.6, -1], [1.6, 0], [0.6, 1], [0, 1], [1, 0]]
    else:
        shape = [[-length, -shaft], [0, -shaft], [0, -head], [1.2, 0], [0, head], [0, shaft], [-length, shaft]]
    quarter = int(generator.integers(4))
    points = np.array(shape) @ np.array(
        [[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]][quarter]
    )
    step = float(np.ptp(points[:, 0])) * 1.15
    return polygons(points + np.stack([np.arange(count) * step, np.zeros(count)], axis=1)[:, None])


def _scribbles(generator: Generator) -> Outline:
    """A pen that wanders to the right in loops."""
    count = int(generator.integers(20, 90))
    time = np.linspace(0, float(generator.uniform(2, 9)) * 2 * np.pi, count)
    drift, jitter = float(generator.uniform(0.02, 0.3)), generator.normal(0, 0.25, (count, 2))
    x = time * drift + np.cos(time) * generator.uniform(0.2, 1.0)
    y = np.sin(time * float(generator.uniform(0.8, 1.3))) * generator.uniform(0.3, 1.0)
    return polylines((np.stack([x, y], axis=1) + jitter)[None], float(generator.uniform(0.04, 0.16)))


def _circuit(generator: Generator) -> Outline:
    """Traces that turn at right angles between pads."""
    parts, pads = [], []
    for _ in range(int(generator.integers(4, 16))):
        start = generator.integers(0, 16, 2).astype(np.float64)
        path = [start]
        for turn in range(int(generator.integers(2, 6))):
            step = np.zeros(2)
            step[turn % 2] = generator.integers(-6, 7)
            path.append(path[-1] + step)
        parts.append(polylines(np.array(path)[None], 0.22))
        pads += [path[0], path[-1]]
    return join_outlines([*parts, discs(np.array(pads), np.full(len(pads), 0.42), corners=10)])


def _strokes(generator: Generator) -> Outline:
    """The same short stroke over and over, as in tally marks, combs, grates and stitches."""
    count, rows = int(generator.integers(4, 22)), int(generator.integers(1, 4))
    corners = int(generator.integers(2, 5))
    shape = generator.uniform(-0.5, 0.5, (corners, 2)) * [0.7, 1.3]
    x, y = np.meshgrid(np.arange(count) * float(generator.uniform(0.6, 1.3)), np.arange(rows) * 2.0)
    offsets = np.stack([x.ravel(), y.ravel()], axis=1)
    return polylines(shape + offsets[:, None], float(generator.uniform(0.08, 0.3)))


def _pseudo_letters(generator: Generator) -> Outline:
    """Marks with the height and spacing of letters, three to five strokes each between the nodes of a grid."""
    nodes = np.array([[x, y] for x in (0.0, 0.3, 0.6) for y in (0.0, 0.35, 0.65, 1.0)])
    parts, left = [], 0.0
    thick = float(generator.uniform(0.06, 0.2))
    kept = [generator.permutation(len(nodes))[: int(generator.integers(4, 7))] for _ in range(6)]
    for _ in range(int(generator.integers(3, 10))):
        path = nodes[kept[int(generator.integers(len(kept)))]]
        parts.append(polylines((path + np.array([left, 0.0]))[None], thick))
        left += 0.85 + thick
    return join_outlines(parts)


def _shelf(generator: Generator) -> Outline:
    """Boxes and bottles side by side on boards."""
    boxes, discs_at = [], []
    for row in range(int(generator.integers(1, 4))):
        x = 0.0
        while x < 12:
            width, height = float(generator.uniform(0.4, 1.6)), float(generator.uniform(1.2, 2.6))
            boxes.append([x, row * 3.2 - height, x + width * 0.9, row * 3.2])
            if width < 0.7:
                discs_at.append([x + 0.45 * width, row * 3.2 - height])
            x += width
        boxes.append([-0.3, row * 3.2 + 0.06, 12.6, row * 3.2 + 0.25])
    bottles = [discs(np.array(discs_at), np.full(len(discs_at), 0.2))] if discs_at else []
    return join_outlines([rectangles(boxes), *bottles])


def _cables(generator: Generator) -> Outline:
    x = np.linspace(0, 10, 24)
    count = int(generator.integers(2, 7))
    sag, level = generator.uniform(0.2, 2.5, (count, 1)), generator.uniform(0, 4, (count, 1))
    y = level + sag * ((x - 5) / 5) ** 2 + generator.uniform(-0.15, 0.15, (count, 1)) * x
    return polylines(np.stack([np.broadcast_to(x, y.shape), y], axis=2), float(generator.uniform(0.04, 0.12)))


def _figures(generator: Generator) -> Outline:
    """Stars, rings with a bar, and people, as in pictograms."""
    kind = int(generator.integers(3))
    if kind == 0:
        spikes = int(generator.integers(4, 9))
        angles = np.linspace(0, 2 * np.pi, 2 * spikes, endpoint=False)
        radii = np.where(np.arange(2 * spikes) % 2, float(generator.uniform(0.3, 0.7)), 1.0)
        return polygons((np.stack([np.sin(angles), -np.cos(angles)], axis=1) * radii[:, None])[None])
    if kind == 1:
        angles = np.linspace(0, 2 * np.pi, 33)
        ring = polylines(np.stack([np.cos(angles), np.sin(angles)], axis=1)[None], 0.22)
        return join_outlines([ring, lines([[-0.7, 0.7]], [[0.7, -0.7]], 0.2)])
    body = rectangles([[-0.35, 0.3, 0.35, 1.6], [-0.32, 1.6, -0.06, 2.9], [0.06, 1.6, 0.32, 2.9]])
    return join_outlines(
        [discs([[0, 0]], [0.26]), body, lines([[-0.4, 0.4], [0.4, 0.4]], [[-0.75, 1.4], [0.75, 1.4]], 0.18)]
    )


_STRUCTURES = (_bricks, _fence, _windows, _leaves, _grille, _stripes, _checkers, _dots)
_FIGURES = (_arrows, _scribbles, _circuit, _strokes, _pseudo_letters, _shelf, _cables, _figures)
KINDS: dict[str, Callable[[Generator], Outline]] = {
    function.__name__.removeprefix("_"): function for function in (*_STRUCTURES, *_FIGURES)
}
