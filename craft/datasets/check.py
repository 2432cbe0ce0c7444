"""What is in a labelled dataset and what is wrong with it, for `craft check`."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import regex

from craft.config import DatasetSettings
from craft.datasets.formats import format_of
from craft.datasets.labels import DatasetReading
from craft.datasets.reading import read_dataset
from craft.errors import Problem
from craft.geometry import word_size

# Edges of the histogram of word heights, source pixels, and the names of its classes.
HEIGHT_EDGES = (0, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)
HEIGHT_NAMES = (*(f"{low} to {high}" for low, high in pairwise(HEIGHT_EDGES)), f"{HEIGHT_EDGES[-1]} and more")
_BAR_WIDTH = 40


@dataclass(frozen=True, slots=True, eq=False)
class CheckReport:
    """Counts of a dataset and its problems."""

    title: str
    format: str
    num_scenes: int
    num_bad_scenes: int  # names with an error, with or without a scene
    num_empty_scenes: int
    num_unreadable_scenes: int  # scenes with words, all of them don't care
    num_words: int
    num_readable: int  # words that are not don't care; the counts below are of these
    num_dont_care: int
    num_polygons: int
    num_with_characters: int  # words whose label has character quads
    num_characters: int  # grapheme clusters of the texts, white space left out
    scripts: dict[str, int]  # words per script; "" is no script
    height_counts: tuple[int, ...]  # words per class of HEIGHT_EDGES, the last class without an upper end
    median_height: float | None  # source pixels; None without any word
    problems: tuple[Problem, ...]

    @property
    def num_errors(self) -> int:
        """Number of fatal problems."""
        return sum(problem.fatal for problem in self.problems)

    @property
    def totals(self) -> tuple[tuple[int, str, int], ...]:
        """The counts with their names and how far each is indented."""
        return (
            (0, "scenes", self.num_scenes),
            (1, "without words", self.num_empty_scenes),
            (1, "without readable words", self.num_unreadable_scenes),
            (1, "with errors", self.num_bad_scenes),
            (0, "words", self.num_words),
            (1, "readable", self.num_readable),
            (1, "don't care", self.num_dont_care),
            (1, "labelled as polygons", self.num_polygons),
            (1, "labelled with characters", self.num_with_characters),
            (0, "characters without spaces", self.num_characters),
        )

    @property
    def has_errors(self) -> bool:
        """Whether anything could not be read."""
        return self.num_errors > 0


def check_dataset(settings: DatasetSettings, *, decode: bool = False) -> CheckReport:
    """Read a dataset and count what is in it; `decode` reads every image's pixels, which finds truncated files."""
    return report_on(read_dataset(settings, decode=decode), title=settings.path, format=format_of(settings).name)


def report_on(reading: DatasetReading, *, title: str, format: str) -> CheckReport:
    """Count what a reading holds; `title` and `format` are for the heading."""
    words = [word for scene in reading.scenes for word in scene.words]
    readable = [word for word in words if not word.dont_care]
    heights = np.array([word_size(word.polygon_xy)[1] for word in readable])
    counts, _ = np.histogram(heights, bins=[*HEIGHT_EDGES, np.inf])
    return CheckReport(
        title=title,
        format=format,
        num_scenes=len(reading.scenes),
        num_bad_scenes=len(reading.bad_scenes),
        num_empty_scenes=sum(not scene.words for scene in reading.scenes),
        num_unreadable_scenes=sum(
            bool(scene.words) and all(word.dont_care for word in scene.words) for scene in reading.scenes
        ),
        num_words=len(words),
        num_readable=len(readable),
        num_dont_care=len(words) - len(readable),
        num_polygons=sum(len(word.polygon_xy) > 4 for word in words),
        num_with_characters=sum(word.character_quads_xy is not None for word in readable),
        num_characters=sum(_num_characters(word.text) for word in readable),
        scripts=dict(Counter(word.script for word in readable).most_common()),
        height_counts=tuple(int(count) for count in counts),
        median_height=float(np.median(heights)) if len(heights) else None,
        problems=reading.problems,
    )


def format_report(report: CheckReport) -> str:
    """Write a report for people: all problems first, then the counts."""
    lines = [f"{'error' if problem.fatal else 'remark'}: {problem}" for problem in report.problems]
    lines += [""] if lines else []
    lines.append(f"{report.title} ({report.format})")
    lines += [f"  {'  ' * depth + name:<29} {count:>9,}" for depth, name, count in report.totals]
    if any(report.scripts):
        lines.append("  readable words by script")
        lines += [f"    {script or '(none)':<27} {count:>9,}" for script, count in report.scripts.items()]
    if report.median_height is not None:
        lines.append(f"  height of readable words, pixels (median {report.median_height:.1f})")
        lines += _histogram(report.height_counts)
    num_remarks = len(report.problems) - report.num_errors
    lines.append(f"{_count(report.num_errors, 'error')}, {_count(num_remarks, 'remark')}")
    return "\n".join(lines)


def _histogram(counts: tuple[int, ...]) -> list[str]:
    largest = max(counts)
    return [
        f"    {name:<27} {count:>9,} {'#' * round(_BAR_WIDTH * count / largest)}".rstrip()
        for name, count in zip(HEIGHT_NAMES, counts, strict=True)
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _num_characters(text: str | None) -> int:
    return sum(not cluster.isspace() for cluster in regex.findall(r"\X", text or ""))
