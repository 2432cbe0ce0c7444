import pytest
import torch

from craft.ohem.loss import pixel_loss

NUMBERS = {"ratio": 2.0, "min_negatives": 0}


def maps_of(images, seed=1):
    generator = torch.Generator().manual_seed(seed)
    maps = (torch.rand(images, 2, 6, 8, generator=generator) > 0.8).float()
    maps[0] = 0
    maps[0, :, 0, :2] = 1  # little text in the first image, more in the others
    scores = torch.rand(images, 2, 6, 8, generator=generator)
    return scores, maps, torch.ones_like(maps), torch.arange(images)


@pytest.mark.parametrize("rule", ["hardest", "random", "all", "none"])
def test_a_batch_of_one_image_is_the_same_in_both_scopes(rule):
    scores, maps, confidence, seeds = maps_of(1)

    one = pixel_loss(scores, maps, confidence, seeds, rule=rule, **NUMBERS)
    other = pixel_loss(scores, maps, confidence, seeds, rule=rule, scope="batch", **NUMBERS)

    if rule != "random":
        torch.testing.assert_close(one.loss, other.loss)
        torch.testing.assert_close(one.weights, other.weights)
    assert torch.equal(one.kept_positives, other.kept_positives)
    assert torch.equal(one.kept_negatives, other.kept_negatives)


def test_the_hardest_of_a_batch_are_those_of_one_long_image():
    scores, maps, confidence, seeds = maps_of(3)

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", scope="batch", **NUMBERS)

    for index in range(2):
        error = (scores[:, index] - maps[:, index]).square().flatten()
        positive = maps[:, index].flatten() > 0.1
        hardest = error[~positive].sort(descending=True).values[: 2 * int(positive.sum())]
        expected = error[positive].mean() + hardest.mean()
        torch.testing.assert_close((found.region, found.affinity)[index], expected)
        assert int(found.kept_negatives[:, index].sum()) == len(hardest)


def test_a_batch_gives_more_background_to_the_images_that_are_hard():
    scores, maps, confidence, seeds = maps_of(2)
    scores[0], scores[1] = 0.9, 0.1 * scores[1]

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", scope="batch", **NUMBERS)

    assert (found.kept_negatives[0] > 2 * found.kept_positives[0]).all()


def test_gradients_are_those_of_the_loss_in_both_scopes():
    scores, maps, confidence, seeds = maps_of(2)
    scores = scores.requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule="all", scope="batch", **NUMBERS)
    (gradient,) = torch.autograd.grad(found.loss, scores)

    torch.testing.assert_close(gradient, found.weights * 2 * (scores - maps).detach() / 2)  # 2 images
