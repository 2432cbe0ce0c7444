"""The RoIs of a batch, and the proposal network's loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from craft.config import RegionProposalSettings, RegionSettings
from craft.datasets.batch import collate
from craft.models.craft import CRAFT
from craft.models.inference import normalise_images
from craft.models.region_head import BOX_CODER, RegionArchitecture, add_region_path
from craft.region.loss import head_loss
from craft.region.pass_times import PassTimes
from craft.region.proposals import batch_rois, label_proposals, proposal_loss
from craft.region.roi_labels import WordBoxes
from craft.scene import Sample


def words(cared=(), dont_care=()):
    return WordBoxes(*(torch.tensor(list(boxes), dtype=torch.float32).reshape(-1, 4) for boxes in (cared, dont_care)))


def random_boxes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 60
    return torch.cat([corners, corners + 6 + 40 * torch.rand(count, 2, generator=generator)], dim=1)


def test_rois_in_dont_care_words_are_left_out_before_anything_is_computed():
    boxes = random_boxes(150, 1)

    rois = label_proposals([boxes], words([[30, 30, 70, 50]], dont_care=[[0, 60, 40, 96]]))

    assert len(rois) < len(label_proposals([boxes], words([[30, 30, 70, 50]]))) == 150
    assert rois.labels.counted.all()


def test_taking_rois_keeps_labels_and_source_with_the_boxes():
    image = label_proposals([random_boxes(5, 0), torch.tensor([[10.0, 10, 50, 26]])], words([[10, 10, 50, 26]]))

    taken = image.take(torch.tensor([5, 0]))

    assert torch.equal(taken.boxes_xyxy, image.boxes_xyxy[[5, 0]])
    assert taken.labels.foreground.tolist() == [True, bool(image.labels.foreground[0])]
    assert taken.source.tolist() == [1, 0]


def test_proposal_loss_is_small_for_correct_anchors_and_ignores_those_in_dont_care_words():
    anchors = torch.tensor([[0.0, 0, 20, 10], [40, 40, 60, 50], [80, 80, 90, 90]])
    image_words = words([[1, 0, 21, 10]], dont_care=[[75, 75, 95, 95]])
    odds = torch.tensor([[9.0, -9.0, 9.0]], requires_grad=True)
    wanted = torch.zeros(1, 3, 4)
    wanted[0, 0, 0] = 0.05

    loss = proposal_loss(anchors, odds, wanted, [image_words], torch.tensor([1]))
    loss.backward()

    assert loss.item() < 1e-5
    assert odds.grad[0, 2] == 0
    assert BOX_CODER.weights == (10, 10, 5, 5)


def test_proposal_loss_is_divided_by_the_anchors_asked_for_in_all_images():
    anchors = torch.tensor([[0.0, 0, 20, 10], [40, 40, 60, 50]])
    logits, deltas = torch.tensor([[30.0, -30.0]]), torch.zeros(1, 2, 4)
    deltas[0, 0, 0] = 0.05  # for smooth L1 with beta 1 / 9: 0.5 * 0.05^2 * 9
    image_words, seed = words([[0, 0, 20, 10]]), torch.tensor([1])

    one = proposal_loss(anchors, logits, deltas, [image_words], seed)
    two = proposal_loss(anchors, logits.repeat(2, 1), deltas.repeat(2, 1, 1), [image_words] * 2, seed.repeat(2))

    assert one.item() == pytest.approx(0.01125 / 256, rel=1e-4)
    assert two.item() == pytest.approx(one.item(), rel=1e-4)


def test_proposal_loss_without_anchors_or_words_is_finite():
    odds = torch.zeros(1, 0, requires_grad=True)

    loss = proposal_loss(torch.zeros(0, 4), odds, torch.zeros(1, 0, 4), [words()], torch.tensor([1]))
    loss.backward()

    assert loss.item() == 0


def test_every_parameter_has_a_gradient_in_every_step(tmp_path):
    """DistributedDataParallel fails in the second step where a parameter had no gradient in the first."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    try:
        network = CRAFT(0.0625)
        path = add_region_path(network, RegionArchitecture(pool_hw=(2, 2), hidden=8), seed=0)
        wrapped = DistributedDataParallel(network)
        empty = Sample(
            np.zeros((64, 64, 3), np.uint8),
            *(np.zeros(shape, np.float32) for shape in ((0, 4, 2), 0, (0, 4, 2), 0, 0)),
            1,
            "no",
        )
        batch = collate([replace(empty, character_word=np.zeros(0, np.int64), strip_word=np.zeros(0, np.int64))])
        settings = RegionSettings(
            enabled=True, proposals=RegionProposalSettings(network=20, components=0, truth=5, grid=0)
        )
        for _ in range(2):
            maps, levels = wrapped(normalise_images(batch.images))
            rois, loss = batch_rois(path, maps, levels, batch, settings, learn=True)
            numbers = {"sampler": "ohem", "count": 4, "background_low": 0.1, "nms_iou": 0.7}
            found = head_loss(path.head, levels, rois, batch.seeds, times=PassTimes(maps.device), **numbers)
            (maps.square().sum() + found.loss + loss).backward()
    finally:
        torch.distributed.destroy_process_group()

    assert all(parameter.grad is not None for parameter in network.parameters())
