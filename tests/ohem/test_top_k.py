from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from craft.ohem.top_k import count_true, share_among_highest, share_by_bisection

BOTH = pytest.mark.parametrize("share", [share_among_highest, share_by_bisection])
FLOATS = st.floats(0, 1, width=32) | st.floats(0, 2**-126, width=32) | st.sampled_from([0.0, 0.25, 1.0, 3e38])


def keys_of(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(torch.int32)


@BOTH
def test_keeps_the_highest_and_lets_ties_share_the_rest(share):
    keys = keys_of([[0.5, 0.9, 0.5, 0.1, 0.5, 0.95]])
    candidates = torch.tensor([[True, True, True, True, True, False]])

    shares = share(keys, candidates, torch.tensor([3]))

    # 0.9 is kept whole; two places of a third each are left for three that tie
    expected = torch.tensor([[2 / 9, 1 / 3, 2 / 9, 0, 2 / 9, 0]])
    torch.testing.assert_close(shares, expected)


@BOTH
def test_nothing_kept_is_all_zero(share):
    shares = share(keys_of([[0.5, 0.9]] * 2), torch.tensor([[True, True], [False, False]]), torch.tensor([0, 0]))

    assert shares.tolist() == [[0, 0], [0, 0]]


@BOTH
def test_a_row_without_pixels_is_fine(share):
    assert share(
        torch.zeros(2, 0, dtype=torch.int32), torch.zeros(2, 0, dtype=torch.bool), torch.zeros(2).long()
    ).shape == (2, 0)


@BOTH
def test_negative_zero_ranks_as_zero(share):
    shares = share(keys_of([[-0.0, 0.0, 1.0]]), torch.ones(1, 3, dtype=torch.bool), torch.tensor([2]))

    assert shares.tolist() == [[0.25, 0.25, 0.5]]


@BOTH
def test_neighbouring_floats_do_not_tie(share):
    for value in (0.0, 1e-45, 1.1754943508222875e-38, 0.3, 1.0, 3e38):
        below = torch.tensor(value, dtype=torch.float32)
        above = torch.nextafter(below, torch.tensor(torch.inf))

        shares = share(
            torch.stack([below, above, below])[None].view(torch.int32), torch.ones(1, 3).bool(), torch.tensor([1])
        )

        assert shares.tolist() == [[0, 1, 0]]


@BOTH
def test_infinity_and_nan_rank_above_every_number(share):
    keys = keys_of([[3e38, torch.inf, torch.nan, 0.0]])

    shares = share(keys, torch.ones(1, 4, dtype=torch.bool), torch.tensor([2]))

    assert shares.tolist() == [[0, 0.5, 0.5, 0]]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (1, 1), (5, 1000)])
def test_counts_are_those_of_each_row(shape):
    masks = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.4

    counts = count_true(masks)

    assert counts.dtype == torch.int64
    assert counts.tolist() == [sum(row) for row in masks.tolist()]
    assert torch.equal(count_true(torch.cat([masks, ~masks], dim=1)[:, : shape[1]]), counts)  # rows that lie apart


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(FLOATS, st.booleans()), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_both_ways_agree_to_the_last_bit_and_sum_to_one(pixels, part):
    keys = keys_of([[value for value, _ in pixels]])
    candidates = torch.tensor([[candidate for _, candidate in pixels]])
    num_kept = (part * candidates.sum(dim=1)).ceil().long()

    shares = share_among_highest(keys, candidates, num_kept)

    assert torch.equal(shares, share_by_bisection(keys, candidates, num_kept))
    assert float(shares.sum()) == pytest.approx(float(num_kept > 0), abs=1e-5)
    assert not shares[~candidates].any()
