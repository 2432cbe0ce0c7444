"""Upright crops of words: where they lie, what they show, and the way back."""

import cv2
import numpy as np
import pytest
import torch

from craft.datasets.warp import warp_image
from craft.geometry import homographies_from_square
from craft.teacher.word_crops import crop_word, crop_words_on_device, word_frame

QUAD = np.array([[50, 60], [250, 80], [248, 130], [52, 100]], np.float32)
TALL = np.array([[50, 60], [80, 62], [78, 230], [52, 220]], np.float32)
CURVED = np.array([[50, 60], [150, 40], [250, 60], [250, 110], [150, 90], [50, 110]], np.float32)
OUTSIDE = np.array([[-20, 60], [50, 60], [50, 90], [-20, 90]], np.float32)


@pytest.fixture(scope="module")
def image():
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.uint8)


def corners(frame):
    left, top, right, bottom = frame.box_xyxy
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


@pytest.mark.parametrize(("polygon", "downwards"), [(QUAD, False), (QUAD, True), (TALL, True), (OUTSIDE, False)])
def test_the_words_rectangle_goes_back_to_its_quad(polygon, downwards):
    frame = word_frame(polygon, height=64, downwards=downwards)

    np.testing.assert_allclose(frame.to_source(corners(frame)), polygon, atol=1e-3)
    assert frame.size_hw[0] % 32 == frame.size_hw[1] % 32 == 0
    assert frame.size_hw[1 if downwards else 0] == 64


def test_a_curved_word_goes_back_strip_by_strip():
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


def test_the_crop_shows_the_word_upright():
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


def test_what_lies_outside_the_image_is_black(image):
    frame = word_frame(OUTSIDE, height=64)
    crop = crop_word(np.full_like(image, 200), frame)

    edge = frame.box_xyxy[0] + (frame.box_xyxy[2] - frame.box_xyxy[0]) * 20 / 70  # where x is 0
    assert crop[:, : int(edge) - 3].max() == 0
    assert crop[:, int(edge) + 3 :].min() == 200


@pytest.mark.parametrize(("polygon", "downwards"), [(QUAD, False), (TALL, True), (CURVED, False), (OUTSIDE, False)])
def test_crops_on_the_device_equal_those_on_the_cpu(image, polygon, downwards):
    frame = word_frame(polygon, height=64, downwards=downwards)

    here = crop_word(image, frame).astype(int)
    [there] = crop_words_on_device(torch.from_numpy(image).permute(2, 0, 1), [frame])

    apart = 2 if polygon is OUTSIDE else 1  # the CPU counts in 64ths of a pixel: two levels at the edge of the image
    assert np.abs(here - there.permute(1, 2, 0).numpy()).max() <= apart


def test_a_word_that_shrinks_is_averaged_on_both():
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3)).astype(np.uint8)
    large = np.array([[150, 100], [450, 100], [450, 300], [150, 300]], np.float32)
    frame = word_frame(large, height=32)

    here = crop_word(noise, frame)
    [there] = crop_words_on_device(torch.from_numpy(noise).permute(2, 0, 1), [frame])

    for crop in (here, there.permute(1, 2, 0).numpy()):
        assert crop[4:-4, 8:-8].std() < 0.4 * noise.std()  # reading between pixels alone would keep two thirds


def test_steep_perspective_does_not_reach_across_the_horizon(image):
    steep = np.array(
        [[10, 100], [200, 20], [200, 180], [10, 104]], np.float32
    )  # 4 px high at its start, 160 at its end

    frame = word_frame(steep, height=64)
    everywhere = frame.to_source(np.array([[x, y] for x in (0, frame.size_hw[1]) for y in (0, 64)], float))

    assert np.isfinite(everywhere).all()
    assert np.abs(everywhere - steep.mean(axis=0)).max() < 400
    assert crop_word(image, frame).shape == (*frame.size_hw, 3)


def test_a_word_without_extent_has_no_frame():
    assert word_frame(np.zeros((4, 2), np.float32), height=64) is None


def random_quads(count):
    generator = np.random.default_rng(7)
    for _ in range(count):
        size, angle = generator.uniform([20, 12], [160, 60]), generator.uniform(-np.pi, np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        flat = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) - 0.5) * size + generator.normal(0, 2, (4, 2))
        yield (flat @ turn + generator.uniform([-20, -20], [420, 320])).astype(np.float32)


def test_matrices_are_those_of_the_homography_from_the_words_rectangle():
    for quad in random_quads(40):
        frame = word_frame(quad, height=64)

        left, top, right, bottom = frame.box_xyxy
        to_square = np.array(
            [[2 / (right - left), 0, -(right + left) / (right - left)],
             [0, 2 / (bottom - top), -(bottom + top) / (bottom - top)], [0, 0, 1]]
        )  # fmt: skip
        expected = homographies_from_square(quad) @ to_square
        corners = np.array([[x, y, 1.0] for x in (0, frame.size_hw[1]) for y in (0, 64)])
        denominators = corners @ expected[2] / (expected[2] @ [0.5 * frame.size_hw[1], 32, 1])
        if denominators.min() >= 0.3:
            np.testing.assert_allclose(frame.matrices[0], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
        else:  # too steep: a parallelogram around the same middle
            assert frame.matrices[0][2].tolist() == [0, 0, 1]
            middle = frame.to_source(np.array([0.5 * (left + right), 0.5 * (top + bottom)]))
            np.testing.assert_allclose(middle, quad.mean(axis=0), atol=1e-3)


def test_crops_equal_what_opencv_warps(image):
    for quad in random_quads(40):
        frame = word_frame(quad, height=64)

        warped = warp_image(image, np.linalg.inv(frame.matrices[0]), size_hw=frame.size_hw)

        difference = np.abs(crop_word(image, frame).astype(int) - warped)
        assert difference.mean() < 0.1
        # Where the image ends abruptly a 64th of a pixel is two levels, and OpenCV rounds positions too.
        assert np.quantile(difference, 0.999) <= 2
        assert difference.max() <= 6


def test_characters_go_back_as_points_do():
    boxes = np.array([[3.0, 2.0, 9.5, 30.0], [9.5, 4.0, 31.0, 28.0], [31.0, 2.0, 60.0, 30.0]])
    sides = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])
    for polygon, downwards in ((QUAD, False), (CURVED, False), (TALL, True)):
        frame = word_frame(polygon, height=64, downwards=downwards)

        quads, usable = frame.characters(boxes)

        upright = boxes[:, [1, 0, 3, 2]] if downwards else boxes
        np.testing.assert_allclose(quads, frame.to_source(2 * upright[:, sides]), rtol=1e-6)
        assert usable
        assert not frame.characters(boxes[:, [2, 1, 0, 3]])[1]  # turned over
        assert not frame.characters(boxes[:, [0, 1, 0, 3]])[1]  # no wider than a line
        assert not frame.characters(np.full((1, 4), np.nan))[1]
