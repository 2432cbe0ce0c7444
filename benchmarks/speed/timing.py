"""Timing that the benchmarks share: warm up, take turns, synchronise, and report medians with their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

Work = Callable[[], object]


def synchronise(device: torch.device | str) -> None:
    """Wait for a GPU; other devices have nothing to wait for."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def time_in_turn(
    works: Mapping[str, Work],
    *,
    rounds: int,
    warm_up: int = 1,
    device: torch.device | str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time every work once per round, so that other load on the machine meets all of them alike.

    Args:
        works: what to run, by name.
        rounds: timed rounds, after `warm_up` rounds that do not count.
        device: where the works compute.
        clock: `time.process_time` where other programs use the machine, else `time.perf_counter`.

    Returns:
        Seconds by name, one value per round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + warm_up):
        for name, work in works.items():
            synchronise(device)
            start = clock()
            work()
            synchronise(device)
            if number >= warm_up:
                seconds[name].append(clock() - start)
    return seconds


def ratios(seconds: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Divide round by round, so that a slow moment of the machine cancels out."""
    return [value / base for value, base in zip(seconds, reference, strict=True)]


def describe(values: Sequence[float], *, scale: float = 1e3, unit: str = "ms", digits: int = 2) -> str:
    """Format the median and the range: "1.23 ms (1.20 to 1.51)"."""
    middle, low, high = (scale * value for value in (statistics.median(values), min(values), max(values)))
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def quartiles(values: Sequence[float], *, digits: int = 2) -> str:
    """Format the first and the third quartile."""
    low, _median, high = statistics.quantiles(values, n=4)
    return f"{low:.{digits}f} to {high:.{digits}f}"
