"""Sums over the steps between two lines of the log, kept on the device until the line is written."""

from __future__ import annotations

import time

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
    """Means of what was measured since the last reading.

    Args:
        processes: this process's place; readings are means over all processes.
    """

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

    def add_wait(self, seconds: float) -> None:
        """Count time spent waiting for the loader."""
        self._data_wait += seconds

    def add(self, values: Tensor, *, images: int) -> None:
        """Add a step.

        Args:
            values: (len(NAMES),) float32 on the device, in the order of NAMES.
            images: crops the step was computed from, in this process.
        """
        self._sums += values
        self._steps += 1
        self._images += images

    def read(self) -> dict[str, float]:
        """Means since the last reading, then start again. Waits for the device.

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

    def skip(self, seconds: float) -> None:
        """Leave time that was not training (validation, saving) out of the interval."""
        self._start += seconds
