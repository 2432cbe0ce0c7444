"""RoI samplers: the hardest against a slow reference, and those that choose at random."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from craft.config import RoiSampler
from craft.ohem.region import hardest_rois, random_rois, sample_anchors, sample_rois

NUM_RANDOM_CASES, NUM_PARTS = 10_000, 4  # in parts, so that they can run in parallel


def overlaps(boxes):
    """(R, R) IoU of every two boxes, rounded as torchvision's CPU kernel rounds it: areas and ratio in float32."""
    left, top, right, bottom = (boxes[:, side] for side in range(4))
    width = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    height = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    shared = np.maximum(width, np.float32(0)) * np.maximum(height, np.float32(0))
    areas = (right - left) * (bottom - top)
    return (shared / (areas[:, None] + areas - shared)).tolist()


def slow_hardest(losses, boxes, counted, *, count, nms_iou):
    """From the largest loss down, one RoI for each spot."""
    iou = overlaps(boxes)
    order = sorted((index for index in range(len(losses)) if counted[index]), key=lambda index: (-losses[index], index))
    chosen = []
    for index in order:
        if len(chosen) == count:
            break
        if not any(iou[index][other] > nms_iou for other in chosen):
            chosen.append(index)
    return chosen


def random_case(generator):
    """Few positions, sizes and losses, so that duplicates, near-duplicates and ties are common."""
    num_rois = int(generator.integers(0, 13))
    spread = int(generator.integers(2, 40))
    corners = generator.integers(0, spread, (num_rois, 2))
    sides = generator.integers(1, 20, (num_rois, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1).astype(np.float32)
    if generator.random() < 0.5:
        boxes += generator.random(boxes.shape, dtype=np.float32) * 0.25
    losses = generator.random(num_rois, dtype=np.float32)
    if generator.random() < 0.5:
        losses = np.round(losses * 3).astype(np.float32)
    counted = generator.random(num_rois) < generator.choice([0.0, 0.7, 1.0], p=[0.05, 0.45, 0.5])
    return losses, boxes, counted, int(generator.integers(0, 10)), float(generator.choice([0.3, 0.5, 0.7, 1.0]))


def choose(losses, boxes, counted, *, count, nms_iou):
    tensors = (torch.from_numpy(np.asarray(values)) for values in (losses, boxes, counted))
    return hardest_rois(*tensors, count=count, nms_iou=nms_iou).tolist()


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_selection_equals_the_slow_reference_in_ten_thousand_random_cases(part):
    generator = np.random.default_rng([20160601, part])
    for case in range(NUM_RANDOM_CASES // NUM_PARTS):
        losses, boxes, counted, count, nms_iou = random_case(generator)

        chosen = choose(losses, boxes, counted, count=count, nms_iou=nms_iou)

        expected = slow_hardest(losses.tolist(), boxes, counted, count=count, nms_iou=nms_iou)
        assert chosen == expected, f"case {case}: {losses}, {boxes}, {counted}, {count}, {nms_iou}"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 100, width=32), st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30)
        ),
        max_size=30,
    ),
    st.integers(0, 40),
)
def test_chosen_rois_fall_in_loss_and_never_share_a_spot(rows, count):
    losses = np.array([row[0] for row in rows], dtype=np.float32)
    boxes = np.array([[x, y, x + w, y + h] for _, x, y, w, h in rows], dtype=np.float32).reshape(-1, 4)

    chosen = choose(losses, boxes, np.ones(len(rows), bool), count=count, nms_iou=0.7)

    assert len(chosen) <= count
    assert len(set(chosen)) == len(chosen)
    picked = losses[chosen]
    assert (picked[1:] <= picked[:-1]).all()
    pairs = [(a, b) for a in chosen for b in chosen if a < b]
    iou = overlaps(boxes)
    assert not any(iou[a][b] > 0.7 for a, b in pairs)
    if count >= len(rows):  # a suppressed RoI lies on the spot of one with a larger loss
        for index in set(range(len(rows))) - set(chosen):
            assert any(iou[index][other] > 0.7 and losses[other] >= losses[index] for other in chosen)


def boxes_at(*lefts):
    return np.array([[left, 0, left + 10, 10] for left in lefts], dtype=np.float32)


def test_duplicates_on_one_spot_are_chosen_once():
    losses = np.array([5, 9, 8, 7, 1], dtype=np.float32)
    boxes = boxes_at(100, 0, 0, 1, 50)  # the second to fourth lie on one spot

    assert choose(losses, boxes, np.ones(5, bool), count=3, nms_iou=0.7) == [1, 0, 4]


def test_only_chosen_rois_suppress_others_in_a_chain_of_overlaps():
    boxes = boxes_at(0, 1.5, 3)  # neighbours overlap by 0.74, the outer two by 0.54

    assert choose(np.array([3, 2, 1], dtype=np.float32), boxes, np.ones(3, bool), count=3, nms_iou=0.7) == [0, 2]


def test_ties_in_loss_go_to_the_lower_index():
    losses = np.array([1, 2, 2, 1, 2], dtype=np.float32)

    assert choose(losses, boxes_at(0, 20, 40, 60, 80), np.ones(5, bool), count=4, nms_iou=0.7) == [1, 2, 4, 0]


def test_chooses_every_roi_where_there_are_fewer_than_asked_for():
    losses = np.array([1, 2], dtype=np.float32)

    assert choose(losses, boxes_at(0, 20), np.ones(2, bool), count=64, nms_iou=0.7) == [1, 0]


def test_chooses_none_where_there_are_no_rois():
    assert choose(np.zeros(0, np.float32), np.zeros((0, 4), np.float32), np.zeros(0, bool), count=64, nms_iou=0.7) == []


def test_chooses_none_where_every_roi_is_left_out():
    losses = np.array([1, 2], dtype=np.float32)

    assert choose(losses, boxes_at(0, 20), np.zeros(2, bool), count=64, nms_iou=0.7) == []


def test_rois_left_out_do_not_suppress_others_on_their_spot():
    losses = np.array([9, 1], dtype=np.float32)

    assert choose(losses, boxes_at(0, 0), np.array([False, True]), count=2, nms_iou=0.7) == [1]


@pytest.mark.parametrize("changed", [{"count": -1}, {"nms_iou": 1.5}])
def test_refuses_numbers_out_of_range(changed):
    numbers = {"count": 1, "nms_iou": 0.7} | changed
    with pytest.raises(ValueError, match="count is"):
        hardest_rois(torch.zeros(1), torch.zeros(1, 4), torch.ones(1, dtype=torch.bool), **numbers)


def test_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match="give"):
        hardest_rois(torch.zeros(2), torch.zeros(1, 4), torch.ones(1, dtype=torch.bool), count=1, nms_iou=0.7)


@pytest.fixture
def labelled():
    """100 RoIs: 40 foreground, 30 background with an IoU of at least 0.1, 20 with less, 10 left out."""
    best_iou = torch.cat([torch.full((40,), 0.8), torch.full((30,), 0.2), torch.full((30,), 0.05)])
    counted = torch.ones(100, dtype=torch.bool)
    counted[90:] = False
    return best_iou >= 0.5, best_iou, counted


def test_heuristic_takes_a_quarter_foreground_and_background_above_its_smallest_iou(labelled):
    chosen = random_rois(*labelled, torch.tensor(7), count=32, background_low=0.1)

    assert (chosen[:8] < 40).all()
    assert ((chosen[8:] >= 40) & (chosen[8:] < 70)).all()
    assert len(chosen.unique()) == 32


def test_any_background_that_counts_is_taken_with_a_smallest_iou_of_zero(labelled):
    chosen = random_rois(*labelled, torch.tensor(7), count=100, background_low=0.0)

    assert set(chosen[25:].tolist()) == set(range(40, 90))


def test_background_fills_up_where_foreground_is_scarce(labelled):
    foreground, best_iou, counted = labelled

    chosen = random_rois(
        foreground & (torch.arange(100) < 2), best_iou, counted, torch.tensor(7), count=20, background_low=0
    )

    assert len(chosen) == 20
    assert sorted(chosen[:2].tolist()) == [0, 1]


def test_random_rois_follow_from_the_seed(labelled):
    first, again, other = (
        random_rois(*labelled, torch.tensor(seed), count=32, background_low=0.1).tolist() for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def sample(sampler, labelled, losses):
    boxes = torch.stack([torch.arange(100.0) * 20, torch.zeros(100), torch.arange(100.0) * 20 + 10, torch.ones(100)], 1)
    foreground, best_iou, counted = labelled
    return sample_rois(
        sampler,
        losses,
        boxes,
        foreground,
        best_iou,
        counted,
        torch.tensor(3),
        count=16,
        background_low=0.1,
        nms_iou=0.7,
    ).tolist()


def test_each_sampler_name_chooses_by_its_rule(labelled):
    losses = torch.arange(100.0)

    assert sample("all", labelled, None) == list(range(90))
    assert sample("ohem", labelled, losses) == list(range(89, 73, -1))
    assert sample("ohem-zeroed", labelled, losses) == list(range(89, 73, -1))
    assert all(index < 70 for index in sample("heuristic", labelled, None))
    assert any(index >= 70 for index in sample("bootstrap", labelled, None))


def test_every_sampler_of_the_settings_is_known(labelled):
    for sampler in get_args(RoiSampler):
        assert sample(sampler, labelled, torch.arange(100.0))


def test_refuses_mining_without_losses_and_unknown_samplers(labelled):
    with pytest.raises(ValueError, match="ranks RoIs by loss"):
        sample("ohem", labelled, None)
    with pytest.raises(ValueError, match="unknown region sampler 'hardest'; use heuristic, all, ohem"):
        sample("hardest", labelled, None)


def test_anchors_are_at_most_half_positive_and_filled_up_with_negatives():
    positive = torch.arange(50) < 5
    chosen = sample_anchors(positive, ~positive, torch.tensor(1), count=20)

    assert sorted(chosen[:5].tolist()) == [0, 1, 2, 3, 4]
    assert len(chosen) == 20
    assert len(sample_anchors(torch.arange(50) < 40, torch.arange(50) >= 40, torch.tensor(1), count=20)) == 20
    assert len(sample_anchors(positive & False, positive & False, torch.tensor(1), count=20)) == 0


def test_at_most_half_of_the_anchors_are_positive():
    positive = torch.arange(20) < 10

    chosen = sample_anchors(positive, ~positive, torch.tensor(3), count=8)

    assert positive[chosen].tolist() == [True] * 4 + [False] * 4


def test_background_begins_at_the_lowest_iou_and_foreground_that_does_not_count_is_left_out():
    foreground = torch.tensor([True, True, False, False])
    counted = torch.tensor([True, False, True, True])
    iou = torch.tensor([0.9, 0.9, 0.125, 0.1])

    chosen = random_rois(foreground, iou, counted, torch.tensor(1), count=8, background_low=0.125)

    assert sorted(chosen.tolist()) == [0, 2]
