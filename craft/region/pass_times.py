"""How long parts of a step take, without making the host wait for the device."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class PassTimes:
    """Sums durations by name: CUDA events on a GPU, the host's clock elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._seconds: dict[str, float] = {}
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a name."""
        if not self._cuda:
            start = time.perf_counter()
            yield
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start
            return
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        yield
        after.record()
        self._events.append((name, before, after))

    def read(self) -> dict[str, float]:
        """Return the seconds of each measured name since the last reading. Waits for the device."""
        for name, before, after in self._events:
            after.synchronize()
            self._seconds[name] = self._seconds.get(name, 0.0) + before.elapsed_time(after) / 1000
        seconds, self._seconds, self._events = self._seconds, {}, []
        return seconds
