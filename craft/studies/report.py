"""A study's report from its folder alone: one self-contained page, and the same as Markdown, CSV and PNG."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from craft.studies.collect import Results, collect
from craft.studies.conclusions import verdict
from craft.studies.figures import write_figures
from craft.studies.page_data import page_data
from craft.studies.tables import markdown, runs_csv, table_csv

PAGE = "report.html"

_SCRIPTS = ("draw.js", "charts.js", "tables.js", "viewer.js", "page.js")


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What was written.

    Attributes:
        page: the HTML page.
        verdict: its sentences.
        num_done: finished runs it is made from.
    """

    page: Path
    verdict: tuple[str, ...]
    num_done: int


def write_report(out: Path) -> WrittenReport:
    """Write report.html, report.md, table.csv, runs.csv and the figures into a study's folder.

    Args:
        out: the study's folder.

    Returns:
        What was written.

    Raises:
        ValueError: the folder holds no study, or no run of it is done.
    """
    results: Results = collect(out)
    sentences = verdict(results)
    (out / "table.csv").write_text(table_csv(results), encoding="utf-8")
    (out / "runs.csv").write_text(runs_csv(results), encoding="utf-8")
    pictures = write_figures(results, out)
    (out / "report.md").write_text(markdown(results, sentences, pictures), encoding="utf-8")
    page = out / PAGE
    page.write_text(render_page(page_data(results, sentences)), encoding="utf-8")
    return WrittenReport(page, sentences, len(results.runs))


def render_page(data: dict[str, Any]) -> str:
    """Put data, style and scripts into one page that needs nothing else.

    Args:
        data: as `page_data` gives it.

    Returns:
        HTML.
    """
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
