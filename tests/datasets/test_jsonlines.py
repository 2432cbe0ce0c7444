import json
import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from craft.datasets.jsonlines import read_json_lines, write_scenes
from craft.scene import Scene, Word, is_visible

QUAD = [[0, 0], [20, 0], [20, 10], [0, 10]]
POLYGON = [[0, 0], [10, -5], [20, 0], [20, 10], [10, 5], [0, 10]]
LEFT, RIGHT = [[0, 0], [10, 0], [10, 10], [0, 10]], [[10, 0], [20, 0], [20, 10], [10, 10]]


def write_lines(path, *records):
    path.write_text(
        "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records),
        encoding="utf-8",
    )
    return path


def scene_of(*words, image="images/img_1.jpg", **more):
    return {"image": image, "words": list(words), **more}


def test_reads_quads_polygons_characters_and_what_a_word_says(tmp_path):
    path = write_lines(
        tmp_path / "scenes.jsonl",
        scene_of(
            {"quad": QUAD, "text": "ab", "script": "Latin", "characters": [LEFT, RIGHT], "confidence": 0.5},
            {"polygon": POLYGON, "text": "curved"},
            {"quad": QUAD, "text": "secret", "dont_care": True, "note": {"any": "thing"}},
        ),
        "",
        scene_of(image="other.png", name="second"),
    )

    reading = read_json_lines(path)

    assert reading.problems == ()
    first, second = reading.scenes
    assert (first.name, first.image_path) == ("img_1", str(tmp_path / "images/img_1.jpg"))
    assert (second.name, second.words) == ("second", ())
    word, curved, hidden = first.words
    assert (word.text, word.script, word.confidence, word.dont_care) == ("ab", "Latin", 0.5, False)
    assert word.character_quads_xy.tolist() == [LEFT, RIGHT]
    assert word.character_quads_xy.dtype == np.float32
    assert word.source == f"{path}:1"
    assert curved.polygon_xy.tolist() == POLYGON
    assert curved.character_quads_xy is None
    assert hidden.dont_care


def test_a_word_without_text_is_dont_care_unless_it_has_characters(tmp_path):
    path = write_lines(
        tmp_path / "scenes.jsonl",
        scene_of(
            {"quad": QUAD}, {"quad": QUAD, "text": "###"}, {"quad": QUAD, "text": None, "characters": [LEFT, RIGHT]}
        ),
    )

    words = read_json_lines(path).scenes[0].words

    assert [word.dont_care for word in words] == [True, True, False]


def test_counter_clockwise_polygons_and_characters_are_reversed(tmp_path):
    backwards = [POLYGON[0], *POLYGON[:0:-1]]
    path = write_lines(
        tmp_path / "a.jsonl", scene_of({"polygon": backwards, "text": "a", "characters": [[LEFT[0], *LEFT[:0:-1]]]})
    )

    (word,) = read_json_lines(path).scenes[0].words

    assert word.polygon_xy.tolist() == POLYGON
    assert word.character_quads_xy.tolist() == [LEFT]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"image": "a.jpg", "words": [', "not JSON"),
        ("[1, 2]", "expected a scene"),
        ({"words": []}, "image is 'None', not the path"),
        ({"image": "a.jpg"}, "words is missing or not a list"),
        ({"image": "a.jpg", "word": []}, 'no key "word"; did you mean "words"'),
        ({"image": "a.jpg", "words": [], "name": 3}, "name is '3', not a string"),
        (scene_of("text"), "word 1: expected a word"),
        (scene_of({"quad": QUAD, "dontcare": True}), 'word 1: a word has no key "dontcare"; did you mean "dont_care"'),
        (scene_of({"quad": QUAD, "polygon": QUAD}), "both quad and polygon, or neither"),
        (scene_of({"text": "a"}), "both quad and polygon, or neither"),
        (scene_of({"quad": QUAD[:3]}), r"array of \[3, 2\] numbers; give 4 corners"),
        (scene_of({"quad": "wide"}), "quad is 'wide', not corners"),
        (scene_of({"quad": [[0, 0], [1], [2, 2], [3, 3]]}), "not corners"),
        (scene_of({"polygon": QUAD[:3]}), "give 4 or more corners"),
        (scene_of({"quad": [[0, 0], [10, 10], [10, 0], [0, 10]]}), "word's sides cross"),
        (scene_of({"quad": QUAD}, {"quad": [[5, 5]] * 4}), "word 2: word has no area"),
        (scene_of({"quad": QUAD, "text": 5}), "text is '5', not a string"),
        (scene_of({"quad": QUAD, "dont_care": "yes"}), "dont_care is 'yes', not true or false"),
        (scene_of({"quad": QUAD, "characters": [LEFT, [[1, 1]] * 4]}), "character 2 has no area"),
        (scene_of({"quad": QUAD, "characters": [LEFT, LEFT[:3]]}), r"character 2 is .* an array of \[3, 2\] numbers"),
        (scene_of({"quad": QUAD, "characters": [LEFT, [[0, 0], [9, 9], [9, 0], [0, 9]]]}), "character 2's sides cross"),
        (scene_of({"quad": QUAD, "characters": [[[2e6, 0], [1, 0], [1, 1], [0, 1]]]}), "character 1 has a coordinate"),
        (scene_of({"quad": QUAD, "characters": 3}), "characters is not a list"),
        (scene_of({"quad": QUAD, "confidence": 2}), "confidence is '2', not a number from 0 to 1"),
        (scene_of({"quad": QUAD, "confidence": True}), "confidence is 'True'"),
        (scene_of({"quad": [["1", 1], [9, 1], [9, 9], [1, 9]]}), "quad is .*, not all numbers"),
        (scene_of({"quad": [[True, 1], [9, 1], [9, 9], [1, 9]]}), "quad is .*, not all numbers"),
        (
            scene_of({"quad": QUAD, "characters": [LEFT, [[10, False], *RIGHT[1:]]]}),
            "character 2 is .*, not all numbers",
        ),
        (
            '{"image": "a.jpg", "words": [{"quad": [[' + "9" * 5000 + ", 1], [9, 1], [9, 9], [1, 9]]}]}",
            "cannot be read",
        ),
        ("[" * 100_000, "cannot be read"),
        (scene_of({"quad": QUAD, "text": "a\ud800"}), "text holds half of a surrogate pair"),
        (scene_of({"quad": QUAD, "text": "a", "script": "\udc80"}), "script holds half of a surrogate pair"),
        (scene_of(image="\ud800.jpg"), "image holds half of a surrogate pair"),
        (scene_of(name="../../x"), "name is '../../x', a path"),
        (scene_of(name="/abs/x"), "name is '/abs/x', a path"),
        (scene_of(name=".."), "name is '..', a path"),
        (scene_of(name="a\\b"), "a path"),
        (scene_of(name="NUL"), "a device's name on Windows"),
        (scene_of(name="com1.b"), "a device's name on Windows"),
        (scene_of(name="9" * 5000), "5000 characters; use at most 200"),
        (scene_of(image="a\0.jpg"), "with a zero byte"),
        ('{"image": "a.jpg", "words": [{"quad": [[NaN, 0], [1, 0], [1, 1], [0, 1]]}]}', "not finite or beyond"),
    ],
)
def test_every_malformed_line_is_reported_with_its_line(tmp_path, record, message):
    path = write_lines(tmp_path / "a.jsonl", scene_of(image="good.jpg"), record)

    reading = read_json_lines(path)

    (problem,) = reading.problems
    assert problem.where == f"{path}:2"
    assert problem.fatal
    assert re.search(message, str(problem))
    assert [scene.name for scene in reading.good_scenes] == ["good"]


def test_characters_become_clockwise_one_by_one(tmp_path):
    backwards = [LEFT[0], *LEFT[:0:-1]]
    path = write_lines(tmp_path / "a.jsonl", scene_of({"quad": QUAD, "text": "ab", "characters": [LEFT, backwards]}))

    (word,) = read_json_lines(path).scenes[0].words

    np.testing.assert_array_equal(word.character_quads_xy, [LEFT, LEFT])


def test_a_bad_word_leaves_the_other_words_and_marks_the_scene(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", scene_of({"quad": [[1, 1]] * 4}, {"quad": QUAD, "text": "good"}))

    reading = read_json_lines(path)

    assert [word.text for word in reading.scenes[0].words] == ["good"]
    assert reading.bad_scenes == {"img_1"}


def test_a_second_scene_of_a_name_is_reported(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", scene_of(image="a/1.jpg"), scene_of(image="b/1.jpg"))

    reading = read_json_lines(path)

    assert len(reading.scenes) == 1
    assert "second scene of the name '1'; give it another with \"name\"" in str(reading.problems[0])


def test_backslashes_of_windows_are_read_as_slashes_unless_a_file_has_them(tmp_path):
    (tmp_path / "odd\\name.jpg").touch()
    path = write_lines(
        tmp_path / "a.jsonl", scene_of(image="images\\img_1.jpg"), scene_of(image="odd\\name.jpg", name="o")
    )

    reading = read_json_lines(path)

    assert reading.problems == ()
    assert [scene.image_path for scene in reading.scenes] == [
        str(tmp_path / "images/img_1.jpg"),
        str(tmp_path / "odd\\name.jpg"),
    ]
    assert reading.scenes[0].name == "img_1"


def test_file_names_that_are_not_utf8_are_written_and_read_back(tmp_path):
    scene = Scene(str(tmp_path / "caf\udce9.jpg"), (), "caf\udce9")

    write_scenes(tmp_path / "a.jsonl", [scene])

    (back,) = read_json_lines(tmp_path / "a.jsonl").scenes
    assert (back.image_path, back.name) == (scene.image_path, scene.name)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "scenes.jsonl")

    (problem,) = read_json_lines(tmp_path / "scenes.jsonl").problems

    assert "is a pipe" in str(problem)


def test_a_missing_file_is_reported(tmp_path):
    reading = read_json_lines(tmp_path / "missing.jsonl")

    assert "cannot be read" in str(reading.problems[0])


def test_scenes_not_wanted_are_neither_read_nor_reported(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", scene_of({"quad": [[1, 1]] * 4}), scene_of(image="img_2.jpg"))

    reading = read_json_lines(path, numbers=(2, 2))

    assert [scene.name for scene in reading.scenes] == ["img_2"]
    assert reading.problems == ()


def test_an_unfinished_write_leaves_the_old_file(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", scene_of())
    before = path.read_bytes()

    def scenes():
        yield Scene(str(tmp_path / "x.jpg"), (), "x")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_scenes(path, scenes())

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_image_paths_are_written_relative_to_the_file(tmp_path):
    (tmp_path / "labels").mkdir()
    path = tmp_path / "labels" / "a.jsonl"

    write_scenes(path, [Scene(str(tmp_path / "images" / "img_7.jpg"), (), "img_7")])

    assert json.loads(path.read_text()) == {"image": "../images/img_7.jpg", "words": []}
    (scene,) = read_json_lines(path).scenes
    assert scene.name == "img_7"


square_sides = st.floats(0.125, 1000, width=32)
shifts = arrays.arrays(np.float32, 2, elements=st.floats(-100, 5000, width=32))


@st.composite
def words(draw):
    side, shift = draw(square_sides), draw(shifts)
    quad = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * np.float32(side) + shift).astype(np.float32)
    text = draw(st.one_of(st.none(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)))
    text = text.strip() if text is not None and text.strip() != "###" and any(map(is_visible, text)) else None
    characters = draw(st.sampled_from([None, np.stack([quad, quad])]))
    return Word(
        quad,
        text=text,
        script=draw(st.sampled_from(["", "Latin"])),
        dont_care=draw(st.booleans()) or (text is None and characters is None),
        character_quads_xy=characters,
        confidence=draw(st.floats(0, 1)),
    )


@settings(max_examples=60, deadline=None)
@given(listed=st.lists(words(), max_size=3))
def test_written_scenes_read_back_to_the_last_bit(tmp_path_factory, listed):
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    scene = Scene(str(path.parent / "pictures" / "x y.png"), tuple(listed), "own name")

    write_scenes(path, [scene])

    reading = read_json_lines(path)
    assert reading.problems == ()
    (back,) = reading.scenes
    assert (back.name, back.image_path) == (scene.name, scene.image_path)
    for was, read in zip(scene.words, back.words, strict=True):
        np.testing.assert_array_equal(was.polygon_xy, read.polygon_xy)
        assert (was.text, was.script, was.dont_care, was.confidence) == (
            read.text,
            read.script,
            read.dont_care,
            read.confidence,
        )
        assert (was.character_quads_xy is None) == (read.character_quads_xy is None)
        if was.character_quads_xy is not None:
            np.testing.assert_array_equal(was.character_quads_xy, read.character_quads_xy)
