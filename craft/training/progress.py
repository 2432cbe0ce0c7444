"""The progress bar of a run, whose time left counts the validations that are still to come."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


class RunProgress(tqdm):
    """A bar over steps. "1:20:00+" says that validations are to come whose time is not known yet."""

    def __init__(self, *, steps: int, done: int, validate_every: int | None, shown: bool) -> None:
        """Start after `done` of `steps` steps; `validate_every` steps the run is validated, None for never."""
        self._steps, self._every = steps, validate_every
        self._first, self._start = done, time.monotonic()
        self._validations, self._validation_seconds = 0, 0.0
        layout = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"
        super().__init__(total=steps, initial=done, desc="train", disable=not shown, bar_format=layout)

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Count the time of a validation apart from that of steps."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._validations += 1
            self._validation_seconds += time.monotonic() - start

    def time_left(self, step: int) -> str:
        """The time that the steps after `step` and their validations will take, as those so far; "?" before the first."""
        trained = step - self._first
        if trained <= 0:
            return "?"
        seconds = (time.monotonic() - self._start - self._validation_seconds) * (self._steps - step) / trained
        to_come = 0 if self._every is None else -(-self._steps // self._every) - step // self._every
        if self._validations:
            seconds += to_come * self._validation_seconds / self._validations
        return self.format_interval(seconds) + ("+" if to_come and not self._validations else "")

    @property
    def format_dict(self) -> dict[str, Any]:
        """What `bar_format` may name."""
        values = super().format_dict
        return {**values, "left": self.time_left(values["n"])}
