"""Times work on a device: by its own clock on CUDA, where the host runs ahead, else by the host's."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch


class Stopwatch:
    """Measures calls one by one.

    Args:
        device: where the work is done.

    Attributes:
        device: the same.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def time(self, work: Callable[[], object], *, count: int, warm_up: int) -> list[float]:
        """Call and measure. On CUDA calls are queued one after another, as in training, and measured by events.

        Args:
            work: what to do.
            count: calls that are measured.
            warm_up: calls before.

        Returns:
            Seconds of each call, `count` of them.
        """
        for _ in range(warm_up):
            work()
        self.synchronise()
        if self.device.type != "cuda":
            return [self._on_host(work) for _ in range(count)]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        events[0].record()
        for event in events[1:]:
            work()
            event.record()
        self.synchronise()
        return [before.elapsed_time(after) / 1e3 for before, after in itertools.pairwise(events)]

    def synchronise(self) -> None:
        """Wait until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def forget_memory(self) -> None:
        """Count the device's peak of memory from here on."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_bytes(self) -> int | None:
        """The most memory that tensors took on a CUDA device since `forget_memory`; None elsewhere."""
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None

    def _on_host(self, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        self.synchronise()
        return time.perf_counter() - start
