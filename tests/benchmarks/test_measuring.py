"""Measuring a detector on a set gives what detecting and scoring each scene gives."""

import numpy as np
import pytest

from benchmarks.studies.measuring import describe_settings, intervals, measure
from craft.config import DatasetSettings, DetectionSettings
from craft.datasets.reading import read_dataset
from craft.detection.detector import Detector
from craft.evaluation.protocols import score_scene
from craft.evaluation.summary import summarise
from tests.detection.test_detector import BrightIsText


def test_scenes_are_detected_in_and_scored(tiny_set):
    scenes = read_dataset(DatasetSettings(path=str(tiny_set))).scenes
    detector = Detector(BrightIsText(), DetectionSettings(sizing="scale", magnify=1.0), device="cpu")

    measured = measure(detector, scenes, protocol="icdar2017")

    found = [detector.detect(scene.image_path) for scene in scenes]
    expected = [
        score_scene(scene, one.quads_xy, one.scores, protocol="icdar2017")
        for scene, one in zip(scenes, found, strict=True)
    ]
    assert summarise(measured.image_scores) == summarise(expected)
    for one, other in zip(measured.found, found, strict=True):
        np.testing.assert_array_equal(one.quads_xy, other.quads_xy)
    figures = intervals(measured.image_scores)
    totals = summarise(expected)
    assert [one.value for one in figures.values()] == [totals.precision, totals.recall, totals.hmean]
    assert all(one.low <= one.value <= one.high for one in figures.values())


def test_maps_that_were_kept_give_the_same_words_without_the_network(tiny_set, tmp_path):
    scenes = read_dataset(DatasetSettings(path=str(tiny_set))).scenes
    detector = Detector(BrightIsText(), DetectionSettings(sizing="scale", magnify=1.0), device="cpu")
    first = measure(detector, scenes, protocol="icdar2017", maps=tmp_path)
    detector.score = None

    second = measure(detector, scenes, protocol="icdar2017", maps=tmp_path)

    assert any(len(found) for found in first.found)
    for one, other in zip(first.found, second.found, strict=True):
        np.testing.assert_array_equal(one.quads_xy, other.quads_xy)


def test_no_scenes_are_refused():
    with pytest.raises(ValueError, match="no scenes to measure on"):
        measure(None, [], protocol="icdar2015")


@pytest.mark.parametrize(
    ("settings", "size", "thresholds"),
    [
        ({}, "x 1.5, long side at most 1280", "text 0.7, low 0.4, link 0.4"),
        ({"sizing": "auto"}, "x 1.5, long side at most 1280, by content", "text 0.7, low 0.4, link 0.4"),
        ({"sizing": "long_side", "long_side": 2240}, "long side 2240", "text 0.7, low 0.4, link 0.4"),
        (
            {"sizing": "scale", "magnify": 2.0, "least_score": 0.5, "least_side": 8},
            "x 2",
            "text 0.7, low 0.4, link 0.4, least score 0.5, least side 8",
        ),
    ],
)
def test_settings_are_said_in_a_few_words(settings, size, thresholds):
    assert describe_settings(DetectionSettings(**settings)) == (size, thresholds)
