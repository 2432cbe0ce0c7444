"""Planes paint what stands on them where their corners say."""

from __future__ import annotations

import cv2
import numpy as np

from craft.synth.walls import Plane


def test_a_plane_maps_its_unit_square_to_its_corners():
    corners = np.array([[10, 20], [100, 5], [110, 90], [20, 60]], np.float64)
    plane = Plane(corners)
    plane.add(0, 0, 1, 1, np.array([200.0, 100.0, 50.0]))
    image, wanted = np.zeros((100, 120, 3), np.uint8), np.zeros((100, 120, 3), np.uint8)

    plane.paint(image)

    cv2.fillConvexPoly(wanted, np.round(corners * 16).astype(np.int32), (200, 100, 50), cv2.LINE_AA, 4)
    np.testing.assert_array_equal(image, wanted)


def test_a_plane_far_outside_the_image_and_an_empty_plane_are_painted():
    image = np.zeros((64, 64, 3), np.uint8)
    far = Plane(np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]]))
    far.add(0, 0, 1, 1, np.full(3, 300.0))

    Plane(far.corners_xy).paint(image)
    assert not image.any()
    far.paint(image)

    assert (image == 255).all()
