"""Lines of words and their strips, checked by hand."""

import numpy as np

from craft.scene import Word
from craft.targets.lines import draw_lines, join_polygons, scene_lines


def box(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def test_words_of_a_line_become_one_polygon_along_its_upper_and_back_along_its_lower_side():
    joined = join_polygons([box(0, 0, 10, 8), box(20, 2, 30, 10)])

    expected = [[0, 0], [10, 0], [20, 2], [30, 2], [30, 10], [20, 10], [10, 8], [0, 8]]
    np.testing.assert_array_equal(joined, expected)


def test_words_without_a_line_stand_alone_and_a_dont_care_word_spoils_its_line():
    words = [
        Word(box(0, 0, 10, 8), "a", line=3),
        Word(box(0, 20, 10, 28), "b"),
        Word(box(20, 0, 30, 8), "c", line=3),
        Word(box(0, 40, 10, 48), "d", line=4),
        Word(box(20, 40, 30, 48), None, line=4, dont_care=True),
    ]

    lines = scene_lines(words)

    assert [len(polygon) for polygon, _ in lines] == [8, 4, 8]
    assert [dont_care for _, dont_care in lines] == [False, False, True]


def test_the_target_is_the_middle_half_of_the_line_also_between_its_words():
    line = join_polygons([box(8, 8, 24, 24), box(40, 8, 56, 24)])

    target, care = draw_lines([(line, False)], map_size_hw=(16, 32))

    assert care.all()
    # Height 16 from 8 to 24: the strip is 12 to 20, map rows 6 to 9; columns 4 to 27. OpenCV also fills the border.
    rows, columns = np.nonzero(target)
    assert (rows.min(), columns.min(), columns.max()) == (6, 4, 28)
    assert rows.max() in (9, 10)
    assert target[7, 4:28].all()


def test_dont_care_lines_are_ignored_unless_a_line_crosses_them():
    target, care = draw_lines([(box(0, 0, 64, 16), True), (box(16, 0, 48, 16), False)], map_size_hw=(16, 32))

    assert not care[4, 2]
    assert care[4, 12]
    assert target[4, 12] == 1
    assert care[12].all()


def test_no_lines_give_an_empty_target():
    target, care = draw_lines([], map_size_hw=(4, 6))

    assert target.shape == (4, 6)
    assert not target.any()
    assert care.all()
