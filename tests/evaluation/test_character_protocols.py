"""TedEval and CLEval: cases that can be checked by hand. The authors' code is run beside in benchmarks/agreement."""

import numpy as np
import pytest

from craft.evaluation import cleval, tedeval
from craft.evaluation.pseudo_characters import character_centres

WORD = [(0, 0), (60, 0), (60, 10), (0, 10)]  # of six characters


def box(left, right, top=0, bottom=10):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def both(words, detections, counts, dont_care=None):
    flags = dont_care or [False] * len(words)
    return [protocol.evaluate_image(words, flags, detections, counts) for protocol in (tedeval, cleval)]


def test_a_word_found_as_it_is_counts_in_full():
    for score in both([WORD], [WORD], [6]):
        assert (score.precision, score.recall, score.hmean) == (1, 1, 1)


def test_a_detection_of_two_thirds_finds_four_of_six_characters():
    ted, cle = both([WORD], [box(0, 40)], [6])

    assert ted.recall == ted.precision == pytest.approx(4 / 6)
    assert cle.recall == pytest.approx(4 / 6)
    assert cle.precision == 1  # the four that it holds


def test_a_word_in_two_parts_costs_a_character_in_cleval_alone():
    ted, cle = both([WORD], [box(0, 30), box(30, 60)], [6])

    assert ted.recall == 1
    assert ted.precision == pytest.approx(1 / 2)  # three of six characters each
    assert cle.recall == pytest.approx(5 / 6)
    assert cle.precision == 1


def test_two_words_in_one_detection_cost_a_character_in_cleval_alone():
    words = [box(0, 30), box(34, 64)]

    ted, cle = both(words, [box(0, 64)], [3, 3])

    assert (ted.recall, ted.precision) == (1, 1)
    assert (cle.recall, cle.precision) == (1, pytest.approx(5 / 6))


def test_words_in_one_detection_that_do_not_lie_in_a_line_are_no_match_in_tedeval():
    words = [box(0, 30, 0, 10), box(0, 30, 12, 22)]

    ted, _ = both(words, [box(0, 30, 0, 22)], [3, 3])

    assert ted.recall == 0
    assert ted.matches == ()


def test_a_false_detection_counts_as_its_length_in_characters():
    tall = [(100, 0), (110, 0), (110, 40), (100, 40)]

    cle = cleval.evaluate_image([WORD], [False], [WORD, tall], [6])

    assert cle.num_detections == 6 + 4
    assert cle.precision == pytest.approx(6 / 10)


def test_a_detection_in_a_dont_care_word_counts_neither_way():
    for score in both([WORD, box(100, 160)], [WORD, box(105, 150)], [6, None], [False, True]):
        assert score.ignored_detections == (1,)
        assert score.hmean == 1
        assert score.num_dont_care == 1


def test_detections_on_top_of_each_other_find_a_character_once():
    ted, cle = both([WORD], [WORD, WORD], [6])

    assert ted.recall == 0  # none is held by exactly one
    assert cle.num_detections == 12
    assert cle.truth_credit == 5


@pytest.mark.parametrize(("words", "detections"), [([], []), ([], [WORD]), ([WORD], [])])
def test_nothing_to_find_and_nothing_found_are_normal(words, detections):
    for score in both(words, detections, [6] * len(words)):
        assert score.truth_credit == score.detection_credit == 0
        assert np.isfinite(score.hmean)


def test_a_tall_word_is_read_downwards_and_a_polygon_along_its_middle():
    down = character_centres([(0, 0), (10, 0), (10, 40), (0, 40)], 2, downwards=True)
    bent = character_centres([(0, 0), (30, 0), (30, 30), (20, 30), (20, 10), (0, 10)], 1, downwards=False)

    np.testing.assert_allclose(sorted(down.tolist()), [[5, 10], [5, 30]])
    np.testing.assert_allclose(bent, [[22.5, 5]], atol=4)  # half way along the middle line of two strips
