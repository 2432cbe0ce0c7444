"""Sizing by content: when an image is searched a second time, and whose words are kept."""

import numpy as np
import pytest
import torch
from torch import nn

from craft.config import DetectionSettings
from craft.decode.detections import Detections
from craft.detection.detector import Detector
from craft.detection.sizing import add_large_words, has_missed, has_small_words, merge_passes, windows_to_try
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


class LargeIsText(BrightIsText):
    """Region score 1 where a white area is at least 18 pixels high and wide, 0.3 where it is smaller."""

    def forward(self, images):
        bright, features = super().forward(images)
        opened = nn.functional.max_pool2d(-nn.functional.max_pool2d(-bright, 9, 1, 4), 9, 1, 4)
        return 0.3 * bright + 0.7 * opened, features


def detector(network=BrightIsText, **settings) -> Detector:
    return Detector(network(), DetectionSettings(sizing="auto", **settings), device="cpu", precision="fp32")


@pytest.mark.parametrize(("height", "passes"), [(15, 2), (50, 1)])
def test_a_shrunk_image_with_small_words_is_searched_once_more_at_full_scale(height, passes):
    finder = detector(magnify=1.0, canvas=320, tile=0)

    found = finder.detect(lines(height, size_hw=(960, 960)))

    assert found.scales == (1 / 3, 1.0)[:passes]
    assert len(found) == 16 if passes == 2 else len(found) > 10


def test_an_image_that_was_not_shrunk_is_not_searched_at_full_scale():
    assert detector(magnify=1.0, canvas=640).detect(lines(4)).scales == (1.0,)


def test_text_that_a_shrunk_image_hides_is_found_in_windows_and_then_everywhere():
    image = lines(6, size_hw=(3000, 3000))

    shrunk = Detector(BrightIsText(), DetectionSettings(canvas=320), device="cpu", precision="fp32").detect(image)
    found = detector(magnify=1.0, canvas=320, tile=640).detect(image)

    assert len(shrunk) == 0
    assert len(found) == 50
    assert found.scales[1] == 1.0


def test_text_of_readable_size_that_a_shrunk_image_hides_is_found():
    image = lines(24, size_hw=(1280, 1280))  # 12 network input pixels high at half size

    found = detector(LargeIsText, magnify=1.0, canvas=640).detect(image)

    assert found.scales == (0.5, 1.0)
    assert len(found) == 21


def test_a_shrunk_image_without_small_text_is_searched_once():
    image = np.zeros((3000, 3000, 3), np.uint8)
    image[500:1100, 400:2500] = 255
    finder = detector(magnify=1.0, canvas=320)

    found = finder.detect(image)

    assert (len(found), len(found.scales)) == (1, 1)
    assert len(finder.model.shapes) == 3  # the image, its windows at once, and the image once more, coarsely


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


def test_two_words_that_the_first_pass_lacks_are_missed_whatever_their_size():
    first = boxes((0, 0, 90, 30), scale=0.5)

    assert has_missed(first, boxes((0, 0, 44, 30), (100, 0, 190, 30), (200, 0, 290, 30)))
    assert not has_missed(first, boxes((0, 0, 44, 30), (46, 0, 90, 30), (200, 0, 290, 30)))


def test_a_large_word_of_the_coarse_pass_takes_the_place_of_its_parts():
    coarse = boxes((0, 0, 300, 80), (0, 200, 90, 230), (0, 300, 300, 380), scale=0.5)
    found = boxes((10, 10, 50, 70), (200, 10, 240, 70), (0, 300, 140, 380), (150, 300, 300, 380), (400, 0, 440, 20))

    words = add_large_words(coarse, found)

    kept = boxes((0, 300, 140, 380), (150, 300, 300, 380), (400, 0, 440, 20), (0, 0, 300, 80))
    np.testing.assert_array_equal(words.quads_xy, kept.quads_xy)  # the second is small, the third was found as two


class NarrowIsText(BrightIsText):
    """Region score 1 in white areas, but within 120 network input pixels of their left and right ends alone."""

    def forward(self, images):
        bright, features = super().forward(images)
        inside = -nn.functional.max_pool2d(-bright[:, :1], (1, 121), 1, (0, 60))
        return torch.cat([bright[:, :1] - inside.clamp(min=0), bright[:, 1:]], dim=1), features


def test_a_word_larger_than_the_network_sees_at_once_is_found_in_the_coarse_pass():
    image = np.zeros((200, 700, 3), np.uint8)
    image[50:150, 60:640] = 255

    parts = Detector(NarrowIsText(), DetectionSettings(magnify=1.0), device="cpu", precision="fp32").detect(image)
    found = detector(NarrowIsText, magnify=1.0).detect(image)

    assert len(parts) == 2
    assert len(found) == 1
    assert np.ptp(found.quads_xy[0, :, 0]) > 570


def test_windows_are_where_the_fine_detail_is_and_inside_the_image():
    image = np.zeros((700, 1000, 3), np.uint8)
    image[610:690:2, 900:990] = 255
    nothing = boxes(scale=1.0)

    first = windows_to_try(image, np.zeros((350, 500), np.float32), nothing, full=2.0)[0]

    assert image[first].any()
    assert image[first].shape == (256, 256, 3)
    small = windows_to_try(np.zeros((5, 9, 3), np.uint8), np.zeros((3, 5), np.float32), nothing, full=1.0)
    assert small == [(slice(0, 512), slice(0, 512))]


def test_windows_are_where_the_first_pass_saw_something_that_is_no_word():
    image = np.random.default_rng(0).integers(0, 255, (2048, 2048, 3), dtype=np.uint8)
    image[1024:] = 90  # no detail below
    region = np.zeros((512, 512), np.float32)
    region[300:310, 300:340] = 0.9  # a word, at half the scale
    region[400:404, 400:440] = 0.3

    windows = windows_to_try(image, region, boxes((1180, 1180, 1380, 1260), scale=0.5), full=1.0)

    assert (slice(1536, 2048), slice(1536, 2048)) in windows
    assert (slice(1024, 1536), slice(1024, 1536)) not in windows[:4]
