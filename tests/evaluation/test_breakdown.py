"""Recall by kinds of words."""

import numpy as np

from craft.evaluation.breakdown import breakdown, format_breakdown
from craft.evaluation.protocols import score_polygons
from craft.scene import Scene, Word


def quad(width, height, degrees=0.0, *, left=0.0):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) @ turn
    return np.add(corners, (left, 300)).astype(np.float32)


def test_words_are_counted_by_height_angle_length_and_script():
    words = (
        Word(quad(40, 10), "ab", script="Latin"),
        Word(quad(80, 20, left=200), "abcdef", script="Greek"),
        Word(quad(80, 20, 40, left=500), "abcdef", script="Latin"),
        Word(quad(80, 20, left=900), dont_care=True),
    )
    scene = Scene("x.jpg", words, "x")
    score = score_polygons(scene, [words[0].polygon_xy, words[2].polygon_xy], protocol="icdar2015")

    rows = breakdown([scene], [score])

    assert rows == [
        ("height", "8 to 12 px", 1, 1),
        ("height", "16 to 24 px", 2, 1),
        ("angle", "0 to 5 degrees", 2, 1),
        ("angle", "30 to 60 degrees", 1, 1),
        ("length", "2 to 3 letters", 1, 1),
        ("length", "5 to 8 letters", 2, 1),
        ("script", "Greek", 1, 0),
        ("script", "Latin", 2, 2),
    ]
    assert "0.500" in format_breakdown(rows)


def test_words_at_the_largest_edges_have_a_class_of_their_own():
    scene = Scene("x.jpg", (Word(quad(400, 200), "a" * 20),), "x")

    names = [row[1] for row in breakdown([scene], [score_polygons(scene, [], protocol="icdar2015")])]

    assert names == ["from 128 px", "0 to 5 degrees", "from 13 letters"]
