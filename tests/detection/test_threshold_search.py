"""The search gives what detecting at each combination would give, however many processes score."""

from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
import torch

from craft.config import DetectionSettings
from craft.detection.detector import Detector
from craft.detection.map_cache import half_maps
from craft.detection.scene_grid import FoundWords
from craft.detection.threshold_search import parse_grid, score_thresholds, search_thresholds
from craft.evaluation.protocols import score_scene
from craft.evaluation.summary import summarise
from craft.evaluation.thresholds import Thresholds
from craft.models.region_head import RegionArchitecture, add_region_path
from craft.models.weights import save_safetensors
from craft.scene import Scene, Word
from tests.networks import lively_network

GRID = {"text_threshold": (0.3, 0.5), "low_text": (0.2, 0.4), "link_threshold": (0.3,), "least_side": (0.0, 8.0)}
DETECTION = {"sizing": "scale", "magnify": 1.0}


@pytest.fixture
def weights(tmp_path):
    """A network that calls bright pixels text: its maps are values that half precision holds."""
    model = lively_network(seed=1)
    metadata = {"width": 0.0625, "detection": DETECTION}
    save_safetensors(model, tmp_path / "weights.safetensors", metadata)
    return tmp_path / "weights.safetensors"


@pytest.fixture
def scenes(tmp_path):
    """Three images, the first without words."""
    made = []
    for number in range(3):
        path = tmp_path / f"img_{number}.png"
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 256, (64, 96, 3)).astype(np.uint8))
        box = np.array([[4, 4], [60, 4], [60, 40], [4, 40]], dtype=np.float32)
        made.append(Scene(str(path), (Word(box, "word"),) * (number > 0), f"img_{number}"))
    return made


class Blobs:
    """Maps of blobs that differ from image to image, in steps that half precision holds."""

    def __init__(self, detector):
        self.detector, self.settings, self.model, self.calls = detector, detector.settings, detector.model, 0
        self.device, self.precision, self.has_region_head = detector.device, detector.precision, False

    def score_maps(self, path):
        self.calls += 1
        generator = np.random.default_rng(40 + self.calls)
        maps = np.zeros((2, 32, 48), np.float32)
        for _ in range(8):
            corner, value = generator.integers(0, 28, 2), generator.integers(20, 64) / 64
            maps[generator.integers(2), corner[0] : corner[0] + 7, corner[1] : corner[1] + 9] = value
        return maps[0], maps[1], np.array([2.0, 2.0])


@pytest.fixture
def blobs(weights, monkeypatch):
    """A detector of blobs in place of the network's."""
    found = Blobs(Detector.from_weights(weights, device="cpu"))
    monkeypatch.setattr(Detector, "from_weights", classmethod(lambda *_arguments, **_options: found))
    return found


def test_a_search_gives_what_detecting_at_each_combination_gives(weights, scenes, blobs):
    from craft.decode.words import words_from_maps

    search = search_thresholds(weights, scenes, split="three", protocol="icdar2015", grid=GRID)

    assert blobs.calls == 3
    blobs.calls = 0
    maps = [blobs.score_maps(scene.image_path) for scene in scenes]
    assert len(search.rows) == 6  # low_text 0.4 is above text_threshold 0.3
    for row in search.rows:
        settings = blobs.settings.model_copy(update=asdict(row.thresholds))
        found = [words_from_maps(*one, settings=settings) for one in maps]
        each = [
            score_scene(scene, one.quads_xy, one.scores, protocol="icdar2015")
            for scene, one in zip(scenes, found, strict=True)
        ]
        assert row.scores == summarise(each)
    assert len({row.scores.num_detections for row in search.rows}) > 1
    assert search.best.scores.hmean == max(row.scores.hmean for row in search.rows)


@pytest.fixture
def weights_with_a_head(tmp_path):
    """The same network with a region head that gives words probabilities from 0.1 to 0.4."""
    model = lively_network(seed=3)
    architecture = RegionArchitecture(pool_hw=(2, 2), hidden=8, proposal_network=False)
    path = add_region_path(model, architecture, seed=2)
    with torch.no_grad():
        model.conv_cls[-1].bias.fill_(0.3)
        path.head.text.weight.mul_(2000)
        path.head.correction.bias.fill_(0.5)
    metadata = {"width": 0.0625, "detection": DETECTION, "region": asdict(architecture)}
    save_safetensors(model, tmp_path / "head.safetensors", metadata)
    return tmp_path / "head.safetensors"


@pytest.mark.parametrize("workers", [1, 2])
def test_with_a_region_head_a_search_gives_what_detecting_at_each_combination_gives(
    weights_with_a_head, scenes, workers
):
    grid = {
        "text_threshold": (0.32, 0.38),
        "low_text": (0.3,),
        "link_threshold": (0.4, 0.6),
        "region_threshold": (0.0, 0.2, 0.3),
    }

    search = search_thresholds(
        weights_with_a_head, scenes, split="three", protocol="icdar2015", device="cpu", grid=grid, workers=workers
    )

    assert len(search.rows) == 2 * 2 * 3
    for row in search.rows:
        detector = Detector.from_weights(weights_with_a_head, device="cpu", **asdict(row.thresholds))
        found = [detector.detect(scene.image_path) for scene in scenes]
        each = [
            score_scene(scene, words.quads_xy, words.scores, protocol="icdar2015")
            for scene, words in zip(scenes, found, strict=True)
        ]
        assert row.scores == summarise(each)
    assert len({row.scores.num_detections for row in search.rows}) > 3  # the head's threshold tells words apart


def test_maps_are_not_kept_of_weights_with_a_region_head(weights_with_a_head, scenes, tmp_path):
    with pytest.raises(ValueError, match=r"has a region head, .*; drop --maps"):
        search_thresholds(
            weights_with_a_head, scenes, split="three", protocol="icdar2015", device="cpu", maps=tmp_path / "maps"
        )


def test_no_scenes_give_empty_columns():
    assert score_thresholds(None, [], grid=[Thresholds(0.5, 0.4, 0.4)], protocol="icdar2015") == [[]]


def test_processes_change_nothing(weights, scenes):
    one = search_thresholds(weights, scenes, split="three", protocol="icdar2015", grid=GRID, device="cpu")
    two = search_thresholds(weights, scenes, split="three", protocol="icdar2015", grid=GRID, device="cpu", workers=2)

    assert one == two


def test_maps_are_computed_once_and_again_for_another_size(weights, scenes, tmp_path, blobs):
    first = search_thresholds(weights, scenes, split="three", protocol="icdar2015", grid=GRID, maps=tmp_path / "maps")
    again = search_thresholds(weights, scenes, split="three", protocol="icdar2015", grid=GRID, maps=tmp_path / "maps")

    assert (blobs.calls, first == again) == (3, True)
    blobs.settings = blobs.settings.model_copy(update={"text_threshold": 0.1})
    assert len(list(half_maps(blobs, scenes, folder=tmp_path / "maps"))) == 3
    assert blobs.calls == 3
    blobs.settings = blobs.settings.model_copy(update={"magnify": 2.0})
    assert len(list(half_maps(blobs, scenes, folder=tmp_path / "maps"))) == 3
    assert blobs.calls == 6


def test_a_damaged_file_of_maps_is_computed_anew(scenes, tmp_path, blobs):
    maps = [one.maps for _, one in half_maps(blobs, scenes[:1], folder=tmp_path / "maps")]
    (file,) = (tmp_path / "maps").rglob("*.npz")
    file.write_bytes(file.read_bytes()[:50])
    blobs.calls = 0

    again = [one.maps for _, one in half_maps(blobs, scenes[:1], folder=tmp_path / "maps")]

    np.testing.assert_array_equal(maps, again)
    assert blobs.calls == 1


def test_what_the_weights_have_is_kept_where_no_values_are_given(weights, scenes, blobs):
    blobs.settings = DetectionSettings(sizing="scale", magnify=1.0, least_score=0.25)

    search = search_thresholds(weights, scenes, split="three", protocol="icdar2015")

    assert len(search.rows) == 5 * 4 * 5
    assert {row.thresholds.least_score for row in search.rows} == {0.25}


def test_grids_are_read_from_the_command_line():
    assert parse_grid(["low_text=0.2,0.35", "least_side=0,8"]) == {"low_text": (0.2, 0.35), "least_side": (0.0, 8.0)}
    with pytest.raises(
        ValueError, match=r"--grid canvas=1: expected NAME=VALUE,VALUE with one of the names text_threshold"
    ):
        parse_grid(["canvas=1"])
    with pytest.raises(ValueError, match=r"'a,b' are not numbers"):
        parse_grid(["low_text=a,b"])


def test_no_scenes_and_no_workers_are_refused(weights, scenes):
    with pytest.raises(ValueError, match="has no scenes"):
        search_thresholds(weights, [], split="none", protocol="icdar2015")
    with pytest.raises(ValueError, match="workers is 0"):
        search_thresholds(weights, scenes, split="three", protocol="icdar2015", device="cpu", workers=0)


def test_a_scene_without_its_image_is_named(scenes, blobs, tmp_path):
    missing = replace(scenes[0], image_path="nowhere.jpg")

    with pytest.raises(ValueError, match=r"nowhere.jpg: cannot be read"):
        list(half_maps(blobs, [missing], folder=tmp_path))


def test_a_word_at_its_thresholds_is_kept():
    values = [np.array([value], np.float32) for value in (0.9, 0.5, 0.7, 12, 0.25)]  # score, mean, peak, side, text
    found = FoundWords(np.zeros((1, 4, 2), np.float32), *values)
    thresholds = Thresholds(0.7, 0.4, 0.4, least_score=0.5, least_side=12, region_threshold=0.25)

    assert len(found.at(thresholds).scores) == 1


@pytest.mark.parametrize("lower", ["means", "peaks", "sides", "text"])
def test_a_word_below_one_of_its_thresholds_is_dropped(lower):
    values = {"scores": 0.9, "means": 0.5, "peaks": 0.7, "sides": 12, "text": 0.25}
    values[lower] -= 0.01
    found = FoundWords(
        np.zeros((1, 4, 2), np.float32), **{name: np.array([one], np.float32) for name, one in values.items()}
    )
    thresholds = Thresholds(0.7, 0.4, 0.4, least_score=0.5, least_side=12, region_threshold=0.25)

    assert len(found.at(thresholds).scores) == 0
