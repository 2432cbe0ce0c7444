import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from craft.config import DatasetSettings
from craft.datasets.synthtext import read_synthtext

savemat = pytest.importorskip("scipy.io").savemat
REAL = os.environ.get("CRAFT_REAL_DATA")


def read(path, **changes):
    return read_synthtext(DatasetSettings(path=str(path), format="synthtext", **changes))


def boxes(lefts, top=0.0, size=10.0):
    """(2, 4, N) as in SynthText: squares with these left sides."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
    quads = corners + np.stack([np.asarray(lefts, float), np.full(len(lefts), top)], 1)[:, None]
    return quads.transpose(2, 1, 0)


def write_mat(path, scenes):
    columns = {"imnames": [], "wordBB": [], "charBB": [], "txt": []}
    for name, word_boxes, character_boxes, texts in scenes:
        columns["imnames"].append(np.array([name]))
        columns["wordBB"].append(word_boxes)
        columns["charBB"].append(character_boxes)
        columns["txt"].append(np.array(texts))
    cells = {}
    for key, values in columns.items():
        cells[key] = np.empty((1, len(values)), dtype=object)
        for index, value in enumerate(values):
            cells[key][0, index] = value
    savemat(path, cells)
    return path


def test_words_get_their_text_and_their_characters(tmp_path):
    path = write_mat(
        tmp_path / "gt.mat",
        [("8/ballet_1.jpg", boxes([0, 40, 60], size=20), boxes([0, 10, 40, 60, 70]), ["ab\nc   ", " de  "])],
    )

    reading = read(path)

    assert reading.problems == ()
    (scene,) = reading.scenes
    assert (scene.name, scene.image_path) == ("ballet_1", str(tmp_path / "8/ballet_1.jpg"))
    assert [word.text for word in scene.words] == ["ab", "c", "de"]
    assert scene.words[0].polygon_xy.tolist() == [[0, 0], [20, 0], [20, 20], [0, 20]]
    assert scene.words[2].character_quads_xy[:, 0].tolist() == [[60, 0], [70, 0]]
    assert scene.words[2].character_quads_xy.dtype == np.float32
    assert scene.words[0].source == f"{path}:1"


def test_a_single_word_may_lack_the_last_axis(tmp_path):
    path = write_mat(tmp_path / "gt.mat", [("a.jpg", boxes([0])[..., 0], boxes([0]), ["x"])])

    assert len(read(path).scenes[0].words) == 1


def test_counter_clockwise_quads_are_reversed_around_their_first_corner(tmp_path):
    path = write_mat(tmp_path / "gt.mat", [("a.jpg", boxes([0])[:, [0, 3, 2, 1]], boxes([0])[:, [0, 3, 2, 1]], ["x"])])

    (word,) = read(path).scenes[0].words

    assert word.polygon_xy.tolist() == [[0, 0], [10, 0], [10, 10], [0, 10]]
    assert word.character_quads_xy.tolist() == [word.polygon_xy.tolist()]


def test_text_that_does_not_fit_its_boxes_is_reported(tmp_path):
    path = write_mat(
        tmp_path / "gt.mat",
        [("a.jpg", boxes([0]), boxes([0, 10]), ["abc"]), ("b.jpg", boxes([0]), boxes([0]), ["x"])],
    )

    reading = read(path)

    (problem,) = reading.problems
    assert str(problem).startswith(f"{path}:1: 1 words of 3 characters in txt, 1 quads in wordBB and 2 in charBB; ")
    assert reading.bad_scenes == {"a"}
    assert [scene.name for scene in reading.good_scenes] == ["b"]


def test_a_word_with_a_flat_or_crossed_or_endless_quad_becomes_dont_care_and_keeps_its_scene(tmp_path):
    flat, crossed, endless = boxes([0, 20]), boxes([0, 20]), boxes([0, 20])
    flat[:, :, 1] = 5
    crossed[:, :, 1] = crossed[:, [0, 2, 1, 3], 1]
    endless[0, 0, 1] = np.nan
    good = boxes([0, 20])
    path = write_mat(
        tmp_path / "gt.mat",
        [(f"{i}.jpg", bad, good, ["a b"]) for i, bad in enumerate((flat, crossed, endless))]
        + [(f"{i + 3}.jpg", good, bad, ["a b"]) for i, bad in enumerate((flat, crossed, endless))],
    )

    reading = read(path)

    assert [problem.where for problem in reading.problems] == [f"{path}:{number}" for number in range(1, 7)]
    assert all("word 2 'b'" in problem.what for problem in reading.problems)
    assert not reading.errors
    assert len(reading.good_scenes) == 6
    for scene in reading.scenes:
        first, second = scene.words
        assert (first.text, first.dont_care, second.text, second.dont_care) == ("a", False, None, True)
        left, right = second.polygon_xy[:, 0].min(), second.polygon_xy[:, 0].max()
        assert 5 <= left <= 20
        assert right == 30


def test_a_word_that_covers_nothing_is_left_out_and_reported(tmp_path):
    flat = boxes([0, 20])
    flat[:, :, 1] = 5
    path = write_mat(tmp_path / "gt.mat", [("0.jpg", flat, flat, ["a b"])])

    reading = read(path)

    assert "is left out" in reading.problems[0].what
    assert [word.text for word in reading.good_scenes[0].words] == ["a"]


def test_only_wanted_scenes_are_read(tmp_path):
    path = write_mat(tmp_path / "gt.mat", [(f"{i}.jpg", boxes([0]), boxes([0]), ["x"]) for i in range(4)])

    reading = read(path, numbers=(2, 3), images="pictures")

    assert [scene.image_path for scene in reading.scenes] == [str(tmp_path / f"pictures/{i}.jpg") for i in (1, 2)]


def test_a_file_that_is_not_meant_is_refused(tmp_path):
    (tmp_path / "text.mat").write_text("not a MATLAB file, whatever its name")
    savemat(tmp_path / "other.mat", {"wordBB": 1})

    with pytest.raises(ValueError, match=r"text\.mat: cannot be read as a MATLAB file"):
        read(tmp_path / "text.mat")
    with pytest.raises(ValueError, match=r"other\.mat: lacks the fields imnames, charBB, txt"):
        read(tmp_path / "other.mat")
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "missing.mat")


def test_without_scipy_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)

    with pytest.raises(ValueError, match="needs scipy"):
        read(tmp_path / "gt.mat")


@pytest.mark.skipif(REAL is None, reason="CRAFT_REAL_DATA names no folder of real scenes")
def test_real_synthtext_samples_give_a_character_to_every_letter(tmp_path):
    folder = Path(str(REAL)) / "synthtext_samples"
    scenes = []
    for file in sorted((folder / "gt").glob("*.npz")):
        arrays = np.load(file)
        texts = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["txt"]
        scenes.append((f"{file.stem}.png", arrays["wordBB"], arrays["charBB"], texts))

    reading = read(write_mat(tmp_path / "gt.mat", scenes), images=str(folder / "images"))

    assert reading.problems == ()
    assert len(reading.scenes) == 9
    words = [word for scene in reading.scenes for word in scene.words]
    assert len(words) == 106
    assert all(len(word.text) == len(word.character_quads_xy) for word in words)
    for word in words:  # its characters lie within the word, give or take their slant
        low, high = word.polygon_xy.min(0) - 5, word.polygon_xy.max(0) + 5
        assert (word.character_quads_xy.mean(1) > low).all()
        assert (word.character_quads_xy.mean(1) < high).all()
