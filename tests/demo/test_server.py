"""The server: an image scored once and decoded at any threshold, and everything hostile refused."""

import http.client
import io
import json
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from craft.demo import scored_images
from craft.demo import server as server_module
from craft.demo.scored_images import MAX_BYTES


def encoded(image, ending=".png"):
    return cv2.imencode(ending, image)[1].tobytes()


def words_image():
    image = np.zeros((96, 192, 3), np.uint8)
    image[20:40, 20:80] = image[60:80, 100:180] = 255
    return image


def png_header(width, height):
    """A PNG that claims a size and holds no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 8) + b"IDAT"


def request(server, method, path, *, body=None, headers=None, **changed):
    """Status, headers and body of an answer; a header that is None is left out."""
    port = server.server_address[1]
    host = f"127.0.0.1:{port}"
    sent = {"Host": host, **({"Origin": f"http://{host}"} if method == "POST" else {})}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    sent |= headers or {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def upload(server, content, **options):
    status, _, answer = request(server, "POST", "/images", body=content, **options)
    return status, json.loads(answer)


def test_an_image_is_scored_once_and_decoded_at_any_threshold(server):
    status, found = upload(server, encoded(words_image()))
    address = f"/words?image={found['image']}"

    words = json.loads(request(server, "GET", address)[2])["words"]
    none = json.loads(request(server, "GET", f"{address}&least_side=31&polygons=1")[2])["words"]

    assert status == 200
    assert (found["height"], found["width"]) == (96, 192)
    assert found["thresholds"]["text_threshold"] == 0.7
    assert len(words) == 2
    assert json.loads(request(server, "GET", address)[2])["width"] == 192
    assert np.abs(np.array(words[0]["quad"]).mean(axis=0) - [50, 30]).max() < 2
    assert none == []
    assert len(server.images._detector.model.shapes) == 1


def test_maps_are_a_png_of_both(server):
    _, found = upload(server, encoded(words_image()))

    _, headers, content = request(server, "GET", f"/maps?image={found['image']}")

    maps = np.asarray(Image.open(io.BytesIO(content)))
    assert headers["Content-Type"] == "image/png"
    assert maps.shape == (48, 96, 3)
    np.testing.assert_array_equal(maps[15, [5, 20]], [[0, 0, 0], [255, 0, 0]])


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css"])
def test_the_page_runs_no_script_but_its_own(server, path):
    status, headers, content = request(server, "GET", path)

    assert status == 200
    assert content
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "localhost.evil.example", "", None])
def test_foreign_names_are_refused_whatever_they_resolve_to(server, host):
    for method, path in (("GET", "/"), ("POST", "/images")):
        body = b"" if method == "POST" else None
        status, _, content = request(server, method, path, body=body, headers={"Host": host})
        assert status in (400, 403), content


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "192.168.1.7"])
def test_localhost_and_addresses_are_answered(server, host):
    assert request(server, "GET", "/", headers={"Host": f"{host}:{server.server_address[1]}"})[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "https://127.0.0.1"])
def test_uploads_come_from_the_page_alone(server, origin):
    status, answer = upload(server, encoded(words_image()), headers={"Origin": origin})

    assert (status, answer) == (403, {"error": "uploads come from the page alone"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image"),
        (b"<script>alert(1)</script>", "not an image"),
        (b"GIF89a", "not an image"),
        (encoded(words_image())[:200], "the upload: "),
        (png_header(6_000, 5_000), "has 6,000 x 5,000 pixels, more than 25,000,000"),
        (png_header(60_000, 60_000), "has far more than 25,000,000 pixels"),
        (png_header(25_000_000, 1), "has 25,000,000 x 1 pixels, more than 25,000,000 or 20,000 on a side"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"%PDF-1.7", "not an image"),
    ],
)
def test_files_that_are_no_images_or_too_large_are_refused(server, content, message):
    status, answer = upload(server, content)

    assert status == 400
    assert message in answer["error"]
    assert server.images._detector.model.shapes == []


@pytest.mark.parametrize(
    ("length", "status"),
    [(str(MAX_BYTES + 1), 413), ("9" * 5000, 413), ("-1", 411), ("x", 411), ("²", 411), (None, 411)],
)
def test_lengths_are_checked_before_anything_is_read(server, length, status):
    headers = {"Content-Length": length if length != "²" else "\u00b2"}

    assert request(server, "POST", "/images", body=b"", headers=headers)[0] == status


def test_an_upload_that_ends_early_is_refused(server):
    port = server.server_address[1]
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        head = f"POST /images HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\nshort".encode())
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()

    assert b"400" in answer.splitlines()[0]
    assert b"ended early" in answer


def test_a_connection_that_sends_nothing_more_is_closed(server, monkeypatch):
    monkeypatch.setattr(server_module._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=300) as connection:
        connection.sendall(b"POST /images HTTP/1.1\r\nHost: localhost\r\n")

        assert connection.makefile("rb").read() == b""


def test_a_busy_network_says_so(server, monkeypatch):
    monkeypatch.setattr(scored_images, "_LONGEST_WAIT", 0.01)
    with server.images._network:
        status, answer = upload(server, encoded(words_image()))

    assert status == 503
    assert "try again" in answer["error"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("image=unknown", 404),
        ("", 404),
        ("image=KEY&low_text=2", 400),
        ("image=KEY&low_text=nan", 400),
        ("image=KEY&canvas=100000", 400),
        ("image=KEY&text_threshold=<script>", 400),
        ("&".join(["a=1"] * 20), 400),
    ],
)
def test_unknown_images_and_thresholds_are_refused_as_json(server, query, status):
    _, found = upload(server, encoded(words_image()))

    answered, headers, content = request(server, "GET", f"/words?{query.replace('KEY', found['image'])}")

    assert answered == status
    assert headers["Content-Type"] == "application/json"
    assert "\n" not in json.loads(content)["error"]


def test_only_the_last_images_are_kept(server):
    keys = [upload(server, encoded(words_image()))[1]["image"] for _ in range(5)]

    assert request(server, "GET", f"/maps?image={keys[0]}")[0] == 404
    assert request(server, "GET", f"/maps?image={keys[4]}")[0] == 200


@pytest.mark.parametrize(
    ("error", "said"),
    [(RuntimeError("boom"), "the search failed: boom"), (MemoryError(), "there is not enough memory")],
)
def test_a_search_that_fails_is_answered_and_the_next_one_works(server, monkeypatch, capsys, error, said):
    def fail(*_):
        raise error

    with monkeypatch.context() as failing:
        failing.setattr(server.images._detector, "score", fail)
        status, answer = upload(server, encoded(words_image()))

    assert (status, answer["error"].startswith(said)) == (500, True)
    assert type(error).__name__ in capsys.readouterr().err
    assert upload(server, encoded(words_image()))[0] == 200


@pytest.mark.parametrize("path", ["/../server.py", "/page.html", "/words/", "/%2e%2e/server.py"])
def test_no_other_file_is_served(server, path):
    assert request(server, "GET", path)[0] == 404
