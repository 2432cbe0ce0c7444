from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from craft.ohem.top_k import count_true, random_keys, top_k_weights, top_k_weights_by_bisection
from tests.ohem import reference

BOTH = pytest.mark.parametrize("select", [top_k_weights, top_k_weights_by_bisection])
FLOATS = st.floats(0, 1, width=32) | st.floats(0, 2**-126, width=32) | st.sampled_from([0.0, 0.25, 1.0, 3e38])


def keys_of(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(torch.int32)


@BOTH
def test_keeps_the_highest_keys_and_divides_the_rest_among_ties(select):
    keys = keys_of([[0.5, 0.9, 0.5, 0.1, 0.5, 0.95]])
    candidates = torch.tensor([[True, True, True, True, True, False]])

    weights = select(keys, candidates, torch.tensor([3]))

    # 0.9 is kept; the three that tie at 0.5 divide the other two thirds
    expected = torch.tensor([[2 / 9, 1 / 3, 2 / 9, 0, 2 / 9, 0]])
    torch.testing.assert_close(weights, expected)


@BOTH
def test_weights_are_zero_where_nothing_is_kept(select):
    weights = select(keys_of([[0.5, 0.9]] * 2), torch.tensor([[True, True], [False, False]]), torch.tensor([0, 0]))

    assert weights.tolist() == [[0, 0], [0, 0]]


@BOTH
def test_accepts_rows_without_pixels(select):
    assert select(
        torch.zeros(2, 0, dtype=torch.int32), torch.zeros(2, 0, dtype=torch.bool), torch.zeros(2).long()
    ).shape == (2, 0)


@BOTH
def test_negative_zero_ranks_as_zero(select):
    weights = select(keys_of([[-0.0, 0.0, 1.0]]), torch.ones(1, 3, dtype=torch.bool), torch.tensor([2]))

    assert weights.tolist() == [[0.25, 0.25, 0.5]]


@BOTH
def test_adjacent_floats_do_not_tie(select):
    for value in (0.0, 1e-45, 1.1754943508222875e-38, 0.3, 1.0, 3e38):
        below = torch.tensor(value, dtype=torch.float32)
        above = torch.nextafter(below, torch.tensor(torch.inf))

        weights = select(
            torch.stack([below, above, below])[None].view(torch.int32), torch.ones(1, 3).bool(), torch.tensor([1])
        )

        assert weights.tolist() == [[0, 1, 0]]


@BOTH
def test_infinity_and_nan_rank_above_every_number(select):
    keys = keys_of([[3e38, torch.inf, torch.nan, 0.0]])

    weights = select(keys, torch.ones(1, 4, dtype=torch.bool), torch.tensor([2]))

    assert weights.tolist() == [[0, 0.5, 0.5, 0]]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (1, 1), (5, 1000)])
def test_counts_each_row(shape):
    masks = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.4

    counts = count_true(masks)

    assert counts.dtype == torch.int64
    assert counts.tolist() == [sum(row) for row in masks.tolist()]
    assert torch.equal(
        count_true(torch.cat([masks, ~masks], dim=1)[:, : shape[1]]), counts
    )  # rows that are not contiguous


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(FLOATS, st.booleans()), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_both_paths_agree_to_the_bit_and_sum_to_one(pixels, part):
    keys = keys_of([[value for value, _ in pixels]])
    candidates = torch.tensor([[candidate for _, candidate in pixels]])
    num_kept = (part * candidates.sum(dim=1)).ceil().long()

    weights = top_k_weights(keys, candidates, num_kept)

    assert torch.equal(weights, top_k_weights_by_bisection(keys, candidates, num_kept))
    assert float(weights.sum()) == pytest.approx(float(num_kept > 0), abs=1e-5)
    assert not weights[~candidates].any()


def test_random_keys_never_change():
    # which pixels rule random keeps is part of a run's record
    assert random_keys(torch.tensor([0, 12345]), 3).tolist() == [
        [0, 410673539, 821347078],
        [914360660, 971129283, 1014700737],
    ]
    for seed in (0, 1, -1, 2**63 - 1, -(2**63)):
        assert random_keys(torch.tensor([seed]), 500)[0].tolist() == reference.random_keys(seed, 500)


def test_random_keys_of_a_row_are_all_different():
    keys = random_keys(torch.tensor([0, 1, -1, 2**63 - 1]), 20_000)

    assert all(row.unique().numel() == 20_000 for row in keys)
    assert keys.min() >= 0
