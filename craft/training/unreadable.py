"""Images that turn out to be unreadable during a run: passed over, counted, and each named once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from craft.datasets.batch import Batch


class UnreadableImages:
    """Counts images that were passed over and names each the first time, in the process that met it."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._named: set[str] = set()
        self.count = 0

    def add(self, what: str) -> None:
        """Count an image that was passed over; `what` names it and says what is wrong with it."""
        self.count += 1
        if what not in self._named:
            self._named.add(what)
            self._echo(f"skipped: {what}")

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, and count the images that were passed over for each."""
        for batch in batches:
            for what in batch.unreadable:
                self.add(what)
            yield batch

    def summary(self) -> str:
        """One sentence for the end of the run; empty where every image could be read."""
        if not self.count:
            return ""
        return f"{len(self._named)} images could not be read and were skipped {self.count} times in all"
