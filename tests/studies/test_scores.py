from dataclasses import asdict

import cv2
import numpy as np
import pytest
import torch

from craft.config import DetectionSettings
from craft.decode.words import words_from_maps
from craft.detection.detector import Detector
from craft.detection.scene_grid import find_words
from craft.evaluation.protocols import score_scene
from craft.evaluation.summary import summarise
from craft.evaluation.thresholds import threshold_grid
from craft.models.region_head import RegionArchitecture, add_region_path
from craft.scene import Scene, Word
from craft.studies.run import score_dataset
from craft.studies.scores import DETECTION, GridScores, concatenate_scores, read_scores, write_scores
from tests.networks import lively_network

GRID = threshold_grid((0.1, 0.3, 0.6), (0.1, 0.3), (0.2, 0.5), (0.0, 0.3), (0.0, 12.0))
SETTINGS = DetectionSettings(sizing="scale", magnify=1.0)


def blobs(seed):
    generator = np.random.default_rng(seed)
    maps = np.zeros((2, 64, 96), dtype=np.float32)
    for _ in range(12):
        x, y = generator.integers(4, 90), generator.integers(4, 60)
        cv2.circle(
            maps[generator.integers(2)], (int(x), int(y)), int(generator.integers(2, 6)), float(generator.random()), -1
        )
    return cv2.GaussianBlur(maps[0], (0, 0), 1), cv2.GaussianBlur(maps[1], (0, 0), 1)


@pytest.mark.parametrize("seed", range(5))
def test_words_decoded_once_equal_those_decoded_at_each_combination_of_thresholds(seed):
    region, affinity = blobs(seed)
    scale_xy = np.array([1.5, 2.0])

    found = find_words(region, affinity, scale_xy, grid=GRID, settings=SETTINGS)

    for at in GRID:
        words = found[at.low_text, at.link_threshold].at(at)
        expected = words_from_maps(region, affinity, scale_xy, settings=SETTINGS.model_copy(update=asdict(at)))
        np.testing.assert_array_equal(words.quads_xy, expected.quads_xy)
        np.testing.assert_array_equal(words.scores, expected.scores)


@pytest.fixture
def scenes(tmp_path):
    scenes = []
    for number in range(3):
        path = tmp_path / f"img_{number}.png"
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 256, (64, 96, 3)).astype(np.uint8))
        box = np.array([[4, 4], [60, 4], [60, 40], [4, 40]], dtype=np.float32)
        scenes.append(Scene(str(path), (Word(box, "word"),) * (number > 0), f"img_{number}"))
    return scenes


def detector_with_a_head(**settings):
    """A network that sees words in noise, and a head that gives them probabilities from 0.1 to 0.4."""
    model = lively_network(seed=3)
    path = add_region_path(model, RegionArchitecture(pool_hw=(2, 2), hidden=8, proposal_network=False), seed=2)
    with torch.no_grad():
        model.conv_cls[-1].bias.fill_(0.3)
        path.head.text.weight.mul_(2000)
        path.head.correction.bias.fill_(0.5)
    return Detector(model, SETTINGS.model_copy(update=settings), device="cpu")


@pytest.mark.parametrize("refine", [False, True])
def test_scores_with_a_region_head_equal_those_of_detection_at_each_combination_of_thresholds(scenes, refine):
    grid = threshold_grid((0.32, 0.38), (0.3,), (0.4, 0.6), (0.0, 0.33), (0.0, 10.0), region_thresholds=(0.0, 0.2, 0.3))
    detector = detector_with_a_head(region_weight=0.6, region_refine=refine)

    scores = score_dataset(detector, scenes, grid=grid, protocol="icdar2015", name="three")

    for index, at in enumerate(grid):
        one = Detector(detector.model, detector.settings.model_copy(update=asdict(at)), device="cpu")
        found = [one.detect(scene.image_path) for scene in scenes]
        each = [
            score_scene(scene, words.quads_xy, words.scores, protocol="icdar2015")
            for scene, words in zip(scenes, found, strict=True)
        ]
        assert scores.counts[index].tolist() == [[s.truth_credit, s.num_detections, s.num_truth] for s in each]
        assert scores.average_precision(index) == pytest.approx(summarise(each).average_precision)
    counted = scores.counts[:, :, 1].sum(axis=1)
    assert len(set(counted.tolist())) > 4  # the thresholds do tell words apart


def test_scores_of_a_grid_equal_those_of_one_combination_at_a_time(scenes):
    detector = Detector(lively_network(seed=3), SETTINGS, device="cpu")

    scores = score_dataset(detector, scenes, grid=GRID, protocol="icdar2015", name="three")

    for index, at in enumerate(GRID):
        settings = SETTINGS.model_copy(update={name: getattr(at, name) for name in at.__dataclass_fields__})
        found = [words_from_maps(*detector.score_maps(scene.image_path), settings=settings) for scene in scenes]
        each = [
            score_scene(scene, one.quads_xy, one.scores, protocol="icdar2015")
            for scene, one in zip(scenes, found, strict=True)
        ]
        expected, (precision, recall, hmean) = summarise(each), scores.totals()
        assert (precision[index], recall[index], hmean[index]) == (expected.precision, expected.recall, expected.hmean)
        assert scores.average_precision(index) == pytest.approx(expected.average_precision)


def test_an_empty_dataset_has_no_counts_and_an_hmean_of_0():
    scores = score_dataset(None, [], grid=GRID, protocol="icdar2015", name="none")

    assert scores.counts.shape == (len(GRID), 0, 3)
    assert (scores.totals()[2] == 0).all()


def test_scores_are_read_back_as_written(tmp_path):
    detections = np.array([(1, 0, 0.5, True)], dtype=DETECTION)
    written = {"real/report": GridScores(np.arange(12, dtype=np.int32).reshape(2, 2, 3), detections)}

    write_scores(tmp_path / "scores.npz", written)

    read = read_scores(tmp_path / "scores.npz")
    assert list(read) == ["real/report"]
    np.testing.assert_array_equal(read["real/report"].counts, written["real/report"].counts)
    np.testing.assert_array_equal(read["real/report"].detections, detections)


def test_scores_of_datasets_put_together_equal_those_of_one_dataset(scenes):
    grid = threshold_grid((0.32, 0.38), (0.3,), (0.4,))
    whole, *parts = (
        score_dataset(detector_with_a_head(), some, grid=grid, protocol="icdar2015", name="some")
        for some in (scenes, scenes[:1], [], scenes[1:])
    )

    together = concatenate_scores(parts)

    np.testing.assert_array_equal(together.counts, whole.counts)
    assert np.array_equal(np.sort(together.detections), np.sort(whole.detections))
    assert len(set(whole.detections["scene"].tolist())) > 1


def ranked(*pairs, words):
    rows = [(0, 0, score, hit) for score, hit in pairs]
    return GridScores(np.array([[(0, len(pairs), words)]], dtype=np.int32), np.array(rows, dtype=DETECTION))


def test_the_precision_at_a_recall_is_that_of_the_rank_which_reaches_it():
    scores = ranked((0.2, True), (0.9, True), (0.8, False), (0.7, True), words=5)

    assert scores.precision_at_recall(0, 0.2) == 1
    assert scores.precision_at_recall(0, 0.4) == pytest.approx(2 / 3)
    assert scores.precision_at_recall(0, 0.6) == pytest.approx(3 / 4)
    assert scores.precision_at_recall(0, 0.8) == 0
    assert np.isnan(ranked(words=0).precision_at_recall(0, 0.4))


def test_the_calibration_error_weighs_bins_by_their_detections():
    scores = ranked((0.95, True), (0.95, False), (1.0, True), (0.25, False), words=3)

    # The bin from 0.9: scores sum to 2.9, hits to 2; that from 0.2: 0.25 and 0.
    assert scores.calibration_error(0) == pytest.approx((0.9 + 0.25) / 4)
    assert np.isnan(ranked(words=3).calibration_error(0))
