"""The order of scenes: without replacement inside a dataset, by weight between datasets, the same for any number of processes."""

from itertools import islice

import numpy as np
import pytest

from craft.datasets.order import StreamSampler, epoch_order, epoch_shares, sample_seed


def orders(epochs, *, seed=0, sizes=(7, 4), weights=(1.0, 1.0), length=11):
    return np.concatenate([epoch_order(seed, epoch, sizes, weights, length) for epoch in range(epochs)])


def test_a_dataset_is_shown_once_an_epoch_and_in_another_order_in_the_next():
    first, second = (epoch_order(3, epoch, [50], [2.0], 50) for epoch in (0, 1))

    assert sorted(first[:, 1]) == list(range(50))
    assert sorted(second[:, 1]) == list(range(50))
    assert (first != second).any()
    assert set(first[:, 0]) == {0}


def test_every_dataset_shows_all_scenes_before_any_comes_again_across_epochs():
    stream = orders(6)

    for index, size in enumerate((7, 4)):
        own = stream[stream[:, 0] == index, 1]
        whole = len(own) // size
        for number in range(whole):
            assert sorted(own[number * size : (number + 1) * size]) == list(range(size))


def test_datasets_share_an_epoch_by_weight():
    order = epoch_order(0, 2, [1000, 10], [4.0, 1.0], 1010)

    counts = np.bincount(order[:, 0])
    assert counts.tolist() == epoch_shares([4.0, 1.0], epoch_length=1010).tolist()
    assert abs(counts[0] - 808) <= 1
    thirds = [np.bincount(part[:, 0], minlength=2)[1] for part in np.array_split(order, 3)]
    assert min(thirds) > 40  # mixed, not one after the other


def test_shares_sum_up_and_no_dataset_is_left_out():
    assert epoch_shares([1.0, 1e-9], epoch_length=100).tolist() == [99, 1]
    assert epoch_shares([1.0, 1.0, 1.0], epoch_length=10).sum() == 10


@pytest.mark.parametrize(
    ("sizes", "weights", "length", "message"),
    [
        ([3, 0], [1.0, 1.0], 4, "at least one scene"),
        ([3, 3], [1.0, 0.0], 4, "must be positive"),
        ([3, 3], [1.0, 1.0], 1, "cannot hold 2 datasets"),
    ],
)
def test_impossible_mixes_are_refused(sizes, weights, length, message):
    with pytest.raises(ValueError, match=message):
        epoch_order(0, 0, sizes, weights, length)


def test_an_epoch_depends_on_the_seed_and_on_nothing_before_it():
    np.testing.assert_array_equal(orders(3)[22:], epoch_order(0, 2, [7, 4], [1.0, 1.0], 11))
    assert (orders(1, seed=0) != orders(1, seed=1)).any()


def test_sample_seeds_differ_by_every_part_and_fit_a_signed_integer():
    seeds = {sample_seed(seed, epoch, position) for seed in range(3) for epoch in range(3) for position in range(300)}

    assert len(seeds) == 2700
    assert min(seeds) >= 0
    assert max(seeds) < 2**63


def test_a_step_covers_the_same_positions_for_any_number_of_processes():
    def stream(world_size, batch_size, start):
        samplers = [
            StreamSampler(
                epoch_length=10, start_position=start, batch_size=batch_size, world_size=world_size, rank=rank
            )
            for rank in range(world_size)
        ]
        steps = zip(*(islice(sampler, 5) for sampler in samplers), strict=True)
        return [[place for part in step for place in part] for step in steps]

    assert stream(1, 4, 3) == stream(2, 2, 3) == stream(4, 1, 3)
    assert stream(1, 4, 3)[1] == [(0, 7), (0, 8), (0, 9), (1, 0)]
    assert stream(1, 4, 7) == [*stream(1, 4, 3)[1:], stream(1, 4, 23)[0]]


@pytest.mark.parametrize(
    "wrong", [{"rank": 2}, {"batch_size": 0}, {"start_position": -1}, {"epoch_length": 0}], ids=lambda wrong: str(wrong)
)
def test_a_stream_out_of_range_is_refused(wrong):
    fields = {"epoch_length": 10, "start_position": 0, "batch_size": 2, "world_size": 2, "rank": 0}

    with pytest.raises(ValueError):
        StreamSampler(**(fields | wrong))


def test_datasets_are_mixed_in_another_way_in_every_epoch():
    first, second = (epoch_order(0, epoch, [9, 9], [1.0, 1.0], 18)[:, 0] for epoch in (0, 1))

    assert (first != second).any()


def test_datasets_of_one_size_are_permuted_differently():
    order = epoch_order(0, 0, [30, 30], [1.0, 1.0], 60)

    assert (order[order[:, 0] == 0, 1] != order[order[:, 0] == 1, 1]).any()


def test_a_dataset_in_order_goes_on_where_the_epoch_before_ended():
    epochs = [epoch_order(0, epoch, [10], [1.0], 4, in_order=[True])[:, 1].tolist() for epoch in range(3)]

    assert epochs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
