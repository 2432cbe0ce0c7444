"""Progress bars in a file: a line each time, without the moves of a cursor."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_UP = "\x1b[A"  # how tqdm returns from a bar below another


class LogStream:
    """A text stream in which every state of a progress bar becomes a line; blank lines are left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._at_start = True  # of a line

    def write(self, text: str) -> int:
        """Write text; what begins with a carriage return is a state of a bar, or blanks that clear one."""
        is_bar = text.startswith("\r")
        for line in text.replace(_UP, "").replace("\r", "\n").splitlines(keepends=True):
            if is_bar and line.strip():
                self._put(("" if self._at_start else "\n") + line.rstrip() + "\n")
            elif not is_bar and not (line == "\n" and self._at_start):
                self._put(line)
        return len(text)

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._at_start = text.endswith("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def bars_as_lines() -> Iterator[None]:
    """Let standard error, unless it is a terminal, have the states of progress bars as lines."""
    if sys.stderr.isatty():
        yield
        return
    with contextlib.redirect_stderr(LogStream(sys.stderr)):
        yield
