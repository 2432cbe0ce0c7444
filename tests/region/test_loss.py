"""The region head's loss: two passes against one, what it is divided by, empty images, and that the head learns."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from craft.models.craft import CRAFT
from craft.models.inference import normalise_images
from craft.models.region_head import RegionArchitecture, RegionHead
from craft.ohem.region import hardest_rois, sample_rois
from craft.region.loss import head_loss, roi_losses, text_losses
from craft.region.pass_times import PassTimes
from craft.region.proposals import grid_boxes, jittered_boxes, label_proposals
from craft.region.roi_labels import WordBoxes

CPU = torch.device("cpu")
WIDTH = 0.0625
SIZE = 128


def words(cared=(), dont_care=()):
    return WordBoxes(*(torch.tensor(list(boxes), dtype=torch.float32).reshape(-1, 4) for boxes in (cared, dont_care)))


def rois_of(boxes, image_words):
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return label_proposals([boxes], image_words)


def random_boxes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 60
    return torch.cat([corners, corners + 6 + 40 * torch.rand(count, 2, generator=generator)], dim=1)


@pytest.fixture
def head():
    generator = torch.Generator().manual_seed(0)
    built = RegionHead(RegionArchitecture(pool_hw=(3, 3), hidden=16), {"decoder2": 2}, generator=generator)
    with torch.no_grad():
        built.text.weight.mul_(100)  # so that a fresh head judges RoIs differently
        built.correction.weight.mul_(300)
    return built


@pytest.fixture
def scene(head):
    """Features of a network with gradients, and RoIs of two images, one of them with a don't-care word."""
    network = CRAFT(WIDTH, generator=torch.Generator().manual_seed(1)).eval()
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    first = words([[10, 10, 50, 26], [20, 60, 90, 80]])
    second = words([[30, 30, 70, 50]], dont_care=[[0, 60, 40, 96]])
    truth = [torch.cat([image_words.cared_xyxy, image_words.cared_xyxy + 2]) for image_words in (first, second)]
    rois = [
        rois_of(torch.cat([truth[index], random_boxes(150, index)]), image_words)
        for index, image_words in enumerate((first, second))
    ]
    return network, normalise_images(images), rois


def step(head, scene, sampler, *, count=16, times=None, negatives=None, rank_by="loss"):
    network, images, rois = scene
    for module in (network, head):
        module.zero_grad()
    _maps, levels = network(images)
    found = head_loss(
        head,
        levels,
        rois,
        torch.tensor([3, 4]),
        sampler=sampler,
        count=count,
        background_low=0.1,
        nms_iou=0.7,
        times=times or PassTimes(CPU),
        rank_by=rank_by,
        negatives=negatives,
    )
    found.loss.backward()
    gradients = [p.grad.clone() for module in (head, network) for p in module.parameters() if p.grad is not None]
    return found, gradients


@pytest.mark.parametrize("rank_by", ["loss", "text"])
def test_two_passes_and_one_zeroed_pass_choose_the_same_rois_and_have_the_same_gradients(head, scene, rank_by):
    two, two_gradients = step(head, scene, "ohem", rank_by=rank_by)
    zeroed, zeroed_gradients = step(head, scene, "ohem-zeroed", rank_by=rank_by)

    for first, second in zip(two.chosen, zeroed.chosen, strict=True):
        assert len(first) == 16
        assert torch.equal(first, second)
    torch.testing.assert_close(two.loss, zeroed.loss, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(two.chosen_losses, zeroed.chosen_losses, atol=1e-5, rtol=1e-5)
    assert len(two_gradients) == len(zeroed_gradients) > 20
    for first, second in zip(two_gradients, zeroed_gradients, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5 * second.abs().max().item(), rtol=0)


def test_mined_rois_have_larger_losses_than_the_mean(head, scene):
    found, _ = step(head, scene, "ohem")

    assert found.chosen_losses.mean() > torch.cat(found.all_losses).mean()


def test_ranking_by_text_ignores_the_box_loss(head, scene):
    network, images, rois = scene
    with torch.no_grad():
        _maps, levels = network(images)
        odds, _corrections = head(levels, [image.boxes_xyxy for image in rois])
    ranked = text_losses(odds, rois).split([len(image) for image in rois])

    found, _ = step(head, scene, "ohem", rank_by="text")

    by_loss, _ = step(head, scene, "ohem")
    for index, image in enumerate(rois):
        best = hardest_rois(ranked[index], image.boxes_xyxy, image.labels.counted, count=16, nms_iou=0.7)
        assert torch.equal(found.chosen[index], best)
        assert image.labels.foreground[by_loss.chosen[index][0]]  # this head's boxes are far off: words come first
        assert not torch.equal(found.chosen[index], by_loss.chosen[index])
    assert torch.equal(found.all_losses[0], by_loss.all_losses[0])


def test_every_sampler_divides_by_the_number_of_rois_asked_for(head, scene):
    heuristic, _ = step(head, scene, "heuristic", count=1000)
    everything, _ = step(head, scene, "all")
    mined, _ = step(head, scene, "ohem", count=20)

    assert heuristic.loss.item() == pytest.approx(heuristic.chosen_losses.sum().item() / 2000, rel=1e-5)
    num_rois = sum(map(len, scene[2]))
    assert everything.loss.item() == pytest.approx(everything.chosen_losses.sum().item() / num_rois, rel=1e-5)
    assert mined.loss.item() == pytest.approx(mined.chosen_losses.sum().item() / 40, rel=1e-5)


def test_loss_of_one_roi_is_log_loss_plus_smooth_l1_for_foreground():
    word = torch.tensor([[0.0, 0, 20, 10]])
    rois = rois_of([[1, 0, 21, 10], [60, 60, 80, 70]], words(word.tolist()))
    corrections = torch.tensor([[0.0, 0.2, 0, 3.0], [5.0, 5, 5, 5]])

    losses = roi_losses(torch.tensor([0.0, math.log(3)]), corrections, [rois])

    # Wanted of the first: a twentieth of the width to the left, times 10: (-0.5, 0, 0, 0).
    boxes = 0.5 * 0.5**2 + 0.5 * 0.2**2 + (3 - 0.5)
    torch.testing.assert_close(losses, torch.tensor([math.log(2) + boxes, math.log(4)]))


@pytest.mark.parametrize("sampler", ["heuristic", "all", "ohem", "ohem-zeroed", "bootstrap"])
@pytest.mark.parametrize(
    "image_words", [words(), words(dont_care=[[0, 0, 96, 96]]), words([[10, 10, 30, 30]])], ids=["no", "ignored", "one"]
)
def test_images_without_words_or_without_rois_give_finite_losses_and_gradients(head, scene, sampler, image_words):
    network, images, _rois = scene
    empty = rois_of(torch.zeros(0, 4), image_words)
    some = rois_of(random_boxes(20, 3), image_words)
    for rois in ([empty, empty], [empty, some]):
        found, gradients = step(head, (network, images, rois), sampler)

        assert torch.isfinite(found.loss)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        if sum(map(len, rois)) == 0:
            assert found.loss.item() == 0
            assert not any(gradient.any() for gradient in gradients)


def test_collected_background_is_trained_on_as_not_text(head, scene):
    pooled = torch.rand(6, head.first.in_features)

    without, _ = step(head, scene, "bootstrap")
    found, _ = step(head, scene, "bootstrap", negatives=pooled)

    odds, _corrections = head.judge(pooled)
    expected = (without.loss * 32 + functional.softplus(odds).sum()) / (32 + 6)
    torch.testing.assert_close(found.loss, expected)


def test_times_distinguish_the_read_only_pass_from_the_differentiated_one(head, scene):
    times = PassTimes(CPU)
    step(head, scene, "ohem", times=times)
    assert set(times.read()) == {"read_only", "differentiated"}
    step(head, scene, "ohem-zeroed", times=times)
    assert set(times.read()) == {"differentiated"}
    assert times.read() == {}


@pytest.fixture(scope="module")
def crops():
    """Features of three crops with striped words, and their RoIs: jittered words and a grid."""
    generator = np.random.default_rng(0)
    images = generator.integers(90, 130, (3, SIZE, SIZE, 3)).astype(np.uint8)
    rois = []
    for index, image in enumerate(images):
        words = []
        for top in (12, 52, 92):
            left, width = int(generator.integers(4, 40)), int(generator.integers(40, 80))
            image[top : top + 18, left : left + width : 4] = 250
            words.append([left, top, left + width, top + 18])
        boxes = np.concatenate(
            [
                jittered_boxes(words, count=60, seed=index, size_hw=(SIZE, SIZE)),
                grid_boxes(count=240, seed=index, size_hw=(SIZE, SIZE)),
            ]
        )
        labelled = WordBoxes(torch.tensor(words, dtype=torch.float32), torch.zeros(0, 4))
        rois.append(label_proposals([torch.from_numpy(boxes)], labelled))
    network = CRAFT(0.0625, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        _maps, levels = network(normalise_images(torch.from_numpy(images).permute(0, 3, 1, 2)))
    return {"decoder2": levels["decoder2"]}, rois


def evaluate(head, crops):
    """The mean loss over all RoIs, and how often a text RoI has a higher logit than a background RoI."""
    levels, rois = crops
    with torch.no_grad():
        odds, corrections = head(levels, [image.boxes_xyxy for image in rois])
        loss = roi_losses(odds, corrections, rois).mean().item()
    foreground = torch.cat([image.labels.foreground for image in rois])
    better = (odds[foreground][:, None] > odds[~foreground][None]).float().mean().item()
    return loss, better


@pytest.mark.parametrize("sampler", ["heuristic", "ohem", "ohem-zeroed", "all"])
def test_training_on_a_few_crops_lowers_the_loss_and_separates_text(crops, sampler):
    levels, rois = crops
    head = RegionHead(RegionArchitecture(hidden=64), {"decoder2": 2}, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    before, _ = evaluate(head, crops)

    for step in range(60):
        numbers = {"count": 64, "background_low": 0.0, "nms_iou": 0.7, "times": PassTimes(CPU)}
        seeds = torch.arange(3) + 3 * step
        found = head_loss(head, levels, rois, seeds, sampler=sampler, **numbers)
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()

    after, better = evaluate(head, crops)
    assert after < 0.45 * before
    assert better > 0.95


def test_mining_has_no_quota_of_text(crops):
    """Where text has the largest losses, only text is chosen."""
    _levels, rois = crops
    labels = rois[0].labels
    losses = torch.where(labels.foreground, 5.0, 0.1)

    chosen = sample_rois(
        "ohem",
        losses,
        rois[0].boxes_xyxy,
        labels.foreground,
        labels.best_iou,
        labels.counted,
        torch.tensor(0),
        count=3,
        background_low=0.0,
        nms_iou=0.3,
    )

    assert labels.foreground[chosen].all()
