import pytest
import torch

from craft.ohem.loss import pixel_loss
from craft.ohem.pixel import RULES

NUMBERS = {"ratio": 2.0, "min_negatives": 0}


def maps_of(images, seed=1):
    generator = torch.Generator().manual_seed(seed)
    maps = (torch.rand(images, 2, 6, 8, generator=generator) > 0.8).float()
    maps[0] = 0
    maps[0, :, 0, :2] = 1  # little text in the first image, more in the others
    scores = torch.rand(images, 2, 6, 8, generator=generator)
    return scores, maps, torch.ones_like(maps), torch.arange(images)


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_of_one_image_is_the_same_in_both_scopes(rule):
    scores, maps, confidence, seeds = maps_of(1)

    per_image = pixel_loss(scores, maps, confidence, seeds, rule=rule, **NUMBERS)
    over_batch = pixel_loss(scores, maps, confidence, seeds, rule=rule, scope="batch", **NUMBERS)

    if rule != "random":
        torch.testing.assert_close(per_image.loss, over_batch.loss)
        torch.testing.assert_close(per_image.weights, over_batch.weights)
    assert torch.equal(per_image.kept_positives, over_batch.kept_positives)
    assert torch.equal(per_image.kept_negatives, over_batch.kept_negatives)


def test_scope_batch_keeps_the_hardest_pixels_of_one_long_image():
    scores, maps, confidence, seeds = maps_of(3)

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", scope="batch", **NUMBERS)

    for index in range(2):
        error = (scores[:, index] - maps[:, index]).square().flatten()
        positive = maps[:, index].flatten() > 0.1
        hardest = error[~positive].sort(descending=True).values[: 2 * int(positive.sum())]
        expected = error[positive].mean() + hardest.mean()
        torch.testing.assert_close((found.region, found.affinity)[index], expected)
        assert int(found.kept_negatives[:, index].sum()) == len(hardest)


def test_scope_batch_keeps_more_background_of_hard_images():
    scores, maps, confidence, seeds = maps_of(2)
    scores[0], scores[1] = 0.9, 0.1 * scores[1]

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", scope="batch", **NUMBERS)

    assert (found.kept_negatives[0] > 2 * found.kept_positives[0]).all()


def test_scope_batch_has_the_gradient_of_its_weights():
    scores, maps, confidence, seeds = maps_of(2)
    scores = scores.requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule="all", scope="batch", **NUMBERS)
    (gradient,) = torch.autograd.grad(found.loss, scores)

    torch.testing.assert_close(gradient, found.weights * 2 * (scores - maps).detach() / 2)  # 2 images


def test_scope_batch_asks_for_the_fewest_negatives_of_all_its_images():
    scores, maps, confidence, seeds = maps_of(3)

    found = pixel_loss(scores, 0 * maps, confidence, seeds, rule="hardest", scope="batch", ratio=1.0, min_negatives=4)

    assert found.kept_negatives.sum(dim=0).tolist() == [12, 12]


def test_scope_batch_chooses_at_random_by_the_seeds_of_all_its_images():
    scores, maps, confidence, seeds = maps_of(3)

    first, second = (
        pixel_loss(scores, maps, confidence, numbers, rule="random", scope="batch", **NUMBERS).weights
        for numbers in (seeds, seeds + torch.tensor([0, 0, 5]))
    )

    assert not torch.equal(first, second)


def test_scope_batch_does_not_count_text_that_nobody_cares_for():
    scores, maps, confidence, seeds = maps_of(2)
    confidence[0] = 0

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", scope="batch", **NUMBERS)

    assert found.kept_positives[0].tolist() == [0, 0]
