"""DetEval: numbers checkable by hand, and the rules taken pair by pair beside the vectorised code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from craft.evaluation.deteval import evaluate_image
from craft.evaluation.image_score import ImageScore


def box(x1: int, y1: int, x2: int, y2: int) -> list[tuple[int, int]]:
    """The box of the pixels from (x1, y1) to (x2, y2), both included."""
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def groups(score: ImageScore) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(match.truth, match.detections) for match in score.matches]


def test_a_detection_that_covers_eight_tenths_of_a_word_is_a_match():
    score = evaluate_image([box(0, 0, 9, 9)], [False], [box(0, 0, 9, 7)])  # 80 of 100 pixels

    assert groups(score) == [((0,), (0,))]
    assert (score.precision, score.recall, score.hmean) == (1.0, 1.0, 1.0)


def test_a_detection_that_covers_less_is_none():
    score = evaluate_image([box(0, 0, 9, 9)], [False], [box(0, 0, 9, 6)])

    assert (score.precision, score.recall) == (0.0, 0.0)


def test_a_detection_of_which_the_word_is_less_than_four_tenths_is_none():
    word = box(0, 0, 9, 9)

    assert evaluate_image([word], [False], [box(0, 0, 9, 24)]).recall == 1.0  # 100 of 250 pixels
    assert evaluate_image([word], [False], [box(0, 0, 9, 25)]).recall == 0.0


def test_a_word_in_two_detections_earns_eight_tenths_for_each_side():
    score = evaluate_image([box(0, 0, 19, 9)], [False], [box(0, 0, 9, 9), box(10, 0, 19, 9)])

    assert groups(score) == [((0,), (0, 1))]
    assert (score.truth_credit, score.detection_credit) == (0.8, 1.6)
    assert (score.precision, score.recall) == (0.8, 0.8)


def test_two_words_in_one_detection_earn_all():
    score = evaluate_image([box(0, 0, 9, 9), box(12, 0, 21, 9)], [False, False], [box(0, 0, 21, 9)])

    assert groups(score) == [((0, 1), (0,))]
    assert (score.precision, score.recall) == (1.0, 1.0)


def test_words_that_one_detection_merges_are_found_once():
    words, merged = [box(10 * n, 0, 10 * n + 9, 9) for n in range(3)], box(0, 0, 29, 9)

    score = evaluate_image(words, [False] * 3, [merged, merged])

    assert groups(score) == [((0, 1, 2), (0,))]
    assert (score.recall, score.precision) == (1.0, 0.5)


def test_a_detection_mostly_in_a_dont_care_word_counts_neither_way():
    score = evaluate_image([box(0, 0, 9, 9), box(50, 0, 59, 9)], [True, False], [box(5, 0, 14, 9), box(50, 0, 59, 9)])

    assert score.ignored_detections == (0,)  # 50 of 100 pixels: more than four tenths
    assert groups(score) == [((1,), (1,))]
    assert (score.num_truth, score.num_detections, score.precision, score.recall) == (1, 1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("words", "flags", "detections", "expected"),
    [
        ([], [], [], (1.0, 1.0)),
        ([], [], [box(0, 0, 9, 9)], (0.0, 1.0)),
        ([box(0, 0, 9, 9)], [False], [], (0.0, 0.0)),
        ([box(0, 0, 9, 9)], [True], [], (1.0, 1.0)),
    ],
)
def test_images_with_nothing_to_find_or_nothing_found(words, flags, detections, expected):
    score = evaluate_image(words, flags, detections)

    assert (score.precision, score.recall) == expected


def test_an_ignored_detection_that_fits_a_word_still_spoils_its_match():
    word, below = box(0, 0, 9, 9), box(0, 10, 9, 24)

    score = evaluate_image([word, below], [False, True], [word, box(0, 0, 9, 24)])

    assert score.ignored_detections == (1,)  # 150 of 250 pixels
    assert score.recall == 0.0  # two detections fit the word, one of which counts


def test_sums_of_shares_are_rounded_to_four_places_before_they_are_compared():
    line, halves = box(0, 0, 99_999, 0), [box(0, 0, 49_999, 0), box(50_000, 0, 79_995, 0)]  # 79,996 of 100,000 pixels
    parts = [box(0, 0, 19_999, 0), box(20_000, 0, 39_995, 0)]

    assert groups(evaluate_image([line], [False], halves)) == [((0,), (0, 1))]
    assert groups(evaluate_image(parts, [False, False], [line])) == [((0, 1), (0,))]


def test_a_rotated_detection_counts_by_its_box():
    diamond = [(5, 0), (9, 5), (5, 9), (0, 5)]

    assert evaluate_image([box(0, 0, 9, 9)], [False], [diamond]).recall == 1.0


def test_flags_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="1 words with 0"):
        evaluate_image([box(0, 0, 9, 9)], [], [])


def slow_groups(words, flags, detections):
    """The organisers' rules in plain loops over boxes x1, y1, x2, y2."""

    def area(b):
        return (b[2] - b[0] + 1) * (b[3] - b[1] + 1)

    def shared(a, b):
        return max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1) * max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)

    recall = [[shared(w, d) / area(w) for d in detections] for w in words]
    precision = [[shared(w, d) / area(d) for d in detections] for w in words]
    ignored = {d for d in range(len(detections)) for w in range(len(words)) if flags[w] and precision[w][d] > 0.4}
    care = [w for w in range(len(words)) if not flags[w]]
    counted = [d for d in range(len(detections)) if d not in ignored]
    fits = {
        (w, d)
        for w in range(len(words))
        for d in range(len(detections))
        if recall[w][d] >= 0.8 and precision[w][d] >= 0.4
    }
    used_words: set[int] = set()
    used: set[int] = set()
    found = []
    for w in care:
        for d in counted:
            alone = (w, d) in fits and sum(p[0] == w or p[1] == d for p in fits) == 1
            touches = sum(recall[w][e] > 0 for e in counted) == 1 and sum(recall[v][d] > 0 for v in care) == 1
            if alone and touches and w not in used_words and d not in used:
                used_words.add(w)
                used.add(d)
                found.append(((w,), (d,)))
    for w in care:
        parts = [d for d in counted if d not in used and precision[w][d] >= 0.4]
        enough = w not in used_words and round(sum(recall[w][d] for d in parts), 4) >= 0.8
        if enough and sum(recall[w][d] > 0 for d in counted) >= 2:
            used_words.add(w)
            used.update(parts)
            found.append(((w,), tuple(parts)))
    for d in counted:
        parts = [w for w in care if w not in used_words and recall[w][d] >= 0.8]
        enough = d not in used and round(sum(precision[w][d] for w in parts), 4) >= 0.4
        if enough and sum(recall[w][d] > 0 for w in care) >= 2:
            used.add(d)
            used_words.update(parts)
            found.append((tuple(parts), (d,)))
    return found, sorted(ignored)


boxes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 4), st.integers(0, 12), st.integers(0, 4)).map(
        lambda n: (min(n[0], n[2]), min(n[1], n[3]), max(n[0], n[2]), max(n[1], n[3]))
    ),
    max_size=7,
)


@settings(max_examples=200, deadline=None)
@given(boxes, boxes, st.randoms(use_true_random=False))
def test_agrees_with_the_rules_in_plain_loops(words, detections, random):
    flags = [random.random() < 0.3 for _ in words]

    score = evaluate_image([box(*word) for word in words], flags, [box(*item) for item in detections])

    found, ignored = slow_groups(words, flags, detections)
    assert groups(score) == found
    assert list(score.ignored_detections) == ignored
