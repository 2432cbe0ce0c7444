"""One HTML page of `craft check`: problems, distributions, and suspicious labels as a contact sheet."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from craft.atomic_files import write_atomic
from craft.datasets.check import HEIGHT_NAMES, CheckReport
from craft.datasets.scene_source import read_scene_image
from craft.datasets.suspicious import Suspect
from craft.errors import Problem
from craft.images.drawing import WORD_COLOUR, draw_polygons, fit_long_side
from craft.images.html_page import bars, html_page, image, paragraph, section, table
from craft.scene import Scene

_PROBLEMS = 200
_OF_A_KIND = 12  # suspects shown
_SIDE = 220  # of a suspect on the sheet, pixels
_MARGIN = 1.0  # around a suspect, of its longer side
_LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 25)


def write_check_page(
    path: Path, report: CheckReport, scenes: Sequence[Scene], suspects: Sequence[Suspect], *, read: str
) -> None:
    """Write the page; `read` says which part of the dataset was read."""
    errors = [problem for problem in report.problems if problem.fatal]
    remarks = [problem for problem in report.problems if not problem.fatal]
    parts = [
        paragraph(read),
        table([(name, count) for _depth, name, count in report.totals[:-1]]),
        section("Distributions", *_distributions(report, scenes)),
    ]
    for title, problems in ((f"{len(errors):,} errors", errors), (f"{len(remarks):,} remarks", remarks)):
        lines = [paragraph(str(problem), bad=problem.fatal) for problem in problems[:_PROBLEMS]]
        if len(problems) > _PROBLEMS:
            lines.append(paragraph(f"and {len(problems) - _PROBLEMS:,} more; craft check prints all"))
        parts += [f"<h2>{title}</h2>", *lines]
    parts.append(paragraph(f"{len(suspects):,} suspicious labels; not errors, but worth a look."))
    for kind, count in Counter(suspect.kind for suspect in suspects).most_common():
        shown = [suspect for suspect in suspects if suspect.kind == kind][:_OF_A_KIND]
        parts.append(section(f"{kind}: {count:,}", *filter(None, map(_tile, shown))))
    write_atomic(path, html_page(f"{report.title} ({report.format})", parts))


def _distributions(report: CheckReport, scenes: Sequence[Scene]) -> list[str]:
    words = [word for scene in scenes for word in scene.words if not word.dont_care]
    angles = np.array([_angle(word.polygon_xy) for word in words])
    lengths = np.array([len(word.text or "") for word in words])
    counts = np.histogram(lengths, bins=[*_LENGTHS, np.inf])[0].tolist()
    turned = np.histogram(angles, bins=np.arange(-180, 181, 30))[0].tolist()
    per_scene = Counter(min(len(scene.words), 50) // 10 for scene in scenes)
    return [
        bars("height of readable words, pixels", list(zip(HEIGHT_NAMES, report.height_counts, strict=True))),
        bars(
            "angle of readable words, degrees",
            [(f"{-180 + 30 * n} to {30 * n - 150}", c) for n, c in enumerate(turned)],
        ),
        bars("characters of readable words", [(f"from {low}", c) for low, c in zip(_LENGTHS, counts, strict=True)]),
        bars("script of readable words", [(name or "(none)", count) for name, count in report.scripts.items()]),
        bars("words of a scene", [(f"{10 * n} to {10 * n + 9}", per_scene[n]) for n in range(6)]),
    ]


def _angle(polygon_xy: np.ndarray) -> float:
    """Direction of reading in degrees, clockwise from rightwards."""
    along = polygon_xy[(len(polygon_xy) - 1) // 2] - polygon_xy[0]
    return float(np.degrees(np.arctan2(along[1], along[0])))


def _tile(suspect: Suspect) -> str:
    try:
        pixels = read_scene_image(suspect.scene)
    except Problem:
        return ""  # it is among the errors
    low, high = suspect.polygon_xy.min(axis=0), suspect.polygon_xy.max(axis=0)
    reach = _MARGIN * max(float((high - low).max()), 16)
    left, top = (max(0, int(value - reach)) for value in low)
    right, bottom = (int(value + reach) + 1 for value in high)
    crop = pixels[top:bottom, left:right]
    if crop.size == 0:
        return ""
    outline = suspect.polygon_xy - np.array([left, top], dtype=np.float32)
    scale = _SIDE / max(crop.shape[:2])
    drawn = draw_polygons(fit_long_side(crop, _SIDE), [outline * scale], colour=WORD_COLOUR, thickness=1, edged=True)
    return image(drawn, f"{suspect.text} {suspect.scene.name} ({Path(suspect.where).name})")
