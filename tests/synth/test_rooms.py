"""Backgrounds in depth: reproducible, of any size, as often as the setting says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from craft.synth import full, rooms
from craft.synth.presets import preset
from craft.synth.rooms import room_background


@pytest.mark.parametrize("size_hw", [(128, 128), (128, 640), (640, 128), (256, 320)])
def test_rooms_of_any_size_follow_from_the_generator(size_hw):
    images = [room_background(np.random.default_rng([1, index]), size_hw) for index in range(12)]
    again = room_background(np.random.default_rng([1, 3]), size_hw)

    assert all(image.shape == (*size_hw, 3) and image.dtype == np.uint8 for image in images)
    np.testing.assert_array_equal(again, images[3])
    assert all((images[0] != other).any() for other in images[1:])


def test_rooms_are_cluttered():
    edges = []
    for index in range(24):
        grey = cv2.cvtColor(room_background(np.random.default_rng([2, index]), (384, 384)), cv2.COLOR_RGB2GRAY)
        edges.append(float((cv2.Canny(grey, 40, 120) > 0).mean()))

    assert np.median(edges) > 0.02
    assert min(edges) < 0.5 * max(edges)  # and not all alike


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 5, 25), (1.0, 30, 30)])
def test_the_share_of_scenes_in_rooms_follows_the_setting(monkeypatch, share, least, most):
    rendered = []
    monkeypatch.setattr(full, "room_background", lambda *given: rendered.append(1) or room_background(*given))
    changes = {"size_hw": (128, 128), "words": (0, 0), "negative_count": (0, 0), "system_fonts": False, "rooms": share}
    settings = preset("full", changes)

    for index in range(30):
        full.render_full(settings, 5, index)

    assert least <= len(rendered) <= most


def test_lamps_only_add_light():
    lights = np.zeros((128, 128), np.uint8)
    lights[10:12, 10:20] = 255
    image = np.full((512, 512, 3), 90, np.uint8)

    lit = rooms._with_bloom(image, lights)

    assert (lit >= image).all()
    assert lit[44, 60, 0] > 110
    assert lit[500, 500, 0] == 90
