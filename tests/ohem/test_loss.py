from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import craft.ohem.pixel
from craft.ohem.loss import pixel_loss
from craft.ohem.pixel import RULES, select_pixels
from craft.ohem.top_k import top_k_weights_by_bisection
from tests.ohem.no_host_sync import NoHostSync
from tests.ohem.reference import hardest_weights, kept_negatives, loss_and_gradient, mean_errors

SETTINGS = {"rule": "hardest", "ratio": 3.0, "min_negatives": 4}


def random_batch(seed: int, *, size=(3, 2, 6, 8), text=0.2, cared=0.8):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(size, generator=generator) * 1.4 - 0.2
    is_text = torch.rand(size, generator=generator) < text * 2 * torch.rand(size[0], 2, 1, 1, generator=generator)
    maps = torch.where(is_text, torch.rand(size, generator=generator), 0.05)
    confidence = torch.rand(size, generator=generator) * (torch.rand(size, generator=generator) < cared)
    return scores, maps, confidence, torch.arange(size[0])


def test_averages_one_text_pixel_and_the_hardest_of_three_others():
    scores = torch.tensor([[[[0.5, 0.4, 0.2, 0.3]], [[0.0, 0.0, 0.0, 0.1]]]], requires_grad=True)  # (1, 2, 1, 4)
    maps = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]]])
    confidence = torch.tensor([[[[0.5, 1.0, 1.0, 1.0]], [[1.0, 1.0, 1.0, 1.0]]]])

    found = pixel_loss(scores, maps, confidence, torch.tensor([0]), rule="hardest", ratio=1.0, min_negatives=1)
    found.loss.backward()

    assert found.region.item() == pytest.approx(0.5 * 0.25 + 0.16)  # confidence x 0.5^2, and 0.4^2
    assert found.affinity.item() == pytest.approx(0.01)
    assert found.loss.item() == pytest.approx(0.295)
    assert found.kept_positives.tolist() == [[1, 0]]
    assert found.kept_negatives.tolist() == [[1, 1]]
    expected = torch.tensor([[[[-0.5, 0.8, 0, 0]], [[0, 0, 0, 0.2]]]])
    torch.testing.assert_close(scores.grad, expected)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 4), st.just(2), st.integers(1, 8), st.integers(1, 8)),
    text=st.sampled_from([0.0, 0.1, 0.5, 10.0]),
    cared=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    ratio=st.floats(0.01, 50),
    min_negatives=st.integers(0, 80),
)
def test_loss_and_gradient_equal_the_reference(seed, size, text, cared, ratio, min_negatives):
    scores, maps, confidence, seeds = random_batch(seed, size=size, text=text, cared=cared)
    scores.requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", ratio=ratio, min_negatives=min_negatives)
    found.loss.backward()

    error = (scores.detach() - maps).square() * confidence
    weights = hardest_weights(
        error.flatten(0, 1),
        (maps > 0.1).flatten(0, 1),
        (confidence > 0).flatten(0, 1),
        ratio=ratio,
        min_negatives=min_negatives,
    ).view(size)
    losses, gradient = loss_and_gradient(scores, maps, confidence, weights)
    torch.testing.assert_close(found.weights.double(), weights, rtol=1e-6, atol=0)
    parts = torch.stack([found.region, found.affinity]).detach()
    torch.testing.assert_close(parts.double(), losses, rtol=1e-5, atol=1e-12)
    assert torch.equal(found.loss.detach(), parts.sum())
    torch.testing.assert_close(scores.grad.double(), gradient, rtol=1e-5, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 3), st.just(2), st.integers(1, 6), st.integers(1, 6)),
    text=st.sampled_from([0.0, 0.1, 0.5, 10.0]),
    cared=st.sampled_from([0.0, 0.5, 1.0]),
    ratio=st.floats(0.01, 50),
    min_negatives=st.integers(0, 40),
)
def test_loss_and_gradient_equal_the_means_of_the_definition(seed, size, text, cared, ratio, min_negatives):
    scores, maps, confidence, seeds = random_batch(seed, size=size, text=text, cared=cared)
    scores.requires_grad_()
    exact = scores.detach().double().requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", ratio=ratio, min_negatives=min_negatives)
    found.loss.backward()

    expected = mean_errors(exact, maps, confidence, ratio=ratio, min_negatives=min_negatives)
    parts = torch.stack([found.region, found.affinity]).detach()
    torch.testing.assert_close(parts.double(), expected.detach(), rtol=1e-5, atol=1e-12)
    if expected.requires_grad:
        expected.sum().backward()
        torch.testing.assert_close(scores.grad.double(), exact.grad, rtol=1e-5, atol=1e-12)
    else:
        assert not scores.grad.any()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_the_gradient_of_its_weights_held_fixed(rule):
    scores, maps, confidence, seeds = random_batch(3)
    scores.requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule=rule, ratio=2.0, min_negatives=3)
    found.loss.backward()

    losses, gradient = loss_and_gradient(scores, maps, confidence, found.weights)
    assert found.loss.item() == pytest.approx(float(losses.sum()), rel=1e-5)
    torch.testing.assert_close(scores.grad.double(), gradient, rtol=1e-5, atol=1e-9)


def test_a_target_of_one_tenth_is_background_and_the_next_float_above_is_text():
    tenth = torch.tensor(0.1)
    maps = torch.stack([tenth, torch.nextafter(tenth, torch.tensor(1.0))]).expand(1, 2, 1, 2)

    found = pixel_loss(torch.zeros(1, 2, 1, 2), maps, torch.ones(1, 2, 1, 2), torch.tensor([0]), **SETTINGS)

    assert found.kept_positives.tolist() == [[1, 1]]
    assert found.kept_negatives.tolist() == [[1, 1]]


def test_an_image_with_little_text_keeps_its_own_share_beside_one_with_much():
    maps = torch.zeros(2, 2, 10, 10)
    maps[0, :, 0, 0], maps[1, :, :2] = 1, 1  # 1 and 20 text pixels
    scores = torch.stack(
        [torch.full((2, 10, 10), 0.01), torch.full((2, 10, 10), 0.9)]
    )  # every error of the second is larger

    found = pixel_loss(scores, maps, torch.ones_like(maps), torch.arange(2), rule="hardest", ratio=3.0, min_negatives=0)

    assert found.kept_negatives.tolist() == [[3, 3], [60, 60]]
    torch.testing.assert_close(found.weights.sum(dim=(2, 3)), torch.full((2, 2), 2.0))


@pytest.mark.parametrize("rule", RULES)
def test_maps_with_nothing_cared_for_have_zero_loss_and_gradient(rule):
    scores, maps, confidence, seeds = random_batch(0, cared=0.0)
    scores.requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule=rule, ratio=3.0, min_negatives=4)
    found.loss.backward()

    assert float(found.loss.detach()) == 0
    assert scores.grad.tolist() == torch.zeros_like(scores).tolist()
    assert not found.kept_positives.any()
    assert not found.kept_negatives.any()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("text", [0.0, 10.0])
def test_images_without_text_and_images_full_of_text_have_finite_losses(rule, text):
    scores, maps, confidence, seeds = random_batch(2, text=text, cared=1.0)

    found = pixel_loss(scores, maps, confidence, seeds, rule=rule, ratio=3.0, min_negatives=4)

    assert torch.isfinite(found.loss)
    assert found.loss > 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cared", [0.0, 1.0])
def test_accepts_a_map_of_one_pixel(rule, cared):
    scores = torch.full((1, 2, 1, 1), 0.5)
    confidence = torch.full_like(scores, cared)

    found = pixel_loss(
        scores, torch.zeros_like(scores), confidence, torch.tensor([1]), rule=rule, ratio=3.0, min_negatives=9
    )

    each = 0.25 * (0.5 if rule == "focal" else 1)  # focal: once more by the difference
    assert float(found.loss) == 2 * each * cared
    assert found.kept_negatives.tolist() == [[int(cared)] * 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_computes_in_float32_whatever_the_precision_of_the_scores(dtype):
    scores, maps, confidence, seeds = random_batch(5)
    rounded = scores.to(dtype).requires_grad_()

    found = pixel_loss(rounded, maps, confidence, seeds, **SETTINGS)
    found.loss.backward()

    same = pixel_loss(rounded.detach().float(), maps, confidence, seeds, **SETTINGS)
    assert found.loss.dtype == torch.float32
    assert torch.equal(found.loss.detach(), same.loss)
    assert rounded.grad.dtype == dtype


def test_errors_beyond_half_precision_do_not_overflow():
    scores = torch.full((1, 2, 2, 2), 1000.0, dtype=torch.float16)  # its square is past the largest half, 65,504

    found = pixel_loss(scores, torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2), torch.tensor([0]), **SETTINGS)

    assert float(found.loss) == 2e6


def test_autocast_changes_nothing():
    scores, maps, confidence, seeds = random_batch(6)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = pixel_loss(scores, maps, confidence, seeds, **SETTINGS)

    assert torch.equal(inside.loss, pixel_loss(scores, maps, confidence, seeds, **SETTINGS).loss)


def test_memory_layout_changes_nothing():
    scores, maps, confidence, seeds = random_batch(7)
    expected = pixel_loss(scores, maps, confidence, seeds, **SETTINGS)
    strided = [plane.contiguous(memory_format=torch.channels_last) for plane in (scores, maps, confidence)]

    found = pixel_loss(*strided, seeds, **SETTINGS)

    assert torch.equal(found.loss, expected.loss)
    assert torch.equal(found.weights, expected.weights)


def test_an_image_weighs_the_same_whatever_else_is_in_the_batch():
    scores, maps, confidence, seeds = random_batch(8, size=(4, 2, 9, 9))
    for rule in RULES:
        together = pixel_loss(scores, maps, confidence, seeds, rule=rule, ratio=2.0, min_negatives=3)
        alone = [
            pixel_loss(scores[part], maps[part], confidence[part], seeds[part], rule=rule, ratio=2.0, min_negatives=3)
            for part in (slice(index, index + 1) for index in range(4))
        ]
        assert torch.equal(together.weights, torch.cat([found.weights for found in alone]))
        mean = sum(float(found.loss) for found in alone) / 4
        assert float(together.loss) == pytest.approx(mean, rel=1e-6)


def test_region_and_affinity_are_ranked_and_sampled_separately():
    scores, maps, confidence, seeds = random_batch(9, text=0.0, cared=1.0)
    scores[:, 1], confidence[:, 1] = scores[:, 0], confidence[:, 0]

    for rule, alike in (("hardest", True), ("random", False)):
        weights = pixel_loss(scores, maps, confidence, seeds, rule=rule, ratio=1.0, min_negatives=9).weights
        assert torch.equal(weights[:, 0], weights[:, 1]) == alike


def test_rule_random_samples_images_with_adjacent_seeds_differently():
    scores = torch.zeros(2, 2, 9, 9)

    found = pixel_loss(
        scores, scores, torch.ones_like(scores), torch.tensor([7, 8]), rule="random", ratio=1.0, min_negatives=20
    )

    assert len({tuple(kept.flatten().tolist()) for kept in found.weights.flatten(0, 1)}) == 4


def test_rule_random_follows_the_seeds_of_the_images():
    scores, maps, confidence, _ = random_batch(10, text=0.05)
    numbers = {"rule": "random", "ratio": 1.0, "min_negatives": 5}

    first = pixel_loss(scores, maps, confidence, torch.tensor([7, 8, 9]), **numbers)

    assert torch.equal(first.weights, pixel_loss(scores, maps, confidence, torch.tensor([7, 8, 9]), **numbers).weights)
    other = pixel_loss(scores, maps, confidence, torch.tensor([7, 8, 10]), **numbers)
    assert torch.equal(first.weights[:2], other.weights[:2])
    assert not torch.equal(first.weights[2], other.weights[2])


def test_leaves_its_arguments_unchanged():
    arguments = random_batch(11)
    before = [argument.clone() for argument in arguments]

    pixel_loss(*arguments, **SETTINGS)

    assert all(torch.equal(now, then) for now, then in zip(arguments, before, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_the_host_never_waits_for_the_device(rule, monkeypatch):
    monkeypatch.setattr(craft.ohem.pixel, "top_k_weights", top_k_weights_by_bisection)  # as on other devices
    scores, maps, confidence, seeds = random_batch(12)
    expected = pixel_loss(scores, maps, confidence, seeds, rule=rule, ratio=3.0, min_negatives=4)

    with NoHostSync():
        found = pixel_loss(scores.requires_grad_(), maps, confidence, seeds, rule=rule, ratio=3.0, min_negatives=4)
        found.loss.backward()

    assert torch.equal(found.loss.detach(), expected.loss)


@pytest.mark.parametrize("rule", RULES)
def test_shapes_and_branches_do_not_depend_on_the_data(rule):
    # Meta tensors have no data: reading a value, or moving one to the host, raises.
    scores, maps, confidence, seeds = (tensor.to("meta") for tensor in random_batch(12))

    found = pixel_loss(scores.requires_grad_(), maps, confidence, seeds, rule=rule, ratio=3.0, min_negatives=4)
    found.loss.backward()

    assert scores.grad.shape == scores.shape
    assert found.kept_negatives.shape == (3, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("rule", RULES)
def test_cuda_keeps_the_same_pixels_without_synchronising(rule):
    scores, maps, confidence, seeds = random_batch(13, size=(4, 2, 64, 96))
    expected = select_pixels(
        rule,
        ((scores - maps).square() * confidence).flatten(0, 1),
        (maps > 0.1).flatten(0, 1),
        (confidence > 0).flatten(0, 1),
        (seeds[:, None] * 2 + torch.arange(2)).flatten(),
        ratio=2.0,
        min_negatives=5,
    ).weights
    moved = [tensor.cuda() for tensor in (scores, maps, confidence, seeds)]
    moved[0].requires_grad_()
    torch.cuda.synchronize()

    torch.cuda.set_sync_debug_mode("error")
    try:
        found = pixel_loss(*moved, rule=rule, ratio=2.0, min_negatives=5)
        found.loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")

    torch.testing.assert_close(found.weights.cpu().flatten(0, 1), expected)


def test_refuses_shapes_that_do_not_fit():
    scores, maps, confidence, seeds = random_batch(0)
    with pytest.raises(ValueError, match=r"scores are \(3, 1, 6, 8\)"):
        pixel_loss(scores[:, :1], maps, confidence, seeds, **SETTINGS)
    with pytest.raises(ValueError, match="batch of at least 1"):
        pixel_loss(scores[:0], maps[:0], confidence[:0], seeds[:0], **SETTINGS)
    with pytest.raises(ValueError, match="confidence"):
        pixel_loss(scores, maps, confidence[:, :1], seeds, **SETTINGS)
    with pytest.raises(ValueError, match=r"seeds are \(1,\)"):
        pixel_loss(scores, maps, confidence, seeds[:1], **SETTINGS)


def test_refuses_dtypes_that_do_not_fit():
    scores, maps, confidence, seeds = random_batch(0)
    with pytest.raises(ValueError, match=r"maps torch.float64.* float32"):
        pixel_loss(scores, maps.double(), confidence, seeds, **SETTINGS)
    with pytest.raises(ValueError, match=r"confidence torch.bool"):
        pixel_loss(scores, maps, confidence > 0, seeds, **SETTINGS)
    with pytest.raises(ValueError, match=r"scores are torch.uint8"):
        pixel_loss(scores.byte(), maps, confidence, seeds, **SETTINGS)
    with pytest.raises(ValueError, match=r"seeds are \(3,\) torch.int32.* int64"):
        pixel_loss(scores, maps, confidence, seeds.int(), **SETTINGS)


def test_refuses_an_unknown_scope():
    with pytest.raises(ValueError, match="unknown OHEM scope 'scene'; use image or batch"):
        pixel_loss(*random_batch(0), **SETTINGS, scope="scene")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), text=st.sampled_from([0.0, 0.2, 10.0]), gamma=st.floats(0.2, 3))
def test_focal_weights_are_those_of_all_times_a_power_of_the_error(seed, text, gamma):
    scores, maps, confidence, seeds = random_batch(seed, text=text)

    found = pixel_loss(scores, maps, confidence, seeds, rule="focal", ratio=1.0, min_negatives=0, gamma=gamma)

    plain = pixel_loss(scores, maps, confidence, seeds, rule="all", ratio=1.0, min_negatives=0)
    error = confidence * (scores - maps) ** 2
    torch.testing.assert_close(found.weights, plain.weights * error ** (gamma / 2))
    torch.testing.assert_close(found.loss, (found.weights * error).sum(dim=(2, 3)).mean(dim=0).sum())


def dice_bce_by_hand(scores, maps, confidence, *, ratio, min_negatives):
    """The loss of one image's map from the definition, in float64."""
    score, target, trust = (value.double().flatten() for value in (scores, maps, confidence))
    text = torch.sigmoid(8 * (score - 0.5))
    entropy = -torch.xlogy(target, target) - torch.xlogy(1 - target, 1 - target)
    error = trust * (-target * text.log() - (1 - target) * (1 - text).log() - entropy)
    positive, background = error[(target > 0.1) & (trust > 0)], error[(target <= 0.1) & (trust > 0)]
    kept = kept_negatives(len(positive), len(background), ratio=ratio, min_negatives=min_negatives)
    dice = (2 * (trust * text * target).sum() + 1) / ((trust * (text**2 + target**2)).sum() + 1)
    hardest = background.sort(descending=True).values[:kept]
    return sum(part.mean() for part in (positive, hardest) if len(part)) + 1 - dice


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), text=st.sampled_from([0.0, 0.2, 10.0]), ratio=st.floats(0.1, 5))
def test_dice_and_cross_entropy_and_their_gradient_equal_the_definition(seed, text, ratio):
    scores, maps, confidence, seeds = random_batch(seed, text=text)
    scores.requires_grad_()
    exact = scores.detach().double().requires_grad_()

    found = pixel_loss(scores, maps, confidence, seeds, rule="hardest", ratio=ratio, min_negatives=2, loss="dice_bce")
    found.loss.backward()

    numbers = {"ratio": ratio, "min_negatives": 2}
    images, parts = range(len(scores)), []
    for index in range(2):
        each = [dice_bce_by_hand(exact[i, index], maps[i, index], confidence[i, index], **numbers) for i in images]
        parts.append(sum(each) / len(each))
    sum(parts).backward()
    torch.testing.assert_close(
        torch.stack([found.region, found.affinity]).double(), torch.stack(parts), rtol=1e-4, atol=1e-6
    )
    # Both terms can nearly cancel in a pixel, whose gradient is then far below those that make it.
    torch.testing.assert_close(scores.grad.double(), exact.grad, rtol=1e-3, atol=1e-5)


def test_dice_and_cross_entropy_are_least_where_scores_give_the_targets():
    target = torch.tensor([0.02, 0.3, 0.9, 0.02]).expand(1, 2, 1, 4).contiguous()
    best = (0.5 + torch.logit(target) / 8).requires_grad_()

    found = pixel_loss(
        best,
        target,
        torch.ones_like(target),
        torch.tensor([0]),
        rule="none",
        ratio=1.0,
        min_negatives=0,
        loss="dice_bce",
    )
    found.loss.backward()

    assert best.grad.abs().max() < 1e-2  # but for the pixel of text that the Dice loss adds
    assert found.loss < 1e-5


@pytest.mark.parametrize(("name", "value"), [("loss", "dice"), ("gamma", 0.0), ("gamma", float("nan"))])
def test_refuses_an_unknown_loss_and_a_gamma_that_is_not_positive(name, value):
    with pytest.raises(ValueError, match=name):
        pixel_loss(*random_batch(0), rule="focal", ratio=1.0, min_negatives=0, **{name: value})
