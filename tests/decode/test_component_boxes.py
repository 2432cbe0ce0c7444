"""Boxes around components of maps, at several thresholds."""

import numpy as np

from craft.decode.components import component_boxes


def test_boxes_are_around_components_in_input_pixels_widened_as_decoding_does():
    region = np.zeros((40, 60), dtype=np.float32)
    region[10:14, 20:36] = 0.9  # 4 x 16 pixels, all filled: widened by sqrt(64 * 4 / 64) = 2 on every side

    boxes = component_boxes(region, np.zeros_like(region), thresholds=(0.5,), count=10)

    np.testing.assert_allclose(boxes, [[36, 16, 76, 32]])


def test_each_threshold_adds_its_components_and_the_highest_peaks_stay():
    region = np.zeros((40, 60), dtype=np.float32)
    region[5:10, 5:20] = 0.3
    region[20:25, 5:20] = 0.8

    both = component_boxes(region, np.zeros_like(region), thresholds=(0.2, 0.6), count=10)
    one = component_boxes(region, np.zeros_like(region), thresholds=(0.2, 0.6), count=1)

    assert len(both) == 3
    np.testing.assert_allclose(one[0], both[0])
    assert one[0, 1] > 30


def test_affinity_joins_characters():
    region, affinity = np.zeros((20, 40), dtype=np.float32), np.zeros((20, 40), dtype=np.float32)
    region[5:10, 5:10] = region[5:10, 15:20] = 0.9
    affinity[6:9, 10:15] = 0.9

    assert len(component_boxes(region, affinity, thresholds=(0.5,), count=10)) == 1
    assert len(component_boxes(region, np.zeros_like(region), thresholds=(0.5,), count=10)) == 2


def test_specks_and_empty_maps_give_no_box():
    region = np.zeros((20, 40), dtype=np.float32)
    assert component_boxes(region, region, thresholds=(0.5,), count=10).shape == (0, 4)
    region[3:6, 3:6] = 1.0
    assert component_boxes(region, np.zeros_like(region), thresholds=(0.5,), count=10).shape == (0, 4)
    region[3:5, 20:25] = 1.0  # ten pixels are enough
    assert len(component_boxes(region, np.zeros_like(region), thresholds=(0.5,), count=10)) == 1
