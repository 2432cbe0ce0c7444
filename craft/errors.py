"""What is wrong with a file that a user gave: where, what, and how to fix it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

NUM_LISTED = 10


class Problem(ValueError):
    """Something wrong with a label or an image: raised where nothing can be read, collected elsewhere.

    Attributes:
        what: what is wrong, with the offending text.
        remedy: what the user can do about it.
        where: "file:line", or "file"; "" until the caller that knows it adds it by `at`.
        fatal: True where a scene or word could not be read; False for a remark.
    """

    def __init__(self, what: str, remedy: str = "", *, where: str = "", fatal: bool = True) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy, self.where, self.fatal = what, remedy, where, fatal

    def __str__(self) -> str:
        message = f"{self.what}; {self.remedy}" if self.remedy else self.what
        return f"{self.where}: {message}" if self.where else message

    def at(self, where: str) -> Problem:
        """The same problem at `where`, unless it has a location; without a traceback, which would keep a file's bytes."""
        return Problem(self.what, self.remedy, where=self.where or where, fatal=self.fatal)

    def skippable(self) -> Problem:
        """The same problem, with the setting that passes over such a file as a second remedy."""
        return Problem(self.what, f"{self.remedy}; or set data.on_error: skip", where=self.where)


def refuse_device(path: str | os.PathLike[str], remedy: str) -> None:
    """Raise a Problem where `path` is a pipe, a socket or a device: reading one may wait for ever."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # opening it says what is wrong
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise Problem("is a pipe, a socket or a device, not a file", remedy, where=str(path))


def list_problems(heading: str, problems: Sequence[Problem], *, see: str = "") -> str:
    """Put the first ten problems under a heading; `see` is the command that lists all of them."""
    lines = [heading, *(f"  {problem}" for problem in problems[:NUM_LISTED])]
    if len(problems) > NUM_LISTED:
        lines.append(f"  ... and {len(problems) - NUM_LISTED} more" + (f": {see}" if see else ""))
    return "\n".join(lines)


OUT_OF_MEMORY = (
    "there is not enough memory; detect at a smaller size (--set canvas=1280 or long_side=1280), or train with a smaller "
    "training.batch_size, data.crop_size or region.hidden"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy, torch or OpenCV found no memory, on the device or the host."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text
