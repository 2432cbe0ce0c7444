"""Pixels blended in compiled code against OpenCV and NumPy."""

from __future__ import annotations

import cv2
import numpy as np

from craft.synth.colours import apply_light


def test_light_multiplies_as_opencv_does_for_every_level():
    levels, light = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    image = np.stack([levels, levels[::-1], levels[:, ::-1]], axis=2)

    np.testing.assert_array_equal(apply_light(image, light), cv2.multiply(image, cv2.merge([light] * 3), scale=1 / 128))
