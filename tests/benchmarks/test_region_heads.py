"""Region heads on cached features: the loss of craft's own training, settings from other scenes, figures by hand."""

import numpy as np
import pytest
import ranked_scores
import region_features
import region_heads
import region_tables
import torch

from craft.config import validate_config
from craft.models.region_head import RegionHead
from craft.region.bootstrapping import FalsePositives
from craft.region.loss import head_loss
from craft.region.pass_times import PassTimes
from craft.region.proposals import label_proposals
from craft.region.roi_labels import WordBoxes
from craft.region.training import architecture_of


def study_config(steps=4):
    region = {"enabled": True, "train": "alone", "pool": [2, 2], "hidden": 8, "proposals": {"network": 0}}
    values = {"weights": "maps", "region": region, "training": {"steps": steps}, "optimizer": {"warmup_steps": 0}}
    return validate_config(values, where="test")


@pytest.fixture
def scene():
    """A head, the features of two images, and what the cache holds of their RoIs."""
    config = study_config()
    head = RegionHead(architecture_of(config.region), {"decoder2": 3}, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        head.text.weight.mul_(100)  # so that a fresh head judges RoIs differently
    levels = {"decoder2": torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))}
    corners = torch.rand(60, 2, generator=torch.Generator().manual_seed(2)) * 30
    boxes = torch.cat(
        [corners, corners + 8 + 20 * torch.rand(60, 2, generator=torch.Generator().manual_seed(3))], dim=1
    )
    words = WordBoxes(boxes[:4] + 1, torch.zeros(0, 4))
    rois = [
        label_proposals([boxes], words),
        label_proposals([boxes + 2], WordBoxes(torch.zeros(0, 4), words.cared_xyxy)),
    ]
    crops = []
    for index, image in enumerate(rois):
        level = {name: values[index : index + 1] for name, values in levels.items()}
        crops.append(region_features.Crop(head.pool(level, [image.boxes_xyxy]).detach().numpy(), image))
    return config, head, levels, rois, crops


@pytest.mark.parametrize("sampler", ["heuristic", "all", "ohem", "bootstrap"])
def test_the_loss_from_cached_features_is_that_of_training(scene, sampler):
    config, head, levels, rois, crops = scene
    variant = region_heads.HeadVariant("v", "v", sampler, count=8, background_low=0.1)
    bank = FalsePositives()
    bank.add(torch.rand(5, 12).half())

    cached = region_heads.step_loss(head, crops, variant, config, seed=7, bank=bank if sampler == "bootstrap" else None)

    negatives = bank.draw(4, seed=7) if sampler == "bootstrap" else None
    expected = head_loss(
        head,
        levels,
        rois,
        torch.tensor([7, 8]),
        sampler=sampler,
        count=8 if negatives is None else 6,
        background_low=0.1,
        nms_iou=config.region.nms_iou,
        times=PassTimes(torch.device("cpu")),
        negatives=negatives,
    )
    torch.testing.assert_close(cached, expected.loss)


def test_a_head_depends_on_its_seed_and_learns(scene):
    _config, _head, _levels, _rois, crops = scene
    config, variant = study_config(steps=200), region_heads.HeadVariant("all", "all", "all")

    first, again, other = (region_heads.train_head(variant, crops, config, seed=seed) for seed in (1, 1, 2))
    fresh = region_heads.new_head(crops, config, seed=1)

    assert torch.equal(first.first.weight, again.first.weight)
    assert not torch.equal(first.first.weight, other.first.weight)
    before, after = (region_heads.step_loss(head, crops, variant, config, seed=0) for head in (fresh, first))
    assert after < 0.8 * before


def test_false_positives_are_background_that_the_head_takes_for_text(scene):
    config, head, _levels, _rois, crops = scene

    found = region_heads.false_positives(head, crops, config)

    wrong = torch.cat(
        [
            torch.from_numpy(crop.pooled)[
                ~crop.rois.labels.foreground & (head.judge(torch.from_numpy(crop.pooled))[0] > 0)
            ]
            for crop in crops
        ]
    )
    assert 0 < len(found) <= len(wrong)
    assert {tuple(row.tolist()) for row in found} <= {tuple(row.tolist()) for row in wrong}


def words_of(hits, scores, truth, *, counted=None, image=None):
    size = len(hits)
    return region_features.SceneWords(
        pooled=np.zeros((size, 1), np.float16),
        scores=np.array(scores, np.float32),
        peaks=np.array(scores, np.float32),
        sides=np.full(size, 20, np.float32),
        hits=np.array(hits, bool),
        counted=np.ones(size, bool) if counted is None else np.array(counted, bool),
        image=np.zeros(size, np.int64) if image is None else np.array(image),
        truth=np.array(truth),
    )


def test_ignored_words_count_neither_way_and_weights_mix_maps_with_head():
    words = words_of([1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6], [4], counted=[1, 1, 0, 1])

    assert region_tables.hmean_of(words, np.array([True, True, True, False])) == pytest.approx(2 * 1 / (2 + 4))
    ranking = region_tables.ranking_of(words, region_tables.mixed(words, np.array([1, 0, 1, 1], np.float32), 1.0))
    assert ranking.hits.tolist() == [True, True, False]  # the head puts the wrong word last


def test_settings_are_the_best_on_average_over_seeds():
    words = words_of([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6], [2])
    good, useless = np.array([0.9, 0.1, 0.9, 0.1], np.float32), np.full(4, 0.5, np.float32)

    chosen = region_tables.choose_settings(words, {1: good, 2: good}, 1.0)
    assert chosen["head_threshold"] in (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert region_tables.hmean_of(words, good >= chosen["head_threshold"]) == 1
    assert region_tables.choose_settings(words, {1: useless}, 1.0)["head_threshold"] == 0


def test_joined_sets_keep_their_scenes_apart():
    first, second = words_of([1], [0.5], [1, 2]), words_of([0, 1], [0.5, 0.6], [3], image=[0, 0])

    joined = region_features.join_words([first, second])

    assert joined.image.tolist() == [0, 2, 2]
    assert joined.truth.tolist() == [1, 2, 3]


def test_the_interval_of_a_head_against_itself_is_zero_and_a_better_one_lies_above():
    image = np.repeat(np.arange(12), 2)
    worse = ranked_scores.Ranking(np.tile([False, True], 12), image, np.full(12, 2))
    better = ranked_scores.Ranking(np.tile([True, True], 12), image, np.full(12, 2))
    at = ranked_scores.precision_at(0.5)

    assert ranked_scores.resample_difference([worse] * 3, [worse] * 3, at, num_resamples=50) == (0, 0)
    low, high = ranked_scores.resample_difference([worse] * 3, [better] * 3, at, num_resamples=50)
    assert 0 < low <= high <= 1
