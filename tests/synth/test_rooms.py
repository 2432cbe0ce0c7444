"""Backgrounds in depth: the same for the same generator, in any size, on the planes that they are meant to stand on."""

import cv2
import numpy as np
import pytest

from craft.synth import full, preset, rooms
from craft.synth.room_walls import Plane
from craft.synth.rooms import room_background


@pytest.mark.parametrize("size_hw", [(128, 128), (128, 640), (640, 128), (256, 320)])
def test_rooms_of_any_size_follow_from_the_generator(size_hw):
    pictures = [room_background(np.random.default_rng([1, index]), size_hw) for index in range(12)]
    again = room_background(np.random.default_rng([1, 3]), size_hw)

    assert all(picture.shape == (*size_hw, 3) and picture.dtype == np.uint8 for picture in pictures)
    np.testing.assert_array_equal(again, pictures[3])
    assert all((pictures[0] != other).any() for other in pictures[1:])


def test_rooms_are_cluttered():
    edges = []
    for index in range(24):
        grey = cv2.cvtColor(room_background(np.random.default_rng([2, index]), (384, 384)), cv2.COLOR_RGB2GRAY)
        edges.append(float((cv2.Canny(grey, 40, 120) > 0).mean()))

    assert np.median(edges) > 0.02
    assert min(edges) < 0.5 * max(edges)  # and not all alike


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 5, 25), (1.0, 30, 30)])
def test_the_share_of_scenes_in_rooms_is_the_one_set(monkeypatch, share, least, most):
    drawn = []
    monkeypatch.setattr(full, "room_background", lambda *given: drawn.append(1) or room_background(*given))
    changes = {"size_hw": (128, 128), "words": (0, 0), "negative_count": (0, 0), "system_fonts": False, "rooms": share}
    settings = preset("full", changes)

    for index in range(30):
        full.render_full(settings, 5, index)

    assert least <= len(drawn) <= most


def test_a_plane_puts_its_unit_square_on_its_corners():
    corners = np.array([[10, 20], [100, 5], [110, 90], [20, 60]], np.float64)
    plane = Plane(corners)
    plane.add(0, 0, 1, 1, np.array([200.0, 100.0, 50.0]))
    image, wanted = np.zeros((100, 120, 3), np.uint8), np.zeros((100, 120, 3), np.uint8)

    plane.paint(image)

    cv2.fillConvexPoly(wanted, np.round(corners * 16).astype(np.int32), (200, 100, 50), cv2.LINE_AA, 4)
    np.testing.assert_array_equal(image, wanted)


def test_a_plane_far_outside_the_picture_and_one_without_anything_are_painted():
    image = np.zeros((64, 64, 3), np.uint8)
    far = Plane(np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]]))
    far.add(0, 0, 1, 1, np.full(3, 300.0))

    Plane(far.corners_xy).paint(image)
    assert not image.any()
    far.paint(image)

    assert (image == 255).all()


def test_lamps_only_add_light():
    lights = np.zeros((128, 128), np.uint8)
    lights[10:12, 10:20] = 255
    image = np.full((512, 512, 3), 90, np.uint8)

    lit = rooms._with_bloom(image, lights)

    assert (lit >= image).all()
    assert lit[44, 60, 0] > 110
    assert lit[500, 500, 0] == 90
