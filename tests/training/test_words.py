"""Upright crops of words: where they lie, what they show, and the way back."""

import cv2
import numpy as np
import pytest
import torch

from craft.training.words import crop_word, crop_words_on_device, word_frame

QUAD = np.array([[50, 60], [250, 80], [248, 130], [52, 100]], np.float32)
TALL = np.array([[50, 60], [80, 62], [78, 230], [52, 220]], np.float32)
CURVED = np.array([[50, 60], [150, 40], [250, 60], [250, 110], [150, 90], [50, 110]], np.float32)
OUTSIDE = np.array([[-20, 60], [50, 60], [50, 90], [-20, 90]], np.float32)


@pytest.fixture(scope="module")
def picture():
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)


def corners(frame):
    left, top, right, bottom = frame.box_xyxy
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


@pytest.mark.parametrize(("polygon", "downwards"), [(QUAD, False), (QUAD, True), (TALL, True), (OUTSIDE, False)])
def test_words_rectangle_goes_back_to_its_quad(polygon, downwards):
    frame = word_frame(polygon, height=64, downwards=downwards)

    np.testing.assert_allclose(frame.to_source(corners(frame)), polygon, atol=1e-3)
    assert frame.size_hw[0] % 32 == frame.size_hw[1] % 32 == 0
    assert frame.size_hw[1 if downwards else 0] == 64


def test_curved_word_goes_back_strip_by_strip():
    frame = word_frame(CURVED, height=64)

    left, top, right, _bottom = frame.box_xyxy
    middle = 0.5 * (left + right)
    upper = frame.to_source(np.array([[left, top], [middle, top], [right, top]]))
    np.testing.assert_allclose(upper, CURVED[:3], atol=1e-3)
    assert len(frame.matrices) == 2


def test_long_words_are_not_squeezed():
    long = np.array([[0, 0], [900, 0], [900, 20], [0, 20]], np.float32)

    frame = word_frame(long, height=64)

    left, top, right, bottom = frame.box_xyxy
    assert (right - left) / (bottom - top) == pytest.approx(45, rel=1e-3)
    endless = word_frame(long * np.array([100, 1], np.float32), height=64)
    left, top, right, bottom = endless.box_xyxy
    assert (right - left) / (bottom - top) == pytest.approx(4500, rel=1e-3)
    assert endless.size_hw[1] <= 4096 + 32


def test_crop_shows_the_word_upright():
    image = np.zeros((200, 200, 3), np.uint8)
    turn = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]])
    quad = (np.array([[-60, -15], [60, -15], [60, 15], [-60, 15]]) @ turn + 100).astype(np.float32)
    left_half = np.array([quad[0], (quad[0] + quad[1]) / 2, (quad[2] + quad[3]) / 2, quad[3]])
    cv2.fillConvexPoly(image, np.round(left_half * 16).astype(np.int32), (255, 255, 255), cv2.LINE_AA, 4)

    frame = word_frame(quad, height=64)
    crop = crop_word(image, frame)

    left, top, right, bottom = (round(side) for side in frame.box_xyxy)
    middle = (left + right) // 2
    assert crop[top + 3 : bottom - 3, left + 3 : middle - 3].min() > 200
    assert crop[top + 3 : bottom - 3, middle + 3 : right - 3].max() < 50
    assert crop[: top - 3].max() < 50


def test_what_lies_outside_the_picture_is_black(picture):
    frame = word_frame(OUTSIDE, height=64)
    crop = crop_word(np.full_like(picture, 200), frame)

    edge = frame.box_xyxy[0] + (frame.box_xyxy[2] - frame.box_xyxy[0]) * 20 / 70  # where x is 0
    assert crop[:, : int(edge) - 3].max() == 0
    assert crop[:, int(edge) + 3 :].min() == 200


@pytest.mark.parametrize(("polygon", "downwards"), [(QUAD, False), (TALL, True), (CURVED, False), (OUTSIDE, False)])
def test_device_draws_the_same_crops_as_the_cpu(picture, polygon, downwards):
    frame = word_frame(polygon, height=64, downwards=downwards)

    here = crop_word(picture, frame).astype(int)
    [there] = crop_words_on_device(torch.from_numpy(picture).permute(2, 0, 1), [frame])

    apart = 2 if polygon is OUTSIDE else 1  # the CPU counts in 64ths of a pixel: two levels at the end of the picture
    assert np.abs(here - there.permute(1, 2, 0).numpy()).max() <= apart


def test_word_that_shrinks_is_averaged_on_both():
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3)).astype(np.uint8)
    large = np.array([[150, 100], [450, 100], [450, 300], [150, 300]], np.float32)
    frame = word_frame(large, height=32)

    here = crop_word(noise, frame)
    [there] = crop_words_on_device(torch.from_numpy(noise).permute(2, 0, 1), [frame])

    for crop in (here, there.permute(1, 2, 0).numpy()):
        assert crop[4:-4, 8:-8].std() < 0.4 * noise.std()  # reading between pixels alone would keep two thirds


def test_steep_perspective_does_not_reach_across_the_horizon(picture):
    steep = np.array(
        [[10, 100], [200, 20], [200, 180], [10, 104]], np.float32
    )  # 4 px high at its start, 160 at its end

    frame = word_frame(steep, height=64)
    everywhere = frame.to_source(np.array([[x, y] for x in (0, frame.size_hw[1]) for y in (0, 64)], float))

    assert np.isfinite(everywhere).all()
    assert np.abs(everywhere - steep.mean(axis=0)).max() < 400
    assert crop_word(picture, frame).shape == (*frame.size_hw, 3)


def test_word_without_extent_has_no_frame():
    assert word_frame(np.zeros((4, 2), np.float32), height=64) is None
