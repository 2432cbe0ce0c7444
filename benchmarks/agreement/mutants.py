"""Plant the faults of mutants.txt one at a time, and see whether the tests notice.

    python benchmarks/agreement/mutants.py [TEXT ...] [--write] [--all] [--known]     (or `make mutants`)

Each fault is planted in a copy of the project and the tests named with it run until one fails. A fault that lets all of
them pass has survived: write the test that catches it, or say after it why nothing can. Results are kept in
runs/mutants.json and used again while the file with the fault and its tests stay as they are; --all tries every fault
again. TEXT tries those alone whose file or texts contain it; --write puts the score into docs/results/mutants.md. The
tests run once without a fault first: they must pass, and what Python and numba compile then is used again.

Processes are forked from one that has imported the libraries, so this runs on Linux and macOS.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import albumentations  # noqa: F401
import hypothesis
import matplotlib  # noqa: F401
import pytest
import torchvision  # noqa: F401  # with torch, which every test would wait for

ROOT = Path(__file__).parents[2]
LIST, PAGE, KEPT = Path(__file__).with_suffix(".txt"), ROOT / "docs/results/mutants.md", ROOT / "runs/mutants.json"
COPIED = ("craft", "tests", "benchmarks", "configs", "data", "docs", "tools", "pyproject.toml", "README.md")
LONGEST, LONGEST_BUSY = 600, 200  # seconds, and of the processor; a fault that makes the tests hang is noticed


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted fault, the tests that should notice it, and why it may survive."""

    file: str
    tests: tuple[str, ...]
    old: str
    new: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.old} -> {self.new}"

    def digest(self) -> str:
        """Digest of the faulty file and its tests."""
        parts = [(ROOT / self.file).read_text(encoding="utf-8").replace(self.old, self.new, 1), *self.tests]
        parts += [(ROOT / test.partition("::")[0]).read_text(encoding="utf-8") for test in self.tests if exists(test)]
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def exists(test: str) -> bool:
    return (ROOT / test.partition("::")[0]).exists()


def read_mutants(path: Path = LIST) -> tuple[list[Mutant], list[str]]:
    """Read the list, and what in it is stale: faults whose old text does not stand exactly once in the present code."""
    mutants: list[Mutant] = []
    stale: list[str] = []
    file, tests, old, count = "", tuple[str, ...](), "", 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if mark == "==":
            file, _, names = rest.partition(" : ")
            tests = tuple(names.split())
            stale += [f"{path.name}:{number}: there is no {name}" for name in (file, *tests) if not exists(name)]
        elif mark == "-":
            old = rest
            count = (ROOT / file).read_text(encoding="utf-8").count(old) if exists(file) else 0
            if count != 1:
                stale.append(f"{path.name}:{number}: {old!r} stands {count} times in {file}")
        elif mark == "+":
            if count == 1:
                mutants.append(Mutant(file, tests, old, rest))
        elif mark == "?" and count == 1:
            last = mutants.pop()
            mutants.append(Mutant(last.file, last.tests, last.old, last.new, rest))
        elif line and mark not in "#?":
            stale.append(f"{path.name}:{number}: begins with none of ==, -, +, ? and #")
    return mutants, stale


def copy_project(folder: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy2(ROOT / name, folder / name)


def digest_of_project() -> str:
    """Digest of the code and its tests as they are."""
    files = sorted(path for room in ("craft", "tests") for path in (ROOT / room).rglob("*.py"))
    return hashlib.blake2b(b"\0".join(path.read_bytes() for path in files), digest_size=12).hexdigest()


def is_caught(mutant: Mutant, folder: Path) -> bool:
    """Plant a fault in the copy of the project, run its tests, and take the fault out again."""
    path = folder / mutant.file
    state, text, compiled = path.stat(), path.read_bytes(), path.parent / "__pycache__"
    kept = folder / "kept"  # numba would drop what it compiled of the file as it was
    if compiled.exists():
        shutil.copytree(compiled, kept)
    path.write_bytes(text.replace(mutant.old.encode(), mutant.new.encode(), 1))
    try:
        return run_tests(mutant.tests, folder) != 0
    finally:
        path.write_bytes(text)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        if kept.exists():
            shutil.rmtree(compiled)
            kept.rename(compiled)


def run_tests(tests: Iterable[str], folder: Path, *, faultless: bool = False) -> int:
    """0 where the tests pass: those of a file without its slow ones, and single tests by name."""
    files, named = ([test for test in tests if ("::" in test) == single] for single in (False, True))
    status = run_pytest([*files, "-m", "not slow"], folder, faultless) if files else 0
    return status or (run_pytest(named, folder, faultless) if named else 0)


def run_pytest(arguments: list[str], folder: Path, faultless: bool) -> int:
    """Run pytest in a forked process; its exit status, or -SIGKILL where it does not end in time."""
    child = os.fork()
    if child == 0:
        status = 3
        with contextlib.suppress(BaseException):
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (10 * LONGEST_BUSY if faultless else LONGEST_BUSY,) * 2)
            quiet = os.open(os.devnull, os.O_RDWR)
            for stream in range(0 if faultless else 3):
                os.dup2(quiet, stream)
            os.chdir(folder)
            os.environ.update(
                PYTHONPATH=str(folder), OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1" * (not faultless)
            )
            sys.path[:] = [str(folder), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
            sys.dont_write_bytecode = not faultless
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments]))
        os._exit(status)
    end = time.monotonic() + LONGEST * (10 if faultless else 1)
    done = 0
    while not done and time.monotonic() < end:
        time.sleep(0.05)
        done, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError):  # also loader processes of a test that died
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status if done else os.waitpid(child, 0)[1])
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"no tests were run by pytest {' '.join(arguments)}")
    return code


def page(caught: dict[Mutant, bool], num_listed: int) -> str:
    """The score as Markdown."""
    mutants, survivors = list(caught), [mutant for mutant, found in caught.items() if not found]
    total, found = len(mutants), len(mutants) - len(survivors)
    commit = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    by_room = Counter(mutant.file.split("/")[1] for mutant in mutants)
    lost = Counter(mutant.file.split("/")[1] for mutant in survivors)
    lines = [
        *("# Planted faults", "", f"{found} of {total} small faults, planted one at a time, make a test fail"),
        f"({100 * found / total:.1f} %); {num_listed - total} more are listed and have not been tried. `make mutants` at",
        f"{commit.stdout.strip()}; the faults are in [mutants.txt](../../benchmarks/agreement/mutants.txt), each with the",
        "tests that are run against it.",
        *("", "| room | faults | caught |", "| --- | --- | --- |"),
        *(f"| {room} | {count} | {count - lost[room]} |" for room, count in by_room.items()),
        *("", "## Survivors", ""),
        *(
            f"- `{item.file}`: `{item.old}` became `{item.new}`. {item.reason or 'Not looked into yet.'}"
            for item in survivors
        ),
    ]
    return "\n".join([*lines, ""] if survivors else [*lines, "None.", ""])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "texts", nargs="*", metavar="TEXT", help="try the faults whose file or texts contain one of these"
    )
    parser.add_argument("--write", action="store_true", help=f"write the score to {PAGE.relative_to(ROOT)}")
    parser.add_argument("--all", action="store_true", help="try every fault again")
    parser.add_argument("--known", action="store_true", help="try none; take only what is known of earlier runs")
    return parser.parse_args()


def try_faults(keys: dict[Mutant, str], known: dict[str, bool]) -> None:
    """Try the faults whose digest is not among the known results, and keep each result as soon as it is known."""
    untried = {mutant: key for mutant, key in keys.items() if key not in known}
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a failure is all that is asked for
    hypothesis.settings.register_profile("without shrinking", phases=phases, derandomize=True)
    hypothesis.settings.load_profile("without shrinking")
    gc.freeze()  # what the forked processes share, their collectors leave alone
    with tempfile.TemporaryDirectory() as folder:
        passes = digest_of_project()
        copy_project(Path(folder))
        if untried and passes not in known:
            tests = dict.fromkeys(test for mutant in untried for test in mutant.tests)
            if run_tests(tests, Path(folder), faultless=True):
                sys.exit("the tests must pass before faults are planted")
            known[passes] = True
        for mutant, key in untried.items():
            start = time.monotonic()
            known[key] = is_caught(mutant, Path(folder))
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(known, indent=0), encoding="utf-8")
            said = "caught  " if known[key] else "SURVIVED"
            print(f"{said} {time.monotonic() - start:3.0f} s {mutant}", flush=True)


def main() -> None:
    options = parse_arguments()
    listed, stale = read_mutants()
    named = [mutant for mutant in listed if not options.texts or any(text in str(mutant) for text in options.texts)]
    known: dict[str, bool] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() and not options.all else {}
    keys = {mutant: mutant.digest() for mutant in named}
    if options.known:
        keys = {mutant: key for mutant, key in keys.items() if key in known}
    try_faults(keys, known)
    caught = {mutant: known[key] for mutant, key in keys.items()}
    print(f"{sum(caught.values())} of {len(caught)} faults caught")
    if options.write:
        PAGE.write_text(page(caught, len(listed)), encoding="utf-8")
    if stale:
        sys.exit("\n".join(["the list no longer fits the code; correct or remove:", *stale]))
    sys.exit(int(any(not found and not mutant.reason for mutant, found in caught.items())))


if __name__ == "__main__":
    main()
