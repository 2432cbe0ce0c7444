"""The page in a real browser. Skipped where Chromium, its driver or selenium is missing."""

import time

import cv2
import pytest

from tests.browser import open_browser, pytestmark  # noqa: F401 - the mark is the module's
from tests.demo.test_server import words_image


@pytest.fixture
def page(server, tmp_path):
    with open_browser(tmp_path / "browser") as driver:
        driver.get(server.url)
        yield driver


def wait_for_status(page, text, seconds=120):
    end = time.monotonic() + seconds
    while text not in (found := page.find_element("id", "status").text):
        assert time.monotonic() < end, f"{text!r} did not appear, but {found!r}"
        time.sleep(0.05)
    return found


def choose(page, path):
    page.find_element("id", "file").send_keys(str(path))


def move(page, slider, value):
    script = (
        "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('input'))"
    )
    page.execute_script(script, slider, value)


def pixel(page, x, y):
    script = "return [...document.getElementById('view').getContext('2d').getImageData(arguments[0], arguments[1], 1, 1).data]"
    return page.execute_script(script, x, y)[:3]


def test_words_and_maps_follow_the_sliders_and_the_network_runs_once(page, server, tmp_path):
    cv2.imwrite(str(tmp_path / "words.png"), words_image())

    choose(page, tmp_path / "words.png")
    wait_for_status(page, "2 words")
    plain = pixel(page, 50, 30)
    page.find_element("id", "maps").click()
    shown = pixel(page, 50, 30)
    move(page, "least_side", 40)
    wait_for_status(page, "0 words")
    move(page, "low_text", 1)
    hidden = pixel(page, 50, 30)
    page.find_element("id", "reset").click()
    wait_for_status(page, "2 words")

    assert plain == [255, 255, 255]
    assert shown[0] > shown[1] > shown[2]  # orange: region above its threshold
    assert hidden[0] == hidden[1] == hidden[2]
    assert len(server.images._detector.model.shapes) == 1
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_file_that_is_no_image_is_named_as_text(page, tmp_path):
    hostile = tmp_path / "<img src=x onerror=document.title=1>.png"
    hostile.write_bytes(b"<script>document.title = 1</script>")

    choose(page, hostile)

    assert wait_for_status(page, "not an image").startswith("<img src=x onerror=document.title=1>.png: ")
    assert page.title == "craft demo"
    assert page.find_elements("css selector", "#status img") == []
