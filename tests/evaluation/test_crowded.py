"""Images scored in groups give what they give at once, and very full ones end."""

import numpy as np
import pytest

from craft.evaluation import crowded
from craft.evaluation.protocols import score_polygons
from craft.scene import Scene, Word

PROTOCOLS = ("icdar2015", "icdar2013", "tedeval", "cleval")


def random_scene(seed):
    generator = np.random.default_rng(seed)
    corners, sides = generator.integers(0, 400, (60, 1, 2)), generator.integers(4, 40, (60, 2))
    boxes = corners + np.stack([np.zeros_like(sides), sides * [1, 0], sides, sides * [0, 1]], axis=1)
    words = tuple(
        Word(quad.astype(np.float32), "abcd"[: generator.integers(1, 5)], dont_care=bool(generator.random() < 0.3))
        for quad in boxes[:30]
    )
    return Scene("x.jpg", words, "x"), list(boxes[30:]), generator.random(30)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_groups_that_do_not_touch_give_the_score_of_the_whole(protocol, monkeypatch):
    for seed in range(5):
        scene, detections, scores = random_scene(seed)
        whole = score_polygons(scene, detections, scores, protocol=protocol)
        with monkeypatch.context() as patched:
            patched.setattr(crowded, "MOST_PAIRS", 40)
            parts = score_polygons(scene, detections, scores, protocol=protocol)

        for name in ("num_truth", "num_detections", "num_dont_care", "ignored_detections"):
            assert getattr(parts, name) == getattr(whole, name)
        for name in ("truth_credit", "detection_credit", "precision", "recall", "hmean", "average_precision"):
            assert getattr(parts, name) == pytest.approx(getattr(whole, name)), name
        assert set(parts.matches) == set(whole.matches)


def test_detections_that_all_overlap_are_refused_where_they_are_too_many(monkeypatch):
    monkeypatch.setattr(crowded, "MOST_PAIRS", 2)
    quad = np.array([(0, 0), (9, 0), (9, 9), (0, 9)], np.float32)
    scene = Scene("x.jpg", (Word(quad, "a"),) * 40, "x")

    with pytest.raises(ValueError, match="too many to compare"):
        score_polygons(scene, [quad] * 40, protocol="icdar2015")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ten_thousand_words_in_one_image_are_scored(protocol):
    places = np.stack(np.meshgrid(np.arange(100), np.arange(100)), axis=-1).reshape(-1, 1, 2) * 12
    quads = np.add(places, [(0, 0), (10, 0), (10, 10), (0, 10)]).astype(np.float32)
    scene = Scene("x.jpg", tuple(Word(quad, "a") for quad in quads), "x")

    assert score_polygons(scene, list(quads), protocol=protocol).hmean == 1
