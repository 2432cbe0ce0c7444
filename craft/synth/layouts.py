"""Layouts: text arranged on a plane as signs, paragraphs, menus, columns, bent lines and plates."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from craft.synth.text import UNSPACED, TextSampler
from craft.synth.typeface import ShapedText, Typeface

BENDABLE = ("Latin", "Cyrillic", "Greek", "Korean", "Chinese", "Japanese")
UPRIGHT_COLUMNS = ("Chinese", "Japanese", "Korean")
_MOST_SHRUNK = 0.7  # share that the side of bent letters towards the centre of their arc may lose


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One label on its plane."""

    shaped: ShapedText
    typeface: Typeface
    script: str  # script of the word list that it came from
    size: float  # plane pixels per em
    origin_xy: tuple[float, float]  # where its pen starts, plane pixels
    bend: float = 0.0  # curvature of its baseline, 1 / plane pixels
    line: object = field(default_factory=object)  # the same for all labels of a line, left to right


def arrange(kind: str, sampler: TextSampler, *, size: float) -> list[Item]:
    """Lay out text by a key of `LAYOUTS` around the plane's origin; no items where nothing could be shaped."""
    items = LAYOUTS[kind](sampler, size)
    if not items or any(item.bend for item in items):
        return items
    boxes = np.concatenate([item.shaped.boxes_xyxy * item.size + np.tile(item.origin_xy, 2) for item in items])
    middle = 0.5 * (boxes[:, :2].min(axis=0) + boxes[:, 2:].max(axis=0))
    return [replace(item, origin_xy=(item.origin_xy[0] - middle[0], item.origin_xy[1] - middle[1])) for item in items]


def _row(
    sampler: TextSampler, texts: list[str], size: float, y: float, *, align: str = "left", width: float = 0.0
) -> list[Item]:
    """One line of labels, right to left where the script runs so."""
    shaped = [found for text in texts if (found := sampler.shaped(text)) is not None]
    gap = (0.28 + 0.2 * sampler.generator.random()) * size
    advances = [text.advance * size for text in shaped]
    total = sum(advances) + gap * (len(shaped) - 1)
    x = {"left": 0.0, "centre": 0.5 * (width - total), "right": width - total}[align]
    items, line = [], object()
    pairs = list(zip(shaped, advances, strict=True))
    for text, advance in reversed(pairs) if sampler.script == "Arabic" else pairs:
        items.append(Item(text, sampler.typeface, sampler.script, size, (x, y), line=line))
        x += advance + gap
    return items


def _numbers(sampler: TextSampler, size: float) -> list[Item]:
    text = sampler.number() if sampler.generator.random() < 0.6 else sampler.price()
    return _row(sampler, [text], size, 0.0)


def _sign(sampler: TextSampler, size: float) -> list[Item]:
    """One to four lines, the first often larger, all to one side or all centred."""
    generator = sampler.generator
    align = "centre" if generator.random() < 0.6 else "left"
    items: list[Item] = []
    y = 0.0
    for line in range(int(generator.integers(1, 5))):
        scale = size if line == 0 else size * float(generator.choice([1.0, 1.0, 0.75, 0.5]))
        address = line > 1 and sampler.script == "Latin" and generator.random() < 0.15
        texts = [sampler.address()] if address else sampler.line(int(generator.integers(1, 4)))
        y += scale * float(generator.uniform(1.05, 1.4))
        items += _row(sampler, texts, scale, y, align=align)
    return items


def _paragraph(sampler: TextSampler, size: float) -> list[Item]:
    """Lines of running text, broken where they get too long."""
    generator = sampler.generator
    width = size * float(generator.uniform(8, 18))
    leading = size * float(generator.uniform(1.1, 1.6))
    align = "centre" if generator.random() < 0.25 else "right" if sampler.script == "Arabic" else "left"
    items: list[Item] = []
    for line in range(int(generator.integers(2, 8))):
        count = max(int(width / (size * (4.0 if sampler.script in UNSPACED else 2.9))), 1)
        items += _row(sampler, sampler.line(count), size, line * leading, align=align, width=width)
    return items


def _menu(sampler: TextSampler, size: float) -> list[Item]:
    """Rows of an item at the left and its price at the right, now and then in two columns."""
    generator = sampler.generator
    items: list[Item] = []
    left = 0.0
    for _ in range(int(generator.integers(1, 3))):
        leading = size * float(generator.uniform(1.2, 1.9))
        names, prices = [], []
        for line in range(int(generator.integers(3, 8))):
            names.append(_row(sampler, sampler.line(int(generator.integers(1, 3))), size, line * leading))
            prices.append(_row(sampler, [sampler.price()], size, line * leading, align="right"))
        longest = max((_end(row) for row in names if row), default=0.0)
        width = longest + size * float(generator.uniform(3.5, 6.0))
        items += [_moved(item, left) for row in names for item in row]
        items += [_moved(item, left + width) for row in prices for item in row]
        left += width + size
    return items


def _end(row: list[Item]) -> float:
    return max(item.origin_xy[0] + item.shaped.advance * item.size for item in row)


def _moved(item: Item, distance: float) -> Item:
    return replace(item, origin_xy=(item.origin_xy[0] + distance, item.origin_xy[1]))


def _vertical(sampler: TextSampler, size: float) -> list[Item]:
    """Columns from right to left for scripts that are written so; elsewhere a plain sign."""
    if sampler.script not in UPRIGHT_COLUMNS:
        return _sign(sampler, size)
    generator = sampler.generator
    items: list[Item] = []
    for column in range(int(generator.integers(1, 4))):
        y, line = 0.0, object()
        for _ in range(int(generator.integers(1, 3))):
            shaped = sampler.shaped(sampler.word(), vertical=True)
            if shaped is None:
                continue
            items.append(Item(shaped, sampler.typeface, sampler.script, size, (-column * size * 1.35, y), line=line))
            y += (shaped.advance + 0.5) * size
    return items


def _curved(sampler: TextSampler, size: float) -> list[Item]:
    """A line along an arc; scripts whose letters join are not bent."""
    if sampler.script not in BENDABLE:
        return _sign(sampler, size)
    generator = sampler.generator
    row = _row(sampler, sampler.line(int(generator.integers(1, 4))), size, 0.0)
    if not row:
        return row
    length = _end(row)
    bend = float(generator.uniform(0.5, 2.6)) / length * (1 if generator.random() < 0.75 else -1)
    # The side of the letters towards the arc's centre shrinks; at the centre it would be a point, beyond it a bow-tie.
    boxes = np.concatenate([item.shaped.boxes_xyxy for item in row])
    inwards = float(boxes[:, 3].max() if bend > 0 else -boxes[:, 1].min()) * size
    most = _MOST_SHRUNK / max(inwards, 1e-6)
    bend = min(max(bend, -most), most)
    return [replace(_moved(item, -0.5 * length), bend=bend) for item in row]


LAYOUTS: dict[str, Callable[[TextSampler, float], list[Item]]] = {
    "word": lambda sampler, size: _row(sampler, [sampler.word()], size, 0.0),
    "sign": _sign,
    "paragraph": _paragraph,
    "menu": _menu,
    "vertical": _vertical,
    "curved": _curved,
    "small_print": _paragraph,
    "huge": lambda sampler, size: _row(sampler, [sampler.word()], size, 0.0),
    "numbers": _numbers,
    "plate": lambda sampler, size: _row(sampler, [sampler.plate()], size, 0.0),
}
