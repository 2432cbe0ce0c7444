"""A study's report, made from its folder alone: one self-contained page, Markdown, CSV and PNG files."""

import html
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from craft.atomic_files import write_atomic
from craft.studies.collect import collect
from craft.studies.conclusions import draw_conclusions
from craft.studies.execute import Failure
from craft.studies.figures import write_figures
from craft.studies.page_data import page_data
from craft.studies.tables import markdown, runs_csv, table_csv

_SCRIPTS = ("draw.js", "charts.js", "tables.js", "viewer.js", "page.js")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a study ended: its page, its conclusions in sentences, the number of finished runs, and the new failures."""

    page: Path
    conclusions: tuple[str, ...]
    num_done: int
    failures: tuple[Failure, ...] = ()


def write_report(out: Path, *, failures: tuple[Failure, ...] = ()) -> Comparison:
    """Write report.html, report.md, table.csv, runs.csv and the figures into a study's folder.

    Raises ValueError if the folder holds no study, or none of its runs is done.
    """
    results = collect(out)
    conclusions = draw_conclusions(results)
    write_atomic(out / "table.csv", table_csv(results))
    write_atomic(out / "runs.csv", runs_csv(results))
    figures = write_figures(results, out)
    write_atomic(out / "report.md", markdown(results, conclusions, figures))
    page = out / "report.html"
    write_atomic(page, render_page(page_data(results, conclusions)))
    return Comparison(page, conclusions, len(results.runs), failures)


def render_page(data: dict[str, Any]) -> str:
    """Join data from `page_data`, style and scripts into one HTML page that needs nothing else."""
    folder = resources.files("craft.studies") / "page"

    def part(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    # "</" would end the script element, wherever it stands in it.
    values = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        part("page.html")
        .replace("{{title}}", html.escape(data["title"]))
        .replace("{{style}}", part("page.css"))
        .replace("{{scripts}}", "\n".join(part(name) for name in _SCRIPTS))
        .replace("{{data}}", values)
    )
