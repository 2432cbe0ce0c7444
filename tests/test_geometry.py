"""Quads and polygons: numbers checkable by hand, and properties against shapely."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from craft.geometry import (
    are_convex_and_clockwise,
    bounding_boxes,
    box_corners,
    clip_to_rectangle,
    clockwise,
    convex_turn,
    homographies_from_square,
    is_simple,
    polygon_iou,
    polygon_to_strips,
    quad_sides,
    shared_areas,
    signed_area,
    transform_points,
    valid_polygon,
    visible_shares,
)
from tests.targets.reference import diagonal_crossings, enlarge_quads, grow_quads

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], dtype=np.float64)
BOW_TIE = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], dtype=np.float64)


@pytest.mark.parametrize(
    ("quad", "turn"),
    [
        (SQUARE, 1),
        (SQUARE[::-1], -1),
        (BOW_TIE, 0),
        ([[0, 0], [10, 0], [2, 2], [0, 10]], 0),  # a corner that turns in
        ([[0, 0], [5, 0], [10, 0], [0, 10]], 0),  # a corner on a line
        ([[3, 3]] * 4, 0),
    ],
)
def test_turn_of_a_quad_is_clear_only_where_it_is_convex(quad, turn):
    assert convex_turn(np.asarray(quad, dtype=np.float64).tolist()) == turn


@st.composite
def convex_quads(draw) -> np.ndarray:
    """A clockwise quad: a rectangle, turned and moved, its corners pushed by up to 0.15 of its shorter side."""
    width, height = draw(st.floats(4, 80)), draw(st.floats(4, 80))
    push = np.array(draw(st.lists(st.floats(-0.15, 0.15), min_size=8, max_size=8))).reshape(4, 2)
    angle = draw(st.floats(0, 2 * np.pi))
    centre = np.array([draw(st.floats(-500, 500)), draw(st.floats(-500, 500))])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * [width, height]
    corners += push * min(width, height)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return corners @ turn + centre


@st.composite
def simple_polygons(draw) -> np.ndarray:
    """A clockwise polygon of 3 to 9 corners around a point, seldom convex."""
    count = draw(st.integers(3, 9))
    radii = np.array(draw(st.lists(st.floats(2, 40), min_size=count, max_size=count)))
    angles = 2 * np.pi * np.arange(count) / count
    centre = np.array([draw(st.floats(-20, 60)), draw(st.floats(-20, 60))])
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1) + centre


quickly = settings(max_examples=100, deadline=None)


def test_corners_of_a_box_run_clockwise_from_its_top_left():
    corners = box_corners([[1, 2, 5, 9]])

    np.testing.assert_array_equal(corners, [[[1, 2], [5, 2], [5, 9], [1, 9]]])


def test_area_is_positive_clockwise_on_the_screen():
    assert signed_area(SQUARE) == 100
    assert signed_area(SQUARE[::-1]) == -100
    np.testing.assert_allclose(signed_area(np.stack([SQUARE, 2 * SQUARE])), [100, 400])


def test_area_keeps_its_digits_far_from_the_origin():
    assert signed_area(SQUARE * 0.001 + 1e6) == pytest.approx(1e-4, rel=1e-3)


@quickly
@given(simple_polygons())
def test_area_equals_shapelys(polygon):
    assert signed_area(polygon) == pytest.approx(Polygon(polygon).area, rel=1e-9)


def test_clockwise_keeps_the_first_corner_and_reverses_the_rest():
    turned = clockwise(SQUARE[[0, 3, 2, 1]])

    np.testing.assert_array_equal(turned, SQUARE)
    np.testing.assert_array_equal(clockwise(SQUARE), SQUARE)
    assert turned.dtype == np.float32


@quickly
@given(simple_polygons())
def test_clockwise_does_the_same_either_way(polygon):
    backwards = np.concatenate([polygon[:1], polygon[:0:-1]])

    np.testing.assert_array_equal(clockwise(backwards), clockwise(polygon))
    assert signed_area(clockwise(backwards)) > 0


def test_sides_are_means_of_opposite_ones():
    width, height = quad_sides([[0, 0], [10, 0], [12, 4], [0, 4]])

    assert width == 11
    assert height == pytest.approx((4 + np.sqrt(20)) / 2)


def test_diagonals_of_a_tapering_quad_cross_nearer_its_narrow_side():
    # The diagonals of this trapezium cut each other as its parallel sides: 10 to 30.
    np.testing.assert_allclose(diagonal_crossings([[10, 0], [20, 0], [30, 40], [0, 40]]), [15, 10])


def test_parallel_diagonals_give_the_mean_of_the_corners():
    np.testing.assert_allclose(diagonal_crossings([[0, 0], [0, 0], [4, 0], [4, 0]]), [2, 0])


def test_enlarging_moves_corners_away_from_the_crossing():
    np.testing.assert_allclose(
        enlarge_quads(SQUARE, factor=1.5), [[-2.5, -2.5], [12.5, -2.5], [12.5, 12.5], [-2.5, 12.5]]
    )


@quickly
@given(convex_quads(), st.floats(0.2, 3))
def test_enlarging_keeps_the_crossing_and_squares_the_factor_in_area(quad, factor):
    enlarged = enlarge_quads(quad, factor=factor)

    np.testing.assert_allclose(diagonal_crossings(enlarged), diagonal_crossings(quad), atol=1e-6)
    assert signed_area(enlarged) == pytest.approx(factor**2 * signed_area(quad), rel=1e-6)


def test_growing_moves_every_side_by_a_share_of_the_shorter_side():
    grown = grow_quads([[0, 0], [20, 0], [20, 8], [0, 8]], share=0.25)

    np.testing.assert_allclose(grown, [[-2, -2], [22, -2], [22, 10], [-2, 10]])


@quickly
@given(convex_quads(), st.floats(0.01, 1))
def test_growing_equals_a_mitred_buffer(quad, share):
    distance = share * min(quad_sides(quad))

    grown = Polygon(grow_quads(quad, share=share))

    buffered = Polygon(quad).buffer(distance, join_style="mitre", mitre_limit=10)
    # Not the area of their difference: GEOS may miss that two outlines a rounding apart overlap.
    assert grown.exterior.hausdorff_distance(buffered.exterior) <= 1e-6 * np.sqrt(buffered.area)
    assert grown.area == pytest.approx(buffered.area, rel=1e-6)


def test_a_sharp_corner_grows_by_at_most_three_times_the_distance():
    sliver = np.array([[0, 0], [100, 0], [200, 1], [100, 20]])  # a corner of some 11 degrees at (200, 1)

    moved = np.linalg.norm(grow_quads(sliver, share=0.25) - sliver, axis=1)

    width, height = quad_sides(sliver)
    assert moved.max() <= 3 * 0.25 * min(width, height) + 1e-9


def test_a_triangle_written_as_a_quad_grows_without_overshooting():
    grown = grow_quads([[0, 0], [30, 0], [30, 20], [30, 20]], share=0.1)  # 30 wide on the mean of 30 and 0

    width, height = quad_sides([[0, 0], [30, 0], [30, 20], [30, 20]])
    distance = 0.1 * min(width, height)
    assert np.abs(grown[:, 0]).max() == pytest.approx(30 + distance)
    assert grown[:, 1].min() == pytest.approx(-distance)


def test_a_point_does_not_grow():
    np.testing.assert_array_equal(grow_quads(np.full((4, 2), 7.0), share=0.25), np.full((4, 2), 7.0))


@quickly
@given(convex_quads())
def test_homography_sends_the_square_to_the_quad_and_its_middle_to_the_crossing(quad):
    matrix = homographies_from_square(quad)

    sent = transform_points([[-1, -1], [1, -1], [1, 1], [-1, 1], [0, 0]], matrix)

    np.testing.assert_allclose(sent[:4], quad, atol=1e-3)
    np.testing.assert_allclose(sent[4], diagonal_crossings(quad), atol=1e-3)


@quickly
@given(convex_quads())
def test_homography_of_a_convex_quad_has_no_horizon_over_the_square(quad):
    matrix = homographies_from_square(quad)

    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]) @ matrix.T

    assert (corners[:, 2] > 0).all()


def test_homography_of_a_rectangle_is_a_scale_and_a_shift():
    np.testing.assert_allclose(
        homographies_from_square([[2, 4], [12, 4], [12, 10], [2, 10]]), [[5, 0, 7], [0, 3, 7], [0, 0, 1]]
    )


def test_homographies_come_in_stacks():
    quads = np.stack([SQUARE, SQUARE + 5, 2 * SQUARE])

    stacked = homographies_from_square(quads[None])

    assert stacked.shape == (1, 3, 3, 3)
    np.testing.assert_allclose(stacked[0, 2], homographies_from_square(quads[2]))


@quickly
@given(convex_quads(), convex_quads())
def test_points_come_back_through_the_inverse(quad, other):
    matrix = homographies_from_square(quad)
    points = np.random.default_rng(0).uniform(-1, 1, (7, 2))

    back = transform_points(transform_points(points, matrix), np.linalg.inv(matrix))

    np.testing.assert_allclose(back, points, atol=2e-3)


def test_bow_ties_lines_and_points_are_not_simple():
    assert is_simple(SQUARE)
    assert is_simple([[0, 0], [10, 0], [3, 3], [0, 10]])  # concave
    assert not is_simple(BOW_TIE)
    assert not is_simple([[0, 0], [5, 0], [10, 0], [5, 0]])
    assert not is_simple(np.zeros((4, 2)))


def test_quads_are_simple_exactly_where_shapely_says_so():
    generator = np.random.default_rng(0)
    quads = np.concatenate([generator.integers(0, 6, (1000, 4, 2)), generator.integers(0, 100, (1000, 4, 2))])
    expected = [polygon.is_valid and polygon.area > 0 for polygon in map(Polygon, quads)]
    assert [is_simple(quad) for quad in quads] == expected
    assert 0.2 < np.mean(expected) < 0.8


def test_a_bow_tie_is_repaired_to_its_two_wings():
    assert valid_polygon(BOW_TIE).area == pytest.approx(50)
    assert valid_polygon(SQUARE).area == 100


def test_overlap_of_two_squares():
    assert polygon_iou(SQUARE, SQUARE + [5, 0]) == pytest.approx(50 / 150)  # noqa: RUF005 - numpy addition
    assert polygon_iou(SQUARE, SQUARE + 20) == 0
    assert polygon_iou(SQUARE, SQUARE[::-1]) == 1
    assert polygon_iou(np.zeros((4, 2)), np.zeros((4, 2))) == 0


@quickly
@given(simple_polygons(), st.integers(10, 50), st.integers(10, 50))
def test_clipping_leaves_the_area_inside(polygon, height, width):
    clipped = clip_to_rectangle(polygon, size_hw=(height, width))

    expected = Polygon(polygon).intersection(box(0, 0, width, height)).area
    area = signed_area(clipped) if len(clipped) else 0.0
    assert area == pytest.approx(expected, abs=1e-6)
    if len(clipped):
        assert (clipped >= -1e-9).all()
        assert (clipped <= np.array([width, height]) + 1e-9).all()


def test_clipping_leaves_nothing_of_what_is_outside():
    assert clip_to_rectangle(SQUARE + 100, size_hw=(50, 50)).shape == (0, 2)
    np.testing.assert_array_equal(clip_to_rectangle(SQUARE, size_hw=(50, 50)), SQUARE)


@quickly
@given(st.lists(simple_polygons(), max_size=4))
def test_visible_shares_are_the_areas_inside(polygons):
    shares = visible_shares(polygons, size_hw=(30, 40))

    expected = [Polygon(polygon).intersection(box(0, 0, 40, 30)).area / Polygon(polygon).area for polygon in polygons]
    np.testing.assert_allclose(shares, np.array(expected).reshape(-1), atol=1e-6)


def test_nothing_of_a_line_is_visible():
    line = np.array([[0, 0], [5, 0], [10, 0], [5, 0]])

    np.testing.assert_array_equal(visible_shares([line, line - 2.0], size_hw=(50, 50)), [0, 0])


def test_a_quad_is_one_strip():
    np.testing.assert_array_equal(polygon_to_strips(SQUARE), SQUARE[None])


def test_a_polygon_of_two_chains_is_a_row_of_strips():
    strips = polygon_to_strips([[0, 0], [10, 2], [20, 0], [20, 8], [10, 10], [0, 8]])

    np.testing.assert_array_equal(strips[0], [[0, 0], [10, 2], [10, 10], [0, 8]])
    np.testing.assert_array_equal(strips[1], [[10, 2], [20, 0], [20, 8], [10, 10]])


def test_an_odd_corner_is_matched_by_one_in_the_middle_of_the_lower_side():
    # The sides at the ends are longer, but no part of the lower chain.
    strips = polygon_to_strips([[0, 0], [10, 0], [20, 0], [20, 50], [0, 50]])

    np.testing.assert_array_equal(strips[0], [[0, 0], [10, 0], [10, 50], [0, 50]])
    np.testing.assert_array_equal(strips[1], [[10, 0], [20, 0], [20, 50], [10, 50]])


def test_a_triangle_is_one_strip():
    np.testing.assert_array_equal(
        polygon_to_strips([[0, 0], [20, 0], [20, 10]]), [[[0, 0], [20, 0], [20, 5], [20, 10]]]
    )


@quickly
@given(st.integers(2, 8), st.lists(st.floats(-0.2, 0.2), min_size=16, max_size=16))
def test_strips_of_a_ribbon_cover_it_once(count, bends):
    along = 20.0 * np.arange(count)
    upper = np.stack([along, 10 * np.array(bends[:count])], axis=1)
    lower = np.stack([along, 12 + 10 * np.array(bends[8 : 8 + count])], axis=1)
    ribbon = np.concatenate([upper, lower[::-1]])
    assume(is_simple(ribbon))

    strips = polygon_to_strips(ribbon)

    assert strips.shape == (count - 1, 4, 2)
    assert signed_area(strips).sum() == pytest.approx(float(signed_area(ribbon)), rel=1e-4)
    assert (signed_area(strips) > 0).all()


def test_boxes_hold_all_corners():
    np.testing.assert_array_equal(
        bounding_boxes([SQUARE, [[1, 7], [4, 2], [9, 3], [5, 8]]]), [[0, 0, 10, 10], [1, 2, 9, 8]]
    )


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=4, max_size=4), min_size=1, max_size=6
    )
)
def test_quads_seen_together_are_judged_as_each_by_itself(quads):
    convex = [is_simple(quad) and signed_area(quad) > 0 and len(cv2.convexHull(np.int32(quad))) == 4 for quad in quads]

    assert are_convex_and_clockwise(quads) == all(convex)


@settings(deadline=None)
@given(st.lists(st.integers(-40, 40), min_size=8, max_size=8))
def test_a_quad_that_turns_one_way_is_simple_and_runs_that_way(numbers):
    quad = np.array(numbers, dtype=np.float64).reshape(4, 2)
    turn = convex_turn(quad.tolist())

    assert turn in (-1, 0, 1)
    if turn:
        assert Polygon(quad).is_valid
        assert np.sign(signed_area(quad)) == turn
        assert signed_area(clockwise(quad)) > 0


def test_outlines_apart_by_rounding_share_all_of_their_area():
    first = np.array(
        [
            [-42.90328955423348, -46.27064272970966],
            [28.234707741163547, -54.94927413661613],
            [25.0145280590138, 15.009791175967017],
            [-41.68397731785883, 20.832058461890973],
        ]
    )
    second = np.array(
        [
            [-42.90328955423349, -46.27064272970966],
            [28.234707741163543, -54.94927413661613],
            [25.014528059013795, 15.009791175967017],
            [-41.68397731785883, 20.832058461890973],
        ]
    )

    assert polygon_iou(first, second) == pytest.approx(1)
    areas = shared_areas([Polygon(first), Polygon(first)], [Polygon(second), Polygon(second + 1000)])
    np.testing.assert_allclose(areas, [Polygon(first).area, 0])
