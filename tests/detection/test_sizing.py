"""Sizing by content: when an image is searched a second time, and whose words are kept."""

import numpy as np
import pytest

from craft.config import DetectionSettings
from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.detection.sizing import has_small_words, merge_passes, windows_with_detail
from tests.detection.test_detector import BrightIsText


def boxes(*corners: tuple[float, float, float, float], scale: float = 1.0) -> Detections:
    quads = [[[left, top], [right, top], [right, bottom], [left, bottom]] for left, top, right, bottom in corners]
    return Detections(np.array(quads, np.float32).reshape(-1, 4, 2), np.ones(len(corners), np.float32), scales=(scale,))


def lines(height: int, *, size_hw: tuple[int, int] = (300, 400)) -> np.ndarray:
    """White bars 40 pixels wide on black, one every 60 pixels."""
    image = np.zeros((*size_hw, 3), np.uint8)
    for top in range(20, size_hw[0] - height, 60):
        image[top : top + height, 20:60] = 255
    return image


def detector(**settings) -> Detector:
    return Detector(BrightIsText(), DetectionSettings(sizing="auto", **settings), device="cpu", precision="fp32")


@pytest.mark.parametrize(("height", "passes"), [(15, 2), (50, 1)])
def test_a_shrunk_image_with_small_words_is_searched_once_more_at_full_scale(height, passes):
    finder = detector(magnify=1.0, canvas=320, tile=0)

    found = finder.detect(lines(height, size_hw=(960, 960)))

    assert found.scales == (1 / 3, 1.0)[:passes]
    assert len(found) == 16 if passes == 2 else len(found) > 10


def test_an_image_that_was_not_shrunk_is_searched_once():
    assert detector(magnify=1.0, canvas=640).detect(lines(4)).scales == (1.0,)


def test_text_that_a_shrunk_image_hides_is_found_in_windows_and_then_everywhere():
    image = lines(6, size_hw=(3000, 3000))

    shrunk = Detector(BrightIsText(), DetectionSettings(canvas=320), device="cpu", precision="fp32").detect(image)
    found = detector(magnify=1.0, canvas=320, tile=640).detect(image)

    assert len(shrunk) == 0
    assert len(found) == 50
    assert found.scales[1] == 1.0


def test_a_shrunk_image_without_small_text_is_searched_once():
    image = np.zeros((3000, 3000, 3), np.uint8)
    image[500:1100, 400:2500] = 255
    finder = detector(magnify=1.0, canvas=320)

    found = finder.detect(image)

    assert (len(found), len(found.scales)) == (1, 1)
    assert len(finder.model.shapes) == 2  # the image, then four windows at once


def test_an_image_without_words_is_searched_once():
    assert detector().detect(np.zeros((50, 70, 3), np.uint8)).scales == (1.5,)


def test_words_are_small_if_half_of_them_are():
    assert has_small_words(boxes((0, 0, 40, 6), (0, 20, 40, 60), scale=1.5))
    assert not has_small_words(boxes((0, 0, 40, 20), (0, 30, 40, 50), (0, 60, 40, 61), scale=1.5))
    assert not has_small_words(boxes())


def test_large_words_stay_with_the_first_pass_and_small_ones_come_from_the_second():
    first = boxes((0, 0, 400, 100), (0, 200, 60, 208), (0, 300, 60, 310))
    second = boxes((0, 0, 90, 90), (200, 10, 290, 95), (0, 200, 29, 208), (31, 200, 60, 208), scale=2.0)

    merged = merge_passes(first, second)

    expected = [(0, 0, 400, 100), (0, 300, 60, 310), (0, 200, 29, 208), (31, 200, 60, 208)]
    np.testing.assert_array_equal(merged.quads_xy, boxes(*expected).quads_xy)
    assert merged.scales == (1.0, 2.0)


def test_lines_that_the_first_pass_ran_together_come_from_the_second():
    first = boxes((0, 0, 200, 60))
    second = boxes((0, 0, 200, 14), (0, 22, 200, 36), (0, 44, 200, 58), scale=2.0)

    np.testing.assert_array_equal(merge_passes(first, second).quads_xy, second.quads_xy)


@pytest.mark.parametrize("empty", ["first", "second", "both"])
def test_a_pass_without_words_changes_nothing(empty):
    some = boxes((0, 0, 40, 20))
    first = boxes() if empty != "second" else some
    second = boxes(scale=2.0) if empty != "first" else boxes((0, 0, 40, 20), scale=2.0)

    assert len(merge_passes(first, second)) == (0 if empty == "both" else 1)


def test_windows_are_where_the_fine_detail_is_and_inside_the_image():
    image = np.zeros((700, 1000, 3), np.uint8)
    image[610:690:2, 900:990] = 255

    first = windows_with_detail(image, full=2.0)[0]

    assert image[first].any()
    assert image[first].shape == (256, 256, 3)
    assert windows_with_detail(np.zeros((5, 9, 3), np.uint8), full=1.0) == [(slice(0, 512), slice(0, 512))]
