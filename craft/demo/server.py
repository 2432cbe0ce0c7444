"""The page and its images over HTTP, for this machine alone.

A page on the web must not reach it: requests are answered only under an IP address or "localhost", whatever a foreign
name resolves to (DNS rebinding), and uploads only from the page itself.
"""

import ipaddress
import json
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from craft.demo.scored_images import MAX_BYTES, Busy, ScoredImages
from craft.errors import OUT_OF_MEMORY, is_out_of_memory

_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_SOCKET_SECONDS = 20.0


class DemoServer(ThreadingHTTPServer):
    """Serves the page for a detector's images."""

    daemon_threads = True

    def __init__(self, images: ScoredImages, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any free one. Raises OSError if the port is taken."""
        self.images = images
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that a browser drops."""


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer
    timeout = _SOCKET_SECONDS
    server_version, sys_version = "craft", ""

    def do_GET(self) -> None:
        """Answer the page, /words and /maps."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer an upload to /images."""
        self._answer(self._post)

    def _get(self) -> tuple[str, bytes]:
        address = urlsplit(self.path)
        if address.path in _FILES:
            name, kind = _FILES[address.path]
            return f"{kind}; charset=utf-8", (files("craft.demo") / name).read_bytes()
        query = dict(parse_qsl(address.query, max_num_fields=16))
        key = query.pop("image", "")
        if address.path == "/maps":
            return "image/png", self.server.images.maps(key)
        if address.path == "/words":
            polygons = query.pop("polygons", "0") == "1"
            return _json(self.server.images.words(key, query, polygons=polygons))
        raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")

    def _post(self) -> tuple[str, bytes]:
        if self.path != "/images":
            raise _Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        if self.headers.get("Origin") != f"http://{self.headers['Host']}":
            raise _Refused(HTTPStatus.FORBIDDEN, "uploads come from the page alone")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "say how long the upload is")
        if int(length[:12]) > MAX_BYTES:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the file has more than {MAX_BYTES // 1_000_000} MB")
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            raise ValueError("the upload ended early")
        key, (height, width) = self.server.images.add(content)
        return _json({"image": key, "height": height, "width": width, "thresholds": self.server.images.thresholds})

    def _answer(self, work: Any) -> None:
        status = HTTPStatus.OK
        try:
            self._check_host()
            kind, body = work()
        except _Refused as error:
            status, (kind, body) = error.status, _json({"error": str(error)})
        except KeyError:
            status, (kind, body) = HTTPStatus.NOT_FOUND, _json({"error": "this image is gone; drop it again"})
        except ValueError as error:
            status, (kind, body) = HTTPStatus.BAD_REQUEST, _json({"error": str(error)})
        except Busy as error:
            status, (kind, body) = HTTPStatus.SERVICE_UNAVAILABLE, _json({"error": str(error)})
        except (TimeoutError, ConnectionError):
            raise  # nobody listens
        except Exception as error:  # so that the page does not wait; the terminal has the rest
            traceback.print_exc()
            said = OUT_OF_MEMORY if is_out_of_memory(error) else f"the search failed: {error}"
            status, (kind, body) = HTTPStatus.INTERNAL_SERVER_ERROR, _json({"error": said})
        if status != HTTPStatus.OK:
            self.close_connection = True  # the rest of a refused upload is not read
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _check_host(self) -> None:
        """Refuse names but "localhost": a foreign name that resolves to this machine belongs to someone else's page."""
        name = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        try:
            known = name == "localhost" or ipaddress.ip_address(name) is not None
        except ValueError:
            known = False
        if not known:
            raise _Refused(HTTPStatus.FORBIDDEN, "open the page under http://localhost or its IP address")

    def log_message(self, format: str, *args: Any) -> None:
        """Write no line per request."""


def _json(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()
