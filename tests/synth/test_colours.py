"""Pixels blended in compiled code against OpenCV and NumPy."""

from __future__ import annotations

import cv2
import numpy as np

from craft.synth.colours import apply_light, apply_lookup_table


def test_light_multiplies_as_opencv_does_for_every_level():
    levels, light = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    image = np.stack([levels, levels[::-1], levels[:, ::-1]], axis=2)

    np.testing.assert_array_equal(apply_light(image, light), cv2.multiply(image, cv2.merge([light] * 3), scale=1 / 128))


def test_levels_are_looked_up_for_each_channel():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    table = generator.integers(0, 256, (256, 3), dtype=np.uint8)

    expected = np.stack([table[image[..., channel], channel] for channel in range(3)], axis=2)
    np.testing.assert_array_equal(apply_lookup_table(image, table), expected)
    np.testing.assert_array_equal(apply_lookup_table(image[::2], table), expected[::2])
