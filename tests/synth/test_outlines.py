"""Contours: rasterized by exact area, and their extents."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely.geometry import Polygon

from craft.synth.outlines import coverage, extent


def test_a_square_covers_its_pixels_and_half_of_those_that_it_cuts():
    square = np.array([[1.0, 1.0], [3.5, 1.0], [3.5, 3.0], [1.0, 3.0]])

    mask = coverage(square, np.array([4]), size_hw=(4, 5))

    expected = np.zeros((4, 5), np.uint8)
    expected[1:3, 1:3] = 255
    expected[1:3, 3] = 128
    np.testing.assert_array_equal(mask, expected)


def test_coverage_equals_the_area_of_polygons_partly_outside():
    generator = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(generator.uniform(0, 2 * np.pi, 7))
        points = generator.uniform(-4, 20, 2) + 9 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        column, row = np.meshgrid(np.arange(16), np.arange(16))
        reference = shapely.area(shapely.intersection(shapely.box(column, row, column + 1, row + 1), Polygon(points)))

        mask = coverage(points, np.array([7]), size_hw=(16, 16))

        np.testing.assert_allclose(mask, 255 * reference, atol=0.51)


def test_overlapping_contours_join_and_reversed_contours_are_holes():
    outer = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])

    joined = coverage(np.concatenate([outer, outer]), np.array([4, 8]), size_hw=(4, 4))
    hole = coverage(np.concatenate([outer, outer[::-1]]), np.array([4, 8]), size_hw=(4, 4))

    assert (joined == 255).all()
    assert (hole == 0).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_an_extent_holds_the_smallest_and_largest_coordinates(kind, count):
    points = np.random.default_rng(count).normal(0, 100, (count, 2)).astype(kind)

    assert extent(points) == (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
