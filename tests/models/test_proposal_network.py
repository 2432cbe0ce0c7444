"""Anchors and the boxes that become of them."""

import pytest
import torch

from craft.models.proposal_network import LEAST_SIDE, ProposalNetwork

SIZE_HW = (64, 96)


@pytest.fixture
def network():
    return ProposalNetwork({"vgg4": 16, "vgg8": 32}, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def levels():
    generator = torch.Generator().manual_seed(1)
    return {
        "vgg4": torch.rand(2, 16, 16, 24, generator=generator),
        "vgg8": torch.rand(2, 32, 8, 12, generator=generator),
    }


def test_anchors_are_centred_on_their_cells(network, levels):
    fine, coarse = network.anchors(levels)

    per_cell = len(fine) // (16 * 24)
    centres = (fine[:, :2] + fine[:, 2:]) / 2
    assert centres[0].tolist() == [2, 2]
    assert centres[per_cell].tolist() == [6, 2]
    assert centres[24 * per_cell].tolist() == [2, 6]
    assert ((coarse[:, :2] + coarse[:, 2:]) / 2)[0].tolist() == [4, 4]


def test_anchors_have_the_shapes_of_words(network, levels):
    boxes = torch.cat(network.anchors(levels))
    shapes = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])

    assert 7 < shapes.max() < 9
    assert shapes.min() < 0.6


def test_one_output_per_anchor_in_the_order_of_the_anchors(network, levels):
    anchors = network.anchors(levels)
    with torch.no_grad():
        odds, corrections = network(levels)
        one_cell = {name: level.clone() for name, level in levels.items()}
        one_cell["vgg4"][:, :, 5, 7] += 10.0
        moved, _ = network(one_cell)

    assert odds.shape == (2, len(torch.cat(anchors)))
    assert corrections.shape == (2, len(torch.cat(anchors)), 4)
    changed = torch.cat(anchors)[(moved != odds)[0]]
    centres = (changed[:, :2] + changed[:, 2:]) / 2
    # The cell in row 5, column 7 and its eight neighbours see the change; its centre is at (30, 22).
    assert centres.amin(dim=0).tolist() == [26, 18]
    assert centres.amax(dim=0).tolist() == [34, 26]


def test_proposals_are_the_likeliest_anchors_after_nms(network, levels):
    anchors = network.anchors(levels)
    boxes = torch.cat(anchors)
    odds = torch.full((1, len(boxes)), -5.0)
    inside = ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= torch.tensor([96, 64]))).all(dim=1).nonzero().squeeze(1)
    best, second = inside[10], inside[-10]
    odds[0, best], odds[0, second] = 3.0, 2.0

    (found,) = network.propose(anchors, odds, torch.zeros(1, len(boxes), 4), size_hw=SIZE_HW, count=2)

    torch.testing.assert_close(found, boxes[torch.stack([best, second])])


def test_proposals_are_clipped_to_the_image_and_not_too_small(network, levels):
    anchors = network.anchors(levels)
    with torch.no_grad():
        odds, corrections = network(levels)

    for found in network.propose(anchors, odds, corrections, size_hw=SIZE_HW, count=50):
        assert 0 < len(found) <= 50
        assert (found >= 0).all()
        assert (found[:, 2] <= 96).all()
        assert (found[:, 3] <= 64).all()
        assert ((found[:, 2:] - found[:, :2]) >= LEAST_SIDE).all()
