"""Sums over the steps between two log lines, kept on the device until the line is written."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from craft.distributed.processes import Processes, mean_over_processes

NAMES = (
    "loss",
    "loss_region",
    "loss_affinity",
    "gradient_norm",
    "kept_positives_region",
    "kept_positives_affinity",
    "kept_negatives_region",
    "kept_negatives_affinity",
)


class IntervalMeter:
    """Means since the last reading, over all processes."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._sums = torch.zeros(len(NAMES), device=processes.device)
        self._restart()

    def _restart(self) -> None:
        self._sums.zero_()
        self._steps = 0
        self._images = 0
        self._data_wait = 0.0
        self._start = time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for the loader."""
        start = time.perf_counter()
        yield
        self._data_wait += time.perf_counter() - start

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside, which is not training (validation, saving), out of the interval."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def add(self, values: Tensor, *, images: int) -> None:
        """Add a step of this process: (len(NAMES),) float32 on the device in the order of NAMES, and its crops."""
        self._sums += values
        self._steps += 1
        self._images += images

    def read(self) -> dict[str, float]:
        """Give the means since the last reading and start again; the host waits for the device.

        Returns:
            The means by name, images per second over all processes, and the share of time spent waiting for data.
        """
        means = mean_over_processes(self._sums / max(1, self._steps), self._processes).tolist()
        seconds = max(time.perf_counter() - self._start, 1e-9)
        result = dict(zip(NAMES, means, strict=True))
        result["images_per_second"] = round(self._images * self._processes.world_size / seconds, 3)
        result["data_wait"] = round(self._data_wait / seconds, 4)
        self._restart()
        return result
