"""The IoU protocol: numbers checkable by hand, and a slow transcription of the rules beside the vectorised code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from craft.evaluation.image_score import ImageScore
from craft.evaluation.iou import evaluate_image
from craft.geometry import signed_area


def box(x1: float, y1: float, x2: float, y2: float) -> list[tuple[float, float]]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def pairs_of(score: ImageScore) -> list[tuple[int, int]]:
    return [(match.truth[0], match.detections[0]) for match in score.matches]


def test_a_detection_of_iou_above_one_half_matches_its_word():
    score = evaluate_image([box(0, 0, 10, 10)], [False], [box(0, 0, 10, 6)])

    assert pairs_of(score) == [(0, 0)]
    assert score.matches[0].iou == pytest.approx(0.6)
    assert (score.precision, score.recall, score.hmean) == (1.0, 1.0, 1.0)


def test_an_iou_of_exactly_one_half_does_not_match():
    score = evaluate_image([box(0, 0, 10, 10)], [False], [box(0, 0, 10, 5)])

    assert score.matches == ()
    assert (score.precision, score.recall, score.hmean) == (0.0, 0.0, 0.0)


def test_each_word_takes_the_first_free_detection_in_file_order_not_the_best():
    score = evaluate_image([box(0, 0, 10, 10)], [False], [box(0, 0, 10, 6), box(0, 0, 10, 10)])

    assert pairs_of(score) == [(0, 0)]
    assert (score.precision, score.recall) == (0.5, 1.0)
    assert score.hmean == pytest.approx(2 / 3)


def test_detections_with_scores_are_taken_by_falling_score():
    score = evaluate_image([box(0, 0, 10, 10)], [False], [box(0, 0, 10, 6), box(0, 0, 10, 10)], [0.3, 0.9])

    assert pairs_of(score) == [(0, 1)]
    assert score.average_precision == 1.0  # the hit is at rank 1


def test_an_overlap_hardly_above_one_half_matches_and_one_of_slanted_sides_is_no_larger_than_it_is():
    narrow = evaluate_image([box(0, 0, 100, 1)], [False], [box(0, 0, 51, 1)])
    slanted = [(0, 0), (100, 0), (100, 10), (0, 9)]  # 95 % of its bounding box

    assert narrow.matches[0].iou == pytest.approx(0.51)
    for word, detection in ((slanted, box(0, 0, 100, 10)), (box(0, 0, 100, 10), slanted)):
        assert evaluate_image([word], [False], [detection]).matches[0].iou == pytest.approx(0.95)


def test_ignored_detections_are_named_by_their_place_in_the_file_not_by_rank():
    words = [box(0, 0, 10, 10), box(20, 0, 30, 10)]

    score = evaluate_image(words, [True, False], [box(20, 0, 30, 10), box(0, 0, 10, 10)], [0.1, 0.9])

    assert score.ignored_detections == (1,)


@pytest.mark.parametrize(("detections", "expected"), [([], 1.0), ([box(0, 0, 10, 10)], 0.0)])
def test_average_precision_without_a_word_says_whether_anything_was_found(detections, expected):
    assert evaluate_image([], [], detections, [0.5] * len(detections)).average_precision == expected


def test_average_precision_is_the_mean_precision_at_the_ranks_of_the_hits():
    words = [box(0, 0, 10, 10), box(20, 0, 30, 10)]
    detections = [box(0, 0, 10, 10), box(50, 50, 60, 60), box(20, 0, 30, 10)]

    score = evaluate_image(words, [False, False], detections, [0.9, 0.8, 0.7])

    assert score.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_a_detection_mostly_in_a_dont_care_word_counts_neither_way():
    words = [box(0, 0, 10, 10), box(20, 0, 30, 10)]
    detections = [box(0, 0, 10, 9), box(22, 0, 30, 10)]

    score = evaluate_image(words, [True, False], detections)

    assert score.ignored_detections == (0,)
    assert (score.num_truth, score.num_dont_care, score.num_detections) == (1, 1, 1)
    assert (score.precision, score.recall) == (1.0, 1.0)


def test_an_exact_half_stays_a_tie_where_sides_cross_between_pixels():
    square, turned = box(6, 4, 8, 7), [(6, 4), (7, 4), (8, 6), (5, 7)]  # shared 11/3, together 22/3

    assert evaluate_image([square], [False], [turned]).matches == ()
    assert evaluate_image([turned], [False], [square]).matches == ()


def test_a_detection_half_in_a_dont_care_word_counts():
    score = evaluate_image([box(0, 0, 10, 10)], [True], [box(5, 0, 15, 10)])

    assert score.ignored_detections == ()
    assert (score.precision, score.recall, score.hmean) == (0.0, 1.0, 0.0)


def test_two_dont_care_words_are_not_added_up():
    halves = [box(0, 0, 5, 10), box(5, 0, 10, 10)]

    score = evaluate_image(halves, [True, True], [box(0, 0, 10, 10)])

    assert score.ignored_detections == ()


@pytest.mark.parametrize(
    ("words", "flags", "detections", "expected"),
    [
        ([], [], [], (1.0, 1.0, 1.0)),
        ([], [], [box(0, 0, 1, 1)], (0.0, 1.0, 0.0)),
        ([box(0, 0, 9, 9)], [False], [], (0.0, 0.0, 0.0)),
        ([box(0, 0, 9, 9)], [True], [], (1.0, 1.0, 1.0)),
        ([box(0, 0, 9, 9)], [True], [box(0, 0, 9, 9)], (1.0, 1.0, 1.0)),
    ],
)
def test_images_with_nothing_to_find_or_nothing_found(words, flags, detections, expected):
    score = evaluate_image(words, flags, detections)

    assert (score.precision, score.recall, score.hmean) == expected
    assert score.average_precision is None


def test_a_bow_tie_is_repaired_to_its_wings_and_counted():
    bow_tie = [(0, 0), (10, 10), (10, 0), (0, 10)]  # two triangles of 25 each

    score = evaluate_image([box(0, 0, 10, 10)], [False], [bow_tie])

    assert score.repaired_detections == (0,)
    assert (score.num_detections, score.matches) == (1, ())  # an IoU of one half is not above it
    assert evaluate_image([bow_tie], [False], [bow_tie]).recall == 1.0


def test_a_polygon_without_area_matches_nothing_but_counts():
    line = [(0, 0), (10, 0), (10, 0), (0, 0)]

    score = evaluate_image([line, box(0, 0, 9, 9)], [False, False], [line, line])

    assert (score.repaired_truth, score.repaired_detections) == ((0,), (0, 1))
    assert (score.num_truth, score.num_detections, score.matches) == (2, 2, ())


def test_the_direction_of_a_polygon_does_not_matter():
    word = box(0, 0, 10, 10)

    assert evaluate_image([word], [False], [word[::-1]]).recall == 1.0


def test_polygons_of_any_number_of_corners_are_scored():
    hexagon = [(0, 0), (5, -2), (10, 0), (10, 10), (5, 12), (0, 10)]  # 120 square pixels

    score = evaluate_image([hexagon], [False], [box(0, 0, 10, 10)])

    assert score.matches[0].iou == pytest.approx(100 / 120)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([box(0, 0, 1, 1)], [], []), "1 words with 0 don't-care flags"),
        (([], [], [box(0, 0, 1, 1)], [0.1, 0.2]), "1 detections with 2 scores"),
        (([], [], [box(0, 0, 1, 1)], [float("nan")]), "not finite"),
        (([], [], [[(0, 0), (1, 1)]]), "at least 3 corners"),
        (([[(0, 0), (1, float("inf")), (2, 2)]], [False], []), "not finite"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate_image(*arguments)


def slow_score(words, flags, detections) -> tuple[list[tuple[int, int]], list[int]]:
    """The organisers' rules, pair by pair."""
    half = 0.5 + 1e-10  # an overlap of exactly one half may come out a few units of the last digit above it
    truth, found = [Polygon(word) for word in words], [Polygon(item) for item in detections]
    ignored = [
        number
        for number, item in enumerate(found)
        if any(item.intersection(word).area / item.area > half for word, flag in zip(truth, flags, strict=True) if flag)
    ]
    pairs: list[tuple[int, int]] = []
    for number, word in enumerate(truth):
        for other, item in enumerate(found):
            shared = word.intersection(item).area
            iou = shared / (item.area + word.area - shared)
            free = number not in {pair[0] for pair in pairs} and other not in {pair[1] for pair in pairs}
            if free and not flags[number] and other not in ignored and iou > half:
                pairs.append((number, other))
    return pairs, ignored


quads = st.lists(
    st.tuples(*[st.integers(0, 9)] * 8)
    .map(lambda numbers: np.reshape(numbers, (4, 2)))
    .filter(lambda quad: abs(signed_area(quad)) > 0 and Polygon(quad).is_valid),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(quads, quads, st.randoms(use_true_random=False))
def test_agrees_with_the_rules_taken_pair_by_pair(words, detections, random):
    flags = [random.random() < 0.3 for _ in words]

    score = evaluate_image(words, flags, detections)

    pairs, ignored = slow_score(words, flags, detections)
    assert pairs_of(score) == pairs
    assert list(score.ignored_detections) == ignored
