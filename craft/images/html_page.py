"""One HTML file with tables, bars, curves and images in it, that needs no other file and no network."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from craft.images.drawing import encode_image

COLOURS = ("#3564d9", "#d9622b", "#2a9d6f", "#b23aa6")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 480, 190, 72, 20  # of a chart, pixels
_SPACE = " "
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem;color:#1b2330;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse}td,th{padding:.15rem .7rem .15rem 0;
text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}.bar{background:#3564d9;height:.8em;min-width:1px}
.row{display:flex;flex-wrap:wrap;gap:1.5rem;align-items:flex-start}.chart{width:480px}figure{margin:0;max-width:100%}img,svg{max-width:100%;height:auto}
figcaption{color:#5b6675;font-size:.9em}.bad{color:#b3261e}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#dfe5ee}figcaption{color:#97a3b4}.bad{color:#ff8a80}}
"""


def html_page(title: str, parts: Sequence[str], *, reload_seconds: int | None = None) -> str:
    """Put parts of HTML under a title; the browser loads the page again every `reload_seconds`, unless None."""
    again = f'<meta http-equiv="refresh" content="{reload_seconds}">' if reload_seconds else ""
    viewport = '<meta name="viewport" content="width=device-width,initial-scale=1">'
    head = f'<meta charset="utf-8">{viewport}<link rel="icon" href="data:,">{again}'
    body = "\n".join(parts)
    name = escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{name}</title><style>{_STYLE}</style></head><body>\n'
        f"<h1>{name}</h1>\n{body}\n</body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Parts side by side, as far as the window is wide, under a heading."""
    inside = "".join(parts)
    return f'<h2>{escape(title)}</h2>\n<div class="row">{inside}</div>'


def paragraph(text: str, *, bad: bool = False) -> str:
    """A line of text."""
    return f"<p{' class=bad' if bad else ''}>{escape(text)}</p>"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows of cells; numbers are right-aligned."""
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{lines}</table>"


def bars(caption: str, counts: Sequence[tuple[str, int]]) -> str:
    """A bar for each named count."""
    largest = max([1, *(count for _, count in counts)])
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{count:,}</td>'
        f'<td style="width:12rem"><div class="bar" style="width:{100 * count / largest:.1f}%"></div></td></tr>'
        for name, count in counts
    )
    return f"<figure><figcaption>{escape(caption)}</figcaption><table>{rows}</table></figure>"


def curves(caption: str, lines: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> str:
    """Lines over a common axis, each with a name, its xs and its ys; values that are not finite are left out."""
    kept = [(name, [(x, y) for x, y in zip(xs, ys, strict=True) if np.isfinite(y)]) for name, xs, ys in lines]
    points = [point for _, line in kept for point in line]
    if not points:
        return f"<figure><figcaption>{escape(caption)}: nothing yet</figcaption></figure>"
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    width, height = max(right - left, 1e-12), max(high - low, 1e-12)

    def place(x: float, y: float) -> str:
        across = _LEFT + (x - left) / width * (_WIDTH - _LEFT - 8)
        return f"{across:.1f},{8 + (high - y) / height * (_HEIGHT - _BOTTOM - 16):.1f}"

    drawn = "".join(
        f'<polyline fill="none" stroke="{COLOURS[index % len(COLOURS)]}" stroke-width="1.6" '
        f'points="{_SPACE.join(place(x, y) for x, y in line)}"/>'
        for index, (_, line) in enumerate(kept)
        if line
    )
    texts = "".join(
        f'<text x="{x}" y="{y}" font-size="11" fill="currentColor" text-anchor="{anchor}">{text}</text>'
        for x, y, anchor, text in (
            (_LEFT - 5, 14, "end", _number(high)),
            (_LEFT - 5, _HEIGHT - _BOTTOM - 6, "end", _number(low)),
            (_LEFT, _HEIGHT - 4, "start", f"{left:,.0f}"),
            (_WIDTH - 8, _HEIGHT - 4, "end", f"{right:,.0f}"),
        )
    )
    names = ", ".join(
        f'<span style="color:{COLOURS[index % len(COLOURS)]}">{escape(name)} {_number(line[-1][1])}</span>'
        for index, (name, line) in enumerate(kept)
        if line
    )
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f"<figure class=chart><figcaption>{escape(caption)}: {names}</figcaption><svg {size}>{drawn}{texts}</svg></figure>"


def image(pixels: NDArray[np.uint8] | bytes, caption: str) -> str:
    """An image inside the page: (H, W, 3) RGB, or the bytes of a JPEG file."""
    content = pixels if isinstance(pixels, bytes) else encode_image(pixels, quality=80)
    source = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
    return f'<figure><img alt="{escape(caption)}" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="n">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
