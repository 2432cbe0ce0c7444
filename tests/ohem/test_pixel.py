from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import craft.ohem.pixel
from craft.config import OhemRule
from craft.ohem.pixel import RULES, select_pixels
from craft.ohem.top_k import top_k_weights_by_bisection
from tests.ohem import reference
from tests.ohem.no_host_sync import NoHostSync
from tests.ohem.reference import hardest_weights, kept_negatives


def weights_of(rule, error, positive, care, seeds=None, *, ratio=1.0, min_negatives=0):
    seeds = torch.arange(len(care)) if seeds is None else seeds
    return select_pixels(rule, error, positive, care, seeds, ratio=ratio, min_negatives=min_negatives).weights


def weights_without_error(rule, positive, care, seeds=None, **numbers):
    """For the rules that do not look at errors."""
    return weights_of(rule, torch.zeros(care.shape), positive, care, seeds, **numbers)


def random_maps(seed: int, *, size=(3, 7, 9), text=0.2, cared=0.8, levels=0):
    """Errors with ties where `levels` says how many values there are; text and care of differing density per image."""
    generator = torch.Generator().manual_seed(seed)
    error = torch.rand(size, generator=generator)
    error = (error * levels).floor() / levels if levels else error
    density = torch.rand(size[0], 1, 1, generator=generator) * 2
    positive = torch.rand(size, generator=generator) < text * density
    care = torch.rand(size, generator=generator) < cared
    return error, positive, care


def test_keeps_every_text_pixel_and_the_three_hardest_background_pixels():
    error = torch.tensor([[[0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4]]])  # (1, 1, 8)
    positive = torch.tensor([[[True] + [False] * 7]])
    care = torch.ones_like(positive)

    weights = weights_of("hardest", error, positive, care, ratio=3, min_negatives=1)

    third = 1 / 3  # 0.8, 0.7 and 0.6 are the hardest of the seven
    expected = torch.tensor([1, 0, third, 0, third, 0, third, 0])
    torch.testing.assert_close(weights.flatten(), expected)


def test_keeps_text_pixels_however_easy_and_never_counts_them_as_background():
    error = torch.tensor([[[0.0, 0.9, 0.1, 0.2]]])
    positive = torch.tensor([[[True, True, False, False]]])

    weights = weights_of("hardest", error, positive, torch.ones_like(positive), ratio=0.5, min_negatives=0)

    assert weights.flatten().tolist() == [0.5, 0.5, 0, 1]


def test_leaves_out_the_hardest_pixel_where_it_is_dont_care():
    error = torch.tensor([[[0.9, 0.1, 0.8, 0.2]]])
    positive = torch.tensor([[[False, True, False, False]]])
    care = torch.tensor([[[False, True, True, True]]])

    weights = weights_of("hardest", error, positive, care, ratio=1, min_negatives=0)

    assert weights.flatten().tolist() == [0, 1, 1, 0]


def test_a_dont_care_text_pixel_adds_no_background_pixel():
    error = torch.tensor([[[0.9, 0.5, 0.4, 0.3]]])
    positive = torch.tensor([[[True, True, False, False]]])
    care = torch.tensor([[[False, True, True, True]]])

    weights = weights_of("hardest", error, positive, care, ratio=1, min_negatives=0)

    assert weights.flatten().tolist() == [0, 1, 1, 0]


def test_rounds_the_number_of_background_pixels_up():
    error = torch.tensor([[[0.0, 0.9, 0.8, 0.7]]])
    positive = torch.tensor([[[True, False, False, False]]])

    weights = weights_of("hardest", error, positive, torch.ones_like(positive), ratio=1.01, min_negatives=0)

    assert weights.flatten().tolist() == [1, 0.5, 0.5, 0]


def test_ranks_each_image_by_itself():
    error = torch.tensor([[[0.0, 0.9, 0.8]], [[0.0, 0.02, 0.01]]])
    positive = torch.tensor([[[True, False, False]]] * 2)

    weights = weights_of("hardest", error, positive, torch.ones_like(positive), ratio=1, min_negatives=0)

    assert weights.tolist() == [[[1, 1, 0]]] * 2


@pytest.mark.parametrize(
    ("text", "cared", "ratio", "min_negatives"),
    [
        (0.0, 0.8, 3.0, 4),  # no positives
        (0.0, 0.8, 3.0, 0),  # no positives and no background pixel asked for
        (10.0, 0.8, 3.0, 4),  # only positives
        (0.2, 0.0, 3.0, 4),  # nothing cared for
        (0.2, 0.8, 1e30, 0),  # beyond all negatives
        (0.2, 0.8, 3.0, 10**9),
        (0.2, 0.8, 1e-9, 0),  # the smallest part of a pixel rounds up to one
        (0.01, 1.0, 0.1, 0),
    ],
)
@pytest.mark.parametrize("levels", [0, 1, 3])
def test_equals_the_reference_in_corner_cases(text, cared, ratio, min_negatives, levels):
    error, positive, care = random_maps(1, text=text, cared=cared, levels=levels)

    weights = weights_of("hardest", error, positive, care, ratio=ratio, min_negatives=min_negatives)

    expected = hardest_weights(error, positive, care, ratio=ratio, min_negatives=min_negatives)
    torch.testing.assert_close(weights.double(), expected, rtol=1e-6, atol=0)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    text=st.floats(0, 1),
    cared=st.floats(0, 1),
    levels=st.sampled_from([0, 1, 2, 5]),
    ratio=st.floats(1e-3, 100),
    min_negatives=st.integers(0, 100),
)
def test_equals_the_reference_over_random_maps(seed, size, text, cared, levels, ratio, min_negatives):
    error, positive, care = random_maps(seed, size=size, text=text, cared=cared, levels=levels)

    weights = weights_of("hardest", error, positive, care, ratio=ratio, min_negatives=min_negatives)

    expected = hardest_weights(error, positive, care, ratio=ratio, min_negatives=min_negatives)
    torch.testing.assert_close(weights.double(), expected, rtol=1e-6, atol=0)


def test_every_rule_keeps_the_same_pixels_on_other_devices_path(monkeypatch):
    error, positive, care = random_maps(4, levels=3)
    seeds = torch.arange(3)
    expected = {rule: weights_of(rule, error, positive, care, seeds, ratio=2.0, min_negatives=3) for rule in RULES}
    monkeypatch.setattr(craft.ohem.pixel, "top_k_weights", top_k_weights_by_bisection)

    for rule in RULES:
        with NoHostSync():
            weights = weights_of(rule, error, positive, care, seeds, ratio=2.0, min_negatives=3)
        assert torch.equal(weights, expected[rule])


@pytest.mark.parametrize(
    "mask", [lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.sum().item(), lambda x: x.unique()]
)
def test_no_host_sync_raises_where_the_host_waits(mask):
    with NoHostSync(), pytest.raises(AssertionError, match="waits for the device"):
        mask(torch.ones(3))


def test_weights_do_not_depend_on_the_order_of_pixels():
    error, positive, care = random_maps(5, size=(2, 1, 50), levels=4)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))

    weights = weights_of("hardest", error, positive, care, ratio=1.0, min_negatives=2)
    moved = weights_of("hardest", error[..., order], positive[..., order], care[..., order], ratio=1.0, min_negatives=2)

    assert torch.equal(moved, weights[..., order])


def test_rule_all_is_a_mean_over_text_plus_a_mean_over_background():
    positive = torch.tensor([[[True, False, False, True]]])
    care = torch.tensor([[[True, True, True, False]]])

    assert weights_without_error("all", positive, care).flatten().tolist() == [1, 0.5, 0.5, 0]


def test_rule_none_is_one_mean_over_cared_for_pixels():
    care = torch.tensor([[[True, True, True, False, True]], [[False] * 5]])

    assert weights_without_error("none", torch.zeros_like(care), care).tolist() == [
        [[0.25, 0.25, 0.25, 0, 0.25]],
        [[0] * 5],
    ]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    text=st.floats(0, 1),
    cared=st.floats(0, 1),
    map_seed=st.integers(-(2**63), 2**63 - 1),
    ratio=st.floats(1e-3, 100),
    min_negatives=st.integers(0, 100),
)
def test_the_other_rules_equal_the_reference_over_random_maps(seed, size, text, cared, map_seed, ratio, min_negatives):
    _, positive, care = random_maps(seed, size=size, text=text, cared=cared)
    seeds = [map_seed, 0, 1, seed][: size[0]]

    drawn = weights_without_error(
        "random", positive, care, torch.tensor(seeds), ratio=ratio, min_negatives=min_negatives
    )

    expected = reference.random_weights(positive, care, seeds, ratio=ratio, min_negatives=min_negatives)
    close = {"rtol": 1e-6, "atol": 0}
    torch.testing.assert_close(drawn.double(), expected, **close)
    torch.testing.assert_close(
        weights_without_error("all", positive, care).double(), reference.all_weights(positive, care), **close
    )
    torch.testing.assert_close(
        weights_without_error("none", torch.zeros_like(care), care).double(), reference.plain_weights(care), **close
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), text=st.floats(0, 1), ratio=st.floats(1e-3, 20), min_negatives=st.integers(0, 70))
def test_rule_random_keeps_as_many_pixels_as_hardest_with_equal_weights(seed, text, ratio, min_negatives):
    error, positive, care = random_maps(seed, text=text)
    seeds = torch.tensor([seed, seed + 1, -seed])

    weights = weights_without_error("random", positive, care, seeds, ratio=ratio, min_negatives=min_negatives)

    hardest = weights_of("hardest", error, positive, care, ratio=ratio, min_negatives=min_negatives)
    assert torch.equal(weights * (positive & care), hardest * (positive & care))
    assert not weights[~care].any()
    for row, text, negative in zip(weights, positive & care, care & ~positive, strict=True):
        kept = row[negative & (row > 0)]
        numbers = int(text.sum()), int(negative.sum())
        assert len(kept) == kept_negatives(*numbers, ratio=ratio, min_negatives=min_negatives)
        assert kept.unique().numel() <= 1


def test_rule_random_depends_on_the_seed_and_not_on_the_index_in_the_batch():
    _, positive, care = random_maps(7, size=(1, 20, 20), text=0.05)
    positive, care = positive.expand(3, 20, 20), care.expand(3, 20, 20)

    first = weights_without_error("random", positive, care, torch.tensor([5, 6, 2**62]), ratio=2.0, min_negatives=30)
    second = weights_without_error("random", positive, care, torch.tensor([2**62, 5, 6]), ratio=2.0, min_negatives=30)

    assert torch.equal(first, second[[1, 2, 0]])
    assert not torch.equal(first[0], first[1])


def test_rule_random_keeps_every_background_pixel_equally_often():
    positive = torch.zeros(4000, 4, 5, dtype=torch.bool)
    care = torch.ones_like(positive)

    weights = weights_without_error("random", positive, care, torch.arange(4000), ratio=1.0, min_negatives=5)

    often = (weights > 0).float().mean(dim=0)  # a quarter of 4,000: deviation 0.007
    assert (often - 0.25).abs().max() < 0.03
    together = ((weights[:, 0, 0] > 0) & (weights[:, 0, 1] > 0)).float().mean()  # 5 x 4 of 20 x 19 pairs
    assert abs(float(together) - 20 / 380) < 0.015


def test_every_rule_of_the_settings_has_its_function():
    assert tuple(RULES) == get_args(OhemRule)


def test_counts_equal_the_number_of_kept_pixels():
    error, positive, care = random_maps(9)
    num_positives, num_negatives = (care & positive).sum(dim=(1, 2)), (care & ~positive).sum(dim=(1, 2))
    pairs = zip(num_positives.tolist(), num_negatives.tolist(), strict=True)
    num_mined = torch.tensor([kept_negatives(*pair, ratio=1.5, min_negatives=2) for pair in pairs])
    expected = {"hardest": num_mined, "random": num_mined, "all": num_negatives, "none": num_negatives}
    for rule in RULES:
        kept = select_pixels(rule, error, positive, care, torch.arange(3), ratio=1.5, min_negatives=2)
        counted = ((kept.weights > 0) & care & ~positive).sum(dim=(1, 2))
        assert torch.equal(kept.num_positives, num_positives)
        assert torch.equal(kept.num_negatives, counted)
        assert torch.equal(kept.num_negatives, expected.get(rule, counted))


def test_leaves_its_arguments_unchanged_and_returns_no_gradient():
    error, positive, care = random_maps(2)
    error.requires_grad_()
    before = error.detach().clone(), positive.clone(), care.clone()

    weights = weights_of("hardest", error, positive, care, ratio=3.0, min_negatives=1)

    assert not weights.requires_grad
    for now, then in zip((error, positive, care), before, strict=True):
        assert torch.equal(now.detach(), then)


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_ratio_that_is_not_positive_and_finite(ratio):
    with pytest.raises(ValueError, match="ratio is"):
        weights_of("hardest", *random_maps(0), ratio=ratio, min_negatives=1)


def test_refuses_shapes_dtypes_numbers_and_rules_that_do_not_fit():
    error, positive, care = random_maps(0)
    with pytest.raises(ValueError, match="min_negatives is -1"):
        weights_of("hardest", error, positive, care, ratio=3.0, min_negatives=-1)
    with pytest.raises(ValueError, match="error is"):
        weights_of("hardest", error[:1], positive, care, ratio=3.0, min_negatives=1)
    with pytest.raises(ValueError, match=r"error is .*float64"):
        weights_of("hardest", error.double(), positive, care, ratio=3.0, min_negatives=1)
    with pytest.raises(ValueError, match="positive is"):
        weights_of("hardest", error, positive[:1], care, ratio=3.0, min_negatives=1)
    with pytest.raises(ValueError, match=r"care torch.uint8; give float32, bool and bool"):
        weights_without_error("all", positive, care.byte())
    with pytest.raises(ValueError, match="seeds are"):
        weights_without_error("random", positive, care, torch.arange(2), ratio=3.0, min_negatives=1)
    with pytest.raises(ValueError, match=r"unknown OHEM rule 'hard'; use one of hardest, random, all, none"):
        weights_of("hard", error, positive, care, torch.arange(3), ratio=3.0, min_negatives=1)


def test_rule_none_weights_text_and_background_alike():
    positive = torch.tensor([[[True, False, False, False]]])

    weights = weights_without_error("none", positive, torch.ones_like(positive))

    assert weights.flatten().tolist() == [0.25] * 4
