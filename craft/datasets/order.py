"""Which scene comes when: a weighted mix of datasets that follows from (seed, epoch, position) alone. No torch."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_MIX, _PERMUTATION = 1, 2  # last entries of seeds, one stream for each use; never 0, which would not count

IN_ORDER_PER_EPOCH = 10_000
"""Most samples that a dataset taken in order adds to an epoch's length, so that an epoch's order stays small."""


def epoch_shares(weights: Sequence[float], *, epoch_length: int) -> NDArray[np.int64]:
    """Number of samples, at least 1, that each dataset gives to an epoch: the weights' shares by largest remainder."""
    if any(not weight > 0 for weight in weights):
        raise ValueError(f"weights of datasets must be positive, not {list(weights)}")
    if epoch_length < len(weights):
        raise ValueError(f"an epoch of {epoch_length} samples cannot hold {len(weights)} datasets; make it longer")
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    exact = shares * (epoch_length - len(weights))  # beyond the sample that every dataset gives
    counts = np.floor(exact).astype(np.int64)
    largest_first = np.argsort(counts - exact, kind="stable")
    counts[largest_first[: epoch_length - len(weights) - int(counts.sum())]] += 1
    return counts + 1


def epoch_order(
    seed: int,
    epoch: int,
    sizes: Sequence[int],
    weights: Sequence[float],
    epoch_length: int,
    *,
    in_order: Sequence[bool] | None = None,
) -> NDArray[np.int64]:
    """The scenes of an epoch in their order: (epoch_length, 2) int64, dataset and scene in the dataset.

    Every dataset is walked through in one random permutation after another, each begun only when the one before is used
    up, across epochs: between two appearances of a scene lies on average the whole dataset, whatever the weights.
    Datasets `in_order` come in the order of their numbers instead, whatever their size at no cost.
    """
    if any(size <= 0 for size in sizes):
        raise ValueError(f"every dataset needs at least one scene, the datasets have {list(sizes)}")
    counts = epoch_shares(weights, epoch_length=epoch_length)
    order = np.empty((epoch_length, 2), dtype=np.int64)
    order[:, 0] = np.repeat(np.arange(len(counts)), counts)
    order[:, 1] = np.concatenate(
        [
            (epoch * int(count) + np.arange(count)) % size
            if in_order is not None and in_order[index]
            else _running_permutation(seed, index, size, first=epoch * int(count), count=int(count))
            for index, (size, count) in enumerate(zip(sizes, counts, strict=True))
        ]
    )
    mixed = np.random.default_rng(np.random.SeedSequence((seed, epoch, 0, _MIX))).permutation(order[:, 0])
    # Mixing the datasets keeps each one's scenes in the order of its permutation.
    result = np.empty_like(order)
    result[:, 0] = mixed
    result[np.argsort(mixed, kind="stable"), 1] = order[:, 1]
    return result


def sample_seed(seed: int, epoch: int, position: int) -> int:
    """The number, 0 to 2^63 - 1, from which everything random about one sample follows."""
    return int(np.random.SeedSequence((seed, epoch, position)).generate_state(1, np.uint64)[0] >> np.uint64(1))


class StreamSampler:
    """The batches of one process: lists of (epoch, position), without end.

    Batch g of all processes together covers the positions from start + g * G on, G = world size * batch size, and
    every process takes its run of `batch_size` neighbours: a step's samples do not depend on the number of processes.
    """

    def __init__(
        self, *, epoch_length: int, start_position: int, batch_size: int, world_size: int = 1, rank: int = 0
    ) -> None:
        """Prepare the stream; `start_position` samples of all processes, from the first epoch on, were used before."""
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not one of {world_size} processes")
        if epoch_length <= 0 or batch_size <= 0 or start_position < 0:
            raise ValueError(
                f"epoch_length {epoch_length} and batch_size {batch_size} must be positive, "
                f"start_position {start_position} not negative"
            )
        self._epoch_length = epoch_length
        self._batch_size = batch_size
        self._step = world_size * batch_size
        self._first = start_position + rank * batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self._first
        while True:
            yield [divmod(position, self._epoch_length) for position in range(first, first + self._batch_size)]
            first += self._step


def _running_permutation(seed: int, index: int, size: int, *, first: int, count: int) -> NDArray[np.int64]:
    """Entries `first` to `first + count` of the endless row of a dataset's permutations."""
    rounds = range(first // size, (first + count - 1) // size + 1)
    row = np.concatenate(
        [
            np.random.default_rng(np.random.SeedSequence((seed, index, number, _PERMUTATION))).permutation(size)
            for number in rounds
        ]
    )
    start = first - rounds.start * size
    return row[start : start + count]
