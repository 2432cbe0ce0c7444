"""The page of a run: curves, scores, maps, and the words found in fixed scenes; written, or served while it trains."""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from craft.atomic_files import write_atomic
from craft.images.html_page import curves, html_page, image, paragraph, section, table
from craft.training.run_log import read_metrics

REPORT = "report.html"
FOUND, MAPS = "found", "maps"
_KEPT = {"positives": "kept_positives_{}", "negatives": "kept_negatives_{}"}
_CURVES = {  # of each chart: the names of its curves, and their keys in metrics.jsonl
    "loss": {"both maps": "loss", "region": "loss_region", "affinity": "loss_affinity"},
    "kept pixels of a crop, region": {name: key.format("region") for name, key in _KEPT.items()},
    "kept pixels of a crop, affinity": {name: key.format("affinity") for name, key in _KEPT.items()},
    "learning rate": {"": "learning_rate"},
    "gradient norm": {"": "gradient_norm"},
    "images a second": {"": "images_per_second"},
}
_SCORES = {"H-mean": "hmean", "precision": "precision", "recall": "recall"}
_MOST_POINTS = 400  # of a curve
_RELOAD_SECONDS = 10


def write_report(folder: Path) -> Path:
    """Write report.html of a run folder from what the run has written so far."""
    return write_atomic(folder / REPORT, report_page(folder), durable=False)


def report_page(folder: Path, *, reload_seconds: int | None = None) -> str:
    """Put together the page of the run in a folder; ValueError if there is none.

    `reload_seconds` lets a browser load the page again and again.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise ValueError(f"{folder}: holds no metrics.jsonl; give the folder of a run that has begun")
    steps, validations = (read_metrics(path, kind=kind) for kind in ("train", "validation"))
    parts = [paragraph(_summary(steps, validations))]
    parts.append(section("Training, by step", *(_curve(name, keys, steps) for name, keys in _CURVES.items())))
    if validations:
        scores = _curve("scores", _SCORES, validations)
        best = max(validations, key=lambda line: line["hmean"])
        rows = [
            ("", "step", *_SCORES),
            *(
                (name, line["step"], *(round(line[key], 4) for key in _SCORES.values()))
                for name, line in (("best", best), ("last", validations[-1]))
            ),
        ]
        parts.append(section("Validation", scores, table(rows)))
    for title, name in (
        ("Words found in fixed scenes (green) and labels (blue)", FOUND),
        ("Maps and kept pixels of the last batch drawn: target, score, weight in the loss", MAPS),
    ):
        files = sorted((folder / name).glob("step_*.jpg")) if (folder / name).is_dir() else []
        if files:
            parts.append(section(title, image(files[-1].read_bytes(), f"step {int(files[-1].stem[5:]):,}")))
    return html_page(f"Run {folder.absolute().name}", parts, reload_seconds=reload_seconds)


def _summary(steps: list[dict[str, Any]], validations: list[dict[str, Any]]) -> str:
    done = steps[-1]["step"] if steps else 0
    best = f", best H-mean {max(line['hmean'] for line in validations):.3f}" if validations else ""
    return f"{done:,} steps done{best}; written {time.strftime('%Y-%m-%d %H:%M:%S')}."


def _curve(chart: str, keys: dict[str, str], lines: list[dict[str, Any]]) -> str:
    thinned = lines[:: 1 + len(lines) // _MOST_POINTS]
    drawn = []
    for name, key in keys.items():
        there = [line for line in thinned if isinstance(line.get(key), int | float)]
        drawn.append((name, [line["step"] for line in there], [line[key] for line in there]))
    return curves(chart, drawn)


def report_server(folder: Path, *, host: str, port: int) -> ThreadingHTTPServer:
    """Make a server whose only page is that of the run, put together anew at each request; port 0 takes a free one.

    Raises ValueError if the folder holds no run, or the address cannot be taken.
    """
    report_page(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(404)
                return
            content = report_page(folder, reload_seconds=_RELOAD_SECONDS).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *values: object) -> None:
            pass

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise ValueError(f"{host}:{port} cannot be served on ({error}); give another --port or --host") from None


def serve_report(folder: Path, *, host: str, port: int, echo: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C."""
    with report_server(folder, host=host, port=port) as server:
        echo(f"open http://{host}:{server.server_address[1]}/ (Ctrl-C ends)")
        server.serve_forever()
