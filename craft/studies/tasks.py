"""Runs that are still to be done, the command that does one, and how a run failed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from craft.studies.study import Run

Executor = Literal["processes", "inline", "ray"]


@dataclass(frozen=True, slots=True)
class Task:
    """A run to do, for a number of optimizer steps."""

    run: Run
    steps: int

    def command(self, out: Path) -> list[str]:
        """Return the command of the process that does the run."""
        arguments = [str(out), self.run.variant, str(self.run.seed), str(self.steps)]
        return [sys.executable, "-m", "craft.studies.run", *arguments]

    def log(self, out: Path) -> Path:
        """Return the file that the process writes its output to."""
        return self.run.folder(out) / "log.txt"


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and the last line that it printed."""

    run: Run
    reason: str


def last_line(log: Path) -> str:
    """Read the last line of a run's log that is not blank."""
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    printed = [line.strip() for line in lines if line.strip()]
    return printed[-1] if printed else "it ended without printing anything"
