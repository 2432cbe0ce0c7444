"""Misses and false alarms by scene, and the image of the worst."""

import cv2
import numpy as np
import pytest
from PIL import Image

from craft.cli.command import main
from craft.detection.failures import (
    FALSE_ALARM,
    FOUND,
    IGNORED,
    MISSED,
    draw_failure,
    failure_of,
    worst_scenes,
    write_failures,
)
from craft.evaluation.protocols import score_polygons
from craft.scene import Scene, Word

WIDTH, HEIGHT = 200, 100


def box(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def line(left, top, right, bottom):
    return ",".join(map(str, box(left, top, right, bottom).astype(int).ravel())) + "\n"


@pytest.fixture
def scenes(tmp_path):
    """img_1: one word found. img_2: one found, one missed, one false alarm, one ignored. img_3: two missed."""
    words = {
        1: (Word(box(10, 10, 60, 30)),),
        2: (Word(box(10, 10, 60, 30)), Word(box(10, 40, 60, 60)), Word(box(100, 10, 180, 40), dont_care=True)),
        3: (Word(box(10, 10, 60, 30)), Word(box(10, 40, 60, 60))),
    }
    found = {
        1: line(10, 10, 60, 30),
        2: line(10, 10, 60, 30) + line(120, 60, 180, 90) + line(110, 15, 170, 35),
        3: "",
    }
    (tmp_path / "found").mkdir()
    made = []
    for number, labelled in words.items():
        path = tmp_path / f"img_{number}.png"
        cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        (tmp_path / "found" / f"res_img_{number}.txt").write_text(found[number], encoding="utf-8")
        made.append(Scene(str(path), labelled, f"img_{number}"))
    return made


def test_the_worst_have_the_most_misses_and_false_alarms(scenes, tmp_path):
    worst = worst_scenes(scenes, tmp_path / "found", protocol="icdar2015", count=5)

    assert [one.scene.name for one in worst] == ["img_2", "img_3"]
    assert (worst[0].missed, worst[0].false_alarms, worst[0].ignored) == ((1,), (1,), (2,))
    assert (worst[1].missed, worst[1].false_alarms, worst[1].num_words) == ((0, 1), (), 2)
    assert len(worst_scenes(scenes, tmp_path / "found", protocol="icdar2015", count=1)) == 1


@pytest.mark.parametrize(
    ("x", "y", "colour"), [(10, 20, FOUND), (10, 50, MISSED), (120, 75, FALSE_ALARM), (110, 25, IGNORED)]
)
def test_every_kind_has_its_colour(scenes, tmp_path, x, y, colour):
    (worst, _) = worst_scenes(scenes, tmp_path / "found", protocol="icdar2015", count=5)

    drawn = draw_failure(worst, np.zeros((HEIGHT, WIDTH, 3), np.uint8), side=2 * WIDTH)

    caption = drawn.shape[0] - 2 * HEIGHT
    around = drawn[caption + 2 * y, 2 * x - 2 : 2 * x + 3].astype(int)
    assert np.abs(around - np.array(colour)).sum(axis=1).min() < 150
    assert np.abs(around - np.array(colour)).sum(axis=1).min() == min(
        np.abs(around - np.array(other)).sum(axis=1).min() for other in (FOUND, MISSED, FALSE_ALARM, IGNORED)
    )


def test_nothing_wrong_draws_nothing(scenes, tmp_path):
    worst = worst_scenes(scenes[:1], tmp_path / "found", protocol="icdar2015", count=5)

    assert worst == ()
    with pytest.raises(ValueError, match="nothing to draw"):
        write_failures(tmp_path / "worst.png", worst)


def test_labels_alone_have_nothing_to_draw_on(scenes, tmp_path):
    bare = [Scene("", scene.words, scene.name) for scene in scenes]

    with pytest.raises(ValueError, match=r"img_2: label files alone have no images"):
        write_failures(tmp_path / "a.png", worst_scenes(bare, tmp_path / "found", protocol="icdar2015", count=3))


def test_no_scenes_wanted_is_refused(scenes, tmp_path):
    with pytest.raises(ValueError, match="0 scenes wanted"):
        worst_scenes(scenes, tmp_path / "found", protocol="icdar2015", count=0)


def test_the_verb_draws_them(tmp_path, tiny_set, capsys):
    found = tmp_path / "found"
    found.mkdir()
    (found / "res_img_1.txt").write_text(line(100, 90, 150, 120), encoding="utf-8")
    options = ["--detections", str(found), "--truth", str(tiny_set), "--protocol", "icdar2017", "--worst", "2"]

    status = main(["evaluate", *options, "--failures", str(tmp_path / "worst.png")])

    assert status == 0
    sheet = Image.open(tmp_path / "worst.png")
    assert sheet.size == (2 * 480, 22 + 384)
    assert "the 2 worst scenes" in capsys.readouterr().err


def test_words_in_parts_and_detections_of_several_words_are_told_from_misses_and_false_alarms():
    words = (Word(box(0, 0, 100, 20)), Word(box(0, 40, 45, 60)), Word(box(55, 40, 100, 60)), Word(box(0, 70, 50, 90)))
    scene = Scene("", words, "img_1")
    found = [box(0, 0, 48, 20), box(52, 0, 100, 20), box(0, 40, 100, 60), box(0, 70, 50, 90), box(120, 0, 150, 20)]

    for protocol in ("icdar2015", "icdar2013"):
        failure = failure_of(scene, found, score_polygons(scene, found, protocol=protocol))

        assert failure.split == (0,)
        assert failure.merged == (2,)
        assert 4 in failure.false_alarms


def test_a_scene_without_words_or_detections_has_nothing_in_parts():
    scene = Scene("", (), "img_1")

    failure = failure_of(scene, [], score_polygons(scene, [], protocol="icdar2015"))

    assert (failure.split, failure.merged, failure.missed) == ((), (), ())
