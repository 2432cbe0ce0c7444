"""The page in a real browser. Skipped where Chromium, its driver or selenium is missing."""

import base64
import time

import cv2
import numpy as np
import pytest

from tests.browser import open_browser, pytestmark, webdriver  # noqa: F401 - the mark is the module's


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def page(browser, finished_study):
    """The page at the width of a desktop; it must write nothing to the console."""
    show(browser, width=1440, dark=False)
    browser.get((finished_study / "report.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def show(browser, *, width, dark):
    size = {"width": width, "height": 850, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    still = {"name": "prefers-reduced-motion", "value": "reduce"}  # what is clicked must not be scrolling
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})


def find(page, selector):
    return page.find_element("css selector", selector)


def screenshot(page):
    encoded = base64.b64decode(page.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
    return cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), cv2.IMREAD_COLOR)


def canvas_pixels(page, index=0):
    """The viewer's canvas, once its layers have loaded and it has stopped changing."""
    before = None
    for _ in range(60):
        script = f"return document.querySelectorAll('.stage canvas')[{index}].toDataURL('image/png')"
        now = page.execute_script(script)
        if now == before:
            break
        before = now
        time.sleep(0.05)
    return cv2.imdecode(np.frombuffer(base64.b64decode(now.partition(",")[2]), np.uint8), cv2.IMREAD_UNCHANGED)


def press(page, key):
    page.execute_script("document.getElementById('viewer').scrollIntoView({behavior: 'instant'})")
    page.execute_script(f"dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}, bubbles: true}}))")


def test_the_page_shows_conclusions_table_charts_and_scenes(page):
    assert len(page.find_elements("css selector", "#conclusions li")) >= 2
    assert len(page.find_elements("css selector", "#table tbody tr")) == 2
    assert find(page, "#scores svg").is_displayed()
    assert len(page.find_elements("css selector", "#curves svg")) == 4
    assert len(page.find_elements("css selector", "#strip .thumb")) == 2
    assert "same initial weights and batches" in find(page, "#badges").text


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_overflows_at_any_width_and_the_background_follows_the_colour_scheme(page, width, dark):
    show(page, width=width, dark=dark)
    page.refresh()

    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert (screenshot(page)[-3, 3].mean() < 60) == dark


def test_labels_that_would_overlap_stand_on_two_lines(page):
    script = "const at = arguments[0]; return labelLines(Object.keys(at), (name) => at[name])"

    lines = page.execute_script(script, {"all": 300, "random-3": 134, "hardest-3": 100, "hardest-5": 200})

    assert lines == {"hardest-3": 0, "random-3": 1, "hardest-5": 0, "all": 0}


def test_the_conclusion_of_every_variant_is_visible_at_the_width_of_a_laptop(page):
    show(page, width=1280, dark=False)
    page.refresh()

    script = "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[1].getBoundingClientRect().right)"
    ends = page.execute_script(script)
    visible = page.execute_script("return document.querySelector('#table').parentElement.getBoundingClientRect().right")

    assert len(ends) == 2
    assert max(ends) < visible


def test_the_axes_of_the_curves_are_labelled(page):
    labels = [chart.text for chart in page.find_elements("css selector", "#curves svg")]

    assert all("training step" in label for label in labels)
    assert sum("logarithmic" in label for label in labels) == 3


def test_a_moving_average_is_that_of_the_neighbours(page):
    assert page.execute_script("return movingAverage([1, 2, 6, 4], 2)") == [3, 3.25, 3.25, 4]
    assert page.execute_script("return movingAverage([1, 2, 6], 1)") == [1, 2, 6]


def test_two_viewers_never_show_the_same_variant(page):
    find(page, "#pair").click()
    stages = page.find_elements("css selector", ".stage")
    before = [stage.find_element("css selector", '[aria-checked="true"]').text for stage in stages]

    stages[0].find_element("css selector", f'[data-variant="{before[1]}"]').click()

    after = [stage.find_element("css selector", '[aria-checked="true"]').text for stage in stages]
    assert after == before[::-1]
    assert [line.text.split(" on ")[0] for line in page.find_elements("css selector", ".stage p")] == after


def test_choices_change_the_table(page):
    find(page, '#policy [data-value="own"]').click()
    assert "own thresholds" in find(page, "#score-note").text

    find(page, '#metric [data-value="recall"]').click()
    assert find(page, "#scores svg").get_attribute("aria-label") == "recall by variant"


def test_a_variant_is_highlighted_until_it_is_pressed_again(page):
    find(page, '#legend [data-variant="none"]').click()
    assert page.find_elements("css selector", '#scores g.dim[data-variant="hardest-3"]')

    find(page, '#legend [data-variant="none"]').click()
    assert not page.find_elements("css selector", "#scores g.dim")


def test_every_layer_of_the_viewer_looks_different(page):
    find(page, "#boxes").click()
    seen = [canvas_pixels(page)]
    for layer in ("target", "score", "kept"):
        find(page, f'#layer [data-value="{layer}"]').click()
        seen.append(canvas_pixels(page))

    assert seen[0][..., :3].std() > 5  # there is an image
    for one in range(4):
        for other in range(one):
            assert np.abs(seen[one].astype(int) - seen[other]).mean() > 0.5


def test_kept_pixels_follow_the_rule_and_the_map(page):
    find(page, '#layer [data-value="kept"]').click()
    hard = canvas_pixels(page)
    find(page, '#map [data-value="affinity"]').click()
    affinity = canvas_pixels(page)
    find(page, '.pick [data-variant="none"]').click()
    every = canvas_pixels(page)

    def pink(pixels):
        return int(((pixels[..., 2] > 150) & (pixels[..., 1] < 110)).sum())

    assert 0 < pink(hard) < pink(every)
    assert (hard != affinity).any()


def test_the_keyboard_walks_through_scenes_variants_and_layers(page):
    first = find(page, ".stage p").text

    press(page, "ArrowRight")
    second = find(page, ".stage p").text
    press(page, "]")
    third = find(page, ".stage p").text
    press(page, "3")
    press(page, "c")

    assert len({first, second, third}) == 3
    assert find(page, '#layer [data-value="score"]').get_attribute("aria-checked") == "true"
    assert len(page.find_elements("css selector", ".stage canvas")) == 2
    assert find(page, '#strip [data-index="1"]').get_attribute("aria-selected") == "true"


def test_a_double_click_zooms_into_the_scene_and_0_out_of_it(page):
    canvas = find(page, ".stage canvas")
    whole = canvas_pixels(page)
    webdriver.ActionChains(page).double_click(canvas).perform()

    assert page.execute_script("return view.zoom") == 3
    assert (canvas_pixels(page) != whole).any()
    press(page, "0")
    np.testing.assert_array_equal(canvas_pixels(page), whole)
