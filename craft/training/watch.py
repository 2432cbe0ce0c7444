"""Serves the page of a run while it trains."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from craft.training.report import report_page

_RELOAD_SECONDS = 10


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
